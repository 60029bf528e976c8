/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/access.h"
#include "dataplane/table/prefetch.h"
#include "dataplane/table/protocol.h"
#include "dataplane/table/slot_find.h"
#include "dataplane/table/stable.h"

#include "base/contract.h"

#include <stdlib.h>

/*
 * Reading. No lock and no shared store but what access.c says. Any thread.
 *
 *   hit    Needs no validation: the slot is one word, RCU keeps the item, and if that is one that
 *          may be overwritten the caller gets a copy.
 *   miss   Is believed only if the header is what it was before the slots were read, unlocked and
 *          of the depth that the geometry says, and if the geometry still sends the key here
 *          (T2).
 *   TXN    A commit of several keys publishes; wait, or half of it would be seen (T3). Its bits
 *          are all set before its first slot is stored, so who saw one new value finds the other
 *          buckets guarded.
 *
 * Depth is compared modulo 4. That suffices because grow.c lets a grace period pass between
 * growing and shrinking, which no lookup outlives: within one lookup the table changes in one
 * direction only.
 */

struct table_key table_key(const struct table *table, struct slice bytes)
{
	uint64_t hash = table__hash(table, bytes);

	return (struct table_key){
		.bytes = bytes,
		.hash = hash,
		.home = &table->index[geometry_home(hash, table__buckets(table))],
	};
}

/* Buckets are on their way while the next keys are hashed. */
#define HASHED_AT_ONCE 8

void table_keys_init(const struct table *table, struct table_key *const *keys, uint32_t count)
{
	const uint64_t buckets = table__buckets(table);
	struct slice bytes[TABLE_KEYS_MAX];
	uint64_t hashes[HASHED_AT_ONCE];

	REQUIRE(count > 0 && count <= TABLE_KEYS_MAX);
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = keys[i]->bytes;
	for (uint32_t from = 0; from < count; from += HASHED_AT_ONCE) {
		uint32_t to = from + HASHED_AT_ONCE < count ? from + HASHED_AT_ONCE : count;

		table->hash_many(&table->hash_key, bytes + from, hashes, to - from);
		for (uint32_t i = from; i < to; i++) {
			keys[i]->hash = hashes[i - from] & table->hash_mask;
			keys[i]->home = &table->index[geometry_home(keys[i]->hash, buckets)];
			table_prefetch_home(keys[i]);
		}
	}
}

/* One stable look at a bucket. */
struct look {
	struct bucket *bucket;
	uint64_t idx;
	uint64_t hdr;
	struct item *item; // whatever its state; NULL: absent
};

static inline bool miss_is_true(struct table *table, uint64_t hash, uint64_t buckets,
				const struct look *look)
{
	TABLE_YIELD();
	if (!TABLE_KEEPS(STEP_MISS))
		return true;
	if (atomic_load_explicit(&look->bucket->hdr, memory_order_acquire) != look->hdr)
		return false;
	if (look->hdr & HDR_LOCK)
		return false;
	if ((look->hdr & HDR_DEPTH) != hdr_depth_bits(geometry_depth(look->idx, buckets)))
		return false;
	buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
	return geometry_home(hash, buckets) == look->idx;
}

/* `busy`: header bits that make us wait. */
static void look_up(struct table *table, const struct table_key *key, uint64_t busy,
		    struct look *look)
{
	uint32_t spins = 0;

	for (;; table__spin(&spins)) {
		uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
		uint64_t word;

		look->idx = geometry_home(key->hash, buckets);
		look->bucket = &table->index[look->idx];
		look->hdr = atomic_load_explicit(&look->bucket->hdr, memory_order_acquire);
		if (unlikely(look->hdr & busy) && TABLE_KEEPS(STEP_TXN))
			continue;
		TABLE_YIELD();
		if (table__slot_find(look->bucket, key, &word)) {
			look->item = slot_item(word);
			return;
		}
		look->item = NULL;
		if (likely(miss_is_true(table, key->hash, buckets, look)))
			return;
	}
}

static COLD struct item *find_held(struct table_thread *t, const struct table_key *key);

/* Whatever find() does not decide at first sight. */
static COLD struct item *find_slowly(struct table_thread *t, const struct table_key *key)
{
	struct look look;

	look_up(t->table, key, HDR_TXN, &look);
	if (!look.item) {
		table__version_seen(t, hdr_version(look.hdr));
		return NULL;
	}
	if (unlikely(!stable__has_room(t, 1)))
		return find_held(t, key);
	look.item = stable__item(t, look.item);
	table__version_seen(t, item__version(look.item));
	if (table__item_live(t, look.item, table__flushed(t->table)))
		return look.item;
	if (t->may_write && !t->follows && table__item_expired(t, look.item))
		table__sweep_bucket(t, look.idx);
	return NULL;
}

/*
 * One straight way for a hit on what lives and for a miss on what rests. The key's old home will
 * do for a hit: an item is in two buckets only while both are locked, and both find it then.
 */
static ALWAYS_INLINE struct item *find(struct table_thread *t, const struct table_key *key)
{
	struct table *table = t->table;
	uint64_t flushed = table__flushed(table);
	uint64_t buckets = table__buckets(table), word;
	struct look look = {.bucket = key->home};

	look.hdr = atomic_load_explicit(&look.bucket->hdr, memory_order_acquire);
	if (unlikely(look.hdr & HDR_TXN) && TABLE_KEEPS(STEP_TXN))
		return find_slowly(t, key);
	TABLE_YIELD();
	if (table__slot_find(look.bucket, key, &word)) {
		if (unlikely(!stable__has_room(t, 1)))
			return find_held(t, key);
		struct item *item = stable__item(t, slot_item(word));

		table__version_seen(t, item__version(item));
		return likely(table__item_live(t, item, flushed)) ? item : find_slowly(t, key);
	}
	look.idx = (uint64_t)(look.bucket - table->index);
	if (unlikely(!miss_is_true(table, key->hash, buckets, &look)))
		return find_slowly(t, key);
	table__version_seen(t, hdr_version(look.hdr));
	return NULL;
}

struct item *table_peek(struct table_thread *t, const struct table_key *key)
{
	return find(t, key);
}

void table_note_access(struct table_thread *t, const struct table_key *key, struct item *item)
{
	access__note(t, stable__original(t, item), key->hash);
}

struct item *table_find(struct table_thread *t, const struct table_key *key)
{
	struct item *item = find(t, key);

	if (item)
		access__note(t, stable__original(t, item), key->hash);
	return item;
}

/*
 * A bucket's version rises with each of its changes, so the sum over all keys' buckets is the
 * same in two passes only if no bucket changed in between: an exact check that needs no memory,
 * however many keys there are.
 */
typedef unsigned __int128 version_sum;

static bool sum_again(struct table *table, const struct table_key *keys, uint32_t count,
		      uint64_t buckets, version_sum *sum)
{
	*sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct bucket *b = &table->index[geometry_home(keys[i].hash, buckets)];
		uint64_t hdr = atomic_load_explicit(&b->hdr, memory_order_acquire);

		if (hdr & HDR_LOCK)
			return false;
		*sum += hdr_version(hdr);
	}
	return true;
}

static struct item *live_item(struct table_thread *t, struct item *item, uint64_t flushed)
{
	if (!item)
		return NULL;
	item = stable__item(t, item);
	return table__item_live(t, item, flushed) ? item : NULL;
}

static bool find_many_once(struct table_thread *t, const struct table_key *keys, uint32_t count,
			   struct item **items)
{
	struct table *table = t->table;
	uint64_t flushed = atomic_load_explicit(&table->flushed, memory_order_acquire);
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
	version_sum first = 0, second;

	for (uint32_t i = 0; i < count; i++) {
		struct look look;

		if (i + 8 < count)
			table_prefetch_home(&keys[i + 8]);
		look_up(table, &keys[i], HDR_LOCK | HDR_TXN, &look);
		if (look.idx != geometry_home(keys[i].hash, buckets))
			return false;
		table__version_seen(t, hdr_version(look.hdr));
		first += hdr_version(look.hdr);
		items[i] = live_item(t, look.item, flushed);
	}
	if (TABLE_KEEPS(STEP_SECOND_PASS) &&
	    (!sum_again(table, keys, count, buckets, &second) || first != second))
		return false;
	return atomic_load_explicit(&table->flushed, memory_order_acquire) == flushed;
}

/* There is no room for a copy. */
static struct item *find_held(struct table_thread *t, const struct table_key *key)
{
	struct item *item;
	uint32_t spins = 0;

	stable__hold(t);
	while (!find_many_once(t, key, 1, &item))
		table__spin(&spins);
	return item;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void unlock_all(struct table *table, const uint64_t *idx, const uint64_t *hdr,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || idx[i] != idx[i - 1])
			atomic_store_explicit(&table->index[idx[i]].hdr, hdr[i],
					      memory_order_release);
}

/* Optimism has failed: hold all buckets still, in index order as writers do, and look once. */
static bool find_many_locked(struct table_thread *t, const struct table_key *keys, uint32_t count,
			     struct item **items)
{
	struct table *table = t->table;
	uint64_t *idx = malloc(2 * count * sizeof(*idx));
	uint64_t *hdr = idx + count;
	bool stable = true;

	if (!idx)
		return false;
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);

	for (uint32_t i = 0; i < count; i++)
		idx[i] = geometry_home(keys[i].hash, buckets);
	qsort(idx, count, sizeof(*idx), compare_u64);
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || idx[i] != idx[i - 1])
			table__lock(table, idx[i], &hdr[i]);
	uint64_t flushed = atomic_load_explicit(&table->flushed, memory_order_acquire);
	uint64_t after = atomic_load_explicit(&table->buckets, memory_order_acquire);

	for (uint32_t i = 0; i < count && stable; i++) {
		uint64_t home = geometry_home(keys[i].hash, buckets), word;

		stable = geometry_home(keys[i].hash, after) == home;
		items[i] = NULL;
		if (stable && table__slot_find(&table->index[home], &keys[i], &word))
			items[i] = live_item(t, slot_item(word), flushed);
	}
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || idx[i] != idx[i - 1])
			table__version_seen(t, hdr_version(hdr[i]));
	unlock_all(table, idx, hdr, count);
	free(idx);
	return stable;
}

#define OPTIMISTIC_TRIES 3

void table_find_many(struct table_thread *t, const struct table_key *keys, uint32_t count,
		     struct item **items)
{
	uint32_t tries = 0, spins = 0;

	REQUIRE(count <= TABLE_MANY_MAX);
	if (!stable__has_room(t, count))
		stable__hold(t);
	const uint32_t copies_used = t->copies_used;

	while (!find_many_once(t, keys, count, items)) {
		t->copies_used = copies_used;
		if (++tries >= OPTIMISTIC_TRIES && t->may_write &&
		    find_many_locked(t, keys, count, items))
			break;
		table__spin(&spins);
	}
	for (uint32_t i = 0; i < count; i++)
		if (items[i])
			access__note(t, stable__original(t, items[i]), keys[i].hash);
}
