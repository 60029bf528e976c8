/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/batch.h"

#include "dataplane/proto/stash.h"
#include "dataplane/table/prefetch.h"

#include <stdlib.h>

/*
 * The memory of the requests between feed and run, and the look-ahead over their keys. session.c
 * fills the batch through the parsers and runs it; batch_look_ahead() makes the table's lines
 * arrive by the time they are needed. Runs on the thread that owns the host.
 */

// How many requests before its turn a request's buckets and items are touched: a core can wait for
// about a dozen lines at a time, and more would only queue.
#define BATCH_AHEAD_BUCKETS  16
#define BATCH_AHEAD_ITEMS    8
#define BATCH_AHEAD_CHAINS   4
#define BATCH_AHEAD_KEYS_MAX 32 // of one request: reading many keys looks ahead by itself

_Static_assert(BATCH_SCRATCH_BYTES % 8 == 0, "batch_alloc() rounds up to 8");

struct batch *batch_new(void)
{
	struct batch *batch = aligned_alloc(CACHE_LINE_BYTES, sizeof(*batch));

	if (!batch)
		return NULL;
	memset(batch, 0, offsetof(struct batch, requests));
	batch->number = 1;
	batch->scratch_pos = batch->scratch;
	return batch;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	REQUIRE(batch->count == 0);
	batch_drop_chunks(batch, NULL);
	stash_free_list_drop(batch);
	free(batch);
}

void *batch_alloc_slow(struct batch *batch, size_t bytes)
{
	struct scratch_chunk *chunk = malloc(sizeof(*chunk) + bytes);

	if (!chunk)
		return NULL;
	chunk->next = batch->chunks;
	batch->chunks = chunk;
	return chunk->bytes;
}

void batch_drop_chunks(struct batch *batch, struct scratch_chunk *until)
{
	while (batch->chunks != until) {
		struct scratch_chunk *chunk = batch->chunks;

		batch->chunks = chunk->next;
		free(chunk);
	}
}

static void touch_buckets(struct batch *batch, const struct table *table, uint32_t at)
{
	struct request *r = &batch->requests[at];

	if (at >= batch->count)
		return;
	for (uint32_t k = 0; k < r->key_count; k++) {
		table_key_init(&r->keys[k], table, r->keys[k].bytes);
		if (k < BATCH_AHEAD_KEYS_MAX)
			table_prefetch_home(&r->keys[k]);
	}
}

static void touch_items(const struct batch *batch, uint32_t at)
{
	const struct request *r = &batch->requests[at];

	if (at >= batch->count)
		return;
	for (uint32_t k = 0; k < r->key_count && k < BATCH_AHEAD_KEYS_MAX; k++)
		table_prefetch_item(&r->keys[k]);
}

static void touch_chains(const struct batch *batch, uint32_t at)
{
	const struct request *r = &batch->requests[at];

	if (at >= batch->count)
		return;
	for (uint32_t k = 0; k < r->key_count && k < BATCH_AHEAD_KEYS_MAX; k++)
		table_prefetch_chain(&r->keys[k]);
}

void batch_look_ahead(struct batch *batch, const struct table *table, uint32_t at)
{
	for (uint32_t i = 0; at == 0 && i < BATCH_AHEAD_BUCKETS; i++)
		touch_buckets(batch, table, i);
	for (uint32_t i = 0; at == 0 && i < BATCH_AHEAD_ITEMS; i++)
		touch_items(batch, i);
	for (uint32_t i = 0; at == 0 && i < BATCH_AHEAD_CHAINS; i++)
		touch_chains(batch, i);
	touch_buckets(batch, table, at + BATCH_AHEAD_BUCKETS);
	touch_items(batch, at + BATCH_AHEAD_ITEMS);
	touch_chains(batch, at + BATCH_AHEAD_CHAINS);
}
