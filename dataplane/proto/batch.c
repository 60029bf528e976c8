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

/* Some of a request's keys from `first` on. Returns how many. */
static uint32_t keys_of(const struct request *r, uint32_t first, struct table_key **keys,
			uint32_t room)
{
	uint32_t count = r->key_count - first < room ? r->key_count - first : room;

	for (uint32_t i = 0; i < count; i++)
		keys[i] = &r->keys[first + i];
	return count;
}

/*
 * Of the next requests, as many as are hashed at once. What a request has beyond that is hashed
 * and no more: reading many keys looks ahead by itself.
 */
static uint32_t next_keys(struct batch *batch, const struct table *table, struct table_key **keys)
{
	uint32_t count = 0;

	while (batch->ahead < batch->count) {
		const struct request *r = &batch->requests[batch->ahead];

		if (count > 0 && r->key_count > TABLE_KEYS_MAX - count)
			break;
		for (uint32_t k = TABLE_KEYS_MAX; k < r->key_count; k += TABLE_KEYS_MAX)
			table_keys_init(table, keys, keys_of(r, k, keys, TABLE_KEYS_MAX));
		count += keys_of(r, 0, keys + count, TABLE_KEYS_MAX - count);
		batch->ahead++;
	}
	return count;
}

void batch_look_ahead(struct batch *batch, const struct table *table, uint32_t at)
{
	struct table_key *keys[TABLE_KEYS_MAX];
	uint32_t count;

	if (at < batch->ahead)
		return;
	count = next_keys(batch, table, keys);
	if (count == 0)
		return;
	table_keys_init(table, keys, count);
	table_prefetch_burst(keys, count);
}
