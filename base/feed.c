/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/feed.h"

#include <stdlib.h>
#include <string.h>

/*
 * Written by the replication and snapshot threads (ctrl/replication), read by workers
 * (dataplane/worker/worker_feed.c).
 */

#define CHUNK_BYTES (64U << 10)

struct feed_chunk {
	uint64_t start; // [const] offset of its first byte
	_Atomic uint64_t len;
	_Atomic(struct feed_chunk *) next; // a reference
	_Atomic bool ended;                // with `len` bytes
	struct blob blob;
};

static struct feed_chunk *chunk_of(struct blob *blob)
{
	return CONTAINER_OF(blob, struct feed_chunk, blob);
}

/* The last reference is gone; the one to the next chunk goes with it, and so on, without depth. */
static void release(struct blob *blob)
{
	while (blob) {
		struct feed_chunk *chunk = chunk_of(blob);
		struct feed_chunk *next = atomic_load_explicit(&chunk->next, memory_order_acquire);

		free(chunk);
		blob = NULL;
		if (next &&
		    atomic_fetch_sub_explicit(&next->blob.refs, 1, memory_order_acq_rel) == 1)
			blob = &next->blob;
	}
}

static struct feed_chunk *chunk_new(uint64_t start)
{
	struct feed_chunk *chunk = malloc(sizeof(*chunk) + CHUNK_BYTES);

	if (!chunk)
		return NULL;
	*chunk = (struct feed_chunk){
		.start = start,
		.blob = {.refs = 1,
			 .release = release,
			 .len = CHUNK_BYTES,
			 .capacity = CHUNK_BYTES},
	};
	return chunk;
}

void feed_init(struct feed *feed, uint64_t start, uint64_t keep_bytes)
{
	*feed = (struct feed){.end = start, .keep_bytes = keep_bytes};
}

void feed_fini(struct feed *feed)
{
	if (feed->first)
		blob_unref(&feed->first->blob);
	feed->first = feed->last = NULL;
}

uint64_t feed_start(const struct feed *feed)
{
	return feed->first ? feed->first->start : feed->end;
}

/* A chunk behind the last one. The feed has a reference of its first, each chunk of its next. */
static bool add_chunk(struct feed *feed)
{
	struct feed_chunk *chunk = chunk_new(feed->end);

	if (!chunk) {
		feed->failed = true;
		return false;
	}
	if (feed->last)
		atomic_store_explicit(&feed->last->next, chunk, memory_order_release);
	else
		feed->first = chunk;
	feed->last = chunk;
	return true;
}

static bool last_is_full(const struct feed *feed)
{
	return !feed->last ||
	       atomic_load_explicit(&feed->last->len, memory_order_relaxed) == CHUNK_BYTES;
}

static void trim(struct feed *feed)
{
	while (feed->first != feed->last) {
		struct feed_chunk *first = feed->first;
		struct feed_chunk *next = atomic_load_explicit(&first->next, memory_order_relaxed);

		if (feed->end - next->start < feed->keep_bytes)
			return;
		blob_ref(&next->blob);
		feed->first = next;
		blob_unref(&first->blob);
	}
}

void feed_write(struct feed *feed, struct slice bytes)
{
	while (bytes.len > 0 && !feed->failed) {
		if (last_is_full(feed) && !add_chunk(feed))
			return;
		struct feed_chunk *last = feed->last;
		uint64_t len = atomic_load_explicit(&last->len, memory_order_relaxed);
		uint64_t some = bytes.len < CHUNK_BYTES - len ? bytes.len : CHUNK_BYTES - len;

		memcpy(last->blob.bytes + len, bytes.ptr, some);
		atomic_store_explicit(&last->len, len + some, memory_order_release);
		feed->end += some;
		bytes.ptr += some;
		bytes.len -= some;
	}
	trim(feed);
}

void feed_end(struct feed *feed)
{
	if (feed->last || add_chunk(feed))
		atomic_store_explicit(&feed->last->ended, true, memory_order_release);
}

bool feed_place_at(struct feed *feed, uint64_t offset, struct feed_place *place)
{
	struct feed_chunk *chunk;

	if (offset > feed->end || offset < feed_start(feed) || (!feed->first && !add_chunk(feed)))
		return false;
	chunk = feed->first;
	for (;;) {
		struct feed_chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);

		if (!next || next->start > offset)
			break;
		chunk = next;
	}
	blob_ref(&chunk->blob);
	*place = (struct feed_place){.chunk = chunk, .at = offset - chunk->start};
	return true;
}

/* Behind a chunk that is complete comes the next one. */
static void move_on(struct feed_place *place, struct feed_chunk *next)
{
	struct feed_chunk *before = place->chunk;

	blob_ref(&next->blob);
	*place = (struct feed_place){.chunk = next};
	blob_unref(&before->blob);
}

enum feed_state feed_read(struct feed_place *place, uint64_t max, struct blob **blob,
			  uint64_t *from, uint64_t *len)
{
	for (;;) {
		struct feed_chunk *chunk = place->chunk;
		// Before the length: see the handshake.
		bool ended = atomic_load_explicit(&chunk->ended, memory_order_acquire);
		struct feed_chunk *next = atomic_load_explicit(&chunk->next, memory_order_acquire);
		uint64_t have = atomic_load_explicit(&chunk->len, memory_order_acquire);

		if (place->at < have) {
			*blob = &chunk->blob;
			*from = place->at;
			*len = have - place->at < max ? have - place->at : max;
			place->at += *len;
			return FEED_BYTES;
		}
		if (!next)
			return ended ? FEED_ENDED : FEED_WAITS;
		move_on(place, next);
	}
}

struct feed_place feed_place_copy(const struct feed_place *place)
{
	if (place->chunk)
		blob_ref(&place->chunk->blob);
	return *place;
}

void feed_place_drop(struct feed_place *place)
{
	if (place->chunk)
		blob_unref(&place->chunk->blob);
	place->chunk = NULL;
}
