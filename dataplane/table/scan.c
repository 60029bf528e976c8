/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <stdlib.h>

/*
 * Walking over everything without holding anything (T5). The cursor counts through the bucket
 * numbers with their bits reversed, as in redis: buckets that a split makes of one, or that a
 * merge makes one of, are neighbours in this order, so a resize never puts an unvisited bucket
 * behind the cursor. A parent and its child, if it has been split at the current level, are one
 * step, and the step is looked at again when either bucket changed under it. Any thread.
 */

static uint64_t reverse_bits(uint64_t v)
{
	v = __builtin_bswap64(v);
	v = (v >> 4 & 0x0f0f0f0f0f0f0f0fULL) | (v & 0x0f0f0f0f0f0f0f0fULL) << 4;
	v = (v >> 2 & 0x3333333333333333ULL) | (v & 0x3333333333333333ULL) << 2;
	return (v >> 1 & 0x5555555555555555ULL) | (v & 0x5555555555555555ULL) << 1;
}

/* Adds one to the reversed cursor, in the bits of the mask. */
static uint64_t cursor_next(uint64_t cursor, uint64_t mask)
{
	return reverse_bits(reverse_bits(cursor | ~mask) + 1);
}

struct family {
	uint64_t buckets;
	struct bucket *parent, *child; // child NULL: not split at this level
	uint64_t parent_hdr, child_hdr;
};

static uint64_t stable_header(struct bucket *b)
{
	uint32_t spins = 0;
	uint64_t hdr;

	while ((hdr = atomic_load_explicit(&b->hdr, memory_order_acquire)) & HDR_LOCK)
		table__spin(&spins);
	return hdr;
}

bool table__scan_keep(struct table_thread *t, struct item *item, uint32_t *count)
{
	if (*count == t->scan_capacity) {
		uint32_t capacity = t->scan_capacity ? 2 * t->scan_capacity : 64;
		struct item **more = realloc(t->scan_items, capacity * sizeof(struct item *));

		if (!more)
			return false;
		t->scan_items = more;
		t->scan_capacity = capacity;
	}
	t->scan_items[(*count)++] = item;
	return true;
}

static bool collect(struct table_thread *t, struct bucket *b, uint32_t *count)
{
	uint64_t flushed = atomic_load_explicit(&t->table->flushed, memory_order_acquire);
	struct line line = bucket_line(b);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (slot_is_item(word) && table__item_live(t, slot_item(word), flushed) &&
			    !table__scan_keep(t, slot_item(word), count))
				return false;
		}
	} while (line_next(&line));
	return true;
}

/* Collects parent and child as of one moment into t->scan_items. False: no memory. */
static bool collect_family(struct table_thread *t, uint64_t cursor, uint64_t *mask, uint32_t *count)
{
	struct table *table = t->table;
	struct family f;

	do {
		*count = 0;
		f.buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
		uint64_t half = 1ULL << geometry_level(f.buckets);

		*mask = half - 1;
		f.parent = &table->index[cursor & *mask];
		f.child = NULL;
		f.parent_hdr = stable_header(f.parent);
		if ((cursor & *mask) + half < f.buckets) {
			f.child = &table->index[(cursor & *mask) + half];
			f.child_hdr = stable_header(f.child);
		}
		if (!collect(t, f.parent, count) || (f.child && !collect(t, f.child, count)))
			return false;
		// A split or merge changes the parent's header; an earlier one, `buckets`.
	} while (atomic_load_explicit(&f.parent->hdr, memory_order_acquire) != f.parent_hdr ||
		 (f.child &&
		  atomic_load_explicit(&f.child->hdr, memory_order_acquire) != f.child_hdr) ||
		 atomic_load_explicit(&table->buckets, memory_order_acquire) != f.buckets);
	return true;
}

/* Of empty buckets, one call looks at no more than what takes about 50 us. */
#define SCAN_STEPS_MAX 4096

uint64_t table_scan(struct table_thread *t, uint64_t cursor, uint32_t want,
		    void (*visit)(void *arg, struct item *item), void *arg)
{
	uint32_t visited = 0, steps = 0;
	uint64_t mask;

	do {
		uint32_t count;

		if (!collect_family(t, cursor, &mask, &count))
			return cursor; // no memory for a few pointers: the caller comes again
		for (uint32_t i = 0; i < count; i++)
			visit(arg, t->scan_items[i]);
		visited += count;
		cursor = cursor_next(cursor, mask);
	} while (cursor != 0 && visited < want && ++steps < SCAN_STEPS_MAX);
	return cursor;
}

#define RANDOM_PROBES 64

static struct item *pick(struct table_thread *t, uint64_t idx)
{
	uint32_t count = 0;

	if (!collect(t, &t->table->index[idx], &count) || count == 0)
		return NULL;
	return t->scan_items[rng_below(&t->rng, count)];
}

struct item *table_random(struct table_thread *t)
{
	uint64_t buckets = atomic_load_explicit(&t->table->buckets, memory_order_acquire);
	struct item *item = NULL;

	for (uint32_t i = 0; i < RANDOM_PROBES && !item; i++)
		item = pick(t, geometry_home(rng_next(&t->rng), buckets));
	if (item || table_count(t->table) == 0)
		return item;
	// Nearly empty: walk on from a random place until there is one.
	uint64_t start = geometry_home(rng_next(&t->rng), buckets);

	for (uint64_t i = 0; i < buckets && !item; i++)
		item = pick(t, start + i < buckets ? start + i : start + i - buckets);
	return item;
}
