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

/*
 * Without a branch on whether a tag matches, which for one key in six it does not: then it is the
 * overflow node that the last slot points at, if it does. True: look there next. Tags of two items
 * are alike once in thousands of times; the second one is not asked for.
 */
static inline bool prefetch__in_bucket(const struct table_key *key)
{
	struct bucket *b = key->home;
	uint32_t mask = bucket_match(b, slot_tag_of_hash(key->hash));
	uint32_t at = (uint32_t)__builtin_ctz(mask | 1U << (BUCKET_SLOTS - 1));
	uint64_t word = atomic_load_explicit(&b->slot[at], memory_order_relaxed);

	bool chained = mask == 0 && slot_is_chain(word);

	// The bucket itself stands for nothing: it is here, where no address would be looked for.
	prefetch__word(mask != 0 || chained ? word : (uint64_t)(uintptr_t)b);
	return chained;
}

static inline void prefetch__in_chain(const struct table_key *key)
{
	uint64_t tag = slot_tag_of_hash(key->hash);
	const slot_word *node = bucket_chain(key->home);

	for (uint32_t i = 0; node && i < OVERFLOW_SLOTS; i++) {
		uint64_t word = atomic_load_explicit((slot_word *)(uintptr_t)&node[i],
						     memory_order_relaxed);

		if (word >> SLOT_TAG_SHIFT == tag || slot_is_chain(word))
			prefetch__word(word);
	}
}

/*
 * The lines of these keys, whose hashes are there (table_keys_init()). One kind after the other: by
 * the end of each its first line has arrived. At most TABLE_KEYS_MAX.
 */
static inline void table_prefetch_burst(struct table_key *const *keys, uint32_t count)
{
	uint8_t chained[TABLE_KEYS_MAX];
	uint32_t chained_count = 0;

	for (uint32_t i = 0; i < count; i++)
		table_prefetch_home(keys[i]);
	for (uint32_t i = 0; i < count; i++) {
		chained[chained_count] = (uint8_t)i;
		chained_count += prefetch__in_bucket(keys[i]);
	}
	for (uint32_t i = 0; i < chained_count; i++)
		prefetch__in_chain(keys[chained[i]]);
}
