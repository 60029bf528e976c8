/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * The end of a burst: each connection that something happened to sends what it has, and what no
 * data has acknowledged by then is acknowledged by policy. Then the memory of what ended in the
 * burst goes back. Called by the worker after it has executed the requests of the burst, and by
 * tcp_timer.c for single connections.
 */

/* Its owner has been told; the memory goes when nothing refers to it. */
void tcp__bury(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	// On the list of the burst it stays until its turn comes.
	if (tcp__has(conn, TCP_F_TOUCHED))
		return;
	conn->touched_next = stack->dead;
	stack->dead = conn;
}

void tcp__reap(struct tcp_stack *stack)
{
	while (stack->dead) {
		struct tcp_conn *conn = stack->dead;

		stack->dead = conn->touched_next;
		if (conn->work)
			tcp_slab_free(&stack->works, conn->work);
		tcp_slab_free(&stack->conns, conn);
	}
}

/* The queue has filled up, or emptied again: the owner stops and goes on by it. */
static void watch_queue(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	const struct tcp_sendq *q = &conn->work->sendq;

	if (tcp_out_full(conn)) {
		if (!tcp__has(conn, TCP_F_FULL)) {
			tcp__set(conn, TCP_F_FULL);
			tcp__timer_want(conn, tcp__conn_deadline(conn));
		}
		return;
	}
	if (tcp__has(conn, TCP_F_FULL) && q->copied_bytes <= stack->config.snd_high_bytes / 2 &&
	    q->extents <= TCP_EXTENTS_HIGH / 2 && q->referenced_bytes <= TCP_REFERENCED_HIGH / 2) {
		tcp__clear(conn, TCP_F_FULL);
		if (!tcp__app_closed(conn))
			stack->ops.on_drained(stack->env, conn);
		tcp_sendq_sync(&conn->work->sendq, &conn->work->out);
	}
}

/* RFC 9293 3.8.6.2.2: the owner has caught up far enough for the peer to care. */
static bool window_worth_telling(const struct tcp_conn *conn)
{
	tcp_seq edge = conn->rcv_nxt + tcp__rcv_wnd(conn);
	uint32_t half = tcp__rcv_wnd_full(conn) / 2;
	uint32_t step = 2u * conn->segment_max < half ? 2u * conn->segment_max : half;

	if (!conn->narrowed || tcp_seq_le(edge, conn->rcv_adv) || conn->rcv_nxt != conn->rcv_acked)
		return false;
	return edge - conn->rcv_adv >= step;
}

/*
 * RFC 9293 3.8.6.3 and RFC 5681 4.2: at least one ACK per two segments, and none that a reply has
 * carried.
 */
static void acknowledge(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t owed = conn->rcv_nxt - conn->rcv_acked;

	if (tcp__has(conn, TCP_F_ACK_NOW) || owed >= 2u * conn->segment_max ||
	    window_worth_telling(conn)) {
		tcp__send_ack(conn);
		return;
	}
	if (owed == 0 || tcp_link_linked(&conn->work->delack))
		return;
	conn->work->delack_at_ns = stack->now_ns + TCP_DELACK_NS;
	tcp_list_append(&stack->delacks, &conn->work->delack);
}

void tcp__flush(struct tcp_conn *conn)
{
	if (conn->state == TCP_STATE_CLOSED)
		return;
	tcp_sendq_sync(&conn->work->sendq, &conn->work->out);
	watch_queue(conn);
	if (unlikely(tcp__has(conn, TCP_F_OVERLOAD)) && conn->state != TCP_STATE_CLOSED) {
		tcp__conn_reset(conn, TCP_CLOSED_OVERLOAD);
		return;
	}
	tcp__output(conn);
	if (conn->state > TCP_STATE_SYN_RECEIVED)
		acknowledge(conn);
	// What waits without anything in flight has a timer or a pause: nothing may wait for ever.
	HOT_ASSERT(conn->snd_nxt == tcp__snd_end(conn) || conn->state <= TCP_STATE_SYN_RECEIVED ||
		   conn->work->rtx_deadline_ns != TCP_NEVER_NS ||
		   tcp_link_linked(&conn->work->blocked));
	tcp__conn_settle(conn);
}

void tcp_burst_end(struct tcp_stack *stack, uint64_t now_ns)
{
	tcp__set_now(stack, now_ns);
	stack->burst_segments = 0;
	// Callbacks may touch further connections; they go to the end and get their turn as well,
	// as do those that have more to send. What exceeds the burst waits for the next one, so
	// that the owner looks at its input again before long.
	while (stack->touched_head && stack->burst_segments < TCP_SEGMENTS_PER_BURST) {
		struct tcp_conn *conn = stack->touched_head;

		stack->touched_head = conn->touched_next;
		if (!stack->touched_head)
			stack->touched_tail = NULL;
		else
			prefetch_write(stack->touched_head->work);
		tcp__clear(conn, TCP_F_TOUCHED);
		if (conn->state == TCP_STATE_CLOSED)
			tcp__bury(conn);
		else
			tcp__flush(conn);
	}
	tcp_ooo_release(&stack->ooo_pool);
	tcp__reap(stack);
}
