/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/protocol.h"
#include "dataplane/table/table_internal.h"

#include "base/contract.h"
#include "base/rcu.h"

/*
 * Memory that has been unlinked and that some reader may still look at (T6). Each thread keeps
 * its own queue of chunks, tags a chunk when it is full or when nothing older waits, and frees it
 * in slices after the grace period of its tag: where it was retired, never by way of another
 * thread.
 *
 * Retiring cannot fail, because whoever unlinks has asked for room before. Owner thread only.
 */

#define CHUNK_ENTRIES 254
#define COST_FREE_NS  40

struct limbo_entry {
	uintptr_t ptr;  // bit 0: an overflow node
	uint64_t bytes; // by which limbo_bytes was raised
};

struct limbo_chunk {
	struct limbo_chunk *next;
	uint64_t tag;
	uint32_t count, freed;
	bool sealed; // tagged, and not to be added to
	struct limbo_entry entries[CHUNK_ENTRIES];
};

_Static_assert(sizeof(struct limbo_chunk) <= 4096, "a chunk is a page");

static void chunk_reset(struct limbo_chunk *chunk)
{
	chunk->next = NULL;
	chunk->count = chunk->freed = 0;
	chunk->sealed = false;
}

static void append(struct limbo *limbo, struct limbo_chunk *chunk)
{
	if (limbo->tail)
		limbo->tail->next = chunk;
	else
		limbo->head = chunk;
	limbo->tail = chunk;
}

bool reclaim__prepare(struct table_thread *t, uint32_t count)
{
	struct limbo *limbo = &t->limbo;
	// An item that goes may be the last of an overflow node, which goes as well.
	uint64_t needed = 2 * (uint64_t)count;

	while (unlikely(limbo->room < needed)) {
		struct limbo_chunk *chunk = table__alloc(t, sizeof(*chunk));

		if (!chunk)
			return false;
		chunk_reset(chunk);
		counter_add(&t->limbo_bytes, sizeof(*chunk)); // used or spare: of no other use
		chunk->next = limbo->spares;
		limbo->spares = chunk;
		limbo->room += CHUNK_ENTRIES;
	}
	return true;
}

static void seal(struct table_thread *t)
{
	struct limbo_chunk *tail = t->limbo.tail;

	t->limbo.room -= CHUNK_ENTRIES - tail->count;
	tail->tag = rcu_tag();
	tail->sealed = true;
}

static void retire(struct table_thread *t, uintptr_t ptr, uint64_t bytes)
{
	struct limbo *limbo = &t->limbo;

	INVARIANT(limbo->room > 0);
	if (!limbo->tail || limbo->tail->sealed) {
		struct limbo_chunk *chunk = limbo->spares;

		limbo->spares = chunk->next;
		chunk_reset(chunk);
		append(limbo, chunk);
	}
	limbo->tail->entries[limbo->tail->count++] = (struct limbo_entry){ptr, bytes};
	limbo->room--;
	counter_add(&t->limbo_bytes, bytes);
	counter_add(&t->limbo_items, 1);
	if (limbo->tail->count == CHUNK_ENTRIES)
		seal(t);
}

void reclaim__retire_item(struct table_thread *t, struct item *item)
{
	retire(t, (uintptr_t)item, item__retired_bytes(item));
}

void reclaim__retire_node(struct table_thread *t, slot_word *node)
{
	retire(t, (uintptr_t)node | 1, table__usable_bytes(OVERFLOW_BYTES));
}

static void free_entry(struct table_thread *t, const struct limbo_entry *entry)
{
	counter_sub(&t->limbo_bytes, entry->bytes);
	counter_sub(&t->limbo_items, 1);
	if (entry->ptr & 1)
		table__dealloc(t, (void *)(entry->ptr - 1), OVERFLOW_BYTES);
	else
		item__free(t, (struct item *)entry->ptr);
}

/* The emptied head becomes the one spare, or is freed. */
static void drop_head(struct table_thread *t)
{
	struct limbo *limbo = &t->limbo;
	struct limbo_chunk *chunk = limbo->head;

	limbo->head = chunk->next;
	if (!limbo->head)
		limbo->tail = NULL;
	if (limbo->spares) {
		counter_sub(&t->limbo_bytes, sizeof(*chunk));
		table__dealloc(t, chunk, sizeof(*chunk));
		return;
	}
	chunk_reset(chunk);
	limbo->spares = chunk;
	limbo->room += CHUNK_ENTRIES;
}

/* Closed threads leave their queues to whoever passes by first. */
static void adopt_orphans(struct table_thread *t)
{
	struct table *table = t->table;

	if (likely(!atomic_load_explicit(&table->orphans, memory_order_relaxed)))
		return;
	struct limbo_chunk *chunk = atomic_exchange(&table->orphans, NULL);
	uint64_t before = counter_read(&t->limbo_bytes);

	// They are sealed, so a tail that is still being filled must be too, to stand before them.
	if (t->limbo.tail && !t->limbo.tail->sealed)
		seal(t);
	while (chunk) {
		struct limbo_chunk *next = chunk->next;

		chunk->next = NULL;
		append(&t->limbo, chunk);
		counter_add(&t->limbo_bytes, sizeof(*chunk));
		for (uint32_t i = chunk->freed; i < chunk->count; i++) {
			counter_add(&t->limbo_bytes, chunk->entries[i].bytes);
			counter_add(&t->limbo_items, 1);
		}
		chunk = next;
	}
	atomic_fetch_sub(&table->orphan_bytes, counter_read(&t->limbo_bytes) - before);
}

/* Room for a large commit that did not retire as much: with nothing waiting one spare will do. */
static int64_t trim_spares(struct table_thread *t, int64_t budget)
{
	struct limbo *limbo = &t->limbo;

	while (!limbo->head && limbo->spares && limbo->spares->next && budget > 0) {
		struct limbo_chunk *chunk = limbo->spares;

		limbo->spares = chunk->next;
		limbo->room -= CHUNK_ENTRIES;
		counter_sub(&t->limbo_bytes, sizeof(*chunk));
		table__dealloc(t, chunk, sizeof(*chunk));
		budget -= COST_FREE_NS;
	}
	return budget;
}

/* Frees what is ripe, for about `budget` nanoseconds; returns what is left of it. */
int64_t reclaim__slice(struct table_thread *t, int64_t budget)
{
	struct limbo *limbo = &t->limbo;

	adopt_orphans(t);
	if (limbo->head && limbo->head == limbo->tail && !limbo->head->sealed)
		seal(t);
	while (limbo->head && limbo->head->sealed && budget > 0) {
		struct limbo_chunk *chunk = limbo->head;

		if (!rcu_done(chunk->tag) && TABLE_KEEPS(STEP_GRACE))
			break;
		for (; chunk->freed < chunk->count && budget > 0; budget -= COST_FREE_NS)
			free_entry(t, &chunk->entries[chunk->freed++]);
		if (chunk->freed == chunk->count)
			drop_head(t);
	}
	return trim_spares(t, budget);
}

bool reclaim__pending(const struct table_thread *t)
{
	const struct limbo_chunk *head = t->limbo.head;

	return head && head->sealed && rcu_done(head->tag);
}

static void free_spares(struct table_thread *t)
{
	while (t->limbo.spares) {
		struct limbo_chunk *next = t->limbo.spares->next;

		counter_sub(&t->limbo_bytes, sizeof(*t->limbo.spares));
		table__dealloc(t, t->limbo.spares, sizeof(*t->limbo.spares));
		t->limbo.spares = next;
	}
	t->limbo.room = 0;
}

static void orphan(struct table_thread *t, struct limbo_chunk *chunk)
{
	uint64_t before = counter_read(&t->limbo_bytes);

	counter_sub(&t->limbo_bytes, sizeof(*chunk));
	for (uint32_t i = chunk->freed; i < chunk->count; i++) {
		counter_sub(&t->limbo_bytes, chunk->entries[i].bytes);
		counter_sub(&t->limbo_items, 1);
	}
	atomic_fetch_add(&t->table->orphan_bytes, before - counter_read(&t->limbo_bytes));
	struct limbo_chunk *first = atomic_load(&t->table->orphans);

	do {
		chunk->next = first;
	} while (!atomic_compare_exchange_weak(&t->table->orphans, &first, chunk));
}

void reclaim__thread_close(struct table_thread *t)
{
	struct limbo *limbo = &t->limbo;

	if (limbo->tail && !limbo->tail->sealed)
		seal(t);
	while (limbo->head) {
		struct limbo_chunk *next = limbo->head->next;

		orphan(t, limbo->head);
		limbo->head = next;
	}
	limbo->tail = NULL;
	free_spares(t);
}

/* No thread is left that could read: grace periods no longer matter. */
void reclaim__table_free(struct table *table, struct table_thread *t)
{
	struct limbo_chunk *chunk = atomic_exchange(&table->orphans, NULL);

	while (chunk) {
		struct limbo_chunk *next = chunk->next;

		for (uint32_t i = chunk->freed; i < chunk->count; i++) {
			counter_add(&t->limbo_bytes, chunk->entries[i].bytes);
			counter_add(&t->limbo_items, 1);
			free_entry(t, &chunk->entries[i]);
		}
		table__dealloc(t, chunk, sizeof(*chunk));
		chunk = next;
	}
}
