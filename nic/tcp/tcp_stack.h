/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/hash.h"
#include "base/rng.h"
#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_conn.h"
#include "nic/tcp/tcp_options.h"
#include "nic/tcp/tcp_syn.h"
#include "nic/tcp/tcp_table.h"
#include "nic/tcp/tcp_timewait.h"

/*
 * The stack and the calls between its files; nothing outside nic/tcp (and its tests) includes this.
 *
 *   tcp_input.c -> tcp_established.c (prediction)
 *               -> tcp_segment_arrives.c -> tcp_ack.c -> tcp_recovery.c, tcp_cc.c, tcp_rtt.c
 *                                        -> tcp_receive.c
 *   tcp_burst.c -> tcp_output.c -> tcp_segment.c -> emit
 *   tcp_timer.c -> tcp_recovery.c, tcp_output.c
 */
#define TCP_SECOND_NS 1000000000ull
#define TCP_MS_NS     1000000ull
#define TCP_NEVER_NS  UINT64_MAX

#define TCP_DELACK_NS        (1 * TCP_MS_NS)
#define TCP_BLOCKED_NS       (2 * TCP_MS_NS)       // pause after emit() had no room
#define TCP_GIVE_UP_NS       (100 * TCP_SECOND_NS) // R2 of RFC 9293 3.8.3
#define TCP_LINGER_NS        (30 * TCP_SECOND_NS)  // FIN-WAIT-2, and no progress after tcp_close()
#define TCP_PROBE_NS_MIN     (200 * TCP_MS_NS)
#define TCP_PROBE_NS_MAX     (60 * TCP_SECOND_NS)
#define TCP_CHALLENGE_NS     (500 * TCP_MS_NS) // between challenge ACKs of a connection
#define TCP_SYN_RETRIES_MAX  6
#define TCP_KEEPALIVES_MAX   8
#define TCP_QUEUED_BYTES_MAX (1u << 30) // sequence comparisons need less than 2^31
#define TCP_EXTENTS_HIGH     1024
#define TCP_REFERENCED_HIGH  (4u << 20)
#define TCP_BOARDS_MIN       64

/* Replies that an attacker could ask for without end: RSTs and challenge ACKs (RFC 5961 7). */
#define TCP_REPLY_BUDGET     256 // burst
#define TCP_REPLY_PER_SECOND 2000

/* What one connection, and all together, may send before the owner looks at its input again. */
#define TCP_SEGMENTS_PER_TURN  32
#define TCP_SEGMENTS_PER_BURST 256

struct tcp_stack {
	// What every packet reads.
	uint64_t now_ns;
	uint32_t now_ms; // our timestamp clock, before the offset of a connection
	uint32_t rcv_wnd;
	struct tcp_counters *counters;
	struct drop_counters *drops;
	struct tcp_ops ops;
	void *env;
	struct tcp_conn *touched_head;
	struct tcp_conn *touched_tail;
	uint32_t burst_segments; // sent since the burst's end began
	struct tcp_conn *dead;   // linked by touched_next once they are off the touched list
	struct tcp_table table;
	struct tcp_slab conns;
	struct tcp_slab works; // as many, so there is always one
	struct tcp_sendq_pool sendq_pool;
	struct tcp_ooo_pool ooo_pool;
	struct tcp_slab boards;

	// Less often.
	struct tcp_config config;
	struct tcp_link delacks; // each FIFO has one delay, so its head is always the next one due
	struct tcp_link blocked;
	struct tcp_syn_pool syns;
	struct tcp_time_wait_pool time_waits;
	struct hash_key isn_key;
	uint64_t cookie_until_ns; // until then one that was sent may come back
	struct rng rng;
	uint64_t reply_refill_ns;
	uint32_t reply_budget;
	uint8_t rcv_scale; // that we offer
	uint16_t listeners[TCP_LISTENERS_MAX];
	uint32_t listeners_count;
	struct tcp_wheel wheel;
};

/* A received segment after its header has been read. */
struct tcp_seg {
	const struct tcp_packet *packet;
	tcp_seq seq;
	tcp_seq ack;
	uint32_t wnd;  // as in the header, unscaled
	uint8_t flags; // TCP_FIN...
	struct slice payload;
	struct tcp_options options;
};

/* Sequence numbers a segment takes. */
static inline uint32_t tcp__seg_len(const struct tcp_seg *seg)
{
	return (uint32_t)seg->payload.len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
}

static inline void tcp__count(struct tcp_stack *stack, enum tcp_counter_id id)
{
	counter_add(&stack->counters->count[id], 1);
}

static inline void tcp__drop(struct tcp_stack *stack, enum drop_reason reason)
{
	drop_count(stack->drops, reason);
}

static inline void tcp__set_now(struct tcp_stack *stack, uint64_t now_ns)
{
	if (now_ns > stack->now_ns) {
		// The wheel learns the time with the first call, or it would have to turn up to it.
		if (unlikely(stack->now_ns == 0))
			stack->wheel.tick = now_ns / TCP_WHEEL_TICK_NS;
		stack->now_ns = now_ns;
		stack->now_ms = (uint32_t)(now_ns / TCP_MS_NS);
	}
}

/* tcp_conn.c: gives an idle connection what it needs to do something. */
void tcp__wake(struct tcp_conn *conn);

/* The connection will be looked at in tcp_burst_end(). It is awake from here to there. */
static inline void tcp__touch(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (tcp__has(conn, TCP_F_TOUCHED) || conn->state == TCP_STATE_CLOSED)
		return;
	if (!conn->work)
		tcp__wake(conn);
	tcp__set(conn, TCP_F_TOUCHED);
	conn->touched_next = NULL;
	if (stack->touched_tail)
		stack->touched_tail->touched_next = conn;
	else
		stack->touched_head = conn;
	stack->touched_tail = conn;
}

static inline void tcp__ack_now(struct tcp_conn *conn)
{
	tcp__set(conn, TCP_F_ACK_NOW);
	tcp__touch(conn);
}

/*
 * Moves the timer forward if it would come too late. Deadlines that move back cost nothing: it
 * fires, looks, re-arms.
 */
static inline void tcp__timer_want(struct tcp_conn *conn, uint64_t at_ns)
{
	bool armed = tcp_link_linked(&conn->timer.link);

	// Without a division: a tick earlier than the one it is armed for.
	if (at_ns != TCP_NEVER_NS &&
	    (!armed || at_ns <= (conn->timer.tick - 1) * TCP_WHEEL_TICK_NS))
		tcp_wheel_arm(&conn->stack->wheel, &conn->timer, at_ns);
}

/* Whether the owner of the connection has closed it. */
static inline bool tcp__app_closed(const struct tcp_conn *conn)
{
	return tcp__has(conn, TCP_F_FIN_QUEUED);
}

/* tcp_conn.c: birth and death. */
struct tcp_conn_params {
	const struct flow *flow;
	uint32_t hash;
	uint32_t peer;
	tcp_seq iss;
	uint32_t ts_offset;
	enum tcp_state state;
	uint32_t replaces; // ref of the half-open entry whose place it takes, or TCP_REF_NONE
};

struct tcp_conn *tcp__conn_new(struct tcp_stack *stack, const struct tcp_conn_params *params);
void tcp__conn_negotiate(struct tcp_conn *conn, const struct tcp_options *peer, tcp_seq irs);
void tcp__conn_set_mss(struct tcp_conn *conn, uint32_t mss);
uint16_t tcp__our_mss(const struct tcp_stack *stack, const struct flow *flow);
uint16_t tcp__default_mss(const struct flow *flow);
void tcp__conn_predict(struct tcp_conn *conn);
/* on_open; false when the owner refused, and the connection is gone. */
bool tcp__conn_established(struct tcp_conn *conn);
void tcp__conn_accept(struct tcp_conn *conn, struct tcp_seg *seg);
void tcp__conn_close(struct tcp_conn *conn, enum tcp_close_reason reason);
void tcp__conn_time_wait(struct tcp_conn *conn);
void tcp__conn_reset(struct tcp_conn *conn, enum tcp_close_reason reason);
void tcp__conn_drop(struct tcp_conn *conn);
/* Gives back what it was woken with, if it needs it no more. */
void tcp__conn_settle(struct tcp_conn *conn);

/* tcp_burst.c */
void tcp__flush(struct tcp_conn *conn);
void tcp__bury(struct tcp_conn *conn);
void tcp__reap(struct tcp_stack *stack);

/* tcp_isn.c: numbers that nobody can guess. */
tcp_seq tcp__isn(const struct tcp_stack *stack, const struct flow *flow);
uint32_t tcp__ts_offset(const struct tcp_stack *stack, const struct flow *flow);

/* tcp_input.c */
bool tcp__listening(const struct tcp_stack *stack, uint16_t port);
uint32_t tcp__lookup(const struct tcp_stack *stack, const struct flow *flow, uint32_t hash);

/* tcp_established.c: true when the segment needed nothing more. */
bool tcp__input_fast(struct tcp_conn *conn, const struct tcp_packet *packet);

/* tcp_segment_arrives.c */
void tcp__input_conn(struct tcp_conn *conn, struct tcp_seg *seg);
void tcp__input_syn_sent(struct tcp_conn *conn, struct tcp_seg *seg);

/* tcp_ack.c: false when the segment is to be dropped. */
bool tcp__input_ack(struct tcp_conn *conn, struct tcp_seg *seg);
void tcp__ack_advance(struct tcp_conn *conn, tcp_seq ack, uint32_t tsecr);

/* tcp_receive.c */
void tcp__input_payload(struct tcp_conn *conn, const struct tcp_seg *seg);
void tcp__deliver(struct tcp_conn *conn, struct slice payload);

/* tcp_output.c */
void tcp__output(struct tcp_conn *conn);
void tcp__send_ack(struct tcp_conn *conn);
/* False: emit() had no room. */
bool tcp__send_probe(struct tcp_conn *conn);
/*
 * The end of the flight once more. Not a new segment, as RFC 8985 7.3 has it: of one that is next
 * in order a receiver may delay the ACK, of one that it has it may not (RFC 5681 4.2).
 */
void tcp__output_probe(struct tcp_conn *conn);
void tcp__send_rst(struct tcp_conn *conn);
uint32_t tcp__rcv_wnd_full(const struct tcp_conn *conn);
uint32_t tcp__rcv_wnd(const struct tcp_conn *conn);
void tcp__block(struct tcp_conn *conn);

/* tcp_segment.c: headers, and replies that belong to no connection. */
struct tcp_header {
	tcp_seq seq;
	tcp_seq ack;
	uint16_t wnd;
	uint8_t flags;
	struct tcp_options options;
};

struct tcp_endpoint {
	const struct flow *flow;
	uint32_t peer;
};

uint32_t tcp__header_encode(const struct flow *flow, const struct tcp_header *header, uint8_t *to);
bool tcp__emit_header(struct tcp_stack *stack, struct tcp_endpoint to,
		      const struct tcp_header *header);
void tcp__reject(struct tcp_stack *stack, const struct tcp_seg *seg);
void tcp__challenge(struct tcp_conn *conn);
bool tcp__reply_allowed(struct tcp_stack *stack);

/* tcp_cc.c: RFC 5681, 6582, 7661. */
void tcp__cc_init(struct tcp_conn *conn, bool lost_handshake);
void tcp__cc_acked(struct tcp_conn *conn, uint32_t acked);
void tcp__cc_dup_ack(struct tcp_conn *conn);
void tcp__cc_enter_recovery(struct tcp_conn *conn);
void tcp__cc_reduce(struct tcp_conn *conn);
void tcp__cc_timeout(struct tcp_conn *conn);
void tcp__cc_restart(struct tcp_conn *conn);
bool tcp__cc_undo(struct tcp_conn *conn, uint32_t tsecr);

/* tcp_recovery.c: RFC 6675, 8985. */
void tcp__recovery_sacked(struct tcp_conn *conn, struct tcp_seg *seg);
void tcp__recovery_acked(struct tcp_conn *conn);
void tcp__recovery_restart(struct tcp_conn *conn);
uint64_t tcp__recovery_deadline(const struct tcp_conn *conn);
void tcp__recovery_expired(struct tcp_conn *conn);
bool tcp__recovery_next(const struct tcp_conn *conn, struct tcp_sack_block *lost);
/* Sequence numbers that are in the network, as far as we know. */
uint32_t tcp__pipe(const struct tcp_conn *conn);

/* tcp_rtt.c: RFC 6298. */
void tcp__rtt_init(struct tcp_conn *conn);
void tcp__rtt_wake(struct tcp_conn *conn);
void tcp__rtt_sample(struct tcp_conn *conn, uint64_t rtt_ns);
void tcp__rtt_acked(struct tcp_conn *conn, tcp_seq ack, uint32_t tsecr);
uint64_t tcp__rto_ns(const struct tcp_conn *conn);
void tcp__rtt_raise_floor(struct tcp_conn *conn, uint64_t observed_ns);

/* tcp_timer.c */
uint64_t tcp__conn_deadline(const struct tcp_conn *conn);
void tcp__rtx_arm(struct tcp_conn *conn);

/* tcp_syn.c */
void tcp__syn_listen(struct tcp_stack *stack, const struct tcp_seg *seg, tcp_seq isn_after,
		     bool reuse);
void tcp__syn_input(struct tcp_stack *stack, struct tcp_syn *syn, struct tcp_seg *seg);
uint32_t tcp__syn_tick(struct tcp_stack *stack, uint32_t budget);

/* tcp_cookie.c: makes a SYN-ACK its own memory; whether a segment acknowledges such a one. */
void tcp__cookie_fill(struct tcp_stack *stack, struct tcp_syn *syn);
bool tcp__cookie_is_ours(const struct tcp_stack *stack, const struct tcp_seg *seg);
void tcp__cookie_input(struct tcp_stack *stack, struct tcp_seg *seg);

/* tcp_timewait.c */
bool tcp__time_wait_enter(const struct tcp_conn *conn, uint32_t ref);
void tcp__time_wait_remove(struct tcp_stack *stack, struct tcp_time_wait *tw);
void tcp__time_wait_input(struct tcp_stack *stack, struct tcp_time_wait *tw, struct tcp_seg *seg);
uint32_t tcp__time_wait_tick(struct tcp_stack *stack, uint32_t budget);
