/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * What an acknowledgment does: frees what it covers, moves the window, times the path, finds losses
 * (RFC 9293 3.10.7.4 step 5, RFC 5681, 5961 5). Called by the fast path and the slow path alike.
 */

/* The peer has everything before `ack`, which lies in (snd_una, snd_max]. tsecr 0: no timestamp. */
void tcp__ack_advance(struct tcp_conn *conn, tcp_seq ack, uint32_t tsecr)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t acked = ack - conn->snd_una;

	HOT_ASSERT(tcp_seq_gt(ack, conn->snd_una) && tcp_seq_le(ack, conn->snd_max));
	tcp_sendq_sync(&conn->work->sendq, &conn->work->out);
	// The owner may have been told so in this burst; then it counts on on_drained.
	if (tcp_out_full(conn))
		tcp__set(conn, TCP_F_FULL);
	tcp__rtt_acked(conn, ack, tsecr);
	if (unlikely(tcp__has(conn, TCP_F_UNDO)) && tcp__cc_undo(conn, tsecr)) {
		conn->snd_nxt = conn->snd_max;
		tcp_sendq_rewind(&conn->work->sendq);
		tcp__recovery_restart(conn);
	}
	conn->snd_una = ack;
	conn->work->progress_ns = stack->now_ns;
	conn->work->backoff = 0;
	tcp_sendq_trim(&stack->sendq_pool, &conn->work->sendq, &conn->work->out, ack);
	// Data from before a time-out may be acknowledged before it is sent again.
	if (tcp_seq_lt(conn->snd_nxt, ack)) {
		conn->snd_nxt = ack;
		tcp_sendq_rewind(&conn->work->sendq);
	}
	tcp__cc_acked(conn, acked);
	conn->work->dup_acks = 0;
	if (unlikely(conn->work->board || conn->work->probed))
		tcp__recovery_acked(conn);
	// RFC 6298 5.2, 5.3
	if (conn->snd_max == ack)
		conn->work->rtx_deadline_ns = TCP_NEVER_NS;
	else
		tcp__rtx_arm(conn);
	if (conn->work->sendq.head || conn->snd_max != ack || tcp__has(conn, TCP_F_FULL) ||
	    tcp__has(conn, TCP_F_FIN_QUEUED))
		tcp__touch(conn);
}

/*
 * RFC 9293 3.10.7.4: from the newest segment only. One that acknowledges more is always newer,
 * although its own number is low when the peer has gone back to send again. Returns whether the
 * window changed.
 */
static bool update_window(struct tcp_conn *conn, const struct tcp_seg *seg, bool advances)
{
	uint32_t wnd = seg->wnd << conn->snd_scale;
	bool changed = wnd != conn->snd_wnd;

	if (!advances && !tcp_seq_lt(conn->snd_wl1, seg->seq) &&
	    !(conn->snd_wl1 == seg->seq && tcp_seq_le(conn->snd_wl2, seg->ack)))
		return false;
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	conn->snd_wnd = wnd;
	if (wnd > conn->work->max_snd_wnd)
		conn->work->max_snd_wnd = wnd;
	if (changed && tcp_seq_lt(conn->snd_nxt, tcp__snd_end(conn))) {
		// The probe timer has done its work; what is in flight from before keeps its own.
		if (wnd > 0 && tcp__flight(conn) == 0) {
			conn->work->backoff = 0;
			conn->work->rtx_deadline_ns = TCP_NEVER_NS;
			if (conn->snd_max != conn->snd_una)
				tcp__rtx_arm(conn);
		}
		tcp__touch(conn);
	}
	return changed;
}

/* RFC 5681 2: a duplicate says nothing new and carries nothing. */
static bool is_duplicate(const struct tcp_conn *conn, const struct tcp_seg *seg,
			 bool window_changed)
{
	return seg->ack == conn->snd_una && tcp__seg_len(seg) == 0 && !window_changed &&
	       conn->snd_max != conn->snd_una && seg->wnd << conn->snd_scale == conn->snd_wnd;
}

bool tcp__input_ack(struct tcp_conn *conn, struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t past =
		conn->work->max_snd_wnd > conn->snd_wnd ? conn->work->max_snd_wnd : conn->snd_wnd;
	bool advances = tcp_seq_gt(seg->ack, conn->snd_una);
	bool window_changed;

	// 5a. Acknowledges what was never sent, or is older than any window (RFC 5961 5.2).
	if (tcp_seq_gt(seg->ack, conn->snd_max) || tcp_seq_lt(seg->ack, conn->snd_una - past)) {
		tcp__drop(stack, DROP_TCP_ACK);
		tcp__challenge(conn);
		return false;
	}
	// 5b. New data is acknowledged.
	if (advances)
		tcp__ack_advance(conn, seg->ack,
				 tcp__has(conn, TCP_F_TIMESTAMPS) ? seg->options.tsecr : 0);
	// 5c. The send window, also from segments that acknowledge nothing.
	window_changed = tcp_seq_ge(seg->ack, conn->snd_una) && update_window(conn, seg, advances);
	// 5d. Loss detection: by what has arrived, or by counting ACKs of a peer that does not say.
	if (!advances && is_duplicate(conn, seg, window_changed)) {
		tcp__count(stack, TCP_COUNT_DUP_ACKS);
		if (!tcp__has(conn, TCP_F_SACK))
			tcp__cc_dup_ack(conn);
		tcp__touch(conn);
	}
	if (unlikely(seg->options.sack_count > 0) && tcp__has(conn, TCP_F_SACK))
		tcp__recovery_sacked(conn, seg);
	return true;
}
