/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The words of the index, and nothing but the words.
 *
 *   header  [63:8] version | [7] WAIT [6] COLOUR [5:4] DEPTH mod 4 [3] VOL [2] CHAIN [1] TXN [0]
 *           LOCK
 *   slot    [63:50] tag, never 0 | [49:48] frequency | [47:4] item | [3:0] hints
 *
 * A slot with tag 0 is empty when it is 0 as a whole; otherwise it is the last slot of its line
 * and points at an overflow node of four more slots. So one load of a slot says all there is to
 * know of it.
 */
#define HDR_LOCK          (1ULL << 0) // a writer is at work; readers care only when they miss
#define HDR_TXN           (1ULL << 1) // a commit of several keys publishes: readers wait
#define HDR_CHAIN         (1ULL << 2) // the last slot points at an overflow node
#define HDR_VOL           (1ULL << 3) // may hold items with an expiry
#define HDR_DEPTH_SHIFT   4
#define HDR_DEPTH         (3ULL << HDR_DEPTH_SHIFT)
#define HDR_COLOUR        (1ULL << 6) // of the snapshot walker
#define HDR_WAIT          (1ULL << 7) // some key here has a watcher
#define HDR_FLAGS         0xffULL
#define HDR_VERSION_SHIFT 8
#define VERSION_MAX       (UINT64_MAX >> HDR_VERSION_SHIFT)

#define SLOT_TAG_SHIFT 50
#define SLOT_PTR       0x0000fffffffffff0ULL
#define SLOT_TTL       1ULL // hint: the item has an expiry
#define SLOT_PROBATION 2ULL // hint: the item has yet to prove itself, see evict_clock.c
#define SLOT_FREQ_ONE  (1ULL << 48)
#define SLOT_FREQ      (3 * SLOT_FREQ_ONE)
#define SLOT_SPANS     8ULL // hint: the item goes on in the next line; worth a second prefetch
#define BUCKET_SLOTS   7
#define OVERFLOW_SLOTS 4
#define OVERFLOW_BYTES (OVERFLOW_SLOTS * sizeof(uint64_t))

typedef _Atomic uint64_t slot_word;

struct CACHE_ALIGNED bucket {
	_Atomic uint64_t hdr;
	slot_word slot[BUCKET_SLOTS];
};

_Static_assert(sizeof(struct bucket) == CACHE_LINE_BYTES, "a bucket is one cache line");

struct item;

static inline uint64_t hdr_version(uint64_t hdr)
{
	return hdr >> HDR_VERSION_SHIFT;
}

static inline uint64_t slot_tag_of_hash(uint64_t hash)
{
	uint64_t tag = hash >> SLOT_TAG_SHIFT;

	return tag ? tag : 1;
}

static inline struct item *slot_item(uint64_t word)
{
	return (struct item *)(uintptr_t)(word & SLOT_PTR);
}

static inline uint64_t slot_make(uint64_t tag, const struct item *item, uint64_t hints)
{
	return tag << SLOT_TAG_SHIFT | (uint64_t)(uintptr_t)item | hints;
}

static inline bool slot_is_chain(uint64_t word)
{
	return word != 0 && word >> SLOT_TAG_SHIFT == 0;
}

static inline bool slot_is_item(uint64_t word)
{
	return word >> SLOT_TAG_SHIFT != 0;
}

/* A run of slots: the seven of a bucket, or the four of an overflow node. */
struct line {
	slot_word *slots;
	uint32_t count;
};

static inline struct line bucket_line(struct bucket *b)
{
	return (struct line){b->slot, BUCKET_SLOTS};
}

/* The line behind `line`, if its last slot chains on. */
static inline bool line_next(struct line *line)
{
	uint64_t last = atomic_load_explicit(&line->slots[line->count - 1], memory_order_acquire);

	if (!slot_is_chain(last))
		return false;
	*line = (struct line){(slot_word *)(uintptr_t)(last & SLOT_PTR), OVERFLOW_SLOTS};
	return true;
}

/*
 * Linear hashing. With n buckets and 2^level <= n < 2^(level + 1), the first n - 2^level buckets
 * and those from 2^level on are addressed by level + 1 bits of the hash (their depth), the rest
 * by level bits.
 */
static inline uint32_t geometry_level(uint64_t buckets)
{
	return 63 - (uint32_t)__builtin_clzll(buckets);
}

static inline uint64_t geometry_home(uint64_t hash, uint64_t buckets)
{
	uint64_t mask = UINT64_MAX >> __builtin_clzll(buckets); // level + 1 bits
	uint64_t idx = hash & mask;

	return idx < buckets ? idx : idx & mask >> 1;
}

static inline uint32_t geometry_depth(uint64_t idx, uint64_t buckets)
{
	uint32_t level = geometry_level(buckets);
	uint64_t half = 1ULL << level;

	return idx < buckets - half || idx >= half ? level + 1 : level;
}

static inline uint64_t hdr_depth_bits(uint32_t depth)
{
	return (uint64_t)(depth & 3) << HDR_DEPTH_SHIFT;
}
