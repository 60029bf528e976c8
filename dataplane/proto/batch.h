/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "dataplane/proto/session.h"

/*
 * The requests of one host between feed and run, and the memory they point into. Nothing in here
 * survives session_run(). Parsers take memory with batch_alloc(); the rest belongs to session.c and
 * batch.c.
 */

#define BATCH_SCRATCH_BYTES (48u << 10) // enough for 64 requests of 16 arguments and 8 keys

struct scratch_chunk {
	struct scratch_chunk *next;
	max_align_t bytes[];
};

/* A command that has been looked up, by the spelling that the client used. */
struct recent_cmd {
	uint64_t word;
	size_t len;
	const struct cmd *cmd;
};

#define BATCH_RECENT_COUNT                                                                         \
	8 // by the low bits of the first letter: GET, SET, MGET, DEL, INCR differ

struct batch {
	uint32_t count;
	uint32_t ahead;  // requests whose keys have been looked ahead for
	uint64_t number; // rises with every run
	uint8_t *scratch_pos;
	struct scratch_chunk *chunks;    // what did not fit into `scratch`
	struct stash_buffer *stash_free; // small stashes, kept for the next session that needs one
	uint32_t stash_free_count;
	struct recent_cmd recent[BATCH_RECENT_COUNT];
	struct request requests[SESSION_BATCH_MAX];
	CACHE_ALIGNED uint8_t scratch[BATCH_SCRATCH_BYTES];
};

struct batch *batch_new(void);
void batch_free(struct batch *batch);

void *batch_alloc_slow(struct batch *batch, size_t bytes);

/*
 * Memory of a request until it has run: arguments, keys, a parser's detail. Uninitialised, aligned
 * to 8. NULL when there is none. It is taken back when the parser answers PARSE_MORE.
 */
static inline void *batch_alloc(struct batch *batch, size_t bytes)
{
	size_t room = (size_t)(batch->scratch + BATCH_SCRATCH_BYTES - batch->scratch_pos);
	uint8_t *at = batch->scratch_pos;

	if (unlikely(bytes > room))
		return batch_alloc_slow(batch, bytes);
	// The scratch size is a multiple of 8, so rounding up stays within it.
	batch->scratch_pos += (bytes + 7) & ~(size_t)7;
	return at;
}

/* Where the scratch memory stands, to undo what a parser has taken. */
struct batch_mark {
	uint8_t *pos;
	struct scratch_chunk *chunks;
};

static inline struct batch_mark batch_mark(const struct batch *batch)
{
	return (struct batch_mark){batch->scratch_pos, batch->chunks};
}

void batch_drop_chunks(struct batch *batch, struct scratch_chunk *until);

static inline void batch_rewind(struct batch *batch, struct batch_mark mark)
{
	batch->scratch_pos = mark.pos;
	if (unlikely(batch->chunks != mark.chunks))
		batch_drop_chunks(batch, mark.chunks);
}

/*
 * To be called before request number `at` runs, from 0 on: then its keys have been hashed and its
 * lines of the table are on their way, together with those of the requests behind it.
 */
void batch_look_ahead(struct batch *batch, const struct table *table, uint32_t at);
