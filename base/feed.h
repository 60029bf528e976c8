/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/compiler.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A stream of bytes that one thread writes and any number of threads read, each at its own pace:
 * the replication stream, and the snapshot that goes before it. Bytes are kept in chunks, which are
 * blobs, so that a connection sends them by reference. A chunk refers to the next one: whoever
 * holds a place in the stream keeps all that follows, and nothing before.
 *
 * Handshake: the writer stores a chunk's `len` with release after its bytes, `next` with release
 * after the last `len` of the chunk; readers load both with acquire, `next` first: a chunk that has
 * a next one is complete.
 */
struct feed_chunk;

/* The writer's side, which also keeps the last `keep_bytes`. Owned by one thread. */
struct feed {
	struct feed_chunk *first, *last; // NULL: nothing has been written yet
	uint64_t end;                    // offset of the next byte
	uint64_t keep_bytes;
	bool failed; // for want of memory: bytes are missing from here on
};

/* A place in a stream. Owned by one thread; it holds a reference. */
struct feed_place {
	struct feed_chunk *chunk; // NULL: nowhere
	uint64_t at;              // within the chunk
};

/* Offsets begin with `start`. */
void feed_init(struct feed *feed, uint64_t start, uint64_t keep_bytes);
void feed_fini(struct feed *feed);

/* Appends, and lets go what is beyond keep_bytes. */
void feed_write(struct feed *feed, struct slice bytes);

/* No byte will follow: see feed_read(). */
void feed_end(struct feed *feed);

/* Offset of the first byte that is kept. */
uint64_t feed_start(const struct feed *feed);

/*
 * The place of a byte that is kept, or of the next one to be written. False: it is neither, or
 * there is no memory. The feed's thread.
 */
MUST_USE bool feed_place_at(struct feed *feed, uint64_t offset, struct feed_place *place);

enum feed_state {
	FEED_BYTES, // *blob[*from, *from + *len): the caller takes a reference for what it keeps
	FEED_WAITS, // nothing there yet
	FEED_ENDED, // and never will be
};

/* What comes next, at most `max` bytes of it; the place moves behind them. */
enum feed_state feed_read(struct feed_place *place, uint64_t max, struct blob **blob,
			  uint64_t *from, uint64_t *len);

/* A second reference to the same place. Nowhere stays nowhere. */
struct feed_place feed_place_copy(const struct feed_place *place);

void feed_place_drop(struct feed_place *place); // accepts one that is nowhere
