/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/out.h"
#include "base/slice.h"
#include "nic/drop_reason.h"
#include "nic/flow.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * TCP (RFC 9293) as a pure library: time, randomness and output are arguments, so a simulation or a
 * fuzzer drives it as well as a worker does. One struct tcp_stack per worker; nothing is shared
 * between stacks. All calls come from the thread that owns the stack.
 *
 * Per burst the owner calls tcp_prefetch() for all packets, tcp_input() for each, looks at the data
 * it was given, writes replies with tcp_out(), then calls tcp_burst_end() once: replies leave with
 * ACKs on them, and only what no reply has acknowledged gets an ACK of its own. tcp_tick() runs the
 * timers.
 */
struct tcp_stack;
struct tcp_conn;

#define TCP_HEADER_MAX         60
#define TCP_SEGMENT_SLICES_MAX 8

/* A segment to send. All pointers are valid during the call only. */
struct tcp_segment {
	const struct flow *flow;
	uint32_t peer;       // as given with the packet that opened the connection
	uint8_t ecn;         // for the IP header
	struct slice header; // with checksum 0
	struct slice payload[TCP_SEGMENT_SLICES_MAX];
	uint32_t payload_count;
	uint32_t payload_len; // sum, bytes
	// 0, or payload bytes of each of the segments to be made of it (TSO), with the same
	// options; FIN and PSH are the last one's.
	uint16_t tso_mss;
};

/* Why a connection ended, as its owner is told. */
enum tcp_close_reason {
	TCP_CLOSED,          // both sides finished
	TCP_CLOSED_RESET,    // the peer sent a valid RST
	TCP_CLOSED_TIMEOUT,  // retransmissions, probes or keepalives were not answered
	TCP_CLOSED_ABORTED,  // tcp_abort()
	TCP_CLOSED_REFUSED,  // active open: answered with RST
	TCP_CLOSED_OVERLOAD, // a budget was exceeded (pinned or buffered bytes)
};

/*
 * Everything the library cannot do itself. `env` is from tcp_new(). No callback may call back into
 * tcp_input(), tcp_tick() or tcp_burst_end(); the other calls are allowed.
 */
struct tcp_ops {
	// Sends, or returns false when there is no room now: the stack tries again later.
	bool (*emit)(void *env, const struct tcp_segment *segment);
	// A handshake is complete. False refuses it with RST; on_close does not follow then.
	bool (*on_open)(void *env, struct tcp_conn *conn);
	// In-order bytes, once each. The bytes stay valid until tcp_burst_end() returns.
	void (*on_data)(void *env, struct tcp_conn *conn, struct slice data);
	// The peer will send no more (its FIN is in order). Replies may still be written.
	void (*on_fin)(void *env, struct tcp_conn *conn);
	// The send queue has fallen below its low mark after it was above its high mark.
	void (*on_drained)(void *env, struct tcp_conn *conn);
	// The last call about this connection; the handle is invalid afterwards.
	void (*on_close)(void *env, struct tcp_conn *conn, enum tcp_close_reason reason);
};

struct tcp_config {
	uint32_t conns_max;
	uint32_t syn_max;        // half-open entries
	uint32_t time_wait_max;  // compact TIME_WAIT entries; the oldest make room
	uint16_t mtu;            // bytes of IP packet; the MSS follows
	// payload bytes that emit() takes at once to cut them itself, IPv4 and IPv6; 0: a segment
	uint32_t tso_bytes, tso6_bytes;
	uint32_t rcv_wnd_bytes;  // receive window of a connection, constant
	uint32_t snd_high_bytes; // copied bytes queued, above which tcp_out_full() is true
	// copied bytes queued, at which the sink refuses and the connection fails
	uint32_t snd_max_bytes;
	uint32_t snd_pool_bytes;    // for the copied bytes of all connections
	uint32_t ooo_pool_bytes;    // for out-of-order bytes of all connections
	uint32_t ooo_conn_bytes;    // for those of one
	uint64_t keepalive_idle_ns; // 0: off
	uint64_t stalled_reader_ns; // no progress of a full send queue for so long: cut; 0: never
	uint64_t time_wait_ns;
	bool timestamps, sack, window_scale;
	uint8_t secret[16]; // for initial sequence numbers (RFC 6528) and table hashes
	uint64_t rng_seed;  // jitter, port choice
};

/*
 * Counters, written by the owner, read by anyone. X(symbol, metric label, help) in tcp_counter.def.
 */
enum tcp_counter_id {
#define TCP_COUNTER(symbol, label, help) TCP_COUNT_##symbol,
#include "nic/tcp/tcp_counter.def"
#undef TCP_COUNTER
	TCP_COUNTERS
};

struct tcp_counters {
	counter count[TCP_COUNTERS];
};

const char *tcp_counter_label(enum tcp_counter_id id);
const char *tcp_counter_help(enum tcp_counter_id id);

/* NULL when there is no memory. counters and drops must outlive the stack. */
struct tcp_stack *tcp_new(const struct tcp_config *config, const struct tcp_ops *ops, void *env,
			  struct tcp_counters *counters, struct drop_counters *drops);

/* Frees everything at once, without on_close calls and without a word to the peers. */
void tcp_free(struct tcp_stack *stack);

/* Accepts connections to a local port. False when the list is full (TCP_LISTENERS_MAX). */
#define TCP_LISTENERS_MAX 16
bool tcp_listen(struct tcp_stack *stack, uint16_t local_port);

/* One received segment; the checksum has been verified, nothing else. */
struct tcp_packet {
	struct flow flow;
	uint32_t hash; // of the flow, any good 32 bits that are equal for equal flows
	uint32_t peer;
	uint8_t ecn;
	const uint8_t *segment; // TCP header onward
	uint32_t len;           // bytes
};

/* Pass 1 and 1b over a burst: touch the bucket, then the connection it leads to. */
void tcp_prefetch(struct tcp_stack *stack, uint32_t hash);
void tcp_prefetch_conn(struct tcp_stack *stack, uint32_t hash);

void tcp_input(struct tcp_stack *stack, const struct tcp_packet *packet, uint64_t now_ns);

/*
 * A quoted ICMP error (RFC 792) about one of our flows: too-big clamps the MSS, others are soft
 * (RFC 5927).
 */
void tcp_icmp_error(struct tcp_stack *stack, const struct flow *flow, uint32_t hash,
		    struct slice icmp, uint64_t now_ns);

/*
 * Sends what has been queued and owed since the last call, and frees out-of-order bytes that were
 * handed over. Connections take turns, and one call sends some hundred segments at most; the rest
 * goes in the next call, which tcp_next_deadline_ns() then says is due at once.
 */
void tcp_burst_end(struct tcp_stack *stack, uint64_t now_ns);

/* Timers that are due, at most `budget` of them. Returns how many ran. */
uint32_t tcp_tick(struct tcp_stack *stack, uint64_t now_ns, uint32_t budget);

/*
 * When the next timer is due, at the earliest; UINT64_MAX when none is armed. For an idle loop's
 * sleep.
 */
uint64_t tcp_next_deadline_ns(const struct tcp_stack *stack);

/*
 * Active open. flow->local_port must be set by the caller. NULL when there is no room. on_open or
 * on_close follows.
 */
struct tcp_conn *tcp_connect(struct tcp_stack *stack, const struct flow *flow, uint32_t hash,
			     uint32_t peer, uint64_t now_ns);

/*
 * The connection's send queue as a sink for replies. Valid until the next call of another tcp_
 * function; bytes written leave at tcp_burst_end(). Blobs are sent by reference, never copied, and
 * held until they are acknowledged.
 */
struct out *tcp_out(struct tcp_conn *conn);

/* Copied bytes queued are above the high mark: stop reading requests of it until on_drained. */
bool tcp_out_full(const struct tcp_conn *conn);

/*
 * The owner keeps `bytes` of this connection's data unprocessed: the window it advertises closes by
 * as much, without ever taking back what it offered (RFC 9293 3.8.6).
 */
void tcp_set_held(struct tcp_conn *conn, uint32_t bytes);

/* Send what is queued, then FIN. Data that arrives afterwards is acknowledged and dropped. */
void tcp_close(struct tcp_conn *conn);

/* RST at once; on_close follows before this returns. */
void tcp_abort(struct tcp_conn *conn);

void tcp_set_user(struct tcp_conn *conn, void *user);
void *tcp_user(const struct tcp_conn *conn);
const struct flow *tcp_flow(const struct tcp_conn *conn);
// unacknowledged and unsent, copied and referenced
uint32_t tcp_queued_bytes(const struct tcp_conn *conn);
uint32_t tcp_conn_count(const struct tcp_stack *stack);

/*
 * Calls back for each connection, from index *cursor on, at most `max`; *cursor is 0 when all have
 * been seen.
 */
void tcp_walk(struct tcp_stack *stack, uint32_t *cursor, uint32_t max,
	      void (*visit)(void *arg, struct tcp_conn *conn), void *arg);
