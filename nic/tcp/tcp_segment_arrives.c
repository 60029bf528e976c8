/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * SEGMENT ARRIVES for connections (RFC 9293 3.10.7.3 and 3.10.7.4, hardened by RFC 5961), step by
 * step in the order of the RFC. tcp_input.c comes here with everything that header prediction did
 * not settle.
 */

#define PAWS_IDLE_NS (24ull * 24 * 3600 * TCP_SECOND_NS) // RFC 7323 5.5

/*
 * The answer to what lies outside the window. Data always gets it; without data it might be half of
 * a loop of ACKs.
 */
static void answer_unacceptable(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	if (seg->flags & TCP_RST)
		return;
	if (tcp__seg_len(seg) > 0)
		tcp__send_ack(conn);
	else
		tcp__challenge(conn);
}

/* RFC 7323 5.3 R1. */
static bool paws_ok(const struct tcp_conn *conn, const struct tcp_seg *seg)
{
	if (!tcp__has(conn, TCP_F_TIMESTAMPS) || seg->flags & TCP_RST)
		return true;
	if (!seg->options.has_timestamp)
		return false;
	return tcp_seq_ge(seg->options.tsval, conn->ts_recent) ||
	       conn->stack->now_ns - conn->last_rx_ns > PAWS_IDLE_NS;
}

/*
 * Step 1, the table of RFC 9293 3.4. An ACK from the very right edge is a peer that filled our
 * window.
 */
static bool acceptable(const struct tcp_conn *conn, const struct tcp_seg *seg)
{
	uint32_t wnd = conn->rcv_adv - conn->rcv_nxt;
	uint32_t len = tcp__seg_len(seg);

	if (seg->seq == conn->rcv_nxt)
		return true;
	if (len == 0)
		return tcp_seq_within(seg->seq, conn->rcv_nxt, wnd + 1);
	return tcp_seq_within(seg->seq, conn->rcv_nxt, wnd) ||
	       tcp_seq_within(seg->seq + len - 1, conn->rcv_nxt, wnd);
}

/*
 * Old data may bring a new acknowledgment: two sides that repeat themselves would else never get
 * on.
 */
static void input_old(struct tcp_conn *conn, struct tcp_seg *seg)
{
	bool recent = conn->rcv_nxt - seg->seq <= conn->stack->rcv_wnd;

	tcp__drop(conn->stack, DROP_TCP_SEQUENCE);
	if (recent && (seg->flags & (TCP_ACK | TCP_RST | TCP_SYN)) == TCP_ACK &&
	    tcp_seq_gt(seg->ack, conn->snd_una) && tcp_seq_le(seg->ack, conn->snd_max)) {
		conn->last_rx_ns = conn->stack->now_ns;
		(void)tcp__input_ack(conn, seg);
	}
	answer_unacceptable(conn, seg);
}

/* Step 2 with RFC 5961 3.2: only the exact number resets, what is near is challenged. */
static void input_rst(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;

	if (seg->seq == conn->rcv_nxt) {
		tcp__count(stack, TCP_COUNT_RESET_IN);
		tcp__conn_close(conn, conn->state == TCP_STATE_SYN_RECEIVED ? TCP_CLOSED_REFUSED
									    : TCP_CLOSED_RESET);
		return;
	}
	tcp__drop(stack, DROP_TCP_SEQUENCE);
	if (tcp_seq_within(seg->seq, conn->rcv_nxt, conn->rcv_adv - conn->rcv_nxt))
		tcp__challenge(conn);
}

/* Cuts off what we have and what does not fit. */
static void trim(struct tcp_conn *conn, struct tcp_seg *seg)
{
	if (tcp_seq_lt(seg->seq, conn->rcv_nxt)) {
		uint32_t skip = conn->rcv_nxt - seg->seq;

		if (skip > seg->payload.len)
			skip = (uint32_t)seg->payload.len;
		seg->payload.ptr += skip;
		seg->payload.len -= skip;
		seg->seq += skip;
		tcp__ack_now(conn);
	}

	uint32_t wnd = conn->rcv_adv - seg->seq;
	uint32_t len = tcp__seg_len(seg);

	if (len > wnd) {
		seg->flags &= (uint8_t)~TCP_FIN;
		if (seg->payload.len > wnd)
			seg->payload.len = wnd;
		tcp__drop(conn->stack, DROP_TCP_SEQUENCE);
		tcp__ack_now(conn);
	}
}

/* Step 5 in SYN-RECEIVED, after a simultaneous open. */
static bool input_syn_received(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	if (seg->ack != conn->snd_max || conn->snd_max == conn->work->iss) {
		tcp__drop(conn->stack, DROP_TCP_ACK);
		tcp__reject(conn->stack, seg);
		return false;
	}
	conn->snd_una = conn->snd_max;
	conn->snd_wnd = conn->work->max_snd_wnd = seg->wnd << conn->snd_scale;
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	conn->work->rtx_deadline_ns = TCP_NEVER_NS;
	return tcp__conn_established(conn);
}

/* Our FIN may have been acknowledged. False when the connection is over. */
static bool input_fin_acked(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (!tcp__has(conn, TCP_F_FIN_QUEUED) || conn->snd_una != conn->work->sendq.end + 1)
		return true;
	switch (conn->state) {
	case TCP_STATE_FIN_WAIT_1:
		conn->state = TCP_STATE_FIN_WAIT_2;
		conn->work->state_deadline_ns = stack->now_ns + TCP_LINGER_NS;
		tcp__timer_want(conn, conn->work->state_deadline_ns);
		return true;
	case TCP_STATE_CLOSING:
		tcp__conn_time_wait(conn);
		return false;
	case TCP_STATE_LAST_ACK:
		tcp__conn_close(conn, TCP_CLOSED);
		return false;
	default:
		return true;
	}
}

/* Simultaneous open: the peer's SYN-ACK repeats its SYN, which is behind us by now. */
static bool input_repeated_syn(struct tcp_conn *conn, struct tcp_seg *seg)
{
	if (conn->state != TCP_STATE_SYN_RECEIVED || !(seg->flags & TCP_SYN) ||
	    seg->seq + 1 != conn->rcv_nxt || seg->flags & TCP_RST)
		return false;
	if (!(seg->flags & TCP_ACK)) {
		conn->snd_nxt = conn->work->iss;
		tcp__touch(conn);
		return true;
	}
	seg->flags &= (uint8_t)~TCP_SYN;
	seg->seq++;
	return false;
}

void tcp__input_conn(struct tcp_conn *conn, struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;

	if (!conn->work)
		tcp__wake(conn);
	if (input_repeated_syn(conn, seg))
		return;
	// Step 1: sequence number and timestamp.
	if (!paws_ok(conn, seg)) {
		tcp__drop(stack, DROP_TCP_PAWS);
		answer_unacceptable(conn, seg);
		return;
	}
	if (seg->flags & TCP_RST) {
		input_rst(conn, seg);
		return;
	}
	if (!acceptable(conn, seg)) {
		input_old(conn, seg);
		if (input_fin_acked(conn))
			tcp__conn_predict(conn);
		return;
	}
	// Step 4, RFC 5961 4.2.
	if (seg->flags & TCP_SYN) {
		tcp__drop(stack, DROP_TCP_FLAGS);
		tcp__challenge(conn);
		return;
	}
	// Step 5.
	if (!(seg->flags & TCP_ACK)) {
		tcp__drop(stack, DROP_TCP_FLAGS);
		return;
	}
	conn->last_rx_ns = stack->now_ns;
	if (tcp__has(conn, TCP_F_TIMESTAMPS) && tcp_seq_le(seg->seq, conn->rcv_acked) &&
	    tcp_seq_ge(seg->seq + tcp__seg_len(seg), conn->rcv_acked))
		conn->ts_recent = seg->options.tsval;
	trim(conn, seg);
	if (conn->state == TCP_STATE_SYN_RECEIVED && !input_syn_received(conn, seg))
		return;
	if (!tcp__input_ack(conn, seg) || !input_fin_acked(conn))
		return;
	// Steps 7 and 8. Urgent data (step 6) is data.
	tcp__input_payload(conn, seg);
	if (conn->state != TCP_STATE_CLOSED)
		tcp__conn_predict(conn);
}

static void syn_sent_synchronized(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	tcp__conn_negotiate(conn, &seg->options, seg->seq);
	conn->snd_wnd = conn->work->max_snd_wnd = seg->wnd;
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	conn->last_rx_ns = conn->stack->now_ns;
	tcp__touch(conn);
}

/* RFC 9293 3.10.7.3. */
void tcp__input_syn_sent(struct tcp_conn *conn, struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;
	bool ack_ok = tcp_seq_gt(seg->ack, conn->work->iss) && tcp_seq_le(seg->ack, conn->snd_max);

	// 1. An ACK of something else: a leftover of the peer. Tell it, and try again soon rather
	// than after the RTO.
	if (seg->flags & TCP_ACK && !ack_ok) {
		tcp__drop(stack, DROP_TCP_ACK);
		tcp__reject(stack, seg);
		return;
	}
	// 2. RST counts only with a good ACK.
	if (seg->flags & TCP_RST) {
		if (seg->flags & TCP_ACK) {
			tcp__count(stack, TCP_COUNT_RESET_IN);
			tcp__conn_close(conn, TCP_CLOSED_REFUSED);
		} else {
			tcp__drop(stack, DROP_TCP_FLAGS);
		}
		return;
	}
	// 4. SYN.
	if (!(seg->flags & TCP_SYN)) {
		tcp__drop(stack, DROP_TCP_FLAGS);
		return;
	}
	syn_sent_synchronized(conn, seg);
	if (!(seg->flags & TCP_ACK)) {
		conn->state = TCP_STATE_SYN_RECEIVED;
		conn->snd_nxt = conn->work->iss;
		return;
	}
	conn->snd_una = seg->ack;
	conn->work->rtx_deadline_ns = TCP_NEVER_NS;
	if (tcp__has(conn, TCP_F_RTT_TIMING))
		tcp__rtt_sample(conn, stack->now_ns - conn->work->rtt_start_ns);
	tcp__set(conn, TCP_F_ACK_NOW);
	(void)tcp__conn_established(conn);
}
