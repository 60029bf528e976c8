/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp_options.h"

/*
 * What a peer has told of the bytes beyond snd_una (RFC 2018), and what has been done about the
 * gaps: the scoreboard of RFC 6675, with the times that RFC 8985 (RACK) decides by. Exists only
 * while something is missing.
 *
 *     una                resent
 *      |    gap 0          |         island 0     gap 1     island 1        snd_max
 *      [.. sent again .....|.........][#########][........][########]..........|
 *
 * First transmissions leave in the order of their numbers, so an island proves that everything
 * before it was sent earlier; no time of sending is kept but that of the last retransmission in a
 * gap.
 */
#define TCP_ISLANDS_MAX 64

struct tcp_island {
	tcp_seq start, end;
	uint64_t sacked_ns; // when the first of its bytes was reported
	// Of the gap before it:
	tcp_seq resent;     // sent again up to here; where the gap begins: not, or lost since
	tcp_seq resent_max; // snd_max at the last retransmission
	uint64_t resent_ns; // of the last retransmission; 0: none ever
	bool lost;          // to be sent again from `resent` on
};

struct tcp_scoreboard {
	tcp_seq una;
	uint32_t count;
	uint64_t delivered_ns; // when the newest retransmission that has arrived was sent
	struct tcp_island islands[TCP_ISLANDS_MAX]; // by sequence, never touching
};

/* When a gap counts as lost. */
struct tcp_loss_rule {
	uint64_t now_ns;
	uint64_t rtt_ns;
	uint64_t reorder_ns; // that bytes may be late (RFC 8985 6.2 step 4)
	// so many bytes beyond a gap prove it lost at once (RFC 6675 IsLost); UINT32_MAX: no number
	uint32_t threshold;
};

void tcp_scoreboard_init(struct tcp_scoreboard *board, tcp_seq una);

/*
 * A block of a SACK option that lies beyond una. What does not fit into the board is forgotten: it
 * is advice (RFC 2018 8). True when a gap has been filled, in part or whole, by bytes that were
 * sent only once: the network reorders.
 */
bool tcp_scoreboard_add(struct tcp_scoreboard *board, struct tcp_sack_block block, uint64_t now_ns);

/*
 * Everything before una is acknowledged. True as above. A peer that acknowledges up to what it
 * said it had, and not that, has taken it back: all is forgotten then (RFC 2018 8).
 */
bool tcp_scoreboard_acked(struct tcp_scoreboard *board, tcp_seq una);

/*
 * Decides about each gap. Returns when the next one may turn out to be lost if nothing else
 * happens, UINT64_MAX: never.
 */
uint64_t tcp_scoreboard_detect(struct tcp_scoreboard *board, const struct tcp_loss_rule *rule);

/* Whether a gap is lost at all. */
bool tcp_scoreboard_lossy(const struct tcp_scoreboard *board);

/* The first lost bytes before `limit` that are to be sent again. False: none. */
bool tcp_scoreboard_next(const struct tcp_scoreboard *board, tcp_seq limit,
			 struct tcp_sack_block *lost);

/* Bytes [seq, end) have been sent again, whoever asked for it. */
void tcp_scoreboard_resent(struct tcp_scoreboard *board, struct tcp_sack_block sent,
			   tcp_seq snd_max, uint64_t now_ns);

/* Of the bytes before snd_nxt, how many are not in the network (RFC 6675 SetPipe). */
uint32_t tcp_scoreboard_absent(const struct tcp_scoreboard *board, tcp_seq snd_nxt);

/*
 * After a time-out, which sends all again that is missing: the next byte at or after `seq` that is,
 * and in *len how many follow it, at most what *len was.
 */
tcp_seq tcp_scoreboard_missing(const struct tcp_scoreboard *board, tcp_seq seq, uint32_t *len);

/* A time-out goes through the gaps from the first on, or an undo declares them innocent. */
void tcp_scoreboard_restart(struct tcp_scoreboard *board, uint64_t now_ns);
