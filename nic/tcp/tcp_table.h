/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "nic/tcp/tcp_slab.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * From a flow's hash to what we know of the flow: a connection, a half-open entry or one in
 * TIME_WAIT. A bucket is one cache line of eight (tag, ref) pairs; a flow lives in one of two
 * buckets, or in the stash. The table knows only hashes: the caller compares the flows behind the
 * candidates.
 */
#define TCP_BUCKET_SLOTS 8
#define TCP_STASH_SLOTS  16
#define TCP_REF_NONE     0

/* What a ref leads to: the kind in the two top bits, never all zero, and the slab index. */
enum tcp_ref_kind {
	TCP_REF_CONN = 1,
	TCP_REF_SYN,
	TCP_REF_TIME_WAIT,
};

struct tcp_slot {
	uint32_t tag; // the whole hash
	uint32_t ref; // TCP_REF_NONE: free
};

struct tcp_bucket {
	struct tcp_slot slots[TCP_BUCKET_SLOTS];
} CACHE_ALIGNED;

_Static_assert(sizeof(struct tcp_bucket) == CACHE_LINE_BYTES, "a lookup touches one line");

struct tcp_table {
	struct tcp_bucket *buckets;
	// odd multipliers: the low bits of an RSS hash choose the worker, so all of ours share some
	uint64_t secret[2];
	uint32_t bits; // log2 of the number of buckets
	uint32_t stash_used;
	struct tcp_slot stash[TCP_STASH_SLOTS];
	struct tcp_slab memory;
};

static inline uint32_t tcp_ref_make(enum tcp_ref_kind kind, uint32_t index)
{
	return (uint32_t)kind << 30 | index;
}

static inline enum tcp_ref_kind tcp_ref_kind(uint32_t ref)
{
	return (enum tcp_ref_kind)(ref >> 30);
}

static inline uint32_t tcp_ref_index(uint32_t ref)
{
	return ref & 0x3fffffff;
}

/* Room for `entries` flows at half load. False when there is no memory. */
bool tcp_table_init(struct tcp_table *table, uint32_t entries, const uint64_t secret[2]);
void tcp_table_fini(struct tcp_table *table);

/*
 * False when both buckets and the stash are full, which at half load means that somebody collides
 * on purpose.
 */
MUST_USE bool tcp_table_insert(struct tcp_table *table, uint32_t hash, uint32_t ref);
void tcp_table_remove(struct tcp_table *table, uint32_t hash, uint32_t ref);

/* A flow changes its kind without leaving its place. */
void tcp_table_replace(struct tcp_table *table, uint32_t hash, uint32_t ref, uint32_t with);

static inline uint32_t tcp_table_home(const struct tcp_table *table, uint32_t hash, int choice)
{
	return (uint32_t)(((hash + 1) * table->secret[choice]) >> (64 - table->bits));
}

/* Candidates one after another; *at is 0 at first. TCP_REF_NONE ends it. */
static inline uint32_t tcp_table_next(const struct tcp_table *table, uint32_t hash, uint32_t *at)
{
	while (*at < 2 * TCP_BUCKET_SLOTS) {
		const struct tcp_bucket *b =
			&table->buckets[tcp_table_home(table, hash, *at / TCP_BUCKET_SLOTS)];

		for (uint32_t i = *at % TCP_BUCKET_SLOTS; i < TCP_BUCKET_SLOTS; i++) {
			++*at;
			if (b->slots[i].tag == hash && b->slots[i].ref != TCP_REF_NONE)
				return b->slots[i].ref;
		}
	}
	if (likely(table->stash_used == 0))
		return TCP_REF_NONE;
	while (*at < 2 * TCP_BUCKET_SLOTS + TCP_STASH_SLOTS) {
		const struct tcp_slot *s = &table->stash[(*at)++ - 2 * TCP_BUCKET_SLOTS];

		if (s->tag == hash && s->ref != TCP_REF_NONE)
			return s->ref;
	}
	return TCP_REF_NONE;
}
