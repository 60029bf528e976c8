/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/batch.h"

#include "dataplane/proto/stash.h"

#include <stdlib.h>

/*
 * The memory of the requests between feed and run, and the look-ahead over their keys. session.c
 * fills the batch through the parsers and runs it; by then batch_prefetch() has made the table's
 * lines arrive. Runs on the thread that owns the host.
 */

// Touching more lines than this before the first is used would push out what was touched first.
#define BATCH_PREFETCH_KEYS_MAX 256

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

static uint32_t hash_keys(struct batch *batch, const struct table *table)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		struct request *r = &batch->requests[i];

		for (uint32_t k = 0; k < r->key_count; k++) {
			r->keys[k] = table_key(table, r->keys[k].bytes);
			if (total++ < BATCH_PREFETCH_KEYS_MAX)
				table_prefetch(table, r->keys[k].hash);
		}
	}
	return total;
}

void batch_prefetch(struct batch *batch, const struct table *table)
{
	uint32_t left = hash_keys(batch, table);

	if (left > BATCH_PREFETCH_KEYS_MAX)
		left = BATCH_PREFETCH_KEYS_MAX;
	for (uint32_t i = 0; i < batch->count && left > 0; i++) {
		const struct request *r = &batch->requests[i];

		for (uint32_t k = 0; k < r->key_count && left > 0; k++, left--)
			table_prefetch_item(table, r->keys[k].hash);
	}
}
