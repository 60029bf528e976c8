/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_conn.h"
#include "nic/tcp/tcp_options.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A bystander who sees what each side of one connection sends and receives, and knows what TCP
 * forbids. It keeps its own account and asks the stack for nothing but cwnd, and whether
 * it is probing (RFC 8985 7.3: a probe may exceed cwnd).
 */
#define ORACLE_ANSWERS_MAX 16

/* What a listener has answered a SYN with. */
struct oracle_answer {
	tcp_seq isn;
	uint8_t scale;
	bool scale_offered;
};

struct oracle_side {
	bool syn_sent, syn_received, acked, fin_sent, offered;
	bool reset; // a RST ended it: a late duplicate of the SYN may begin another
	bool spoke; // sent something beyond its SYN
	tcp_seq isn;
	struct oracle_answer answers[ORACLE_ANSWERS_MAX];
	uint32_t answers_count;
	tcp_seq peer_isn;
	tcp_seq ack;      // highest sent
	tcp_seq edge;     // right edge it has offered
	tcp_seq allowed;  // right edge it has been offered
	tcp_seq peer_ack; // highest received
	tcp_seq sacked;   // highest that was reported to have arrived, acknowledged or not
	tcp_seq fin_seq;
	uint32_t syn_wnd; // of the peer's SYN
	uint32_t tsval;
	bool has_tsval;
	uint8_t scale; // that it announced in its SYN
	bool scale_offered;
	uint32_t owed;      // segments with sequence numbers received and not answered yet
	uint32_t pure_acks; // sent beyond those since the last such segment was received
};

struct oracle {
	uint32_t id;
	bool any_bytes; // streams of a capture, which nobody can predict
	struct oracle_side side[2];
};

/* The byte at a place of a stream; both applications and the oracle know it. */
static inline uint8_t sim_stream_byte(uint32_t id, int from, uint32_t at)
{
	uint32_t x = at * 2654435761u + id * 40503u + (uint32_t)from * 977u;

	return (uint8_t)(x >> 13);
}

/* NULL, or what is wrong with the segment. conn may be NULL. */
const char *oracle_sent(struct oracle *o, int from, const struct tcp_segment *segment,
			const struct tcp_conn *conn);
void oracle_received(struct oracle *o, int to, const uint8_t *bytes, uint32_t len);
