/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_channel.h"

#include "nic/tcp/tcp_stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * sim_reference [--seed N] [--count N]: our stack against another TCP, written here from RFC 9293
 * alone and as simply as that allows: no options, a fixed time-out, go-back-N, nothing kept out of
 * order. Two of our own kind may agree on a mistake; this one agrees on nothing but the RFC. Both
 * send a stream over the faulty channel and close; each must receive the other's whole, and all of
 * our pools must be as they were.
 */
#define STREAM_MAX 60000
#define RTO_NS     (200 * TCP_MS_NS)
#define LIMIT_NS   (3000 * TCP_SECOND_NS)
#define REF_MSS    700
#define REF_WND    6000
#define REF_FLIGHT 4 // segments

enum ref_state {
	REF_LISTEN,
	REF_SYN_SENT,
	REF_SYN_RECEIVED,
	REF_OPEN,
	REF_DONE
};

struct reference {
	enum ref_state state;
	struct flow flow;
	tcp_seq iss, irs;
	uint32_t una, nxt; // offsets: 0 is the SYN, 1 the first byte
	uint32_t rcv;      // the next offset wanted of the peer
	uint32_t peer_wnd;
	uint32_t len; // of our stream
	bool fin_acked, fin_received;
	uint64_t timer_ns; // UINT64_MAX: off
	uint32_t silent;   // time-outs in a row
};

struct world {
	uint64_t seed, now_ns;
	struct rng rng;
	struct sim_channel channel;
	struct reference ref;
	struct tcp_stack *stack;
	struct tcp_counters counters;
	struct drop_counters drops;
	struct tcp_conn *conn;
	uint32_t ours_len, written, received; // of our owner
	bool fin, closed;
};

static void fail(const struct world *w, const char *what)
{
	printf("seed %" PRIu64 ": %s (at %.6f s, reference state %d una %u nxt %u rcv %u, ours "
	       "written %u received %u)\n",
	       w->seed, what, (double)w->now_ns / 1e9, (int)w->ref.state, w->ref.una, w->ref.nxt,
	       w->ref.rcv, w->written, w->received);
	exit(1);
}

static uint8_t stream_byte(int from, uint32_t at)
{
	return (uint8_t)((at * 2654435761u + (uint32_t)from * 977u) >> 13);
}

/* --- the reference --- */

static void ref_send(struct world *w, uint8_t flags, uint32_t offset, uint32_t len)
{
	struct reference *r = &w->ref;
	uint8_t header[24] = {0}, payload[REF_MSS];
	struct tcp_segment s = {.flow = &r->flow, .payload_count = len > 0, .payload_len = len};

	be16_store(header, r->flow.local_port);
	be16_store(header + 2, r->flow.remote_port);
	be32_store(header + 4, r->iss + offset);
	be32_store(header + 8, flags & TCP_ACK ? r->irs + r->rcv : 0);
	header[12] = flags & TCP_SYN ? 6 << 4 : 5 << 4;
	header[13] = flags;
	be16_store(header + 14, REF_WND);
	be32_store(header + 20, 2u << 24 | 4u << 16 | REF_MSS);
	for (uint32_t i = 0; i < len; i++)
		payload[i] = stream_byte(0, offset - 1 + i);
	s.header = slice_of(header, flags & TCP_SYN ? 24 : 20);
	s.payload[0] = slice_of(payload, len);
	(void)sim_channel_send(&w->channel, 0, &s, w->now_ns);
}

/* One past the FIN. */
static uint32_t ref_end(const struct reference *r)
{
	return 1 + r->len + 1;
}

/* What the windows allow, from nxt on; then the timer runs while something is out. */
static void ref_output(struct world *w)
{
	struct reference *r = &w->ref;

	while (r->state == REF_OPEN && r->nxt < ref_end(r)) {
		uint32_t data = r->nxt <= r->len ? 1 + r->len - r->nxt : 0;
		uint32_t room = r->una + r->peer_wnd > r->nxt ? r->una + r->peer_wnd - r->nxt : 0;
		// Cut anew each time, so that what is sent again overlaps what was there.
		uint32_t most = rng_below(&w->rng, 2) ? REF_MSS : 1 + rng_below(&w->rng, REF_MSS);
		uint32_t len = data < most ? data : most;
		bool fin;

		if (len > room)
			len = room;
		fin = len == data && room > len;
		if ((len == 0 && !fin) || r->nxt - r->una >= REF_FLIGHT * REF_MSS)
			break;
		ref_send(w, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0)), r->nxt, len);
		r->nxt += len + fin;
	}
	if (r->timer_ns == UINT64_MAX && (r->nxt > r->una || r->nxt < ref_end(r)))
		r->timer_ns = w->now_ns + RTO_NS;
}

static void ref_timeout(struct world *w)
{
	struct reference *r = &w->ref;

	r->timer_ns = w->now_ns + RTO_NS;
	if (++r->silent > 2000)
		fail(w, "the reference hears nothing any more");
	if (r->state == REF_SYN_SENT) {
		ref_send(w, TCP_SYN, 0, 0);
	} else if (r->state == REF_SYN_RECEIVED) {
		ref_send(w, TCP_SYN | TCP_ACK, 0, 0);
	} else if (r->state == REF_OPEN && r->nxt == r->una && r->nxt <= r->len) {
		// A closed window: a byte that is there already (RFC 9293 3.8.6.1).
		ref_send(w, TCP_ACK, r->nxt > 1 ? r->nxt - 1 : r->nxt, r->nxt > 1);
	} else {
		r->nxt = r->una;
		ref_output(w);
	}
}

static void ref_acked(struct world *w, uint32_t ack, uint32_t wnd)
{
	struct reference *r = &w->ref;

	// Nothing that was never sent; after going back, una may pass nxt.
	if (ack > ref_end(r))
		fail(w, "our stack acknowledges what was never sent");
	if (ack > r->una) {
		r->una = ack;
		if (r->nxt < ack)
			r->nxt = ack;
		r->timer_ns = UINT64_MAX;
		r->silent = 0;
	}
	if (ack == r->una)
		r->peer_wnd = wnd;
	r->fin_acked = r->una == ref_end(r);
}

static void ref_data(struct world *w, const uint8_t *bytes, uint32_t offset, uint32_t len, bool fin)
{
	struct reference *r = &w->ref;

	if (len == 0 && !fin)
		return;
	// A probe is a byte before the next one, of no importance.
	if (offset <= r->rcv && offset + len > r->rcv) {
		for (uint32_t i = r->rcv - offset; i < len; i++)
			if (bytes[i] != stream_byte(1, offset - 1 + i))
				fail(w, "the reference received another byte than was written");
		r->rcv = offset + len;
	}
	if (fin && r->rcv == offset + len && !r->fin_received) {
		r->rcv++;
		r->fin_received = true;
	}
	ref_send(w, TCP_ACK, r->nxt, 0);
}

static void ref_open(struct world *w)
{
	w->ref.state = REF_OPEN;
	w->ref.una = w->ref.nxt = 1;
	w->ref.timer_ns = UINT64_MAX;
	w->ref.silent = 0;
}

static void ref_receive(struct world *w, const struct sim_frame *f)
{
	struct reference *r = &w->ref;
	const uint8_t *h = f->bytes;
	uint8_t flags = h[13];
	uint32_t header_len = (uint32_t)(h[12] >> 4) * 4;
	uint32_t wnd = be16_load(h + 14);

	if (flags & TCP_RST) {
		// After our last ACK was lost, or to one that came too late.
		if (r->state == REF_OPEN && !(r->fin_acked && r->fin_received) && !w->closed)
			fail(w, "our stack resets");
		return;
	}
	if (flags & TCP_SYN && r->state == REF_OPEN) {
		ref_send(w, TCP_ACK, r->nxt, 0); // our answer to its first one was lost
		return;
	}
	if (flags & TCP_SYN) {
		r->irs = be32_load(h + 4);
		r->rcv = 1;
		if (r->state == REF_LISTEN || r->state == REF_SYN_RECEIVED) {
			r->state = REF_SYN_RECEIVED;
			ref_send(w, TCP_SYN | TCP_ACK, 0, 0);
			r->timer_ns = w->now_ns + RTO_NS;
			return;
		}
		if (r->state == REF_SYN_SENT && be32_load(h + 8) == r->iss + 1)
			ref_open(w);
		if (r->state == REF_OPEN)
			ref_send(w, TCP_ACK, r->nxt, 0);
	} else if (r->state == REF_SYN_RECEIVED && be32_load(h + 8) == r->iss + 1) {
		ref_open(w);
	}
	if (r->state != REF_OPEN)
		return;
	r->peer_wnd = r->peer_wnd ? r->peer_wnd : wnd;
	ref_acked(w, be32_load(h + 8) - r->iss, wnd);
	if (!(flags & TCP_SYN))
		ref_data(w, h + header_len, be32_load(h + 4) - r->irs, f->len - header_len,
			 flags & TCP_FIN);
	ref_output(w);
}

/* --- ours --- */

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	struct world *w = env;

	(void)sim_channel_send(&w->channel, 1, segment, w->now_ns);
	return true;
}

static void write_some(struct world *w)
{
	while (w->conn && w->written < w->ours_len && !tcp_out_full(w->conn)) {
		uint8_t byte = stream_byte(1, w->written);

		out_append(tcp_out(w->conn), slice_of(&byte, 1));
		w->written++;
	}
	if (w->conn && w->written == w->ours_len && w->fin && !w->closed) {
		w->closed = true;
		tcp_close(w->conn);
	}
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	((struct world *)env)->conn = conn;
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct world *w = env;

	for (uint32_t i = 0; i < data.len; i++)
		if (data.ptr[i] != stream_byte(0, w->received + i))
			fail(w, "we received another byte than was written");
	w->received += (uint32_t)data.len;
	write_some(w);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	struct world *w = env;

	w->fin = true;
	if (w->received != w->ref.len)
		fail(w, "FIN before the last byte");
	write_some(w);
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	write_some(env);
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct world *w = env;

	w->conn = NULL;
	if (reason != TCP_CLOSED)
		fail(w, "our connection ended by force");
}

static void begin(struct world *w, uint64_t seed)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	struct tcp_config config = {.conns_max = 2, .time_wait_max = 2};
	struct sim_channel_config channel = {.delay_ns = 100000};
	struct ip_addr a = ip_addr_from_v4(be32_from_host(0x0a000001));
	struct ip_addr b = ip_addr_from_v4(be32_from_host(0x0a000002));
	bool we_open;

	*w = (struct world){.seed = seed, .now_ns = 1000000000, .rng = rng_seeded(seed)};
	we_open = rng_below(&w->rng, 2);
	config.syn_max = rng_below(&w->rng, 3) ? 2 : 0; // or cookies
	config.mtu = 1500;
	config.rcv_wnd_bytes = 1000 + rng_below(&w->rng, 60000);
	config.snd_high_bytes = 8192;
	config.snd_max_bytes = 1 << 20;
	config.snd_pool_bytes = 1 << 20;
	config.ooo_pool_bytes = 1 << 18;
	config.ooo_conn_bytes = 1 << 17;
	config.timestamps = config.sack = config.window_scale = true; // the reference has none
	config.time_wait_ns = TCP_SECOND_NS;
	channel.loss_permille = rng_below(&w->rng, 2) ? rng_below(&w->rng, 80) : 0;
	channel.duplicate_permille = rng_below(&w->rng, 50);
	channel.corrupt_permille = rng_below(&w->rng, 20);
	channel.reorder_permille = rng_below(&w->rng, 2) ? rng_below(&w->rng, 100) : 0;
	sim_channel_init(&w->channel, &channel, rng_next(&w->rng));
	w->ours_len = rng_below(&w->rng, STREAM_MAX);
	w->ref = (struct reference){
		.state = we_open ? REF_LISTEN : REF_SYN_SENT,
		.flow = we_open ? (struct flow){a, b, 6379, 40000}
				: (struct flow){a, b, 40000, 6379},
		.iss = (tcp_seq)rng_next(&w->rng),
		.len = rng_below(&w->rng, STREAM_MAX),
		.timer_ns = we_open ? UINT64_MAX : w->now_ns,
	};
	w->stack = tcp_new(&config, &ops, w, &w->counters, &w->drops);
	if (!w->stack || !tcp_listen(w->stack, 6379))
		abort();
	if (we_open) {
		struct flow ours = {b, a, 40000, 6379};

		w->conn = tcp_connect(w->stack, &ours, 1, 0, w->now_ns);
	}
}

static void step(struct world *w)
{
	struct sim_frame *frame;

	while ((frame = sim_channel_receive(&w->channel, w->now_ns)) != NULL) {
		struct tcp_packet packet = {
			.flow = frame->flow, .hash = 1, .segment = frame->bytes, .len = frame->len};

		if (frame->to == 0)
			ref_receive(w, frame);
		else
			tcp_input(w->stack, &packet, w->now_ns);
		tcp_burst_end(w->stack, w->now_ns);
		free(frame);
	}
	if (w->ref.timer_ns <= w->now_ns)
		ref_timeout(w);
	if (w->conn && w->conn->state > TCP_STATE_SYN_RECEIVED)
		write_some(w);
	tcp_tick(w->stack, w->now_ns, 64);
	tcp_burst_end(w->stack, w->now_ns);
}

static bool over(const struct world *w)
{
	return w->ref.fin_acked && w->ref.fin_received && !w->conn && !w->channel.frames;
}

static void run(uint64_t seed)
{
	struct world *w = malloc(sizeof(*w));
	const struct tcp_stack *s;

	if (!w)
		abort();
	begin(w, seed);
	while (!over(w) && w->now_ns < LIMIT_NS) {
		uint64_t next = sim_channel_next_ns(&w->channel);
		uint64_t deadline = tcp_next_deadline_ns(w->stack);

		next = deadline < next ? deadline : next;
		next = w->ref.timer_ns < next ? w->ref.timer_ns : next;
		w->now_ns = next > w->now_ns ? next : w->now_ns;
		if (next == UINT64_MAX)
			fail(w, "nothing will happen any more");
		step(w);
	}
	if (!over(w))
		fail(w, "not over in time");
	w->ref.timer_ns = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		w->now_ns += TCP_SECOND_NS;
		step(w);
	}
	s = w->stack;
	if (w->received != w->ref.len || w->ref.rcv != 1 + w->ours_len + 1)
		fail(w, "streams are not whole");
	if (s->conns.used || s->works.used || s->syns.entries.used || s->time_waits.entries.used ||
	    s->sendq_pool.chunks.used || s->ooo_pool.nodes.used || s->boards.used)
		fail(w, "pools are not back at their baseline");
	sim_channel_fini(&w->channel);
	tcp_free(w->stack);
	free(w);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	uint64_t count = argc > 4 ? strtoull(argv[4], NULL, 10) : 200;

	for (uint64_t i = 0; i < count; i++)
		run(seed + i);
	printf("seeds %" PRIu64 "..%" PRIu64 " held\n", seed, seed + count - 1);
	return 0;
}
