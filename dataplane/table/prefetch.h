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
 * Without a branch on whether a tag matches, which for one key in four it does not: then it is the
 * overflow node that the last slot points at, if it does, and that is returned; else NULL. Tags of
 * two items are alike once in thousands of times; the second one is not asked for.
 */
static inline const slot_word *prefetch__in_bucket(const struct table_key *key)
{
	struct bucket *b = key->home;
	uint32_t mask = bucket_match(b, slot_tag_of_hash(key->hash));
	uint32_t at = (uint32_t)__builtin_ctz(mask | 1U << (BUCKET_SLOTS - 1));
	uint64_t word = atomic_load_explicit(&b->slot[at], memory_order_relaxed);

	bool chained = mask == 0 && slot_is_chain(word);

	// The bucket itself stands for nothing: it is here, where no address would be looked for.
	prefetch__word(mask != 0 || chained ? word : (uint64_t)(uintptr_t)b);
	return chained ? (const slot_word *)slot_item(word) : NULL;
}

/* The same for a node, whose last slot may point at a further one. */
static inline const slot_word *prefetch__in_node(const slot_word *node, uint64_t tag)
{
	uint64_t word = 0;
	bool found = false;

	for (uint32_t i = 0; i < OVERFLOW_SLOTS; i++) {
		word = atomic_load_explicit((slot_word *)(uintptr_t)&node[i], memory_order_relaxed);
		if (word >> SLOT_TAG_SHIFT == tag) {
			prefetch__word(word);
			found = true;
		}
	}
	if (found || !slot_is_chain(word))
		return NULL;
	prefetch__word(word);
	return (const slot_word *)slot_item(word);
}

/*
 * The lines of these keys behind their buckets, which table_keys_init() has asked for. One kind
 * after the other, so that by the end of each its first line has arrived; then node by node for
 * those whose tag has not been seen yet. At most TABLE_KEYS_MAX.
 */
static inline void table_prefetch_burst(struct table_key *const *keys, uint32_t count)
{
	const slot_word *node[TABLE_KEYS_MAX];
	uint64_t tag[TABLE_KEYS_MAX];
	uint32_t chained = 0;

	for (uint32_t i = 0; i < count; i++) {
		node[chained] = prefetch__in_bucket(keys[i]);
		tag[chained] = slot_tag_of_hash(keys[i]->hash);
		chained += node[chained] != NULL;
	}
	while (chained > 0) {
		uint32_t go_on = 0;

		for (uint32_t i = 0; i < chained; i++) {
			node[go_on] = prefetch__in_node(node[i], tag[i]);
			tag[go_on] = tag[i];
			go_on += node[go_on] != NULL;
		}
		chained = go_on;
	}
}
