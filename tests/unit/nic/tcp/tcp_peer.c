/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/tcp/tcp_peer.h"

#include "nic/tcp/tcp_stack.h"
#include "tests/fakes/fake_tso.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

/* The scripted peer of the conversation tests. */

#define PEER_HASH 0x5eed

static uint8_t flags_of(const char *letters)
{
	uint8_t flags = 0;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'F':
			flags |= TCP_FIN;
			break;
		case 'S':
			flags |= TCP_SYN;
			break;
		case 'R':
			flags |= TCP_RST;
			break;
		case 'P':
			flags |= TCP_PSH;
			break;
		case 'A':
			flags |= TCP_ACK;
			break;
		case 'U':
			flags |= TCP_URG;
			break;
		case 'E':
			flags |= TCP_ECE;
			break;
		case 'W':
			flags |= TCP_CWR;
			break;
		default:
			fail_msg("bad flag letter %c", *letters);
		}
	}
	return flags;
}

static void note_sent(struct peer *p, const struct tcp_segment *segment)
{
	struct peer_sent *s;
	const uint8_t *h = segment->header.ptr;
	uint32_t at = 0;

	assert_true(p->sent_count < PEER_SENT_MAX);
	s = &p->sent[(p->sent_head + p->sent_count++) % PEER_SENT_MAX];
	assert_true(segment->header.len >= TCP_HEADER_MIN && segment->header.len <= TCP_HEADER_MAX);
	assert_int_equal(segment->header.len, (size_t)(h[12] >> 4) * 4);
	assert_int_equal(be16_load(h), segment->flow->local_port);
	assert_int_equal(be16_load(h + 2), segment->flow->remote_port);
	assert_int_equal(be16_load(h + 16), 0);
	assert_true(tcp_options_parse(h + 20, (uint32_t)segment->header.len - 20, &s->options));
	s->flags = h[13];
	if (s->flags & TCP_SYN)
		p->iss = be32_load(h + 4);
	s->seq = be32_load(h + 4) - p->iss;
	s->ack = s->flags & TCP_ACK ? be32_load(h + 8) - p->irs : 0;
	s->wnd = be16_load(h + 14);
	if (s->options.has_timestamp)
		p->tsecr = s->options.tsval;
	for (uint32_t i = 0; i < segment->payload_count; i++) {
		assert_true(segment->payload[i].len > 0);
		memcpy(s->payload + at, segment->payload[i].ptr, segment->payload[i].len);
		at += (uint32_t)segment->payload[i].len;
	}
	assert_int_equal(at, segment->payload_len);
	s->len = at;
}

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	uint8_t header[TCP_HEADER_MAX];
	struct tcp_segment part;
	struct peer *p = env;

	if (p->emit_fails > 0) {
		p->emit_fails--;
		return false;
	}
	p->emits++;
	for (uint32_t i = 0; fake_tso_part(segment, i, &part, header); i++)
		note_sent(p, &part);
	return true;
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct peer *p = env;

	p->opened++;
	p->conn = conn;
	return !p->refuse;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct peer *p = env;

	assert_ptr_equal(conn, p->conn);
	assert_true(p->received_len + data.len <= PEER_DATA_MAX);
	memcpy(p->received + p->received_len, data.ptr, data.len);
	p->received_len += (uint32_t)data.len;
	if (p->reply)
		out_append(tcp_out(conn), slice_of_text(p->reply));
	if (p->abort_on_data)
		tcp_abort(conn);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	((struct peer *)env)->fins++;
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	((struct peer *)env)->drained++;
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct peer *p = env;

	p->closed++;
	p->reason = reason;
	p->conn = NULL;
}

struct tcp_config peer_config(void)
{
	return (struct tcp_config){
		.conns_max = 16,
		.syn_max = 8,
		.time_wait_max = 8,
		.mtu = 1500,
		.rcv_wnd_bytes = 65535,
		.snd_high_bytes = 64 << 10,
		.snd_max_bytes = 256 << 10,
		.snd_pool_bytes = 1 << 20,
		.ooo_pool_bytes = 256 << 10,
		.ooo_conn_bytes = 64 << 10,
		.stalled_reader_ns = 10ull * 1000000000,
		.time_wait_ns = 10ull * 1000000000,
		.secret = {1, 2, 3},
		.rng_seed = 1,
	};
}

struct peer *peer_new(const struct tcp_config *config)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	struct peer *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->now_ns = 1000000000;
	p->irs = 0xfffffff0; // so that every test crosses the wrap
	p->wnd = 65535;
	p->flow = (struct flow){
		.local = ip_addr_from_v4(be32_from_host(0x0a630002)),
		.remote = ip_addr_from_v4(be32_from_host(0x0a630001)),
		.local_port = 6379,
		.remote_port = 40000,
	};
	p->stack = tcp_new(config, &ops, p, &p->counters, &p->drops);
	assert_non_null(p->stack);
	assert_true(tcp_listen(p->stack, 6379));
	return p;
}

void peer_free(struct peer *p)
{
	tcp_free(p->stack);
	free(p);
}

static void input(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, struct slice options,
		  struct slice data)
{
	uint8_t *bytes = malloc(TCP_HEADER_MAX + data.len);
	uint32_t len = TCP_HEADER_MIN;
	struct tcp_packet packet = {.flow = p->flow, .hash = PEER_HASH, .peer = 7};

	assert_non_null(bytes);
	memset(bytes, 0, TCP_HEADER_MAX);
	be16_store(bytes, p->flow.remote_port);
	be16_store(bytes + 2, p->flow.local_port);
	be32_store(bytes + 4, p->irs + seq);
	be32_store(bytes + 8, flags & TCP_ACK ? p->iss + ack : 0);
	bytes[13] = flags;
	be16_store(bytes + 14, p->wnd);
	if (p->timestamps) {
		struct tcp_options o = {
			.has_timestamp = true, .tsval = p->tsval, .tsecr = p->tsecr};

		len += tcp_options_encode(&o, bytes + len);
	}
	if (options.len > 0)
		memcpy(bytes + len, options.ptr, options.len);
	len += (uint32_t)options.len;
	bytes[12] = (uint8_t)(len / 4 << 4);
	memcpy(bytes + len, data.len ? data.ptr : bytes, data.len);
	// An exact copy on the heap: a read past its end is caught.
	packet.len = len + (uint32_t)data.len;
	uint8_t *exact = malloc(packet.len);

	assert_non_null(exact);
	memcpy(exact, bytes, packet.len);
	packet.segment = exact;
	tcp_prefetch(p->stack, packet.hash);
	tcp_prefetch_conn(p->stack, packet.hash);
	tcp_input(p->stack, &packet, p->now_ns);
	free(exact);
	free(bytes);
}

void peer_queue(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, const char *data)
{
	input(p, flags_of(flags), seq, ack, slice_of(NULL, 0), slice_of_text(data));
}

void peer_send(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, const char *data)
{
	peer_queue(p, flags, seq, ack, data);
	peer_burst_end(p);
}

void peer_send_len(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	uint8_t *bytes = malloc(len + 1);

	assert_non_null(bytes);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seq + i);
	input(p, flags_of(flags), seq, ack, slice_of(NULL, 0), slice_of(bytes, len));
	free(bytes);
	peer_burst_end(p);
}

void peer_send_options(struct peer *p, const char *flags, uint32_t seq, uint32_t ack,
		       struct slice options)
{
	input(p, flags_of(flags), seq, ack, options, slice_of(NULL, 0));
	peer_burst_end(p);
}

void peer_burst_end(struct peer *p)
{
	tcp_burst_end(p->stack, p->now_ns);
}

void peer_advance(struct peer *p, uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++) {
		p->now_ns += TCP_MS_NS;
		// A timer that is due must have been announced: an idle loop sleeps until then.
		bool announced = tcp_next_deadline_ns(p->stack) <= p->now_ns;
		uint32_t ran = tcp_tick(p->stack, p->now_ns, 1000);

		assert_true(announced || ran == 0);
		peer_burst_end(p);
	}
}

const struct peer_sent *peer_expect(struct peer *p, const char *flags, uint32_t seq, uint32_t ack,
				    const char *data)
{
	struct peer_sent *s = &p->sent[p->sent_head];

	if (p->sent_count == 0)
		fail_msg("expected %s seq %u ack %u, but nothing was sent", flags, seq, ack);
	p->sent_head = (p->sent_head + 1) % PEER_SENT_MAX;
	p->sent_count--;
	if ((s->flags & ~TCP_PSH) != (flags_of(flags) & ~TCP_PSH) || s->seq != seq || s->ack != ack)
		fail_msg("expected %s seq %u ack %u, got flags %02x seq %u ack %u len %u", flags,
			 seq, ack, s->flags, s->seq, s->ack, s->len);
	if (data) {
		assert_int_equal(s->len, strlen(data));
		assert_memory_equal(s->payload, data, s->len);
	}
	return s;
}

void peer_expect_nothing(struct peer *p)
{
	const struct peer_sent *s = &p->sent[p->sent_head];

	if (p->sent_count > 0)
		fail_msg("expected nothing, got flags %02x seq %u ack %u len %u", s->flags, s->seq,
			 s->ack, s->len);
}

uint32_t peer_discard(struct peer *p)
{
	uint32_t count = p->sent_count;

	p->sent_count = 0;
	return count;
}

void peer_handshake(struct peer *p)
{
	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "A", 1, 1, "");
	peer_expect_nothing(p);
	assert_non_null(p->conn);
}

void peer_write(struct peer *p, const char *text)
{
	out_append(tcp_out(p->conn), slice_of_text(text));
	peer_burst_end(p);
}

void peer_write_len(struct peer *p, uint32_t len)
{
	struct out *out = tcp_out(p->conn);

	for (uint32_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)i;

		out_append(out, slice_of(&byte, 1));
	}
	peer_burst_end(p);
}

uint64_t peer_count(const struct peer *p, enum tcp_counter_id id)
{
	return counter_read(&p->counters.count[id]);
}

uint64_t peer_drops(const struct peer *p, enum drop_reason reason)
{
	return counter_read(&p->drops.count[reason]);
}

void peer_expect_baseline(struct peer *p)
{
	struct tcp_stack *stack = p->stack;

	assert_int_equal(stack->conns.used, 0);
	assert_int_equal(stack->works.used, 0);
	assert_int_equal(stack->syns.entries.used, 0);
	assert_int_equal(stack->time_waits.entries.used, 0);
	assert_int_equal(stack->sendq_pool.chunks.used, 0);
	assert_int_equal(stack->sendq_pool.extents.used, 0);
	assert_int_equal(stack->ooo_pool.nodes.used, 0);
	assert_null(stack->touched_head);
	assert_null(stack->dead);
	for (uint32_t i = 0; i < 1u << stack->table.bits; i++)
		for (uint32_t j = 0; j < TCP_BUCKET_SLOTS; j++)
			assert_int_equal(stack->table.buckets[i].slots[j].ref, TCP_REF_NONE);
}
