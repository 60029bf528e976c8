/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/protocol.h"
#include "dataplane/table/slot_find.h"
#include "dataplane/table/table_internal.h"

#include "base/contract.h"
#include "base/rcu.h"

/*
 * Growth and shrinking by linear hashing, one bucket at a time. A split copies items from a
 * parent into the bucket behind the end, a merge copies those of the last bucket back. Both hold
 * the locks of the two and store the number of buckets in between:
 *
 *   copy to the new home | publish `buckets` | clear at the old home | unlock, with DEPTH and
 *   version changed
 *
 * so an item is found at one of the two at any time, and no writer can make the copies differ. A
 * reader who comes to the old home too late misses, sees the header changed and looks again (T2).
 *
 * One thread resizes at a time; the others pass by. Writer threads.
 */

#define SUM_INTERVAL_MAX 32   // changes of one thread between two sums over all threads
#define SUM_EXACT_BELOW  1024 // items; small tables grow on the dot

static bool must_grow(const struct table *table, uint64_t buckets, uint64_t items)
{
	return items * 4 > buckets * LOAD_GROW_QUARTERS && buckets < table->buckets_max;
}

/*
 * Flushed items must not be merged into buckets that have been swept already, nor those that a
 * snapshot has yet to see into buckets that it has passed.
 */
static bool may_shrink(struct table *table, uint64_t buckets, uint64_t items)
{
	return items * 4 < buckets * LOAD_SHRINK_QUARTERS && buckets > table->buckets_min &&
	       !atomic_load_explicit(&table->snapshot, memory_order_acquire) &&
	       atomic_load_explicit(&table->flush_swept, memory_order_relaxed) ==
		       atomic_load_explicit(&table->flushed, memory_order_relaxed);
}

/* A grace period between growing and shrinking: lookup.c compares depths modulo 4. */
static bool direction_allowed(const struct table *table, bool grow)
{
	return table->resize_grew == grow || rcu_done(table->resize_tag);
}

static bool moves_to(const struct table *table, uint64_t word, uint64_t child, uint64_t buckets)
{
	uint64_t hash = table__hash(table, item_key(slot_item(word)));

	return geometry_home(hash, buckets) == child;
}

/* Which items of a locked bucket move, in the order of their slots: the hash of each, once. */
struct moves {
	uint64_t bits;
	uint32_t count;
};

#define MOVES_KNOWN 64 // slots; of those behind them the hash is computed again

static bool slot_moves(const struct table *table, const struct moves *moves, uint32_t at,
		       uint64_t word, uint64_t child, uint64_t buckets)
{
	return at < MOVES_KNOWN ? moves->bits >> at & 1 : moves_to(table, word, child, buckets);
}

/* Items of a locked bucket whose hashes are wanted, side by side. */
struct unhashed {
	struct slice keys[BUCKET_SLOTS + OVERFLOW_SLOTS];
	uint8_t at[BUCKET_SLOTS + OVERFLOW_SLOTS];
	uint32_t count;
};

static void note_moves(const struct table *table, struct unhashed *unhashed, uint64_t child,
		       uint64_t buckets, struct moves *moves)
{
	uint64_t hashes[BUCKET_SLOTS + OVERFLOW_SLOTS];

	table->hash_many(&table->hash_key, unhashed->keys, hashes, unhashed->count);
	for (uint32_t i = 0; i < unhashed->count; i++) {
		if (geometry_home(hashes[i] & table->hash_mask, buckets) == child) {
			moves->count++;
			moves->bits |= 1ULL << unhashed->at[i];
		}
	}
	unhashed->count = 0;
}

static struct moves moves_of(const struct table *table, struct bucket *parent, uint64_t child,
			     uint64_t buckets)
{
	struct line line = bucket_line(parent);
	struct unhashed unhashed = {.count = 0};
	struct moves moves = {0};
	uint32_t at = 0;

	do {
		if (unhashed.count + line.count > BUCKET_SLOTS + OVERFLOW_SLOTS)
			note_moves(table, &unhashed, child, buckets, &moves);
		for (uint32_t i = 0; i < line.count; i++, at++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (!slot_is_item(word))
				continue;
			if (at >= MOVES_KNOWN) {
				moves.count += moves_to(table, word, child, buckets);
				continue;
			}
			unhashed.keys[unhashed.count] = item__key(slot_item(word));
			unhashed.at[unhashed.count++] = (uint8_t)at;
		}
	} while (line_next(&line));
	note_moves(table, &unhashed, child, buckets, &moves);
	return moves;
}

/* Copies to `to`, or clears at the old home what has been copied. */
static void move_items(const struct table *table, struct bucket *from, struct bucket *to,
		       const struct moves *moves, uint64_t child, uint64_t buckets)
{
	struct line line = bucket_line(from);
	uint32_t at = 0;

	do {
		for (uint32_t i = 0; i < line.count; i++, at++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (!slot_is_item(word) ||
			    !slot_moves(table, moves, at, word, child, buckets))
				continue;
			if (to)
				table__slot_insert(to, word);
			else
				atomic_store_explicit(&line.slots[i], 0, memory_order_release);
		}
	} while (line_next(&line));
}

static uint64_t with_depth(uint64_t hdr, uint64_t idx, uint64_t buckets)
{
	return (hdr & ~HDR_DEPTH) | hdr_depth_bits(geometry_depth(idx, buckets));
}

static uint64_t newer_version(struct table_thread *t, uint64_t hdr_a, uint64_t hdr_b)
{
	uint64_t a = hdr_version(hdr_a), b = hdr_version(hdr_b);

	return table__version_next(t, a > b ? a : b, 0);
}

static void prefetch_items(const slot_word *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t word = atomic_load_explicit((slot_word *)(uintptr_t)&slots[i],
						     memory_order_relaxed);

		if (word)
			prefetch_read(slot_item(word)); // or a node
	}
}

/*
 * What the next splits will want, which would wait for each of these in turn: the line of the
 * parent three splits away, the items and the node of the next but one, the node's items of the
 * next. Each had its address asked for by the split before.
 */
static void prefetch_next(struct bucket *parent, struct bucket *child)
{
	const slot_word *node = bucket_chain(parent + 1);

	prefetch_write(parent + 3);
	prefetch_write(child + 1);
	prefetch_items(parent[2].slot, BUCKET_SLOTS);
	if (node)
		prefetch_items(node, OVERFLOW_SLOTS);
}

static bool split(struct table_thread *t, uint64_t buckets)
{
	struct table *table = t->table;
	uint64_t child_idx = buckets;
	uint64_t parent_idx = child_idx - (1ULL << geometry_level(buckets));
	uint64_t parent_hdr, child_hdr;

	if (!table__index_commit(table, buckets + 1))
		return false;
	struct bucket *parent = table__lock(table, parent_idx, &parent_hdr);
	struct bucket *child = table__lock(table, child_idx, &child_hdr);
	const struct moves moves = moves_of(table, parent, child_idx, buckets + 1);

	if (!table__room(t, child, moves.count)) {
		table__unlock(child, child_hdr, hdr_version(child_hdr));
		table__unlock(parent, parent_hdr, hdr_version(parent_hdr));
		return false;
	}
	uint64_t version = newer_version(t, parent_hdr, child_hdr);

	move_items(table, parent, child, &moves, child_idx, buckets + 1);
	TABLE_YIELD();
	atomic_store_explicit(&table->buckets, buckets + 1, memory_order_release);
	TABLE_YIELD();
	move_items(table, parent, NULL, &moves, child_idx, buckets + 1);
	table__compact(t, parent);
	table__unlock(parent, with_depth(parent_hdr, parent_idx, buckets + 1), version);
	// The child inherits VOL, COLOUR and WAIT; nobody held anything there.
	table__unlock(child, with_depth(parent_hdr, child_idx, buckets + 1), version);
	counter_add(&table->splits, 1);
	prefetch_next(parent, child);
	return true;
}

static uint32_t count_items(struct bucket *b)
{
	struct line line = bucket_line(b);
	uint32_t count = 0;

	do {
		for (uint32_t i = 0; i < line.count; i++)
			count += slot_is_item(
				atomic_load_explicit(&line.slots[i], memory_order_relaxed));
	} while (line_next(&line));
	return count;
}

static bool merge(struct table_thread *t, uint64_t buckets)
{
	struct table *table = t->table;
	uint64_t child_idx = buckets - 1;
	uint64_t parent_idx = child_idx - (1ULL << geometry_level(child_idx));
	uint64_t parent_hdr, child_hdr;
	struct bucket *parent = table__lock(table, parent_idx, &parent_hdr);
	struct bucket *child = table__lock(table, child_idx, &child_hdr);

	const struct moves all = {.bits = UINT64_MAX, .count = count_items(child)};

	if (!table__room(t, parent, all.count)) {
		table__unlock(child, child_hdr, hdr_version(child_hdr));
		table__unlock(parent, parent_hdr, hdr_version(parent_hdr));
		return false;
	}
	uint64_t version = newer_version(t, parent_hdr, child_hdr);

	// By the old geometry everything in the child belongs to it: all is copied, then cleared.
	move_items(table, child, parent, &all, child_idx, buckets);
	TABLE_YIELD();
	atomic_store_explicit(&table->buckets, buckets - 1, memory_order_release);
	TABLE_YIELD();
	move_items(table, child, NULL, &all, child_idx, buckets);
	table__compact(t, child);
	parent_hdr |= child_hdr & (HDR_VOL | HDR_WAIT);
	table__unlock(parent, with_depth(parent_hdr, parent_idx, buckets - 1), version);
	table__unlock(child, child_hdr, version);
	counter_add(&table->merges, 1);
	return true;
}

/* Up to steps_max splits or merges. True when more are due. */
bool table__resize_step(struct table_thread *t, uint64_t items, uint32_t steps_max)
{
	struct table *table = t->table;
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
	bool due = true;

	if (!must_grow(table, buckets, items) && !may_shrink(table, buckets, items))
		return false;
	if (atomic_flag_test_and_set_explicit(&table->resize_lock, memory_order_acquire))
		return false; // somebody else is at it
	for (uint32_t i = 0; i < steps_max && due; i++) {
		buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
		bool grow = must_grow(table, buckets, items);

		due = (grow || may_shrink(table, buckets, items)) &&
		      direction_allowed(table, grow) &&
		      (grow ? split(t, buckets) : merge(t, buckets));
		if (due) {
			table->resize_grew = grow;
			table->resize_tag = rcu_tag();
		}
	}
	atomic_flag_clear_explicit(&table->resize_lock, memory_order_release);
	return due;
}

/*
 * After a change of the number of items: growth keeps pace with the inserts, without a shared
 * counter. Own changes count at once, so that splits come one by one, with time between them for
 * what the next one fetches.
 */
void table__note_change(struct table_thread *t, int64_t items)
{
	uint64_t with_expiry;

	// What others have added since the last sum may be ours to delete.
	if (items > 0 || t->items_known > 0)
		t->items_known += (uint64_t)items;

	if (t->changes_until_sum == 0) {
		table__count_sum(t->table, &t->items_known, &with_expiry);
		t->changes_until_sum = t->items_known < SUM_EXACT_BELOW ? 1 : SUM_INTERVAL_MAX;
	}
	t->changes_until_sum--;
	uint64_t buckets = atomic_load_explicit(&t->table->buckets, memory_order_relaxed);

	if (must_grow(t->table, buckets, t->items_known))
		table__resize_step(t, t->items_known, 2);
}
