/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_conn.h"

#include "nic/tcp/tcp_stack.h"

/*
 * A connection's life and what its owner may do with it: open, write, hold, close, abort (RFC 9293
 * 3.10.1 to 3.10.6). A connection that ends leaves the flow table at once; its memory stays until
 * the end of the burst, so that nobody up the call chain is left with a dangling pointer.
 */

#define MSS_DEFAULT_V4 536 // RFC 9293 3.7.1
#define MSS_DEFAULT_V6 1220
#define MSS_MIN        88 // a smaller one only serves to make us send headers
#define IP4_HEADERS    40
#define IP6_HEADERS    60

static bool out_grow(struct out *out, size_t min)
{
	struct tcp_conn *conn = CONTAINER_OF(out, struct tcp_work, out)->conn;
	struct tcp_stack *stack = conn->stack;
	struct tcp_sendq *q = &conn->work->sendq;

	if (conn->state == TCP_STATE_CLOSED || tcp__app_closed(conn))
		return false;
	tcp_sendq_sync(q, out);
	if (!q->head)
		conn->work->progress_ns = stack->now_ns;
	if (q->copied_bytes + min <= stack->config.snd_max_bytes &&
	    q->end - conn->snd_una < TCP_QUEUED_BYTES_MAX &&
	    tcp_sendq_grow(&stack->sendq_pool, q, out, min))
		return true;
	tcp__set(conn, TCP_F_OVERLOAD);
	tcp__touch(conn);
	return false;
}

static bool out_append_reference(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	struct tcp_conn *conn = CONTAINER_OF(out, struct tcp_work, out)->conn;
	struct tcp_stack *stack = conn->stack;
	struct tcp_sendq *q = &conn->work->sendq;

	if (conn->state == TCP_STATE_CLOSED || tcp__app_closed(conn))
		return false;
	REQUIRE(offset <= blob->len && len <= blob->len - offset);
	if (len == 0)
		return true;
	if (!q->head)
		conn->work->progress_ns = stack->now_ns;
	if (len < TCP_QUEUED_BYTES_MAX && tcp_queued_bytes(conn) < TCP_QUEUED_BYTES_MAX &&
	    tcp_sendq_append_blob(&stack->sendq_pool, q, out, blob,
				  slice_of(blob->bytes + offset, len)))
		return true;
	tcp__set(conn, TCP_F_OVERLOAD);
	tcp__touch(conn);
	return false;
}

static const struct out_ops conn_out_ops = {.grow = out_grow, .append_blob = out_append_reference};

uint16_t tcp__our_mss(const struct tcp_stack *stack, const struct flow *flow)
{
	uint32_t headers = ip_addr_is_v4(&flow->remote) ? IP4_HEADERS : IP6_HEADERS;

	return (uint16_t)(stack->config.mtu - headers);
}

/* Of a peer that says nothing. */
uint16_t tcp__default_mss(const struct flow *flow)
{
	return ip_addr_is_v4(&flow->remote) ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
}

/* RFC 9293 3.7.1: the peer's limit and ours, less the options that every segment carries. */
void tcp__conn_set_mss(struct tcp_conn *conn, uint32_t mss)
{
	uint32_t ours = tcp__our_mss(conn->stack, &conn->flow);

	if (mss > ours)
		mss = ours;
	if (mss < MSS_MIN)
		mss = MSS_MIN;
	conn->segment_max =
		(uint16_t)(mss - (tcp__has(conn, TCP_F_TIMESTAMPS) ? TCP_TIMESTAMP_BYTES : 0));
}

/* What the fast path compares the header's fourth word with. */
void tcp__conn_predict(struct tcp_conn *conn)
{
	uint32_t words = tcp__has(conn, TCP_F_TIMESTAMPS) ? 8 : 5;
	bool plain = conn->state == TCP_STATE_ESTABLISHED && !conn->work->ooo.head &&
		     !(conn->flags & (TCP_F_PEER_FIN | TCP_F_RECOVERY)) && !conn->work->board;

	conn->predict = plain ? words << 12 | TCP_ACK : TCP_PREDICT_NONE;
}

/* `seq` is the number of the next byte to be queued. */
static void work_new(struct tcp_conn *conn, tcp_seq seq)
{
	struct tcp_stack *stack = conn->stack;

	conn->work = tcp_slab_alloc(&stack->works);
	REQUIRE(conn->work); // one for each connection
	*conn->work = (struct tcp_work){
		.conn = conn,
		.out.ops = &conn_out_ops,
		.rtx_deadline_ns = TCP_NEVER_NS,
		.reorder_ns = TCP_NEVER_NS,
		.state_deadline_ns = TCP_NEVER_NS,
		.last_tx_ns = stack->now_ns,
		.progress_ns = stack->now_ns,
		.recover = conn->snd_una,
		.max_snd_wnd = conn->snd_wnd,
	};
	tcp_sendq_init(&conn->work->sendq, seq);
	tcp__rtt_wake(conn);
}

void tcp__wake(struct tcp_conn *conn)
{
	work_new(conn, conn->snd_max);
}

/* Nothing is queued, in flight, owed, missing or agreed for later. */
static bool is_idle(const struct tcp_conn *conn)
{
	const struct tcp_work *w = conn->work;
	bool open = conn->state == TCP_STATE_CLOSE_WAIT ||
		    (conn->state == TCP_STATE_ESTABLISHED && !tcp__has(conn, TCP_F_PEER_FIN));

	return open && !w->sendq.head && conn->snd_una == conn->snd_max && !w->ooo.head &&
	       !w->board && !w->probed && !tcp_link_linked(&w->delack) &&
	       !tcp_link_linked(&w->blocked) && w->challenge_ns <= conn->stack->now_ns &&
	       !(conn->flags & (TCP_F_TOUCHED | TCP_F_ACK_NOW | TCP_F_RECOVERY | TCP_F_RETRANSMIT |
				TCP_F_FULL | TCP_F_OVERLOAD | TCP_F_UNDO | TCP_F_RTT_TIMING));
}

void tcp__conn_settle(struct tcp_conn *conn)
{
	if (!conn->work || !is_idle(conn))
		return;
	tcp_slab_free(&conn->stack->works, conn->work);
	conn->work = NULL;
}

struct tcp_conn *tcp__conn_new(struct tcp_stack *stack, const struct tcp_conn_params *params)
{
	struct tcp_conn *conn = tcp_slab_alloc(&stack->conns);
	uint32_t ref;

	if (!conn) {
		tcp__drop(stack, DROP_TCP_CONN_FULL);
		return NULL;
	}
	*conn = (struct tcp_conn){
		.predict = TCP_PREDICT_NONE,
		.state = (uint8_t)params->state,
		.flow = *params->flow,
		.hash = params->hash,
		.peer = params->peer,
		.stack = stack,
		.ts_offset = params->ts_offset,
		.snd_una = params->iss,
		.snd_nxt = params->iss,
		.snd_max = params->iss,
		.last_rx_ns = stack->now_ns,
		.last_tx_ms = stack->now_ms,
	};
	ref = tcp_ref_make(TCP_REF_CONN, tcp_slab_index(&stack->conns, conn));
	if (params->replaces != TCP_REF_NONE) {
		tcp_table_replace(&stack->table, params->hash, params->replaces, ref);
	} else if (!tcp_table_insert(&stack->table, params->hash, ref)) {
		conn->state = TCP_STATE_CLOSED;
		tcp_slab_free(&stack->conns, conn);
		tcp__drop(stack, DROP_TCP_CONN_FULL);
		return NULL;
	}
	tcp__rtt_init(conn);
	work_new(conn, params->iss + 1);
	conn->work->iss = params->iss;
	return conn;
}

/* The peer's SYN with number `irs` is known: both sides' options take effect. */
void tcp__conn_negotiate(struct tcp_conn *conn, const struct tcp_options *peer, tcp_seq irs)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t offered = stack->rcv_wnd < UINT16_MAX ? stack->rcv_wnd : UINT16_MAX;

	if (peer->has_timestamp && stack->config.timestamps) {
		tcp__set(conn, TCP_F_TIMESTAMPS);
		conn->ts_recent = peer->tsval;
	}
	if (peer->sack_permitted && stack->config.sack)
		tcp__set(conn, TCP_F_SACK);
	// RFC 7323 2.2: both sides scale or neither does.
	if (peer->has_wscale && stack->config.window_scale) {
		tcp__set(conn, TCP_F_SCALED);
		conn->snd_scale = peer->wscale & 0xf;
		conn->rcv_scale = stack->rcv_scale & 0xf;
	}
	tcp__conn_set_mss(conn, peer->has_mss ? peer->mss : tcp__default_mss(&conn->flow));
	conn->rcv_nxt = irs + 1;
	conn->rcv_acked = irs + 1;
	conn->rcv_adv = irs + 1 + offered;
}

/* A passive open is complete: by this segment, on which data and FIN may ride. */
void tcp__conn_accept(struct tcp_conn *conn, struct tcp_seg *seg)
{
	conn->snd_una = conn->snd_nxt = conn->snd_max = conn->work->iss + 1;
	conn->snd_wnd = conn->work->max_snd_wnd = seg->wnd << conn->snd_scale;
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	if (!tcp__conn_established(conn))
		return;
	tcp__input_conn(conn, seg);
	tcp__conn_settle(conn);
}

bool tcp__conn_established(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	conn->state = TCP_STATE_ESTABLISHED;
	conn->work->backoff = 0;
	conn->work->progress_ns = stack->now_ns;
	conn->last_tx_ms = stack->now_ms;
	conn->snd_nxt = conn->snd_max = conn->snd_una;
	conn->flags &= (uint16_t) ~(TCP_F_RTT_TIMING | TCP_F_RESENT);
	tcp__cc_init(conn, conn->work->syn_retries > 0);
	tcp__conn_predict(conn);
	tcp__timer_want(conn, tcp__conn_deadline(conn));
	tcp__count(stack, TCP_COUNT_OPENED);
	if (stack->ops.on_open(stack->env, conn))
		return conn->state != TCP_STATE_CLOSED;
	tcp__send_rst(conn);
	tcp__conn_drop(conn);
	return false;
}

/* Lets go of everything but the memory itself. */
static void release(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_work *work = conn->work;

	conn->state = TCP_STATE_CLOSED;
	conn->predict = TCP_PREDICT_NONE;
	tcp_wheel_disarm(&conn->timer);
	if (work) {
		tcp_link_remove(&work->delack);
		tcp_link_remove(&work->blocked);
		tcp_sendq_clear(&stack->sendq_pool, &work->sendq, &work->out);
		tcp_ooo_clear(&stack->ooo_pool, &work->ooo);
		if (work->board)
			tcp_slab_free(&stack->boards, work->board);
	}
	tcp__count(stack, TCP_COUNT_CLOSED);
	tcp__bury(conn);
}

static uint32_t conn_ref(const struct tcp_conn *conn)
{
	return tcp_ref_make(TCP_REF_CONN, tcp_slab_index(&conn->stack->conns, conn));
}

/*
 * Ends a connection that its owner never heard of, or does not want to. A repeated first segment
 * of one that a cookie has opened would open it again: it leaves an entry behind, however it ends.
 */
void tcp__conn_drop(struct tcp_conn *conn)
{
	if (conn->state == TCP_STATE_CLOSED)
		return;
	if (!tcp__has(conn, TCP_F_COOKIE) || !tcp__time_wait_enter(conn, conn_ref(conn)))
		tcp_table_remove(&conn->stack->table, conn->hash, conn_ref(conn));
	release(conn);
}

void tcp__conn_close(struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct tcp_stack *stack = conn->stack;

	tcp__conn_drop(conn);
	stack->ops.on_close(stack->env, conn, reason);
}

/* Both FINs are done and ours was the first. */
void tcp__conn_time_wait(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (tcp__time_wait_enter(conn, conn_ref(conn)))
		release(conn);
	else
		tcp__conn_drop(conn);
	stack->ops.on_close(stack->env, conn, TCP_CLOSED);
}

void tcp__conn_reset(struct tcp_conn *conn, enum tcp_close_reason reason)
{
	if (conn->state != TCP_STATE_SYN_SENT)
		tcp__send_rst(conn);
	tcp__conn_close(conn, reason);
}

struct tcp_conn *tcp_connect(struct tcp_stack *stack, const struct flow *flow, uint32_t hash,
			     uint32_t peer, uint64_t now_ns)
{
	struct tcp_conn_params params = {.flow = flow, .hash = hash, .peer = peer};
	struct tcp_time_wait *tw = NULL;
	struct tcp_conn *conn;
	uint32_t ref;

	tcp__set_now(stack, now_ns);
	params.iss = tcp__isn(stack, flow);
	params.ts_offset = tcp__ts_offset(stack, flow);
	params.state = TCP_STATE_SYN_SENT;
	ref = tcp__lookup(stack, flow, hash);
	if (ref != TCP_REF_NONE) {
		if (tcp_ref_kind(ref) != TCP_REF_TIME_WAIT)
			return NULL;
		// RFC 6191: the timestamps tell old segments from new ones, and the numbers go on
		// above.
		tw = tcp_slab_at(&stack->time_waits.entries, tcp_ref_index(ref));
		params.iss = tcp_seq_max(params.iss, tw->snd_nxt + UINT16_MAX);
		tcp__time_wait_remove(stack, tw);
	}
	conn = tcp__conn_new(stack, &params);
	if (conn)
		tcp__touch(conn);
	return conn;
}

struct out *tcp_out(struct tcp_conn *conn)
{
	tcp__touch(conn);
	// Also of one that has ended in this burst: what is written then goes nowhere.
	if (unlikely(!conn->work))
		tcp__wake(conn);
	return &conn->work->out;
}

bool tcp_out_full(const struct tcp_conn *conn)
{
	const struct tcp_work *work = conn->work;
	const struct tcp_sendq *q;
	uint32_t copied;

	if (!work)
		return false;
	q = &work->sendq;
	copied = q->copied_bytes + (uint32_t)(work->out.pos - q->mark);
	return copied > conn->stack->config.snd_high_bytes || q->extents > TCP_EXTENTS_HIGH ||
	       q->referenced_bytes > TCP_REFERENCED_HIGH;
}

void tcp_set_held(struct tcp_conn *conn, uint32_t bytes)
{
	bool less = bytes < conn->held_bytes;

	conn->held_bytes = bytes;
	if (bytes > 0)
		conn->narrowed = true;
	// A wider window may be worth telling.
	if (less)
		tcp__touch(conn);
}

void tcp_close(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (conn->state == TCP_STATE_CLOSED || tcp__app_closed(conn))
		return;
	if (conn->state <= TCP_STATE_SYN_RECEIVED) {
		tcp__conn_reset(conn, TCP_CLOSED);
		return;
	}
	tcp__touch(conn);
	tcp_sendq_sync(&conn->work->sendq, &conn->work->out);
	conn->work->out.end = conn->work->out.pos;
	if (!conn->work->sendq.head)
		conn->work->progress_ns = stack->now_ns;
	tcp__set(conn, TCP_F_FIN_QUEUED);
	conn->state =
		conn->state == TCP_STATE_CLOSE_WAIT ? TCP_STATE_LAST_ACK : TCP_STATE_FIN_WAIT_1;
	conn->predict = TCP_PREDICT_NONE;
	conn->held_bytes = 0;
	conn->work->state_deadline_ns = stack->now_ns + TCP_LINGER_NS;
	tcp__timer_want(conn, conn->work->state_deadline_ns);
}

void tcp_abort(struct tcp_conn *conn)
{
	if (conn->state != TCP_STATE_CLOSED)
		tcp__conn_reset(conn, TCP_CLOSED_ABORTED);
}

void tcp_set_user(struct tcp_conn *conn, void *user)
{
	conn->user = user;
}

void *tcp_user(const struct tcp_conn *conn)
{
	return conn->user;
}

const struct flow *tcp_flow(const struct tcp_conn *conn)
{
	return &conn->flow;
}

uint32_t tcp_queued_bytes(const struct tcp_conn *conn)
{
	const struct tcp_work *work = conn->work;
	uint32_t queued;

	if (!work)
		return 0;
	queued = work->sendq.end - conn->snd_una + (uint32_t)(work->out.pos - work->sendq.mark);
	// snd_una stands before our SYN at first, and behind our FIN at last.
	if (conn->state <= TCP_STATE_SYN_RECEIVED)
		return queued - 1;
	return tcp_seq_gt(conn->snd_una, work->sendq.end) ? 0 : queued;
}
