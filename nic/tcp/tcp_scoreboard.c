/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_scoreboard.h"

#include "base/contract.h"

#include <string.h>

/*
 * The scoreboard's bookkeeping, without a clock or a connection. tcp_recovery.c feeds it with what
 * ACKs say and asks it what to send.
 */

void tcp_scoreboard_init(struct tcp_scoreboard *board, tcp_seq una)
{
	board->una = una;
	board->count = 0;
	board->delivered_ns = 0;
}

static tcp_seq gap_start(const struct tcp_scoreboard *board, uint32_t i)
{
	return i > 0 ? board->islands[i - 1].end : board->una;
}

/*
 * Bytes [from, to) of the gap before island i have arrived. Returns whether they were sent only
 * once although the network has overtaken them.
 */
static bool arrived(struct tcp_scoreboard *board, uint32_t i, tcp_seq from, tcp_seq to)
{
	const struct tcp_island *island = &board->islands[i];

	if (from == to)
		return false;
	if (island->resent_ns == 0)
		return true;
	// Not resent since it was lost once more: then the one before has arrived after all.
	if (island->resent_ns > board->delivered_ns && tcp_seq_gt(island->resent, from))
		board->delivered_ns = island->resent_ns;
	return false;
}

static void remove_islands(struct tcp_scoreboard *board, uint32_t at, uint32_t count)
{
	board->count -= count;
	memmove(&board->islands[at], &board->islands[at + count],
		(board->count - at) * sizeof(board->islands[0]));
}

/* A new island at place i; the gap that it falls into is divided. */
static bool insert(struct tcp_scoreboard *board, uint32_t i, struct tcp_sack_block block,
		   uint64_t now_ns)
{
	struct tcp_island fresh = {.sacked_ns = now_ns, .resent = gap_start(board, i)};
	bool reordered = false;

	if (i < board->count) {
		struct tcp_island *above = &board->islands[i];

		reordered = arrived(board, i, block.start, block.end);
		fresh = *above;
		fresh.sacked_ns = now_ns;
		if (tcp_seq_gt(fresh.resent, block.start))
			fresh.resent = block.start;
		above->resent = tcp_seq_max(above->resent, block.end);
	}
	fresh.start = block.start;
	fresh.end = block.end;
	if (board->count == TCP_ISLANDS_MAX) {
		if (i == board->count)
			return reordered;
		board->count--; // the highest gives way: the others will be asked about first
	}
	memmove(&board->islands[i + 1], &board->islands[i],
		(board->count - i) * sizeof(board->islands[0]));
	board->islands[i] = fresh;
	board->count++;
	return reordered;
}

/* The block overlaps or touches island i, and perhaps those after it. */
static bool merge(struct tcp_scoreboard *board, uint32_t i, struct tcp_sack_block block)
{
	struct tcp_island *island = &board->islands[i];
	bool reordered = false;
	uint32_t absorbed = 0;

	if (tcp_seq_lt(block.start, island->start)) {
		reordered = arrived(board, i, block.start, island->start);
		island->start = block.start;
		if (tcp_seq_gt(island->resent, block.start))
			island->resent = block.start;
	}
	for (uint32_t j = i + 1; j < board->count; j++, absorbed++) {
		struct tcp_island *next = &board->islands[j];
		tcp_seq from = board->islands[j - 1].end;

		if (tcp_seq_lt(block.end, next->start))
			break;
		reordered |= arrived(board, j, from, next->start);
		block.end = tcp_seq_max(block.end, next->end);
		if (next->sacked_ns < island->sacked_ns)
			island->sacked_ns = next->sacked_ns;
	}
	if (tcp_seq_gt(block.end, island->end)) {
		// What is left of the next gap begins further on.
		if (i + absorbed + 1 < board->count) {
			struct tcp_island *next = &board->islands[i + absorbed + 1];
			tcp_seq from = board->islands[i + absorbed].end;

			if (tcp_seq_gt(block.end, from))
				reordered |= arrived(board, i + absorbed + 1, from, block.end);
			next->resent = tcp_seq_max(next->resent, block.end);
		}
		island->end = block.end;
	}
	remove_islands(board, i + 1, absorbed);
	return reordered;
}

bool tcp_scoreboard_add(struct tcp_scoreboard *board, struct tcp_sack_block block, uint64_t now_ns)
{
	uint32_t i = 0;

	if (tcp_seq_le(block.start, board->una) || tcp_seq_le(block.end, block.start))
		return false;
	while (i < board->count && tcp_seq_lt(board->islands[i].end, block.start))
		i++;
	if (i == board->count || tcp_seq_lt(block.end, board->islands[i].start))
		return insert(board, i, block, now_ns);
	return merge(board, i, block);
}

bool tcp_scoreboard_acked(struct tcp_scoreboard *board, tcp_seq una)
{
	bool reordered = false;
	struct tcp_island *first;

	while (board->count > 0 && tcp_seq_ge(una, board->islands[0].end)) {
		reordered |= arrived(board, 0, board->una, board->islands[0].start);
		board->una = board->islands[0].end;
		remove_islands(board, 0, 1);
	}
	first = &board->islands[0];
	if (board->count > 0 && tcp_seq_ge(una, first->start)) {
		board->count = 0;
	} else if (board->count > 0) {
		reordered |= arrived(board, 0, board->una, una);
		first->resent = tcp_seq_max(first->resent, una);
	}
	board->una = una;
	return reordered;
}

/* Whether a gap that was sent again has been lost again; *due_ns: when that may be said. */
static bool lost_again(const struct tcp_scoreboard *board, uint32_t i,
		       const struct tcp_loss_rule *rule, uint64_t *due_ns)
{
	const struct tcp_island *island = &board->islands[i];
	tcp_seq top = board->islands[board->count - 1].end;

	if (!tcp_seq_gt(top, island->resent_max) && board->delivered_ns <= island->resent_ns)
		return false;
	*due_ns = island->resent_ns + rule->rtt_ns + rule->reorder_ns;
	return rule->now_ns >= *due_ns;
}

uint64_t tcp_scoreboard_detect(struct tcp_scoreboard *board, const struct tcp_loss_rule *rule)
{
	uint64_t next_ns = UINT64_MAX, oldest_ns = UINT64_MAX;
	uint32_t beyond = 0;

	for (uint32_t i = board->count; i-- > 0;) {
		struct tcp_island *island = &board->islands[i];
		uint64_t due_ns = UINT64_MAX;

		beyond += island->end - island->start;
		if (island->sacked_ns < oldest_ns)
			oldest_ns = island->sacked_ns;
		if (island->resent != gap_start(board, i)) {
			if (lost_again(board, i, rule, &due_ns)) {
				island->resent = gap_start(board, i);
				island->lost = true;
				due_ns = UINT64_MAX;
			}
		} else if (!island->lost) {
			due_ns = oldest_ns + rule->reorder_ns;
			island->lost = beyond > rule->threshold || rule->now_ns >= due_ns;
			if (island->lost)
				due_ns = UINT64_MAX;
		}
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	return next_ns;
}

bool tcp_scoreboard_lossy(const struct tcp_scoreboard *board)
{
	for (uint32_t i = 0; i < board->count; i++)
		if (board->islands[i].lost)
			return true;
	return false;
}

bool tcp_scoreboard_next(const struct tcp_scoreboard *board, tcp_seq limit,
			 struct tcp_sack_block *lost)
{
	for (uint32_t i = 0; i < board->count; i++) {
		const struct tcp_island *island = &board->islands[i];

		if (tcp_seq_ge(island->resent, limit))
			return false;
		if (!island->lost || !tcp_seq_lt(island->resent, island->start))
			continue;
		*lost = (struct tcp_sack_block){island->resent, island->start};
		if (tcp_seq_gt(lost->end, limit))
			lost->end = limit;
		return true;
	}
	return false;
}

void tcp_scoreboard_resent(struct tcp_scoreboard *board, struct tcp_sack_block sent,
			   tcp_seq snd_max, uint64_t now_ns)
{
	for (uint32_t i = 0; i < board->count; i++) {
		struct tcp_island *island = &board->islands[i];

		if (!tcp_seq_lt(sent.start, island->start))
			continue;
		if (tcp_seq_gt(sent.end, island->start))
			sent.end = island->start;
		if (tcp_seq_gt(sent.end, island->resent)) {
			island->resent = sent.end;
			island->resent_max = snd_max;
			island->resent_ns = now_ns;
		}
		return;
	}
}

uint32_t tcp_scoreboard_absent(const struct tcp_scoreboard *board, tcp_seq snd_nxt)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < board->count; i++) {
		const struct tcp_island *island = &board->islands[i];

		if (tcp_seq_gt(island->end, snd_nxt))
			break;
		bytes += island->end - island->start;
		if (island->lost)
			bytes += island->start - island->resent;
	}
	return bytes;
}

tcp_seq tcp_scoreboard_missing(const struct tcp_scoreboard *board, tcp_seq seq, uint32_t *len)
{
	for (uint32_t i = 0; i < board->count; i++) {
		const struct tcp_island *island = &board->islands[i];

		if (tcp_seq_lt(seq, island->start)) {
			if (*len > island->start - seq)
				*len = island->start - seq;
			break;
		}
		if (tcp_seq_lt(seq, island->end))
			seq = island->end;
	}
	return seq;
}

void tcp_scoreboard_restart(struct tcp_scoreboard *board, uint64_t now_ns)
{
	for (uint32_t i = 0; i < board->count; i++) {
		struct tcp_island *island = &board->islands[i];

		island->lost = false;
		island->resent = gap_start(board, i);
		island->sacked_ns = now_ns;
	}
}
