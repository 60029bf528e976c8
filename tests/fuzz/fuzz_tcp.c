/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_stack.h"

#include <stdlib.h>

/*
 * Segments into a stack in every state: the first byte of the input chooses a state, which a script
 * brings about; the rest is segments, clock steps and calls of the owner. Numbers in the input are
 * relative to those of the conversation, or no random byte would ever hit a window.
 *
 * Oracles: the sanitizers; what the stack sends is well formed; it never sends more bytes than the
 * peer allowed; it stays within its pools; after all is over every pool is empty.
 */

#define OPS_MAX     200
#define PAYLOAD_MAX 600
#define HASH        77

struct world {
	struct tcp_stack *stack;
	struct tcp_conn *conn;
	struct tcp_counters counters;
	struct drop_counters drops;
	struct flow flow;
	uint64_t now_ns;
	tcp_seq peer_nxt;  // the next number of the peer's stream, as its script goes
	tcp_seq iss;       // of ours
	uint8_t emit_mask; // bit set: an emit out of eight is refused
	uint32_t emits;
	uint8_t manners; // what the owner does in its callbacks
};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t next_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static uint16_t next_u16(struct input *in)
{
	uint16_t high = next_byte(in);

	return (uint16_t)(high << 8 | next_byte(in));
}

static bool on_emit(void *env, const struct tcp_segment *s)
{
	struct world *w = env;
	const uint8_t *h = s->header.ptr;
	struct tcp_options options;
	uint32_t len = 0;

	if (w->emit_mask >> (w->emits++ % 8) & 1)
		return false;
	INVARIANT(s->header.len >= TCP_HEADER_MIN && s->header.len <= TCP_HEADER_MAX);
	INVARIANT((size_t)(h[12] >> 4) * 4 == s->header.len);
	INVARIANT(tcp_options_parse(h + 20, (uint32_t)s->header.len - 20, &options));
	INVARIANT(s->payload_count <= TCP_SEGMENT_SLICES_MAX);
	for (uint32_t i = 0; i < s->payload_count; i++) {
		volatile uint8_t sum = 0;

		// Every byte is read, so the sanitizer sees what has been freed.
		for (size_t j = 0; j < s->payload[i].len; j++)
			sum = (uint8_t)(sum + s->payload[i].ptr[j]);
		len += (uint32_t)s->payload[i].len;
	}
	INVARIANT(len == s->payload_len && len <= 32 << 10);
	INVARIANT(s->header.len + (s->tso_mss ? s->tso_mss : len) <= 1480);
	if (h[13] & TCP_SYN)
		w->iss = be32_load(h + 4);
	return true;
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct world *w = env;

	w->conn = conn;
	if ((w->manners & 0x0f) == 1)
		w->conn = NULL;
	return w->conn != NULL;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct world *w = env;
	volatile uint8_t sum = 0;

	INVARIANT(conn == w->conn);
	for (size_t i = 0; i < data.len; i++)
		sum = (uint8_t)(sum + data.ptr[i]);
	w->peer_nxt = conn->rcv_nxt;
	if (w->manners & 0x10)
		out_append(tcp_out(conn), data);
	if (w->manners & 0x20)
		tcp_set_held(conn, w->manners * 256u);
	if ((w->manners & 0x0f) == 2)
		tcp_close(conn);
	if ((w->manners & 0x0f) == 3)
		tcp_abort(conn);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	struct world *w = env;

	if (w->manners & 0x40)
		tcp_close(conn);
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	struct world *w = env;

	if (w->manners & 0x80)
		OUT_LITERAL(tcp_out(conn), "drained");
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct world *w = env;

	INVARIANT(conn == w->conn);
	w->conn = NULL;
}

static void start(struct world *w, uint8_t options)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	struct tcp_config config = {
		.conns_max = 4,
		.syn_max = 4,
		.time_wait_max = 2,
		.mtu = 1500,
		.tso_bytes = 32 << 10,
		.rcv_wnd_bytes = options & 1 ? 2000 : 200000,
		.snd_high_bytes = 2000,
		.snd_max_bytes = 8000,
		.snd_pool_bytes = 16384,
		.ooo_pool_bytes = 8000,
		.ooo_conn_bytes = 5000,
		.keepalive_idle_ns = options & 2 ? 5 * TCP_SECOND_NS : 0,
		.stalled_reader_ns = 3 * TCP_SECOND_NS,
		.time_wait_ns = 2 * TCP_SECOND_NS,
		.timestamps = options & 4,
		.sack = options & 8,
		.window_scale = options & 16,
	};

	*w = (struct world){.now_ns = TCP_SECOND_NS, .peer_nxt = 0xffffff00};
	w->flow = (struct flow){
		.local = ip_addr_from_v4(be32_from_host(0x0a000002)),
		.remote = ip_addr_from_v4(be32_from_host(0x0a000001)),
		.local_port = 6379,
		.remote_port = 1000,
	};
	w->stack = tcp_new(&config, &ops, w, &w->counters, &w->drops);
	if (!w->stack || !tcp_listen(w->stack, 6379))
		abort();
}

struct crafted {
	uint8_t flags;
	int32_t seq; // relative to the peer's next number
	int32_t ack; // relative to what we have sent
	uint16_t wnd;
	uint32_t options_len; // multiple of 4
	uint32_t len;
	const uint8_t *tail; // options and payload
	size_t tail_len;
};

/* As an exact copy on the heap, so that the sanitizer sees a read past the end. */
static void send_crafted(struct world *w, const struct crafted *c)
{
	uint32_t total = TCP_HEADER_MIN + c->options_len + c->len;
	uint8_t *bytes = calloc(1, total);
	struct tcp_packet packet = {.flow = w->flow, .hash = HASH, .segment = bytes, .len = total};
	size_t tail = c->tail_len < total - TCP_HEADER_MIN ? c->tail_len : total - TCP_HEADER_MIN;
	tcp_seq sent = w->conn ? w->conn->snd_max : w->iss + 1;

	if (!bytes)
		abort();
	be32_store(bytes + 4, w->peer_nxt + (uint32_t)c->seq);
	be32_store(bytes + 8, sent + (uint32_t)c->ack);
	bytes[12] = (uint8_t)((TCP_HEADER_MIN + c->options_len) / 4 << 4);
	bytes[13] = c->flags;
	be16_store(bytes + 14, c->wnd);
	if (tail > 0)
		memcpy(bytes + TCP_HEADER_MIN, c->tail, tail);
	tcp_prefetch(w->stack, packet.hash);
	tcp_prefetch_conn(w->stack, packet.hash);
	tcp_input(w->stack, &packet, w->now_ns);
	free(bytes);
}

static void say(struct world *w, uint8_t flags, uint32_t len)
{
	struct crafted c = {.flags = flags, .wnd = 5000, .len = len};

	send_crafted(w, &c);
	if (flags & (TCP_SYN | TCP_FIN))
		w->peer_nxt++;
	tcp_burst_end(w->stack, w->now_ns);
}

/* Brings the stack into the chosen state. */
static void prefix(struct world *w, uint8_t state)
{
	enum {
		LISTEN,
		SYN_RECEIVED,
		ESTABLISHED,
		DATA_OUT,
		CLOSE_WAIT,
		FIN_WAIT_1,
		FIN_WAIT_2,
		CLOSING,
		LAST_ACK,
		TIME_WAIT,
		SYN_SENT,
		SIMULTANEOUS,
		STATES
	};

	state %= STATES;
	if (state == SYN_SENT || state == SIMULTANEOUS) {
		w->conn = tcp_connect(w->stack, &w->flow, HASH, 0, w->now_ns);
		tcp_burst_end(w->stack, w->now_ns);
		if (state == SIMULTANEOUS)
			say(w, TCP_SYN, 0);
		return;
	}
	if (state == LISTEN)
		return;
	say(w, TCP_SYN, 0);
	if (state == SYN_RECEIVED)
		return;
	say(w, TCP_ACK, 0);
	if (!w->conn || state == ESTABLISHED)
		return;
	if (state == DATA_OUT) {
		OUT_LITERAL(tcp_out(w->conn), "some bytes that wait for their acknowledgment");
	} else if (state == CLOSE_WAIT || state == LAST_ACK) {
		say(w, TCP_FIN | TCP_ACK, 0);
		if (state == LAST_ACK)
			tcp_close(w->conn);
	} else {
		tcp_close(w->conn);
		tcp_burst_end(w->stack, w->now_ns);
		if (state == FIN_WAIT_2 || state == TIME_WAIT)
			say(w, TCP_ACK, 0);
		if (state == TIME_WAIT)
			say(w, TCP_FIN | TCP_ACK, 0);
		if (state == CLOSING) {
			struct crafted c = {.flags = TCP_FIN | TCP_ACK, .ack = -1, .wnd = 5000};

			send_crafted(w, &c);
			w->peer_nxt++;
		}
	}
	tcp_burst_end(w->stack, w->now_ns);
}

static void op_segment(struct world *w, struct input *in, uint8_t op)
{
	struct crafted c = {.flags = next_byte(in), .wnd = 5000};

	if (op & 0x10)
		c.seq = (int16_t)next_u16(in);
	if (op & 0x20)
		c.ack = (int16_t)next_u16(in);
	if (op & 0x40)
		c.wnd = next_u16(in);
	if (op & 0x80)
		c.options_len = (uint32_t)(next_byte(in) % 11) * 4;
	c.len = next_byte(in) % 4 ? next_byte(in) : next_u16(in) % PAYLOAD_MAX;
	c.tail = in->at;
	c.tail_len = in->left < 40 ? in->left : 40;
	in->at += c.options_len < in->left ? c.options_len : in->left;
	in->left -= c.options_len < in->left ? c.options_len : in->left;
	send_crafted(w, &c);
}

static void op_owner(struct world *w, struct input *in)
{
	uint8_t what = next_byte(in);

	if (!w->conn)
		return;
	switch (what % 6) {
	case 0:
		out_append(tcp_out(w->conn), slice_of(in->at, in->left < 64 ? in->left : 64));
		break;
	case 1:
		for (uint32_t i = 0; i < 64 && !tcp_out_full(w->conn); i++)
			OUT_LITERAL(tcp_out(w->conn), "0123456789abcdef0123456789abcdef");
		break;
	case 2:
		tcp_set_held(w->conn, next_u16(in));
		break;
	case 3:
		tcp_close(w->conn);
		break;
	case 4:
		tcp_abort(w->conn);
		break;
	default:
		(void)out_reserve(tcp_out(w->conn), what);
		break;
	}
}

static void op_clock(struct world *w, struct input *in)
{
	w->now_ns += (uint64_t)next_u16(in) * TCP_MS_NS / 8;
	tcp_tick(w->stack, w->now_ns, 100);
}

/* Whatever has happened, in bounded time it is over. */
static void finish(struct world *w)
{
	const struct tcp_stack *s = w->stack;

	w->emit_mask = 0;
	w->manners = 0;
	tcp_burst_end(w->stack, w->now_ns);
	if (w->conn)
		tcp_abort(w->conn);
	for (int i = 0; i < 40; i++) {
		w->now_ns += TCP_SECOND_NS;
		tcp_tick(w->stack, w->now_ns, 1000);
		tcp_burst_end(w->stack, w->now_ns);
		// One more may have been completed by a half-open entry.
		if (w->conn)
			tcp_abort(w->conn);
	}
	tcp_burst_end(w->stack, w->now_ns);
	INVARIANT(s->conns.used == 0 && s->syns.entries.used == 0);
	INVARIANT(s->time_waits.entries.used == 0 && s->ooo_pool.nodes.used == 0);
	INVARIANT(s->sendq_pool.chunks.used == 0 && s->sendq_pool.extents.used == 0);
	tcp_free(w->stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct world *w = malloc(sizeof(*w));

	if (!w)
		abort();
	start(w, next_byte(&in));
	prefix(w, next_byte(&in));
	w->manners = next_byte(&in);
	for (uint32_t i = 0; i < OPS_MAX && in.left > 0; i++) {
		uint8_t op = next_byte(&in);

		switch (op & 7) {
		case 0:
			op_clock(w, &in);
			break;
		case 1:
			op_owner(w, &in);
			break;
		case 2:
			w->emit_mask = next_byte(&in);
			break;
		case 3:
			tcp_burst_end(w->stack, w->now_ns);
			break;
		default:
			op_segment(w, &in, op);
			if (op & 8)
				tcp_burst_end(w->stack, w->now_ns);
			break;
		}
	}
	finish(w);
	free(w);
	return 0;
}
