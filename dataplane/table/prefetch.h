/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/slot_find.h"

/*
 * What a burst asks the memory for, while it executes the requests before: the bucket of a key;
 * when that has arrived, the items that its tags point at, or its overflow node; and when that has,
 * the items that the node's tags point at. Any thread.
 */

static inline void prefetch__word(uint64_t word)
{
	const uint8_t *item = (const uint8_t *)slot_item(word);

	prefetch_read(item);
	if (word & SLOT_SPANS)
		prefetch_read(item + CACHE_LINE_BYTES);
}

static inline void table_prefetch_home(const struct table_key *key)
{
	prefetch_read(key->home);
}

static inline void table_prefetch_item(const struct table_key *key)
{
	struct bucket *b = key->home;
	uint32_t mask = bucket_match(b, slot_tag_of_hash(key->hash));

	if (unlikely(mask == 0)) {
		const slot_word *node = bucket_chain(b);

		if (node) // of no address there would be a futile walk through the page tables
			prefetch_read(node);
	}
	for (; mask; mask &= mask - 1)
		prefetch__word(
			atomic_load_explicit(&b->slot[__builtin_ctz(mask)], memory_order_relaxed));
}

static inline void table_prefetch_chain(const struct table_key *key)
{
	uint64_t tag = slot_tag_of_hash(key->hash);
	const slot_word *node;

	if (likely(bucket_match(key->home, tag)))
		return;
	node = bucket_chain(key->home);
	for (uint32_t i = 0; node && i < OVERFLOW_SLOTS; i++) {
		uint64_t word = atomic_load_explicit((slot_word *)(uintptr_t)&node[i],
						     memory_order_relaxed);

		if (word >> SLOT_TAG_SHIFT == tag || slot_is_chain(word))
			prefetch__word(word);
	}
}
