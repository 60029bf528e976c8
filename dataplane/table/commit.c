/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/protocol.h"
#include "dataplane/table/slot_find.h"
#include "dataplane/table/table_internal.h"

#include "base/contract.h"

#include <stdlib.h>

/*
 * Writing. The item is built before, the old one retired after; in between the home bucket is
 * locked for a lookup, a comparison and a store. Several keys lock their buckets in index order,
 * which excludes deadlock, and set TXN on all of them before the first store (T3). Writer threads
 * only.
 */

struct op {
	struct table_change *change;
	uint64_t idx;
	uint64_t hdr;    // as the bucket was when it was locked
	bool first;      // of its bucket
	bool superseded; // a later change has the same key
	bool inserts;    // needs a free slot
};

/* Where a key is in its locked bucket. */
struct place {
	slot_word *slot; // NULL: it is not there
	uint64_t word;
};

struct stamp {
	uint64_t version; // of the change
	uint64_t flushed;
};

static struct place place_of(struct bucket *b, const struct table_key *key)
{
	struct place place;

	place.slot = table__slot_find(b, key, &place.word);
	return place;
}

static uint64_t word_of(const struct table_change *change)
{
	const struct item *item = change->item;
	uint64_t hints = item__expire_ms(item) ? SLOT_TTL : 0;
	uintptr_t in_line = (uintptr_t)item % CACHE_LINE_BYTES;

	if (in_line + item__size_bytes(item) > CACHE_LINE_BYTES)
		hints |= SLOT_SPANS;
	return slot_make(slot_tag_of_hash(change->key.hash), item, hints);
}

/* A deletion may have found what had expired only: that goes as well. */
static void note_effect(struct table_thread *t, const struct table_change *change,
			const struct item *displaced, const struct stamp *stamp)
{
	if (change->item)
		effects__set_item(t, change->item, stamp->version);
	else if (displaced && item__version(displaced) > stamp->flushed)
		effects__delete(t, change->key.bytes, stamp->version);
}

/* Puts the change into its locked bucket. What it displaces is retired; change->old is set. */
static void publish(struct table_thread *t, struct bucket *b, struct table_change *change,
		    const struct place *place, const struct stamp *stamp, uint64_t *hdr)
{
	int64_t items = 0, with_expiry = 0;
	struct item *displaced = NULL;

	change->old = NULL;
	if (place->slot) {
		displaced = slot_item(place->word);
		if (table__item_live(t, displaced, stamp->flushed))
			change->old = displaced;
		else if (item__version(displaced) > stamp->flushed)
			table__count_expired(t, displaced);
		if (item__version(displaced) > stamp->flushed) {
			items--;
			with_expiry -= (place->word & SLOT_TTL) != 0;
		}
	}
	if (change->old)
		table__displacing(t, *hdr, stamp->version, change->old);
	if (change->item) {
		uint64_t word = word_of(change) |
				evict__slot_bits(t, b, change, place->slot ? place->word : 0);

		if (change->old) {
			access__inherit(t, change, change->old);
			item__note_rewritten(change->item);
		}
		items++;
		with_expiry += (word & SLOT_TTL) != 0;
		if (word & SLOT_TTL)
			*hdr |= HDR_VOL;
		if (place->slot)
			atomic_store_explicit(place->slot, word, memory_order_release);
		else
			table__slot_insert(b, word);
	} else if (place->slot) {
		atomic_store_explicit(place->slot, 0, memory_order_release);
	}
	table__count(t, stamp->flushed, items, with_expiry);
	if (unlikely(t->log != NULL))
		note_effect(t, change, displaced, stamp);
	if (displaced) {
		evict__left(t, place->word);
		reclaim__retire_item(t, displaced);
	}
	change->version = stamp->version;
}

/* Whether the key is as the change expects it. */
static bool expectation_holds(const struct table_thread *t, const struct table_change *change,
			      const struct place *place, uint64_t flushed)
{
	const struct item *live = NULL;

	TABLE_YIELD();
	if (change->expected == TABLE_ANY || !TABLE_KEEPS(STEP_EXPECTATION))
		return true;
	if (place->slot && table__item_live(t, slot_item(place->word), flushed))
		live = slot_item(place->word);
	if (change->expected == TABLE_ABSENT || !live)
		return change->expected == live;
	return item__version(live) == item__version(change->expected);
}

/* After the locks are gone: what may take a little longer. */
static void follow_up(struct table_thread *t, const struct table_change *change)
{
	counter_add(&t->changes, 1);
	uint64_t expire_ms = change->item ? item__expire_ms(change->item) : 0;
	uint64_t before_ms = change->old ? item__expire_ms(change->old) : 0;

	// Put off: what was noted for the old time will find the new one.
	if (expire_ms && (before_ms == 0 || expire_ms < before_ms))
		expire__note(t, change->key.hash, expire_ms);
	if (!change->item != !change->old)
		table__note_change(t, change->item ? 1 : -1);
}

/* `restored`: the version to be; 0: the next one. */
static enum table_status commit_one(struct table_thread *t, struct table_change *change,
				    uint64_t restored)
{
	REQUIRE(t->may_write);
	enum table_status status = TABLE_OK;
	uint64_t idx, hdr;

	if (!reclaim__prepare(t, 1))
		return TABLE_NO_MEMORY;
	struct bucket *b = table__lock_home(t, change->key.hash, &idx, &hdr);
	struct place place = place_of(b, &change->key);
	struct stamp stamp = {
		.version = hdr_version(hdr),
		.flushed = table__flush_settled(t->table),
	};

	if (!expectation_holds(t, change, &place, stamp.flushed)) {
		status = TABLE_CONFLICT;
	} else if (!change->item && !place.slot) {
		change->old = NULL;
		change->version = stamp.version;
	} else if (!place.slot && !table__room(t, b, 1)) {
		status = TABLE_NO_MEMORY;
	} else {
		stamp.version = restored > stamp.flushed
					? restored
					: table__version_next(t, stamp.version, stamp.flushed);
		if (change->item)
			item__set_version(change->item, stamp.version);
		publish(t, b, change, &place, &stamp, &hdr);
		if (!change->item && (hdr & HDR_CHAIN))
			table__compact(t, b);
		table__unlock(b, hdr,
			      stamp.version > hdr_version(hdr) ? stamp.version : hdr_version(hdr));
		follow_up(t, change);
		return TABLE_OK;
	}
	table__unlock(b, hdr, hdr_version(hdr));
	return status;
}

enum table_status table_commit_one(struct table_thread *t, struct table_change *change)
{
	return commit_one(t, change, 0);
}

enum table_status table_restore_one(struct table_thread *t, struct table_change *change,
				    uint64_t version)
{
	return commit_one(t, change, version <= counter_read(&t->clock) ? version : 0);
}

static int compare_ops(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	if (x->idx != y->idx)
		return x->idx < y->idx ? -1 : 1;
	if (x->change->key.hash != y->change->key.hash)
		return x->change->key.hash < y->change->key.hash ? -1 : 1;
	return (x->change > y->change) - (x->change < y->change);
}

static void unlock_unchanged(struct table *table, const struct op *ops, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (ops[i].first)
			table__unlock(&table->index[ops[i].idx], ops[i].hdr,
				      hdr_version(ops[i].hdr));
}

/* Sorts the changes by bucket and locks each bucket once. */
static void lock_all(struct table_thread *t, struct op *ops, uint32_t count)
{
	struct table *table = t->table;
	bool stable;

	do {
		uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);

		for (uint32_t i = 0; i < count; i++)
			ops[i].idx = geometry_home(ops[i].change->key.hash, buckets);
		qsort(ops, count, sizeof(*ops), compare_ops);
		for (uint32_t i = 0; i < count; i++) {
			ops[i].first = i == 0 || ops[i].idx != ops[i - 1].idx;
			if (ops[i].first)
				table__lock(table, ops[i].idx, &ops[i].hdr);
			else
				ops[i].hdr = ops[i - 1].hdr;
		}
		buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
		stable = true;
		for (uint32_t i = 0; i < count && stable; i++)
			stable = geometry_home(ops[i].change->key.hash, buckets) == ops[i].idx;
		if (!stable)
			unlock_unchanged(table, ops, count);
	} while (!stable);
}

/* Equal keys have equal hashes and so are neighbours, in the caller's order within a run. */
static void mark_superseded(struct op *ops, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct table_key *key = &ops[i].change->key;

		ops[i].superseded = false;
		// The first match ends it: a key repeated a million times costs one look each.
		for (uint32_t j = i + 1;
		     j < count && ops[j].change->key.hash == key->hash && !ops[i].superseded; j++)
			ops[i].superseded = slice_equal(ops[j].change->key.bytes, key->bytes);
	}
}

/* Everything that can fail, with all buckets locked and nothing visible. */
static enum table_status check_all(struct table_thread *t, struct op *ops, uint32_t count,
				   uint64_t flushed)
{
	struct table *table = t->table;
	uint32_t needed = 0;

	mark_superseded(ops, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct place place = place_of(&table->index[ops[i].idx], &ops[i].change->key);

		if (!expectation_holds(t, ops[i].change, &place, flushed))
			return TABLE_CONFLICT;
		ops[i].inserts = ops[i].change->item && !place.slot && !ops[i].superseded;
	}
	for (uint32_t i = 0; i < count; i++) {
		needed = ops[i].inserts + (ops[i].first ? 0 : needed);
		if ((i + 1 == count || ops[i + 1].first) && needed > 0 &&
		    !table__room(t, &table->index[ops[i].idx], needed))
			return TABLE_NO_MEMORY;
	}
	return TABLE_OK;
}

/* Looked up again: making room may have moved it. */
static void publish_op(struct table_thread *t, struct op *op, const struct stamp *stamp)
{
	struct bucket *b = &t->table->index[op->idx];
	const struct place place = place_of(b, &op->change->key);

	publish(t, b, op->change, &place, stamp, &op->hdr);
}

static void publish_all(struct table_thread *t, struct op *ops, uint32_t count, uint64_t flushed)
{
	struct table *table = t->table;
	uint64_t newest = 0;

	for (uint32_t i = 0; i < count; i++)
		if (hdr_version(ops[i].hdr) > newest)
			newest = hdr_version(ops[i].hdr);
	const struct stamp stamp = {table__version_next(t, newest, flushed), flushed};

	for (uint32_t i = 0; i < count; i++) {
		if (ops[i].change->item)
			item__set_version(ops[i].change->item, stamp.version);
		if (ops[i].first)
			atomic_store_explicit(&table->index[ops[i].idx].hdr,
					      ops[i].hdr | HDR_LOCK | HDR_TXN,
					      memory_order_release);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!ops[i].first)
			ops[i].hdr = ops[i - 1].hdr;
		TABLE_YIELD();
		if (!ops[i].superseded)
			publish_op(t, &ops[i], &stamp);
	}
	// The last operation of a bucket has gathered its header flags.
	for (uint32_t i = 0; i < count; i++) {
		struct bucket *b = &table->index[ops[i].idx];

		if (i + 1 < count && !ops[i + 1].first)
			continue;
		if (ops[i].hdr & HDR_CHAIN)
			table__compact(t, b);
		table__unlock(b, ops[i].hdr, stamp.version);
	}
}

/*
 * A superseded change never became visible: its item goes, and it reports what its key held
 * before.
 */
static void settle_superseded(struct table_thread *t, struct op *ops, uint32_t count)
{
	for (uint32_t i = count; i-- > 0;) {
		struct table_change *change = ops[i].change;

		if (!ops[i].superseded)
			continue;
		for (uint32_t j = i + 1; j < count; j++) {
			if (slice_equal(ops[j].change->key.bytes, change->key.bytes)) {
				change->old = ops[j].change->old;
				change->version = ops[j].change->version;
				break;
			}
		}
		if (change->item)
			reclaim__retire_item(t, change->item);
	}
}

#define OPS_ON_STACK 32

enum table_status table_commit(struct table_thread *t, struct table_change *changes, uint32_t count)
{
	REQUIRE(t->may_write);
	REQUIRE(count <= TABLE_MANY_MAX);
	struct op few[OPS_ON_STACK];
	struct op *ops = few;

	if (count == 0)
		return TABLE_OK;
	if (count == 1)
		return table_commit_one(t, changes);
	if (!reclaim__prepare(t, count))
		return TABLE_NO_MEMORY;
	if (count > OPS_ON_STACK && !(ops = malloc(count * sizeof(*ops))))
		return TABLE_NO_MEMORY;
	for (uint32_t i = 0; i < count; i++)
		ops[i] = (struct op){.change = &changes[i]};
	lock_all(t, ops, count);
	uint64_t flushed = table__flush_settled(t->table);
	enum table_status status = check_all(t, ops, count, flushed);

	if (status == TABLE_OK) {
		publish_all(t, ops, count, flushed);
		settle_superseded(t, ops, count);
		for (uint32_t i = 0; i < count; i++)
			if (!ops[i].superseded)
				follow_up(t, ops[i].change);
	} else {
		unlock_unchanged(t->table, ops, count);
	}
	if (ops != few)
		free(ops);
	return status;
}
