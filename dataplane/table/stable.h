/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/table_internal.h"

/*
 * A short item whose key has been written before may be overwritten in place (overwrite.c), so
 * whoever looks one up gets a copy of its own, and may read that as long as an item that does not
 * change. The item's version word is the sequence lock of the bytes behind it. Keys that are
 * written once and read often cost nobody a copy.
 *
 * Copies fill a few KB per thread and are dropped by table_drop_found(). Where they do not fit, the
 * thread makes all writers hold still instead: from then on they replace.
 */

#ifndef COPIES_BYTES // the checker of tests/linear has room for very few
#define COPIES_BYTES 65536
#endif
#define COPY_HEADER 16 // the address of the original, and room that keeps items aligned
#define COPY_MAX    (COPY_HEADER + ITEM_OVERWRITE_MAX)

static inline bool stable__is_copy(const struct table_thread *t, const struct item *item)
{
	return (uintptr_t)item - (uintptr_t)t->copies < COPIES_BYTES;
}

/* The item that a look-up's result stands for, to be marked, never to be read. */
static inline struct item *stable__original(const struct table_thread *t, struct item *item)
{
	struct item *original = item;

	if (stable__is_copy(t, item))
		memcpy(&original, (uint8_t *)item - COPY_HEADER, sizeof(original));
	return original;
}

static inline bool stable__has_room(const struct table_thread *t, uint64_t items)
{
	return items <= (COPIES_BYTES - t->copies_used) / COPY_MAX;
}

/* What may be read until table_drop_found(). There is room, or everybody holds still. */
static inline struct item *stable__item(struct table_thread *t, struct item *item)
{
	if (likely(!(item__flags(item) & ITEM_REWRITTEN)) || unlikely(t->holds))
		return item;
	size_t words = (item__size_bytes(item) + 7) / 8;
	uint8_t *at = t->copies + t->copies_used;
	uint64_t *to = (uint64_t *)(at + COPY_HEADER);
	_Atomic uint64_t *from = (_Atomic uint64_t *)item;
	uint32_t spins = 0;

	memcpy(at, &item, sizeof(item));
	do {
		while (unlikely((to[0] = atomic_load_explicit(&from[0], memory_order_acquire)) &
				ITEM_CHANGES) &&
		       TABLE_KEEPS(STEP_COPY))
			table__spin(&spins);
		for (size_t i = 1; i < words; i++)
			to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
		TABLE_YIELD();
		atomic_thread_fence(memory_order_acquire);
	} while (unlikely(atomic_load_explicit(&from[0], memory_order_relaxed) != to[0]) &&
		 TABLE_KEEPS(STEP_COPY));
	t->copies_used += (uint32_t)(COPY_HEADER + (words + 1) / 2 * 16);
	return (struct item *)to;
}

/* overwrite.c; table_drop_found() ends it. */
void stable__hold(struct table_thread *t);
