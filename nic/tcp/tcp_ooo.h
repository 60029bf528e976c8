/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"
#include "nic/tcp/tcp_options.h"
#include "nic/tcp/tcp_slab.h"

/*
 * Bytes that arrived ahead of a gap, copied out of their frames into buffers of a pool. Accounted
 * in buffers, not in bytes, because a peer may send one byte at a time. The first copy of a byte
 * wins. Buffers without a gap between them are a run, of which there are as many as gaps: what
 * arrives and what is reported is found by runs, however many buffers wait behind a gap.
 */
struct tcp_ooo_node {
	struct tcp_ooo_node *next; // of its run; NULL: the last
	// Of the run, in its first buffer.
	struct tcp_ooo_node *next_run, *last;
	tcp_seq run_end;
	tcp_seq seq;
	uint32_t len; // bytes
	uint8_t bytes[];
};

struct tcp_ooo_pool {
	struct tcp_slab nodes;
	uint32_t node_bytes;         // payload a node has room for
	uint32_t conn_max;           // nodes a connection may hold
	struct tcp_ooo_node *handed; // given to their owner, free at the end of the burst
};

/* Of one connection. All zero: empty. */
struct tcp_ooo {
	struct tcp_ooo_node *head; // the first run, by sequence
	uint32_t count;            // buffers
	tcp_seq latest; // in the range that changed last, which is reported first (RFC 2018 4)
};

bool tcp_ooo_pool_init(struct tcp_ooo_pool *pool, uint32_t pool_bytes, uint32_t conn_bytes,
		       uint32_t node_bytes);
void tcp_ooo_pool_fini(struct tcp_ooo_pool *pool);

/* Copies those bytes that are not there yet. False when a budget stopped it; what fitted stays. */
MUST_USE bool tcp_ooo_insert(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq seq,
			     struct slice payload);

/*
 * The bytes that follow rcv_nxt without a gap, one buffer's worth. Valid until tcp_ooo_release().
 * False when there are none. Buffers that rcv_nxt has passed are dropped on the way.
 */
MUST_USE bool tcp_ooo_take(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq rcv_nxt,
			   struct slice *bytes);

/* Frees what was taken. */
void tcp_ooo_release(struct tcp_ooo_pool *pool);

/* Frees what a connection holds. */
void tcp_ooo_clear(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo);

/* Up to `max` ranges for a SACK option, the latest first. Returns their number. */
uint32_t tcp_ooo_sack(const struct tcp_ooo *ooo, struct tcp_sack_block *blocks, uint32_t max);
