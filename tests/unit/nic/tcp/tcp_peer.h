/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_options.h"
#include "nic/tcp/tcp_seq.h"

/*
 * The other end of a conversation, as a script: it says exactly what a test tells it to, and checks
 * what the stack sends, in the way of packetdrill. Numbers in a script are relative: the peer's
 * bytes begin at 1 (its SYN is 0), and so do ours. Time stands still until peer_advance().
 */
#define PEER_SENT_MAX 256
#define PEER_DATA_MAX (1 << 18)

struct peer_sent {
	uint8_t flags;
	uint32_t seq; // relative to our SYN
	uint32_t ack; // relative to the peer's SYN, 0 without ACK
	uint32_t wnd;
	struct tcp_options options;
	uint32_t len;
	uint8_t payload[2048];
};

struct peer {
	struct tcp_stack *stack;
	struct tcp_counters counters;
	struct drop_counters drops;
	uint64_t now_ns;
	struct flow flow; // as the stack sees it
	tcp_seq irs;      // the peer's first number
	tcp_seq iss;      // ours, learnt from our SYN
	bool timestamps;  // the peer sends them
	uint32_t tsval, tsecr;
	uint16_t wnd;
	uint32_t emit_fails; // how many of the next emits are refused
	uint32_t emits;      // that were not

	struct peer_sent sent[PEER_SENT_MAX];
	uint32_t sent_head, sent_count;

	// What the stack told its owner.
	struct tcp_conn *conn;
	uint8_t received[PEER_DATA_MAX];
	uint32_t received_len;
	uint32_t opened, fins, drained, closed;
	enum tcp_close_reason reason;
	bool refuse;        // on_open returns false
	bool abort_on_data; // the owner aborts in on_data
	const char *reply;  // the owner's answer to any data
};

struct tcp_config peer_config(void);
struct peer *peer_new(const struct tcp_config *config);
void peer_free(struct peer *p);

/*
 * A segment from the peer. Flags from its letters: "S", "SA", "A", "PA", "FA", "R", "RA", "F", "".
 */
void peer_send(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, const char *data);
void peer_send_len(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, uint32_t len);
/* Without tcp_burst_end() after it. */
void peer_queue(struct peer *p, const char *flags, uint32_t seq, uint32_t ack, const char *data);
void peer_send_options(struct peer *p, const char *flags, uint32_t seq, uint32_t ack,
		       struct slice options);
void peer_burst_end(struct peer *p);

/* Moves the clock in steps of 1 ms, running the timers. */
void peer_advance(struct peer *p, uint64_t ms);

/* The next segment the stack sent is this one. Any length of payload with data NULL. */
const struct peer_sent *peer_expect(struct peer *p, const char *flags, uint32_t seq, uint32_t ack,
				    const char *data);
void peer_expect_nothing(struct peer *p);
uint32_t peer_discard(struct peer *p); // forgets all that was sent; returns how much it was

/* SYN, SYN-ACK, ACK. */
void peer_handshake(struct peer *p);
void peer_write(struct peer *p, const char *text);
void peer_write_len(struct peer *p, uint32_t len);

uint64_t peer_count(const struct peer *p, enum tcp_counter_id id);
uint64_t peer_drops(const struct peer *p, enum drop_reason reason);

/* Every pool is as it was before the first connection. */
void peer_expect_baseline(struct peer *p);
