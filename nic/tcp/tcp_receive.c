/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Payload and FIN of an acceptable segment (RFC 9293 3.10.7.4 steps 7 and 8): in order straight to
 * the owner, out of order into buffers. Called by tcp_segment_arrives.c after the ACK has been
 * processed.
 */

// Out of order, within a burst, from a sender with SACK: each of the first, then some.
#define SEGMENTS_ACKED_EACH 16
#define SEGMENTS_PER_ACK    8

/* Bytes that are next in order. The owner may close or abort in its callback. */
void tcp__deliver(struct tcp_conn *conn, struct slice payload)
{
	struct tcp_stack *stack = conn->stack;

	conn->rcv_nxt += (uint32_t)payload.len;
	counter_add(&stack->counters->count[TCP_COUNT_BYTES_IN], payload.len);
	tcp__touch(conn);
	if (tcp__app_closed(conn))
		tcp__drop(stack, DROP_TCP_AFTER_CLOSE);
	else
		stack->ops.on_data(stack->env, conn, payload);
}

/* A gap may have closed: hand over what waited behind it. */
static void deliver_waiting(struct tcp_conn *conn)
{
	struct tcp_ooo_pool *pool = &conn->stack->ooo_pool;
	struct slice bytes;

	while (conn->state != TCP_STATE_CLOSED &&
	       tcp_ooo_take(pool, &conn->work->ooo, conn->rcv_nxt, &bytes)) {
		tcp__deliver(conn, bytes);
	}
}

/* Step 8: the FIN is next in order. */
static void input_fin(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	tcp_ooo_clear(&stack->ooo_pool, &conn->work->ooo);
	conn->rcv_nxt++;
	conn->rcv_adv = tcp_seq_max(conn->rcv_adv, conn->rcv_nxt);
	tcp__ack_now(conn);
	switch (conn->state) {
	case TCP_STATE_ESTABLISHED:
		conn->state = TCP_STATE_CLOSE_WAIT;
		stack->ops.on_fin(stack->env, conn);
		break;
	case TCP_STATE_FIN_WAIT_1:
		// Ours is not acknowledged yet: both closed at once.
		conn->state = TCP_STATE_CLOSING;
		break;
	case TCP_STATE_FIN_WAIT_2:
		tcp__send_ack(conn);
		tcp__conn_time_wait(conn);
		break;
	default:
		break;
	}
}

static void input_ahead(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;

	tcp__count(stack, TCP_COUNT_OUT_OF_ORDER);
	if (!tcp_ooo_insert(&stack->ooo_pool, &conn->work->ooo, seg->seq, seg->payload))
		tcp__drop(stack, DROP_TCP_OOO_FULL);
	// RFC 5681 4.2: one duplicate ACK for each, or the sender cannot count them. With SACK it
	// reads instead of counting, and one at the end of the burst tells as much as all of them;
	// some in between, as it may be lost, and all of a small window's.
	if (tcp__has(conn, TCP_F_SACK) && conn->work->ooo.count > SEGMENTS_ACKED_EACH &&
	    conn->work->ooo.count % SEGMENTS_PER_ACK != 0)
		tcp__ack_now(conn);
	else
		tcp__send_ack(conn);
}

void tcp__input_payload(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	struct tcp_seg s = *seg;
	uint32_t len = (uint32_t)s.payload.len;

	if (conn->state != TCP_STATE_ESTABLISHED && conn->state != TCP_STATE_FIN_WAIT_1 &&
	    conn->state != TCP_STATE_FIN_WAIT_2)
		return;
	// A FIN is remembered by its place, so it may arrive before what precedes it.
	if (s.flags & TCP_FIN && !tcp__has(conn, TCP_F_PEER_FIN)) {
		tcp__set(conn, TCP_F_PEER_FIN);
		conn->work->fin_seq = s.seq + len;
		if (conn->work->fin_seq != conn->rcv_nxt + len)
			tcp__send_ack(conn);
	}
	if (tcp__has(conn, TCP_F_PEER_FIN) && tcp_seq_gt(s.seq + len, conn->work->fin_seq))
		s.payload.len =
			tcp_seq_lt(s.seq, conn->work->fin_seq) ? conn->work->fin_seq - s.seq : 0;
	if (s.payload.len > 0) {
		if (s.seq == conn->rcv_nxt) {
			// RFC 5681 4.2: what fills a gap, or part of it, is answered at once.
			if (conn->work->ooo.head)
				tcp__ack_now(conn);
			tcp__deliver(conn, s.payload);
			deliver_waiting(conn);
		} else {
			input_ahead(conn, &s);
		}
	}
	if (conn->state != TCP_STATE_CLOSED && tcp__has(conn, TCP_F_PEER_FIN) &&
	    conn->rcv_nxt == conn->work->fin_seq)
		input_fin(conn);
}
