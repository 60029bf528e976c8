/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Everything that happens because time passes. A connection has one wheel timer; its several
 * deadlines are fields, and the timer, when it fires, runs those that have come and arms itself for
 * the next. Delays that are the same for all (delayed ACK, pause after a refused emit, half-open,
 * TIME-WAIT) are FIFOs. Called by the worker once per loop.
 */

static uint64_t keepalive_interval_ns(const struct tcp_stack *stack)
{
	uint64_t quarter = stack->config.keepalive_idle_ns / 4;

	return quarter < 75 * TCP_SECOND_NS ? quarter : 75 * TCP_SECOND_NS;
}

/* Keepalives sent since something was last heard of the peer. */
static uint32_t unanswered(const struct tcp_conn *conn)
{
	const struct tcp_stack *stack = conn->stack;

	if (stack->now_ns - conn->last_rx_ns < stack->config.keepalive_idle_ns)
		return 0;
	return conn->keepalives;
}

static uint64_t keepalive_deadline(const struct tcp_conn *conn)
{
	const struct tcp_stack *stack = conn->stack;
	uint64_t idle_ns = stack->config.keepalive_idle_ns;
	bool open = conn->state == TCP_STATE_ESTABLISHED || conn->state == TCP_STATE_CLOSE_WAIT;

	// RFC 9293 3.8.4: only while nothing else would find a dead peer.
	if (idle_ns == 0 || !open || (conn->work && conn->work->rtx_deadline_ns != TCP_NEVER_NS))
		return TCP_NEVER_NS;
	return conn->last_rx_ns + idle_ns + unanswered(conn) * keepalive_interval_ns(stack);
}

/*
 * A reader that takes nothing while its queue is full, or while all queues together are nearly so.
 */
static uint64_t stall_deadline(const struct tcp_conn *conn)
{
	const struct tcp_stack *stack = conn->stack;
	const struct tcp_slab *chunks = &stack->sendq_pool.chunks;
	bool scarce = chunks->used > chunks->count / 4 * 3;

	if (stack->config.stalled_reader_ns == 0 || !conn->work || !conn->work->sendq.head ||
	    !(tcp__has(conn, TCP_F_FULL) || scarce))
		return TCP_NEVER_NS;
	return conn->work->progress_ns + stack->config.stalled_reader_ns;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t tcp__conn_deadline(const struct tcp_conn *conn)
{
	uint64_t loss_ns;

	if (!conn->work)
		return keepalive_deadline(conn);
	loss_ns = earlier(conn->work->rtx_deadline_ns, tcp__recovery_deadline(conn));
	return earlier(earlier(loss_ns, conn->work->state_deadline_ns),
		       earlier(keepalive_deadline(conn), stall_deadline(conn)));
}

/* As far as it makes a difference. */
static uint32_t min_backoff(const struct tcp_conn *conn)
{
	return conn->work->backoff < 16 ? conn->work->backoff : 16;
}

/* (Re)starts the retransmission timer, or the probe timer when the window is closed. */
void tcp__rtx_arm(struct tcp_conn *conn)
{
	uint64_t after_ns = tcp__rto_ns(conn);

	// RFC 9293 3.8.6.1: probes back off, too, from an interval that spares a slow reader.
	if (conn->snd_wnd == 0 && conn->state > TCP_STATE_SYN_RECEIVED &&
	    after_ns < TCP_PROBE_NS_MIN << min_backoff(conn))
		after_ns = TCP_PROBE_NS_MIN << min_backoff(conn);
	if (after_ns > TCP_PROBE_NS_MAX)
		after_ns = TCP_PROBE_NS_MAX;
	conn->work->rtx_deadline_ns = conn->stack->now_ns + after_ns;
	tcp__timer_want(conn, earlier(conn->work->rtx_deadline_ns, tcp__recovery_deadline(conn)));
}

static void time_out(struct tcp_conn *conn)
{
	tcp__count(conn->stack, TCP_COUNT_TIMED_OUT);
	tcp__conn_reset(conn, TCP_CLOSED_TIMEOUT);
}

static void syn_expired(struct tcp_conn *conn)
{
	if (conn->work->syn_retries >= TCP_SYN_RETRIES_MAX) {
		time_out(conn);
		return;
	}
	conn->work->syn_retries++;
	conn->work->backoff++;
	conn->snd_nxt = conn->work->iss;
	tcp__rtx_arm(conn);
	tcp__output(conn);
}

/* RFC 6298 5.4 to 5.6: go back and start over with one segment. */
static void rto_expired(struct tcp_conn *conn)
{
	tcp__count(conn->stack, TCP_COUNT_RTO);
	if (conn->work->backoff == 0)
		conn->work->rto_first_ns = conn->stack->now_ns;
	conn->work->backoff++;
	tcp__cc_timeout(conn);
	tcp__recovery_restart(conn);
	conn->work->probed = false;
	conn->snd_nxt = conn->snd_una;
	tcp_sendq_rewind(&conn->work->sendq);
	tcp__clear(conn, TCP_F_RTT_TIMING);
	tcp__rtx_arm(conn);
	tcp__output(conn);
}

static void probe_expired(struct tcp_conn *conn)
{
	struct tcp_work *work = conn->work;

	if (!tcp__send_probe(conn)) {
		// Our lack of buffers is no answer of the peer's.
		work->rtx_deadline_ns = conn->stack->now_ns + TCP_BLOCKED_NS;
		return;
	}
	tcp__count(conn->stack, TCP_COUNT_ZERO_WINDOW_PROBES);
	if (work->backoff < UINT8_MAX)
		work->backoff++;
	tcp__rtx_arm(conn);
}

static void rtx_expired(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	bool closed_window = tcp__flight(conn) == 0 && conn->snd_wnd == 0;
	// Progress says nothing here: it may be long ago because the window was closed for long.
	uint64_t since_ns = closed_window             ? conn->last_rx_ns
			    : conn->work->backoff > 0 ? conn->work->rto_first_ns
						      : stack->now_ns;

	if (conn->state <= TCP_STATE_SYN_RECEIVED) {
		syn_expired(conn);
	} else if (stack->now_ns > since_ns + TCP_GIVE_UP_NS) {
		time_out(conn);
	} else if (closed_window) {
		probe_expired(conn);
	} else if (tcp_link_linked(&conn->work->blocked)) {
		// Our own lack of buffers is no sign of loss: the pause after it comes first.
		tcp__rtx_arm(conn);
	} else {
		rto_expired(conn);
	}
}

static void keepalive_expired(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (conn->keepalives >= TCP_KEEPALIVES_MAX) {
		time_out(conn);
		return;
	}
	conn->keepalives++;
	tcp__touch(conn);
	tcp__count(stack, TCP_COUNT_KEEPALIVES);
	(void)tcp__send_probe(conn);
}

/* The owner has closed. FIN-WAIT-2 has its time; the others may go on while bytes move. */
static void state_expired(struct tcp_conn *conn)
{
	uint64_t until_ns = conn->work->progress_ns + TCP_LINGER_NS;

	if (conn->state != TCP_STATE_FIN_WAIT_2 && until_ns > conn->stack->now_ns)
		conn->work->state_deadline_ns = until_ns;
	else
		time_out(conn);
}

static bool keepalive_due(const struct tcp_conn *conn)
{
	return keepalive_deadline(conn) <= conn->stack->now_ns;
}

static void conn_expired(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	conn->keepalives = (uint8_t)unanswered(conn);
	if (!conn->work) {
		if (keepalive_due(conn))
			keepalive_expired(conn);
		if (conn->state != TCP_STATE_CLOSED)
			tcp__timer_want(conn, tcp__conn_deadline(conn));
		return;
	}
	if (conn->work->state_deadline_ns <= stack->now_ns)
		state_expired(conn);
	if (conn->state != TCP_STATE_CLOSED && stall_deadline(conn) <= stack->now_ns) {
		tcp__count(stack, TCP_COUNT_STALLED_READERS);
		tcp__conn_reset(conn, TCP_CLOSED_OVERLOAD);
	}
	if (conn->state != TCP_STATE_CLOSED && conn->work->rtx_deadline_ns <= stack->now_ns)
		rtx_expired(conn);
	if (conn->state != TCP_STATE_CLOSED && tcp__recovery_deadline(conn) <= stack->now_ns)
		tcp__recovery_expired(conn);
	if (conn->state != TCP_STATE_CLOSED && keepalive_due(conn))
		keepalive_expired(conn);
	if (conn->state != TCP_STATE_CLOSED)
		tcp__timer_want(conn, tcp__conn_deadline(conn));
}

static uint32_t tick_wheel(struct tcp_stack *stack, uint32_t budget)
{
	struct tcp_wheel_node *node;
	uint32_t ran = 0;

	for (; ran < budget; ran++) {
		node = tcp_wheel_pop(&stack->wheel, stack->now_ns);
		if (!node)
			break;
		conn_expired(CONTAINER_OF(node, struct tcp_conn, timer));
	}
	return ran;
}

static uint32_t tick_delacks(struct tcp_stack *stack, uint32_t budget)
{
	uint32_t ran = 0;

	for (; ran < budget && !tcp_list_empty(&stack->delacks); ran++) {
		struct tcp_work *work = CONTAINER_OF(stack->delacks.next, struct tcp_work, delack);
		struct tcp_conn *conn = work->conn;

		if (work->delack_at_ns > stack->now_ns)
			break;
		tcp_link_remove(&work->delack);
		// A reply may have carried it meanwhile; leaving the list is done here only, to
		// keep it off the fast path.
		if (conn->rcv_nxt != conn->rcv_acked) {
			tcp__count(stack, TCP_COUNT_DELAYED_ACKS);
			tcp__send_ack(conn);
		}
		tcp__conn_settle(conn);
	}
	return ran;
}

static uint32_t tick_blocked(struct tcp_stack *stack, uint32_t budget)
{
	uint32_t ran = 0;

	for (; ran < budget && !tcp_list_empty(&stack->blocked); ran++) {
		struct tcp_work *work = CONTAINER_OF(stack->blocked.next, struct tcp_work, blocked);

		if (work->blocked_until_ns > stack->now_ns)
			break;
		tcp_link_remove(&work->blocked);
		tcp__flush(work->conn);
	}
	return ran;
}

uint32_t tcp_tick(struct tcp_stack *stack, uint64_t now_ns, uint32_t budget)
{
	uint32_t ran = 0;

	tcp__set_now(stack, now_ns);
	ran += tick_delacks(stack, budget - ran);
	ran += tick_blocked(stack, budget - ran);
	ran += tick_wheel(stack, budget - ran);
	ran += tcp__syn_tick(stack, budget - ran);
	ran += tcp__time_wait_tick(stack, budget - ran);
	tcp__reap(stack);
	return ran;
}

uint64_t tcp_next_deadline_ns(const struct tcp_stack *stack)
{
	uint64_t next = tcp_wheel_next_ns(&stack->wheel);

	if (stack->touched_head)
		return stack->now_ns;
	if (!tcp_list_empty(&stack->delacks))
		next = earlier(
			next,
			CONTAINER_OF(stack->delacks.next, struct tcp_work, delack)->delack_at_ns);
	if (!tcp_list_empty(&stack->blocked))
		next = earlier(next, CONTAINER_OF(stack->blocked.next, struct tcp_work, blocked)
					     ->blocked_until_ns);
	for (uint32_t i = 0; i < TCP_SYN_LEVELS; i++) {
		const struct tcp_link *level = &stack->syns.levels[i];

		if (!tcp_list_empty(level))
			next = earlier(
				next, CONTAINER_OF(level->next, struct tcp_syn, link)->deadline_ns);
	}
	if (!tcp_list_empty(&stack->time_waits.fifo))
		next = earlier(next,
			       CONTAINER_OF(stack->time_waits.fifo.next, struct tcp_time_wait, link)
				       ->deadline_ns);
	return next;
}
