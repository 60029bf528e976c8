/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/out.h"
#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_seq.h"
#include "nic/tcp/tcp_slab.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What a connection has yet to send or to see acknowledged, as a list of extents: runs of copied
 * bytes in pool chunks, and references to blobs. Frames are built from it for every transmission,
 * the first as well as the tenth, so nothing here knows where segments begin.
 *
 *     head             cursor                     tail
 *      |                  |                         |
 *   [chunk 1 ..] -> [blob ref ....] -> [chunk 1, further on ..] <- out.pos writes here
 *      ^ snd_una        ^ snd_nxt                                ^ end
 */
#define TCP_CHUNK_BYTES 2048

_Static_assert(TCP_CHUNK_BYTES >= 2 * OUT_RESERVE_MAX, "a fresh chunk satisfies any reservation");

struct tcp_extent {
	struct tcp_extent *next;
	const uint8_t *bytes;
	struct blob *blob; // NULL: bytes lie in the chunk that contains them, and count in its refs
	tcp_seq seq;       // of the first byte
	uint32_t len;      // bytes
};

/* Shared by the connections of a stack. */
struct tcp_sendq_pool {
	struct tcp_slab chunks;
	struct tcp_slab extents;
	struct tcp_slab refs_memory;
	// of each chunk: extents in it, and one for the connection that writes into it
	uint16_t *refs;
};

struct tcp_sendq {
	struct tcp_extent *head;
	struct tcp_extent *tail;
	struct tcp_extent *cursor; // holds snd_nxt, or one before it; NULL: begin at head
	uint8_t *chunk;            // that `out` writes into, or NULL
	uint8_t *mark;             // out.pos as of the last sync
	tcp_seq end;               // one past the last byte queued
	uint32_t copied_bytes;
	uint32_t referenced_bytes;
	uint32_t extents;
};

bool tcp_sendq_pool_init(struct tcp_sendq_pool *pool, uint32_t bytes);
void tcp_sendq_pool_fini(struct tcp_sendq_pool *pool);

/* Empty, with its first byte to get the number `seq`. */
void tcp_sendq_init(struct tcp_sendq *q, tcp_seq seq);

/*
 * Counts in what has been written through `out` since the last call. Everything below wants that
 * first.
 */
static inline void tcp_sendq_sync(struct tcp_sendq *q, const struct out *out)
{
	uint32_t n = (uint32_t)(out->pos - q->mark);

	if (n == 0)
		return;
	q->tail->len += n;
	q->copied_bytes += n;
	q->end += n;
	q->mark = out->pos;
}

/* Gives `out` room for at least `min` bytes (<= OUT_RESERVE_MAX). False when the pool is empty. */
bool tcp_sendq_grow(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out, size_t min);

/* Appends a reference. False when the pool is empty. */
bool tcp_sendq_append_blob(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out,
			   struct blob *blob, struct slice bytes);

/* Frees what lies wholly before `una`. */
void tcp_sendq_trim(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out, tcp_seq una);

/* snd_nxt went back, or passed what was sent before. */
static inline void tcp_sendq_rewind(struct tcp_sendq *q)
{
	q->cursor = NULL;
}

/*
 * Up to `len` bytes from `seq` on (which is queued) as at most TCP_SEGMENT_SLICES_MAX slices.
 * Returns the number of bytes, *count that of the slices. With `advance` the cursor moves along:
 * for snd_nxt, not for retransmissions of the head.
 */
uint32_t tcp_sendq_gather(struct tcp_sendq *q, tcp_seq seq, uint32_t len, bool advance,
			  struct slice *slices, uint32_t *count);

/* Frees everything. */
void tcp_sendq_clear(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out);
