/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * From the send queue to segments (RFC 9293 3.8, 3.10.7.4): how much may go, the header, the
 * payload as slices. Called from tcp_burst.c for connections that something happened to, and from
 * tcp_timer.c. Nothing counts as sent before emit() has taken it.
 */

struct plan {
	tcp_seq seq;
	uint32_t len; // payload bytes
	bool fin;
	bool again; // the head, out of turn: snd_nxt stays
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t difference(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

/* The window of an owner that is up to date. */
uint32_t tcp__rcv_wnd_full(const struct tcp_conn *conn)
{
	uint32_t wnd = conn->stack->rcv_wnd;

	return tcp__has(conn, TCP_F_SCALED) ? wnd : min_u32(wnd, UINT16_MAX);
}

/* What its unprocessed bytes leave of it. */
uint32_t tcp__rcv_wnd(const struct tcp_conn *conn)
{
	uint32_t wnd = tcp__rcv_wnd_full(conn);

	return wnd > conn->held_bytes ? wnd - conn->held_bytes : 0;
}

/*
 * RFC 9293 3.8.6.2.2: the window field, and the right edge that it stands for. The edge never moves
 * left, not even by the rounding of the scale, so it is rounded up.
 */
static uint16_t window_field(const struct tcp_conn *conn, tcp_seq *edge)
{
	uint32_t wnd = tcp__rcv_wnd(conn);
	tcp_seq wanted = conn->rcv_nxt + wnd;
	uint32_t scale = conn->rcv_scale;
	uint32_t field;

	// While the owner lags, offer more only in steps worth a segment (silly window syndrome).
	if (conn->held_bytes > 0 && tcp_seq_gt(wanted, conn->rcv_adv) &&
	    wanted - conn->rcv_adv < min_u32(conn->segment_max, tcp__rcv_wnd_full(conn) / 2))
		wanted = conn->rcv_adv;
	wanted = tcp_seq_max(wanted, conn->rcv_adv);
	field = min_u32((wanted - conn->rcv_nxt + (1u << scale) - 1) >> scale, UINT16_MAX);
	*edge = conn->rcv_nxt + (field << scale);
	return (uint16_t)field;
}

/*
 * The header of any segment of a synchronized connection; options are timestamps and, with room for
 * them, SACK.
 */
static uint32_t conn_header(const struct tcp_conn *conn, const struct plan *plan, uint8_t flags,
			    uint8_t *to, tcp_seq *edge)
{
	uint32_t len = TCP_HEADER_MIN;

	be16_store(to, conn->flow.local_port);
	be16_store(to + 2, conn->flow.remote_port);
	be32_store(to + 4, plan->seq);
	be32_store(to + 8, conn->rcv_nxt);
	be16_store(to + 14, window_field(conn, edge));
	be32_store(to + 16, 0);
	if (tcp__has(conn, TCP_F_TIMESTAMPS)) {
		be32_store(to + len, TCP_TIMESTAMP_WORD);
		be32_store(to + len + 4, conn->stack->now_ms + conn->ts_offset);
		be32_store(to + len + 8, conn->ts_recent);
		len += TCP_TIMESTAMP_BYTES;
	}
	if (unlikely(conn->work->ooo.head != NULL) && tcp__has(conn, TCP_F_SACK)) {
		uint32_t room =
			min_u32(difference(conn->segment_max, plan->len), TCP_HEADER_MAX - len);
		struct tcp_options o = {0};

		if (room >= 12)
			o.sack_count =
				(uint8_t)tcp_ooo_sack(&conn->work->ooo, o.sack, (room - 4) / 8);
		len += tcp_options_encode(&o, to + len);
	}
	to[12] = (uint8_t)(len / 4 << 4);
	to[13] = flags;
	return len;
}

/* emit() had no room, or no address yet: wait a little, whatever else happens. */
void tcp__block(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	tcp__count(stack, TCP_COUNT_EMIT_FAILED);
	if (tcp_link_linked(&conn->work->blocked))
		return;
	conn->work->blocked_until_ns = stack->now_ns + TCP_BLOCKED_NS;
	tcp_list_append(&stack->blocked, &conn->work->blocked);
}

/* On the wire. */
static uint32_t segments_of(const struct tcp_segment *segment)
{
	if (likely(segment->tso_mss == 0))
		return 1;
	return (segment->payload_len + segment->tso_mss - 1) / segment->tso_mss;
}

/* Gives a segment with our current ACK on it to emit(). */
static bool emit(struct tcp_conn *conn, struct tcp_segment *segment, tcp_seq edge)
{
	struct tcp_stack *stack = conn->stack;

	segment->flow = &conn->flow;
	segment->peer = conn->peer;
	segment->ecn = 0;
	if (unlikely(!stack->ops.emit(stack->env, segment))) {
		tcp__block(conn);
		return false;
	}
	counter_add(&stack->counters->count[TCP_COUNT_SEGMENTS_OUT], segments_of(segment));
	stack->burst_segments += segments_of(segment);
	conn->rcv_acked = conn->rcv_nxt;
	conn->rcv_adv = edge;
	if (conn->held_bytes == 0)
		conn->narrowed = false;
	tcp__clear(conn, TCP_F_ACK_NOW);
	return true;
}

/* Bookkeeping after a segment with sequence numbers has left. */
static void account_sent(struct tcp_conn *conn, const struct plan *plan)
{
	struct tcp_stack *stack = conn->stack;
	tcp_seq end = plan->seq + plan->len + plan->fin;

	conn->work->last_tx_ns = stack->now_ns;
	conn->last_tx_ms = stack->now_ms;
	if (!plan->again)
		conn->snd_nxt = end;
	if (tcp_seq_lt(plan->seq, conn->snd_max)) {
		struct tcp_sack_block sent = {plan->seq, end};

		if (conn->work->board)
			tcp_scoreboard_resent(conn->work->board, sent, conn->snd_max,
					      stack->now_ns);
		tcp__count(stack, TCP_COUNT_RETRANSMITS);
		tcp__set(conn, TCP_F_RESENT);
		tcp__clear(conn, TCP_F_RTT_TIMING);
	} else if (!tcp__has(conn, TCP_F_RTT_TIMING) && !tcp__has(conn, TCP_F_RESENT)) {
		tcp__set(conn, TCP_F_RTT_TIMING);
		conn->work->rtt_seq = end;
		conn->work->rtt_start_ns = stack->now_ns;
	}
	if (tcp_seq_gt(end, conn->snd_max)) {
		bool first = conn->snd_max == conn->snd_una;

		counter_add(&stack->counters->count[TCP_COUNT_BYTES_OUT],
			    end - tcp_seq_max(conn->snd_max, plan->seq) - plan->fin);
		conn->snd_max = end;
		if (first) {
			// RFC 6298 5.1: the timer starts with the first byte in flight.
			conn->work->backoff = 0;
			tcp__rtx_arm(conn);
		}
	}
}

static bool send_planned(struct tcp_conn *conn, struct plan *plan)
{
	uint8_t header[TCP_HEADER_MAX];
	struct tcp_segment segment;
	uint32_t wanted = plan->len;
	uint8_t flags = TCP_ACK;
	tcp_seq edge;

	plan->len = tcp_sendq_gather(&conn->work->sendq, plan->seq, wanted, !plan->again,
				     segment.payload, &segment.payload_count);
	// Many small extents: the rest goes into the next segment.
	if (plan->len < wanted)
		plan->fin = false;
	HOT_ASSERT(plan->len > 0 || plan->fin);
	if (plan->seq + plan->len == conn->work->sendq.end)
		flags |= TCP_PSH;
	if (plan->fin)
		flags |= TCP_FIN;
	segment.header = slice_of(header, conn_header(conn, plan, flags, header, &edge));
	segment.payload_len = plan->len;
	segment.tso_mss = plan->len > conn->segment_max ? conn->segment_max : 0;
	if (!emit(conn, &segment, edge))
		return false;
	account_sent(conn, plan);
	return true;
}

/*
 * More than a segment at once for a device that cuts: whole ones, and the rest if all may go. Not
 * more of them than a turn has, as devices have a limit, too, and refuse what exceeds it.
 */
static uint32_t whole_segments(const struct tcp_conn *conn, uint32_t len, uint32_t unsent)
{
	const struct tcp_config *config = &conn->stack->config;
	uint32_t most = ip_addr_is_v4(&conn->flow.remote) ? config->tso_bytes : config->tso6_bytes;
	uint32_t smss = conn->segment_max;

	if (likely(most < 2 * smss))
		return smss;
	len = min_u32(len, min_u32(most, TCP_SEGMENTS_PER_TURN * smss));
	return len == unsent ? len : len - len % smss;
}

/*
 * What may go next (RFC 9293 3.8.6.2.1, RFC 5681). Nagle's algorithm is off: the burst has gathered
 * already.
 */
static bool plan_next(struct tcp_conn *conn, struct plan *plan)
{
	uint32_t smss = conn->segment_max;
	uint32_t unsent = conn->work->sendq.end - conn->snd_nxt;
	uint32_t cwnd = conn->cwnd;
	uint32_t by_wnd, by_cwnd, wanted;

	// After a time-out: what the peer has meanwhile said to have is not sent again.
	if (unlikely(conn->work->board != NULL) && conn->snd_nxt != conn->snd_max) {
		uint32_t len = smss;

		conn->snd_nxt = tcp_scoreboard_missing(conn->work->board, conn->snd_nxt, &len);
		unsent = conn->work->sendq.end - conn->snd_nxt;
		smss = len;
	}
	if (tcp_seq_ge(conn->snd_nxt, tcp__snd_end(conn)))
		return false;
	// RFC 3042, limited transmit: each of the first two duplicates lets a new segment go.
	if (conn->work->dup_acks > 0 && conn->work->dup_acks < 3 &&
	    conn->snd_nxt == conn->snd_max && !tcp__has(conn, TCP_F_RECOVERY))
		cwnd += conn->work->dup_acks * smss;
	by_wnd = difference(conn->snd_wnd, tcp__flight(conn));
	by_cwnd = difference(cwnd, tcp__pipe(conn));
	wanted = min_u32(unsent, smss);
	*plan = (struct plan){.seq = conn->snd_nxt,
			      .len = min_u32(wanted, min_u32(by_wnd, by_cwnd))};
	if (plan->len < wanted) {
		if (by_cwnd < by_wnd)
			tcp__set(conn, TCP_F_CWND_LIMITED);
		// A runt now would be followed by runts for ever; an ACK will make room for more.
		if (tcp__flight(conn) > 0)
			return false;
	} else if (wanted < unsent && !conn->work->board) {
		plan->len = whole_segments(conn, min_u32(unsent, min_u32(by_wnd, by_cwnd)), unsent);
	}
	plan->fin = tcp__has(conn, TCP_F_FIN_QUEUED) && plan->len == unsent && by_wnd > plan->len;
	return plan->len > 0 || plan->fin;
}

/* What was sent before, from `seq` up to `end` at most, as one segment out of turn. */
static bool retransmit(struct tcp_conn *conn, tcp_seq seq, tcp_seq end)
{
	uint32_t data = tcp_seq_gt(conn->work->sendq.end, seq) ? conn->work->sendq.end - seq : 0;
	uint32_t wnd = difference(conn->snd_wnd, seq - conn->snd_una);
	struct plan plan = {.seq = seq, .again = true};

	plan.len = min_u32(min_u32(data, end - seq), min_u32(conn->segment_max, wnd));
	plan.fin = plan.len == data && end - seq > data;
	// Nothing to send: the peer took its window back, and the timer will probe.
	return (plan.len == 0 && !plan.fin) || send_planned(conn, &plan);
}

/*
 * What has been found lost goes before anything new: the first of it at once, the rest as the pipe
 * has room (RFC 6675 5 step 4.3, RFC 6582 3.2). False when there was no buffer.
 */
static bool output_lost(struct tcp_conn *conn)
{
	struct tcp_sack_block lost = {conn->snd_una, conn->snd_max};

	if (!conn->work->board) {
		if (tcp__has(conn, TCP_F_RETRANSMIT) && !retransmit(conn, lost.start, lost.end))
			return false;
		tcp__clear(conn, TCP_F_RETRANSMIT);
		return true;
	}
	for (uint32_t i = 0; i < TCP_SEGMENTS_PER_TURN && tcp__recovery_next(conn, &lost); i++) {
		tcp_seq before = lost.start;

		if (!tcp__has(conn, TCP_F_RETRANSMIT) &&
		    conn->cwnd < tcp__pipe(conn) + conn->segment_max)
			return true;
		if (!retransmit(conn, lost.start, lost.end))
			return false;
		tcp__clear(conn, TCP_F_RETRANSMIT);
		// No room in a window that was taken back.
		if (tcp__recovery_next(conn, &lost) && lost.start == before)
			return true;
	}
	return true;
}

void tcp__output_probe(struct tcp_conn *conn)
{
	tcp_seq from = conn->snd_max - conn->segment_max;

	(void)retransmit(conn, tcp_seq_max(from, conn->snd_una), conn->snd_max);
}

/* SYN of an active open, or SYN-ACK of a simultaneous one. */
static void output_syn(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	bool answer = conn->state == TCP_STATE_SYN_RECEIVED;
	struct tcp_header header = {
		.seq = conn->work->iss,
		.ack = answer ? conn->rcv_nxt : 0,
		.flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		// RFC 7323 2.2: the window of a SYN is never scaled.
		.wnd = (uint16_t)min_u32(stack->rcv_wnd, UINT16_MAX),
		.options =
			{
				.has_mss = true,
				.mss = tcp__our_mss(stack, &conn->flow),
				.has_wscale = answer ? tcp__has(conn, TCP_F_SCALED)
						     : stack->config.window_scale,
				.wscale = stack->rcv_scale,
				.sack_permitted =
					answer ? tcp__has(conn, TCP_F_SACK) : stack->config.sack,
				.has_timestamp = answer ? tcp__has(conn, TCP_F_TIMESTAMPS)
							: stack->config.timestamps,
				.tsval = stack->now_ms + conn->ts_offset,
				.tsecr = conn->ts_recent,
			},
	};

	if (conn->snd_nxt != conn->work->iss)
		return;
	if (!tcp__emit_header(stack, (struct tcp_endpoint){&conn->flow, conn->peer}, &header)) {
		tcp__block(conn);
		return;
	}
	if (conn->work->syn_retries == 0 && !answer) {
		tcp__set(conn, TCP_F_RTT_TIMING);
		conn->work->rtt_seq = conn->work->iss + 1;
		conn->work->rtt_start_ns = stack->now_ns;
	} else {
		tcp__clear(conn, TCP_F_RTT_TIMING);
	}
	conn->snd_nxt = conn->snd_max = conn->work->iss + 1;
	if (answer) {
		conn->rcv_acked = conn->rcv_nxt;
		conn->rcv_adv = tcp_seq_max(conn->rcv_adv, conn->rcv_nxt + header.wnd);
		tcp__clear(conn, TCP_F_ACK_NOW);
	}
	tcp__rtx_arm(conn);
}

void tcp__output(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t turn_end = stack->burst_segments + TCP_SEGMENTS_PER_TURN;
	struct plan plan;

	if (conn->state <= TCP_STATE_SYN_RECEIVED) {
		if (conn->state != TCP_STATE_CLOSED)
			output_syn(conn);
		return;
	}
	if (unlikely(conn->work->board || tcp__has(conn, TCP_F_RETRANSMIT)) && !output_lost(conn))
		return;
	tcp__clear(conn, TCP_F_CWND_LIMITED);
	if (conn->snd_max == conn->snd_una &&
	    (stack->now_ms - conn->last_tx_ms) * TCP_MS_NS > tcp__rto_ns(conn))
		tcp__cc_restart(conn);
	while (plan_next(conn, &plan)) {
		// A large reply takes turns with the others.
		if (stack->burst_segments >= turn_end) {
			tcp__touch(conn);
			break;
		}
		if (!send_planned(conn, &plan))
			return;
	}
	// A flight of several segments is probed sooner than the one that the timer was armed for.
	if (conn->snd_max - conn->snd_una > conn->segment_max)
		tcp__timer_want(conn, tcp__recovery_deadline(conn));
	// RFC 9293 3.8.6.1: something waits, nothing is in flight: only a probe can find the window
	// open.
	if (tcp__flight(conn) == 0 && tcp_seq_lt(conn->snd_nxt, tcp__snd_end(conn)) &&
	    conn->work->rtx_deadline_ns == TCP_NEVER_NS)
		tcp__rtx_arm(conn);
}

/* An ACK without data, from where the peer accepts it even if it took its window back. */
void tcp__send_ack(struct tcp_conn *conn)
{
	uint8_t header[TCP_HEADER_MAX];
	tcp_seq limit = conn->snd_una + conn->snd_wnd;
	struct plan plan = {.seq = tcp_seq_gt(conn->snd_max, limit) ? limit : conn->snd_max};
	struct tcp_segment segment = {.payload_count = 0};
	tcp_seq edge;

	segment.header = slice_of(header, conn_header(conn, &plan, TCP_ACK, header, &edge));
	if (!emit(conn, &segment, edge)) {
		// The next flush, at the latest after the pause, tries again.
		tcp__set(conn, TCP_F_ACK_NOW);
	}
}

/*
 * A byte that the peer has already, so it answers whatever its window is (RFC 9293 3.8.4, 3.8.6.1).
 * Not a byte without data: Linux limits its answers to those. Neither cwnd nor the window is
 * touched by it.
 */
bool tcp__send_probe(struct tcp_conn *conn)
{
	static const uint8_t junk;
	uint8_t header[TCP_HEADER_MAX];
	struct plan plan = {.seq = conn->snd_una - 1, .len = 1};
	struct tcp_segment segment = {
		.payload = {slice_of(&junk, 1)},
		.payload_count = 1,
		.payload_len = 1,
	};
	tcp_seq edge;

	segment.header = slice_of(header, conn_header(conn, &plan, TCP_ACK, header, &edge));
	return emit(conn, &segment, edge);
}

void tcp__send_rst(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_header header = {
		.flags = TCP_RST | TCP_ACK,
		.seq = conn->snd_max,
		.ack = conn->rcv_nxt,
	};

	if (tcp__emit_header(stack, (struct tcp_endpoint){&conn->flow, conn->peer}, &header))
		tcp__count(stack, TCP_COUNT_RST_OUT);
}
