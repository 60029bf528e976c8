/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Congestion control, NewReno: slow start, congestion avoidance, fast recovery and the answer to
 * time-outs (RFC 5681, 6582), growth only while the window is used (RFC 7661), undo of needless
 * reductions (RFC 3522). tcp_ack.c, tcp_recovery.c and tcp_timer.c report events; tcp_output.c
 * keeps what is in flight below cwnd. All sizes in bytes.
 */

#define INITIAL_SEGMENTS  10 // RFC 6928
#define INITIAL_BYTES_MAX 14600u
#define DUP_ACK_THRESHOLD 3
#define CWND_MAX          (64u << 20)
#define REDUCE_NS         (1 * TCP_MS_NS)

static uint32_t initial_window(const struct tcp_conn *conn)
{
	uint32_t smss = conn->segment_max;
	uint32_t bytes = INITIAL_SEGMENTS * smss;
	uint32_t cap = 2 * smss > INITIAL_BYTES_MAX ? 2 * smss : INITIAL_BYTES_MAX;

	return bytes < cap ? bytes : cap;
}

void tcp__cc_init(struct tcp_conn *conn, bool lost_handshake)
{
	// RFC 5681 3.1: a lost SYN or SYN-ACK leaves one segment.
	conn->cwnd = lost_handshake ? conn->segment_max : initial_window(conn);
	conn->ssthresh = CWND_MAX;
	conn->work->recover = conn->snd_una;
	conn->work->cwnd_credit = 0;
}

static uint32_t halved(const struct tcp_conn *conn, uint32_t flight)
{
	uint32_t smss = conn->segment_max;

	return flight / 2 > 2 * smss ? flight / 2 : 2 * smss;
}

/* An ACK during fast recovery: RFC 6582 3.2. */
static void recovery_acked(struct tcp_conn *conn, uint32_t acked)
{
	uint32_t smss = conn->segment_max;

	if (tcp__has(conn, TCP_F_SACK)) {
		// RFC 6675 5: the pipe was kept at ssthresh, so there is nothing to deflate.
		if (tcp_seq_ge(conn->snd_una, conn->work->recover)) {
			tcp__clear(conn, TCP_F_RECOVERY);
			tcp__clear(conn, TCP_F_RETRANSMIT);
		}
		return;
	}
	if (tcp_seq_ge(conn->snd_una, conn->work->recover)) {
		// Step 3, full acknowledgment, the careful variant that avoids a burst.
		uint32_t flight = tcp__flight(conn);
		uint32_t bytes = (flight > smss ? flight : smss) + smss;

		conn->cwnd = bytes < conn->ssthresh ? bytes : conn->ssthresh;
		tcp__clear(conn, TCP_F_RECOVERY);
		tcp__clear(conn, TCP_F_RETRANSMIT);
		return;
	}
	// Step 3, partial acknowledgment: the next hole begins at snd_una.
	conn->cwnd = conn->cwnd > acked ? conn->cwnd - acked : 0;
	if (acked >= smss)
		conn->cwnd += smss;
	if (conn->cwnd < smss)
		conn->cwnd = smss;
	tcp__set(conn, TCP_F_RETRANSMIT);
}

/* snd_una has moved by `acked`. */
void tcp__cc_acked(struct tcp_conn *conn, uint32_t acked)
{
	uint32_t smss = conn->segment_max;
	bool after_timeout = tcp_seq_lt(conn->snd_una - acked, conn->work->recover);

	if (tcp__has(conn, TCP_F_RECOVERY)) {
		recovery_acked(conn, acked);
		return;
	}
	// Keeps `recover` near, or comparisons would turn round after 2 GiB.
	conn->work->recover = tcp_seq_max(conn->work->recover, conn->snd_una);
	if (!tcp__has(conn, TCP_F_CWND_LIMITED) || conn->cwnd >= CWND_MAX)
		return;
	if (conn->cwnd < conn->ssthresh) {
		// RFC 3465 2.3: after a time-out one ACK may cover much that arrived long before.
		conn->cwnd += after_timeout && acked > smss ? smss : acked;
		return;
	}
	conn->work->cwnd_credit += acked;
	if (conn->work->cwnd_credit >= conn->cwnd) {
		conn->work->cwnd_credit -= conn->cwnd;
		conn->cwnd += smss;
	}
}

/* What an ACK may prove to have been needless (RFC 3522): only its timestamp can tell. */
static void prepare_undo(struct tcp_conn *conn)
{
	conn->work->undo_cwnd = conn->cwnd;
	conn->work->undo_ssthresh = conn->ssthresh;
	conn->work->undo_ts = conn->stack->now_ms + conn->ts_offset;
	conn->work->undo_sent_ns = conn->work->last_tx_ns;
	if (tcp__has(conn, TCP_F_TIMESTAMPS))
		tcp__set(conn, TCP_F_UNDO);
}

/*
 * Losses of one window are one sign of congestion (RFC 5681 3.2); at rack distances those of a
 * millisecond are, or a hundredth of the segments lost at random would leave little of cwnd.
 */
static bool reduction_due(struct tcp_conn *conn)
{
	uint64_t now_ns = conn->stack->now_ns;

	if (conn->work->reduced_ns != 0 && now_ns - conn->work->reduced_ns < REDUCE_NS)
		return false;
	conn->work->reduced_ns = now_ns;
	return true;
}

/* A loss has been found, by duplicates (RFC 6582 3.2) or on the scoreboard (RFC 6675 5). */
void tcp__cc_enter_recovery(struct tcp_conn *conn)
{
	prepare_undo(conn);
	if (reduction_due(conn)) {
		conn->ssthresh = halved(conn, tcp__flight(conn));
		conn->cwnd = conn->ssthresh;
	}
	// What the duplicates stand for has left the network; with SACK, the pipe knows.
	if (!tcp__has(conn, TCP_F_SACK))
		conn->cwnd += DUP_ACK_THRESHOLD * conn->segment_max;
	conn->work->recover = conn->snd_max;
	conn->work->cwnd_credit = 0;
	tcp__set(conn, TCP_F_RECOVERY);
	tcp__set(conn, TCP_F_RETRANSMIT);
	tcp__count(conn->stack, TCP_COUNT_FAST_RETRANSMITS);
	tcp__touch(conn);
}

/* A loss that has been mended without recovery (RFC 8985 7.4.2). */
void tcp__cc_reduce(struct tcp_conn *conn)
{
	if (reduction_due(conn)) {
		conn->ssthresh = halved(conn, conn->cwnd);
		conn->cwnd = conn->ssthresh;
	}
	conn->work->cwnd_credit = 0;
}

void tcp__cc_dup_ack(struct tcp_conn *conn)
{
	uint32_t smss = conn->segment_max;

	if (conn->work->dup_acks < UINT8_MAX)
		conn->work->dup_acks++;
	if (tcp__has(conn, TCP_F_RECOVERY)) {
		// RFC 5681 3.2 step 4: a segment has left the network. No more can have than were
		// in it.
		if (conn->cwnd < conn->ssthresh + (conn->work->recover - conn->snd_una) + 3 * smss)
			conn->cwnd += smss;
		return;
	}
	// RFC 6582 3.2 step 2: duplicates of what a time-out sent again are no sign of loss.
	if (conn->work->dup_acks == DUP_ACK_THRESHOLD &&
	    tcp_seq_ge(conn->snd_una, conn->work->recover))
		tcp__cc_enter_recovery(conn);
}

/* The retransmission timer has expired; conn->work->backoff counts how often without progress. */
void tcp__cc_timeout(struct tcp_conn *conn)
{
	uint32_t flight = conn->snd_max - conn->snd_una;

	if (conn->work->backoff == 1) {
		// RFC 5681 3.1: only the first time-out of a series tells about the flight.
		bool recovering = tcp__has(conn, TCP_F_RECOVERY);

		prepare_undo(conn);
		if (recovering) // there was a loss, whatever this one proves to be
			tcp__clear(conn, TCP_F_UNDO);
		conn->ssthresh = halved(conn, flight);
	}
	conn->cwnd = conn->segment_max;
	conn->work->cwnd_credit = 0;
	conn->work->dup_acks = 0;
	conn->work->recover = conn->snd_max;
	tcp__clear(conn, TCP_F_RECOVERY);
	tcp__clear(conn, TCP_F_RETRANSMIT);
}

/*
 * RFC 3522: the first ACK after a retransmission echoes a timestamp from before it, so nothing was
 * lost. Returns whether what it had cost has been given back.
 */
bool tcp__cc_undo(struct tcp_conn *conn, uint32_t tsecr)
{
	tcp__clear(conn, TCP_F_UNDO);
	if (tsecr == 0 || !tcp_seq_lt(tsecr, conn->work->undo_ts))
		return false;
	conn->cwnd = conn->work->undo_cwnd;
	conn->ssthresh = conn->work->undo_ssthresh;
	conn->work->recover = conn->snd_una;
	tcp__count(conn->stack, TCP_COUNT_UNDONE);
	if (tcp__has(conn, TCP_F_RECOVERY)) {
		tcp__clear(conn, TCP_F_RECOVERY);
		tcp__clear(conn, TCP_F_RETRANSMIT);
		conn->reordered = true;
	} else {
		tcp__rtt_raise_floor(conn, conn->stack->now_ns - conn->work->undo_sent_ns);
	}
	return true;
}

/* RFC 5681 4.1: after an idle time the old window says nothing about the network. */
void tcp__cc_restart(struct tcp_conn *conn)
{
	uint32_t window = initial_window(conn);

	if (conn->cwnd > window)
		conn->cwnd = window;
}
