/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "nic/tcp/tcp_stack.h"
#include "tests/fakes/fake_tso.h"

#include <stdlib.h>

/*
 * Two stacks in conversation, and bytes of their segments changed on the way: deep states are
 * reached by their own replies, which a script of forged segments hardly finds. The fuzzer says
 * what becomes of each segment, what the owners do, and how time passes.
 *
 * Oracles: the sanitizers, the assertions of the hot path, a bound on what one event may send, a
 * timer that is announced before it runs; when all is over every pool is as it was.
 */

#define QUEUE_MAX   256
#define SEGMENT_MAX 1600
#define EVENTS_MAX  2000
#define SENT_MAX    2000 // by both, for one event: more is a storm
#define ENDING_S    400

struct queued {
	int to;
	uint32_t len;
	uint8_t bytes[SEGMENT_MAX];
};

struct side {
	struct pair *pair;
	struct tcp_stack *stack;
	struct tcp_counters counters;
	struct drop_counters drops;
	struct tcp_conn *conn;
	int index;
};

struct pair {
	uint64_t now_ns;
	struct side sides[2];
	struct queued queue[QUEUE_MAX];
	uint32_t head, count;
	uint32_t sent; // since the last event
	bool silent;   // nothing arrives any more
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

static struct flow flow_of(int side)
{
	struct ip_addr client = ip_addr_from_v4(be32_from_host(0x0a000001));
	struct ip_addr server = ip_addr_from_v4(be32_from_host(0x0a000002));

	return side == 0 ? (struct flow){client, server, 40000, 6379}
			 : (struct flow){server, client, 6379, 40000};
}

static void enqueue(struct side *side, const struct tcp_segment *s)
{
	struct pair *p = side->pair;
	struct queued *q = &p->queue[(p->head + p->count) % QUEUE_MAX];

	INVARIANT(++p->sent < SENT_MAX);
	if (p->silent || p->count == QUEUE_MAX)
		return; // the network drops it
	q->to = 1 - side->index;
	q->len = (uint32_t)s->header.len;
	INVARIANT(q->len + s->payload_len <= SEGMENT_MAX);
	memcpy(q->bytes, s->header.ptr, s->header.len);
	for (uint32_t i = 0; i < s->payload_count; i++) {
		memcpy(q->bytes + q->len, s->payload[i].ptr, s->payload[i].len);
		q->len += (uint32_t)s->payload[i].len;
	}
	p->count++;
}

static bool on_emit(void *env, const struct tcp_segment *s)
{
	uint8_t header[TCP_HEADER_MAX];
	struct tcp_segment part;

	for (uint32_t i = 0; fake_tso_part(s, i, &part, header); i++)
		enqueue(env, &part);
	return true;
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	((struct side *)env)->conn = conn;
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < data.len; i++)
		sum = (uint8_t)(sum + data.ptr[i]);
	if (((struct side *)env)->index == 1 && !tcp_out_full(conn))
		out_append(tcp_out(conn), data);
}

static void on_event(void *env, struct tcp_conn *conn)
{
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	((struct side *)env)->conn = NULL;
}

static void open_side(struct pair *p, int index, uint8_t options)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_event,
		.on_drained = on_event,
		.on_close = on_close,
	};
	const struct tcp_config config = {
		.conns_max = 2,
		.syn_max = options & 1 ? 2 : 0,
		.time_wait_max = 2,
		.mtu = 1500,
		.tso_bytes = options & 32 ? 32 << 10 : 0,
		.rcv_wnd_bytes = options & 2 ? 5000 : 200000,
		.snd_high_bytes = 20000,
		.snd_max_bytes = 60000,
		.snd_pool_bytes = 100000,
		.ooo_pool_bytes = 40000,
		.ooo_conn_bytes = 20000,
		.keepalive_idle_ns = 5 * TCP_SECOND_NS,
		.stalled_reader_ns = 20 * TCP_SECOND_NS,
		.time_wait_ns = 4 * TCP_SECOND_NS,
		.timestamps = options & 4,
		.sack = options & 8,
		.window_scale = options & 16,
		.secret = {1, 2, 3},
	};
	struct side *side = &p->sides[index];

	side->pair = p;
	side->index = index;
	side->stack = tcp_new(&config, &ops, side, &side->counters, &side->drops);
	if (!side->stack || !tcp_listen(side->stack, 6379))
		abort();
}

static void end_burst(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		tcp_burst_end(p->sides[i].stack, p->now_ns);
	p->sent = 0;
}

/* An exact copy on the heap: a read past its end is caught. */
static void deliver(struct pair *p, const struct queued *q)
{
	struct tcp_packet packet = {.flow = flow_of(q->to), .hash = 1, .len = q->len};
	uint8_t *exact = malloc(q->len ? q->len : 1);

	if (!exact)
		abort();
	memcpy(exact, q->bytes, q->len);
	packet.segment = exact;
	tcp_input(p->sides[q->to].stack, &packet, p->now_ns);
	free(exact);
	end_burst(p);
}

static void pass_time(struct pair *p, uint64_t ns)
{
	p->now_ns += ns;
	for (int i = 0; i < 2; i++) {
		bool announced = tcp_next_deadline_ns(p->sides[i].stack) <= p->now_ns;
		uint32_t ran = tcp_tick(p->sides[i].stack, p->now_ns, 100);

		INVARIANT(announced || ran == 0);
	}
	end_burst(p);
}

/* The next segment arrives: whole, not at all, twice, cut, or with some of its bytes changed. */
static void next_segment(struct pair *p, struct input *in, uint8_t fate)
{
	struct queued q;

	if (p->count == 0) {
		pass_time(p, 50 * TCP_MS_NS);
		return;
	}
	q = p->queue[p->head];
	p->head = (p->head + 1) % QUEUE_MAX;
	p->count--;
	switch (fate & 7) {
	case 0:
		return;
	case 1:
		deliver(p, &q);
		break;
	case 2:
	case 3:
		for (uint32_t n = fate >> 5; n <= 7; n += 2) {
			uint8_t at = next_byte(in);

			if (at < q.len)
				q.bytes[at] ^= next_byte(in);
		}
		break;
	case 4:
		q.len = next_byte(in) % (q.len + 1);
		break;
	default:
		break;
	}
	deliver(p, &q);
}

static void owner_acts(struct side *side, struct input *in, uint8_t what)
{
	static const uint8_t bytes[2048];
	struct tcp_conn *conn = side->conn;

	if (!conn || conn->state <= TCP_STATE_SYN_RECEIVED)
		return;
	switch (what & 7) {
	case 0:
		tcp_close(conn);
		break;
	case 1:
		tcp_set_held(conn, next_byte(in) * 256u);
		break;
	case 2:
		tcp_set_held(conn, 0);
		break;
	default:
		if (!tcp_out_full(conn))
			out_append(tcp_out(conn), slice_of(bytes, 1 + next_byte(in) * 8u));
		break;
	}
}

static void run(struct pair *p, struct input *in)
{
	for (uint32_t i = 0; i < EVENTS_MAX && in->left > 0; i++) {
		uint8_t event = next_byte(in);

		if (event < 192)
			next_segment(p, in, event);
		else if (event < 224)
			owner_acts(&p->sides[event >> 3 & 1], in, event);
		else
			pass_time(p, (uint64_t)next_byte(in) << (event & 31 ? 20 : 24));
		end_burst(p);
	}
}

static void check_end(struct pair *p)
{
	p->silent = true;
	for (int i = 0; i < 2; i++)
		if (p->sides[i].conn)
			tcp_abort(p->sides[i].conn);
	for (uint32_t s = 0; s < ENDING_S; s++)
		pass_time(p, TCP_SECOND_NS);
	for (int i = 0; i < 2; i++) {
		const struct tcp_stack *s = p->sides[i].stack;

		INVARIANT(s->conns.used == 0 && s->works.used == 0 && s->syns.entries.used == 0);
		INVARIANT(s->time_waits.entries.used == 0 && s->boards.used == 0);
		INVARIANT(s->sendq_pool.chunks.used == 0 && s->sendq_pool.extents.used == 0);
		INVARIANT(s->ooo_pool.nodes.used == 0 && !s->touched_head && !s->dead);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct pair *p = calloc(1, sizeof(*p));
	struct flow flow = flow_of(0);

	if (!p)
		abort();
	p->now_ns = 1000000000;
	open_side(p, 0, next_byte(&in) | 1);
	open_side(p, 1, next_byte(&in));
	p->sides[0].conn = tcp_connect(p->sides[0].stack, &flow, 1, 0, p->now_ns);
	end_burst(p);
	run(p, &in);
	check_end(p);
	for (int i = 0; i < 2; i++)
		tcp_free(p->sides[i].stack);
	free(p);
	return 0;
}
