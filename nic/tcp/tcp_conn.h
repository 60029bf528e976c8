/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"
#include "nic/flow.h"
#include "nic/tcp/tcp_list.h"
#include "nic/tcp/tcp_ooo.h"
#include "nic/tcp/tcp_scoreboard.h"
#include "nic/tcp/tcp_sendq.h"
#include "nic/tcp/tcp_seq.h"
#include "nic/tcp/tcp_wheel.h"

struct tcp_stack;

/*
 * States of RFC 9293 3.3.2 that need a whole connection. LISTEN is a bit per port; SYN-RECEIVED of
 * a passive open is a half-open entry (tcp_syn.h) and TIME-WAIT a compact one (tcp_timewait.h).
 *
 *   SYN_SENT --> SYN_RECEIVED (simultaneous open)
 *        \          |
 *         ESTABLISHED ---- peer's FIN ----> CLOSE_WAIT
 *            | tcp_close()                      | tcp_close()
 *        FIN_WAIT_1 -- peer's FIN --> CLOSING  LAST_ACK
 *            | our FIN acked             |        |
 *        FIN_WAIT_2 -- peer's FIN --> TIME-WAIT  CLOSED
 */
enum tcp_state {
	TCP_STATE_CLOSED, // ended; the memory stays until the end of the burst
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSING,
	TCP_STATE_LAST_ACK,
};

enum tcp_conn_flag {
	TCP_F_TOUCHED = 1 << 0, // in the list of this burst
	// an ACK is due at the end of the burst, whatever the policy says
	TCP_F_ACK_NOW = 1 << 1,
	TCP_F_TIMESTAMPS = 1 << 2,   // negotiated
	TCP_F_SACK = 1 << 3,         // negotiated
	TCP_F_FIN_QUEUED = 1 << 4,   // tcp_close() was called: a FIN follows the last byte
	TCP_F_PEER_FIN = 1 << 5,     // fin_seq is valid
	TCP_F_RECOVERY = 1 << 6,     // fast recovery, until snd_una passes `recover`
	TCP_F_RETRANSMIT = 1 << 7,   // the segment at snd_una is to be sent again
	TCP_F_CWND_LIMITED = 1 << 8, // the last output stopped because of cwnd
	TCP_F_FULL = 1 << 9,         // above the high mark; on_drained is owed
	TCP_F_RTT_TIMING = 1 << 10,  // rtt_seq is being timed
	TCP_F_RESENT = 1 << 11,      // something since the last advance was sent twice (Karn)
	TCP_F_UNDO = 1 << 12,        // the undo_* fields describe the last reduction of cwnd
	// the sink refused: bytes are missing, so the connection cannot go on
	TCP_F_OVERLOAD = 1 << 13,
	TCP_F_SCALED = 1 << 14, // window scaling negotiated
	TCP_F_COOKIE = 1 << 15, // opened by a cookie, which may come again
};

/*
 * What a connection needs while it sends, waits or repairs, and not between requests: taken from a
 * pool when something happens (tcp__wake()) and given back when nothing is in flight, queued or
 * owed (tcp_burst.c). The pool's last returned block is the next one used, so that many idle
 * connections cost neither memory nor cache.
 */
struct tcp_work {
	// Lines 0 and 1: sending.
	struct tcp_sendq sendq;
	struct tcp_conn *conn;
	struct out out;
	uint64_t rtx_deadline_ns; // retransmission or probe, UINT64_MAX: none
	uint64_t progress_ns;     // when snd_una last moved, or when the queue stopped being empty
	uint64_t last_tx_ns;      // of a segment with sequence numbers
	uint64_t rtt_start_ns;
	tcp_seq rtt_seq;
	uint32_t rto_us; // without backoff

	// Line 2: owed, and congestion.
	struct tcp_link delack;
	uint64_t delack_at_ns;
	tcp_seq recover;
	uint32_t cwnd_credit; // bytes acknowledged toward the next growth
	uint8_t dup_acks;
	uint8_t backoff;
	uint8_t syn_retries;
	bool probed : 1;       // once per flight
	struct tcp_ooo ooo;

	// Line 3: loss, and rare things.
	struct tcp_scoreboard *board; // NULL while nothing is missing
	uint64_t reorder_ns;          // when the next gap may turn out to be lost
	uint64_t reduced_ns;          // when a loss last reduced cwnd
	tcp_seq probe_end;            // snd_max when the tail was probed
	tcp_seq iss;
	tcp_seq fin_seq; // sequence number of the peer's FIN
	uint32_t max_snd_wnd;
	uint32_t undo_cwnd;
	uint32_t undo_ssthresh;
	uint32_t undo_ts;      // our TSval when the retransmission began
	uint64_t undo_sent_ns; // when what was retransmitted had been sent
	uint64_t rto_first_ns; // when the series of time-outs that `backoff` counts began
	struct tcp_link blocked;
	uint64_t blocked_until_ns;
	uint64_t state_deadline_ns; // FIN-WAIT-2, and how long a closed connection may linger
	uint64_t challenge_ns;      // when the next challenge ACK may be sent
} CACHE_ALIGNED;

#define TCP_PREDICT_NONE UINT32_MAX // no header word equals it

/*
 * A connection, in three cache lines: 0 what every segment touches, 1 who it is, 2 what is to be
 * remembered between requests.
 */
struct tcp_conn {
	// Line 0: every segment.
	uint32_t predict; // data offset and flags of a segment that takes the fast path
	tcp_seq rcv_nxt;
	tcp_seq rcv_adv;   // right edge that was offered; never moves left
	tcp_seq rcv_acked; // the last ACK we sent
	tcp_seq snd_una;
	tcp_seq snd_nxt;
	tcp_seq snd_max; // highest ever sent, plus one; above snd_nxt after a time-out
	uint32_t snd_wnd;
	tcp_seq snd_wl1;
	tcp_seq snd_wl2;
	uint32_t ts_recent;
	uint16_t flags; // enum tcp_conn_flag
	uint8_t state;  // enum tcp_state
	uint8_t snd_scale : 4;
	uint8_t rcv_scale : 4;
	uint64_t last_rx_ns;
	uint32_t held_bytes; // that the owner has not processed
	uint32_t ts_offset;  // added to our clock in TSval (RFC 7323 7.1)

	// Line 1: who it is.
	struct flow flow;
	uint32_t hash;
	uint32_t peer;
	uint16_t segment_max;  // payload bytes of a segment we send, options not counted
	uint16_t rto_floor_ms; // grows when a time-out proves to have been premature
	struct tcp_stack *stack;
	struct tcp_conn *touched_next;

	// Line 2: between requests.
	struct tcp_work *work; // NULL while it is idle
	void *user;
	struct tcp_wheel_node timer; // never later than the earliest deadline
	uint32_t cwnd;               // bytes
	uint32_t ssthresh;           // bytes
	uint32_t srtt_us;            // 0: no sample yet
	uint32_t rttvar_us;
	uint32_t last_tx_ms; // of a segment with sequence numbers
	uint8_t keepalives;  // sent without an answer
	bool reordered : 1;  // the network has been seen to
	bool narrowed : 1;   // the owner has held bytes, and the window has not been full since
} CACHE_ALIGNED;

_Static_assert(sizeof(struct tcp_conn) == 3 * CACHE_LINE_BYTES, "an idle connection is small");
_Static_assert(offsetof(struct tcp_conn, flow) == 1 * CACHE_LINE_BYTES,
	       "line 0 is the receive side");
_Static_assert(offsetof(struct tcp_conn, work) == 2 * CACHE_LINE_BYTES, "line 1 is the identity");

static inline bool tcp__has(const struct tcp_conn *conn, enum tcp_conn_flag flag)
{
	return conn->flags & flag;
}

static inline void tcp__set(struct tcp_conn *conn, enum tcp_conn_flag flag)
{
	conn->flags |= (uint16_t)flag;
}

static inline void tcp__clear(struct tcp_conn *conn, enum tcp_conn_flag flag)
{
	conn->flags &= (uint16_t)~flag;
}

/* Sequence numbers sent and not acknowledged. */
static inline uint32_t tcp__flight(const struct tcp_conn *conn)
{
	return conn->snd_nxt - conn->snd_una;
}

/* One past our FIN if it is queued, else past the last byte. */
static inline tcp_seq tcp__snd_end(const struct tcp_conn *conn)
{
	return conn->work->sendq.end + (tcp__has(conn, TCP_F_FIN_QUEUED) ? 1 : 0);
}
