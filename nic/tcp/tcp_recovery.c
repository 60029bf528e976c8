/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Finding losses before the retransmission timer does, on connections with SACK: the scoreboard
 * says what is missing, time and order of arrival say what is lost (RFC 6675, RFC 8985 without a
 * stamp per segment), and a probe makes the peer tell about the end of a flight (RFC 8985 7, TLP).
 * tcp_ack.c reports, tcp_timer.c calls when a deadline has passed, tcp_output.c asks what to send;
 * how much may be in flight is tcp_cc.c's. Without SACK tcp_cc.c counts duplicates instead.
 */

#define REORDER_MIN_NS    (1 * TCP_MS_NS) // the timer wheel's tick
#define PROBE_MIN_NS      (2 * TCP_MS_NS)
#define DUP_ACK_THRESHOLD 3

static uint64_t rtt_ns(const struct tcp_conn *conn)
{
	return (uint64_t)conn->srtt_us * 1000;
}

static bool has_gaps(const struct tcp_conn *conn)
{
	return conn->work->board && conn->work->board->count > 0;
}

/* RFC 8985 6.2 step 4: a quarter of the round trip. */
static uint64_t reorder_ns(const struct tcp_conn *conn)
{
	uint64_t quarter = rtt_ns(conn) / 4;

	return quarter > REORDER_MIN_NS ? quarter : REORDER_MIN_NS;
}

static bool after_timeout(const struct tcp_conn *conn)
{
	return !tcp__has(conn, TCP_F_RECOVERY) && tcp_seq_lt(conn->snd_una, conn->work->recover);
}

/* Whether losses are being mended already. */
static bool mending(const struct tcp_conn *conn)
{
	return tcp__has(conn, TCP_F_RECOVERY) || after_timeout(conn);
}

static void detect(struct tcp_conn *conn)
{
	struct tcp_loss_rule rule = {
		.now_ns = conn->stack->now_ns,
		.rtt_ns = rtt_ns(conn),
		.reorder_ns = reorder_ns(conn),
		.threshold =
			conn->reordered ? UINT32_MAX : (DUP_ACK_THRESHOLD - 1u) * conn->segment_max,
	};

	conn->work->reorder_ns = tcp_scoreboard_detect(conn->work->board, &rule);
	tcp__timer_want(conn, conn->work->reorder_ns);
	if (!tcp_scoreboard_lossy(conn->work->board))
		return;
	if (!mending(conn))
		tcp__cc_enter_recovery(conn);
	tcp__touch(conn);
}

/* The scoreboard goes when nothing is missing any more. */
static void settle(struct tcp_conn *conn)
{
	if (conn->work->board->count > 0)
		return;
	tcp_slab_free(&conn->stack->boards, conn->work->board);
	conn->work->board = NULL;
	conn->work->reorder_ns = TCP_NEVER_NS;
}

/* RFC 2883 4: the first block repeats what is acknowledged, or lies within the second. */
static bool is_duplicate_report(const struct tcp_seg *seg)
{
	const struct tcp_sack_block *blocks = seg->options.sack;

	if (tcp_seq_lt(blocks[0].start, seg->ack))
		return true;
	return seg->options.sack_count > 1 && tcp_seq_ge(blocks[0].start, blocks[1].start) &&
	       tcp_seq_le(blocks[0].end, blocks[1].end);
}

/* Both copies of something have arrived. */
static void input_duplicate_report(struct tcp_conn *conn)
{
	// The probe's original was late, not lost.
	if (conn->work->probed)
		conn->work->probed = false;
	else if (tcp__has(conn, TCP_F_RECOVERY))
		conn->reordered = true;
}

/* By number: of what one ACK reports, others having been lost, nothing has overtaken anything. */
static void sort_blocks(struct tcp_sack_block *blocks, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		struct tcp_sack_block block = blocks[i];
		uint32_t at = i;

		for (; at > 0 && tcp_seq_gt(blocks[at - 1].start, block.start); at--)
			blocks[at] = blocks[at - 1];
		blocks[at] = block;
	}
}

void tcp__recovery_sacked(struct tcp_conn *conn, struct tcp_seg *seg)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t first = 0;

	if (is_duplicate_report(seg)) {
		input_duplicate_report(conn);
		first = 1;
	}
	sort_blocks(seg->options.sack + first, seg->options.sack_count - first);
	for (uint32_t i = first; i < seg->options.sack_count; i++) {
		struct tcp_sack_block block = seg->options.sack[i];

		// An old ACK may still tell of what is acknowledged by now.
		if (tcp_seq_le(block.start, conn->snd_una) || tcp_seq_gt(block.end, conn->snd_max))
			continue;
		if (!conn->work->board) {
			conn->work->board = tcp_slab_alloc(&stack->boards);
			if (!conn->work->board)
				return; // the retransmission timer will do
			tcp_scoreboard_init(conn->work->board, conn->snd_una);
		}
		if (tcp_scoreboard_add(conn->work->board, block, stack->now_ns))
			conn->reordered = true;
	}
	if (!conn->work->board)
		return;
	detect(conn);
	settle(conn);
}

/* RFC 8985 7.4.2: the end of a probed flight has been acknowledged. */
static void probe_acked(struct tcp_conn *conn)
{
	if (tcp_seq_le(conn->snd_una, conn->work->probe_end))
		return;
	// No second copy was reported: the probe has mended a loss.
	conn->work->probed = false;
	if (!mending(conn))
		tcp__cc_reduce(conn);
}

void tcp__recovery_acked(struct tcp_conn *conn)
{
	if (conn->work->probed)
		probe_acked(conn);
	if (!conn->work->board)
		return;
	if (tcp_scoreboard_acked(conn->work->board, conn->snd_una))
		conn->reordered = true;
	if (conn->work->board->count > 0)
		detect(conn);
	settle(conn);
}

void tcp__recovery_restart(struct tcp_conn *conn)
{
	if (!conn->work->board)
		return;
	tcp_scoreboard_restart(conn->work->board, conn->stack->now_ns);
	conn->work->reorder_ns = TCP_NEVER_NS;
}

/*
 * When a probe is due (RFC 8985 7.2), if nothing is heard of the flight. The ACK of a single
 * segment may be delayed by as much as the time-out's floor stands for: there that comes first.
 * Unlike the RFC's, it is also sent in fast recovery, whose last retransmissions may be lost.
 */
static uint64_t probe_deadline(const struct tcp_conn *conn)
{
	uint64_t after_ns = 2 * rtt_ns(conn);
	bool single = conn->snd_max - conn->snd_una <= conn->segment_max;

	// The usual reply: the time-out is its floor, and comes first.
	if (single && conn->work->rto_us <= conn->rto_floor_ms * 1000u)
		return TCP_NEVER_NS;
	if (!tcp__has(conn, TCP_F_SACK) || conn->srtt_us == 0 || conn->work->probed ||
	    conn->work->backoff > 0 || conn->snd_wnd == 0 || conn->snd_max == conn->snd_una ||
	    after_timeout(conn) || conn->state <= TCP_STATE_SYN_RECEIVED)
		return TCP_NEVER_NS;
	if (after_ns < PROBE_MIN_NS)
		after_ns = PROBE_MIN_NS;
	if (single)
		after_ns += conn->rto_floor_ms * TCP_MS_NS;
	return after_ns < tcp__rto_ns(conn) ? conn->work->last_tx_ns + after_ns : TCP_NEVER_NS;
}

uint64_t tcp__recovery_deadline(const struct tcp_conn *conn)
{
	uint64_t probe_ns = probe_deadline(conn);

	return conn->work->reorder_ns < probe_ns ? conn->work->reorder_ns : probe_ns;
}

void tcp__recovery_expired(struct tcp_conn *conn)
{
	if (conn->work->reorder_ns <= conn->stack->now_ns) {
		detect(conn);
		tcp__output(conn);
		return;
	}
	conn->work->probed = true;
	tcp__output_probe(conn);
	conn->work->probe_end = conn->snd_max;
	tcp__count(conn->stack, TCP_COUNT_TAIL_PROBES);
	tcp__rtx_arm(conn);
}

uint32_t tcp__pipe(const struct tcp_conn *conn)
{
	uint32_t flight = tcp__flight(conn);

	if (likely(!conn->work->board))
		return flight;
	return flight - tcp_scoreboard_absent(conn->work->board, conn->snd_nxt);
}

bool tcp__recovery_next(const struct tcp_conn *conn, struct tcp_sack_block *lost)
{
	return has_gaps(conn) && tcp_scoreboard_next(conn->work->board, conn->snd_nxt, lost);
}
