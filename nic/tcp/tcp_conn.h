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

#define TCP_PREDICT_NONE UINT32_MAX // no header word equals it

/*
 * A connection. Cache lines in the order in which a request and its reply touch them:
 * 0 every segment, 1 who it is, 2 and 3 sending, 4 measurement and loss, 5 timers and rare things.
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
	uint16_t mss;         // of segments we send, with options
	uint16_t segment_max; // payload bytes of a segment we send
	struct tcp_stack *stack;
	struct tcp_conn *touched_next;

	// Lines 2 and 3: sending.
	struct tcp_sendq sendq;
	uint32_t cwnd;     // bytes
	uint32_t ssthresh; // bytes
	struct out out;
	void *user;
	uint64_t rtx_deadline_ns; // retransmission or probe, UINT64_MAX: none
	uint64_t timer_at_ns;     // when the wheel fires, never after the earliest deadline

	// Line 4: measurement and loss.
	uint64_t rtt_start_ns;
	uint64_t last_tx_ns;
	uint64_t progress_ns; // when snd_una last moved, or when the queue stopped being empty
	uint32_t srtt_us;     // 0: no sample yet
	uint32_t rttvar_us;
	uint32_t rto_us;       // without backoff
	uint32_t rto_floor_us; // grows when a time-out proves to have been premature
	tcp_seq rtt_seq;
	tcp_seq recover;
	uint32_t cwnd_credit; // bytes acknowledged toward the next growth
	// Loss detection with SACK (tcp_recovery.c).
	uint64_t reduced_ns;          // when a loss last reduced cwnd
	tcp_seq probe_end;            // snd_max when the tail was probed
	struct tcp_scoreboard *board; // NULL while nothing is missing
	uint64_t reorder_ns;          // when the next gap may turn out to be lost
	bool reordered : 1;           // the network has been seen to
	bool probed : 1;              // once per flight
	bool probed_again : 1;        // and the probe was a retransmission
	uint8_t dup_acks;
	uint8_t backoff;
	uint8_t keepalives; // sent without an answer
	uint8_t syn_retries;

	// Line 5: timers and rare things.
	struct tcp_wheel_node timer;
	struct tcp_link delack;
	struct tcp_link blocked;
	uint64_t delack_at_ns;
	uint64_t blocked_until_ns;
	uint64_t state_deadline_ns; // FIN-WAIT-2, and how long a closed connection may linger
	uint64_t keepalive_sent_ns;
	uint64_t challenge_ns; // when the next challenge ACK may be sent
	struct tcp_ooo ooo;
	tcp_seq iss;
	tcp_seq fin_seq; // sequence number of the peer's FIN
	uint32_t max_snd_wnd;
	uint32_t undo_cwnd;
	uint32_t undo_ssthresh;
	uint32_t undo_ts;      // our TSval when the retransmission began
	uint64_t undo_sent_ns; // when what was retransmitted had been sent
	uint64_t rto_first_ns; // when the series of time-outs that `backoff` counts began
} CACHE_ALIGNED;

_Static_assert(offsetof(struct tcp_conn, flow) == 1 * CACHE_LINE_BYTES,
	       "line 0 is the receive side");
_Static_assert(offsetof(struct tcp_conn, sendq) == 2 * CACHE_LINE_BYTES, "line 1 is the identity");
_Static_assert(offsetof(struct tcp_conn, cwnd) + 8 == 3 * CACHE_LINE_BYTES,
	       "line 2 is the send queue");
_Static_assert(offsetof(struct tcp_conn, rtt_start_ns) <= 4 * CACHE_LINE_BYTES,
	       "line 3 is the sink");

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
	return conn->sendq.end + (tcp__has(conn, TCP_F_FIN_QUEUED) ? 1 : 0);
}
