/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/item_layout.h"
#include "dataplane/table/table.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * Which slot of a bucket holds a key: the inner loop of every lookup. Any thread, the bucket locked
 * or not.
 */

/* Bit i: slot i has this tag. What the vectors below are tested against, and do without them. */
static inline uint32_t bucket_match_plain(const struct bucket *b, uint64_t tag)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t word = atomic_load_explicit((slot_word *)(uintptr_t)&b->slot[i],
						     memory_order_relaxed);

		mask |= (uint32_t)(word >> SLOT_TAG_SHIFT == tag) << i;
	}
	return mask;
}

/* Bit i: slot i is empty. */
static inline uint32_t bucket_free_plain(const struct bucket *b)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < BUCKET_SLOTS; i++)
		mask |= (uint32_t)(atomic_load_explicit((slot_word *)(uintptr_t)&b->slot[i],
							memory_order_relaxed) == 0)
			<< i;
	return mask;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUCKET_MATCH_PLAIN // it sees vectors as plain loads, which race
#endif
#endif

#if defined(__SSE2__) && !defined(BUCKET_MATCH_PLAIN) && !defined(__SANITIZE_THREAD__)
/*
 * The line as four vectors: the upper halves of its words, where the tags are, compared eight at
 * once, the header's thrown away. Part of every x86-64, so there is nothing to choose at run time.
 * A filter: who finds a bit loads the slot again.
 */
static inline uint32_t bucket_match(const struct bucket *b, uint64_t tag)
{
	const __m128 *line = (const __m128 *)(const void *)b;
	const __m128i mask = _mm_set1_epi32((int)(~0U << (SLOT_TAG_SHIFT - 32)));
	const __m128i wanted = _mm_set1_epi32((int)(tag << (SLOT_TAG_SHIFT - 32)));
	__m128i low = _mm_castps_si128(_mm_shuffle_ps(line[0], line[1], _MM_SHUFFLE(3, 1, 3, 1)));
	__m128i high = _mm_castps_si128(_mm_shuffle_ps(line[2], line[3], _MM_SHUFFLE(3, 1, 3, 1)));

	// Who misses looks at the header again after this: the compiler must not turn that round.
	atomic_signal_fence(memory_order_seq_cst);
	low = _mm_cmpeq_epi32(_mm_and_si128(low, mask), wanted);
	high = _mm_cmpeq_epi32(_mm_and_si128(high, mask), wanted);
	__m128i words = _mm_packs_epi32(low, high);

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(words, words)) >> 1 & 0x7f;
}

/* The bucket locked: nobody else stores. */
static inline uint32_t bucket_free(const struct bucket *b)
{
	const __m128i *line = (const __m128i *)(const void *)b;
	const __m128i zero = _mm_setzero_si128();
	uint32_t mask = 0;

	for (uint32_t i = 0; i < 4; i++) {
		__m128i halves = _mm_cmpeq_epi32(line[i], zero);
		__m128i words = _mm_and_si128(halves, _mm_shuffle_epi32(halves, 0xb1));

		mask |= (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(words)) << (2 * i);
	}
	return mask >> 1; // without the header
}
#else
static inline uint32_t bucket_free(const struct bucket *b)
{
	return bucket_free_plain(b);
}

static inline uint32_t bucket_match(const struct bucket *b, uint64_t tag)
{
	return bucket_match_plain(b, tag);
}
#endif

/* The node behind the bucket's own slots, or NULL. */
static inline slot_word *bucket_chain(struct bucket *b)
{
	uint64_t last = atomic_load_explicit(&b->slot[BUCKET_SLOTS - 1], memory_order_acquire);

	return slot_is_chain(last) ? (slot_word *)(uintptr_t)(last & SLOT_PTR) : NULL;
}

/* index.c: the same for a chain of overflow nodes. */
slot_word *table__chain_find(slot_word *node, const struct table_key *key, uint64_t *word);

/* The slot that holds the key, and its word; NULL when there is none. */
static inline slot_word *table__slot_find(struct bucket *b, const struct table_key *key,
					  uint64_t *word)
{
	const uint64_t tag = slot_tag_of_hash(key->hash);
	slot_word *node;

	for (uint32_t mask = bucket_match(b, tag); mask; mask &= mask - 1) {
		slot_word *slot = &b->slot[__builtin_ctz(mask)];
		uint64_t w = atomic_load_explicit(slot, memory_order_acquire);

		if (likely(w >> SLOT_TAG_SHIFT == tag &&
			   item__key_equal(slot_item(w), key->bytes))) {
			*word = w;
			return slot;
		}
	}
	node = bucket_chain(b);
	return unlikely(node) ? table__chain_find(node, key, word) : NULL;
}
