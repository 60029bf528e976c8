/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include "base/contract.h"

/*
 * Room under maxmemory and in the region: whether a write may take place, and what has to go for
 * it. Called before a command that may use memory builds its item. Which item goes is chosen by
 * evict_sample.c or evict_clock.c. Writer threads.
 *
 * Retired memory counts as used for the allocator but as free for the target: it comes back after
 * a grace period, and a reader that is late must not make us evict the whole table. If it is so
 * late that retired memory piles up beyond LIMBO_BYTES_MAX, writes are refused.
 */

#define EVICTIONS_MIN      32 // per call, and more for large values
#define EVICTIONS_MAX      512
#define BYTES_PER_EVICTION 128 // a small item, to reckon how many a large value needs
#define LIMBO_BYTES_MAX    (128ULL << 20)
#define SLACK_BYTES_MAX    (1ULL << 20) // what one thread may use between two sums
#define FREE_AHEAD_SHIFT   8            // housekeeping keeps 1/256 of the limit free
#define OVERSHOOT_SHIFT    5 // 1/32: how far over the limit an evicting call may leave us
#define FLUSH_BUDGET_NS    20000
#define COST_EVICT_NS      400

/* The larger of the two excesses, over maxmemory and over the region; negative: so much is free. */
static int64_t excess_bytes(struct table *table, uint64_t max)
{
	int64_t used = (int64_t)(table__memory_sum(table) - table__limbo_sum(table));
	int64_t excess = max ? used - (int64_t)max : INT64_MIN;

	if (table->region.size_bytes) {
		int64_t index = (int64_t)(counter_read(&table->index_bytes) +
					  counter_read(&table->ghost_bytes));
		// An eighth for what size classes and pages that are half empty keep from us.
		uint64_t kept = table->region.size_bytes / 8 +
				atomic_load_explicit(&table->torn_bytes, memory_order_relaxed);
		int64_t over = used - index - (int64_t)(table->region.size_bytes - kept);

		if (over > excess)
			excess = over;
	}
	return excess;
}

/* Takes an item out of its locked bucket, which it unlocks. reclaim__prepare() has been asked. */
void evict__take_out(struct table_thread *t, struct bucket *b, uint64_t hdr, slot_word *slot,
		     uint64_t flushed)
{
	uint64_t version = table__version_next(t, hdr_version(hdr), flushed);
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	table__displacing(t, hdr, version, slot_item(word));
	atomic_store_explicit(slot, 0, memory_order_release);
	table__count(t, flushed, -1, word & SLOT_TTL ? -1 : 0);
	evict__left(t, word);
	if (!(item_marks(slot_item(word)) & ITEM_FETCHED))
		counter_add(&t->evicted_unfetched, 1);
	if (unlikely(t->log != NULL))
		effects__delete(t, item_key(slot_item(word)), version);
	if (unlikely(t->on_evict != NULL))
		t->on_evict(t->on_evict_arg, slot_item(word));
	reclaim__retire_item(t, slot_item(word));
	if (hdr & HDR_CHAIN)
		table__compact(t, b);
	table__unlock(b, hdr, version);
	counter_add(&t->evicted, 1);
	table__note_change(t, -1);
}

void table_on_evict(struct table_thread *t, void (*on_evict)(void *arg, const struct item *item),
		    void *arg)
{
	t->on_evict = on_evict;
	t->on_evict_arg = arg;
}

static enum table_policy policy_of(struct table *table)
{
	return (enum table_policy)atomic_load_explicit(&table->limits.policy, memory_order_relaxed);
}

static bool evicts(struct table *table)
{
	return policy_of(table) != TABLE_NOEVICTION;
}

/* False: nothing was found that could go. */
static bool evict_one(struct table_thread *t)
{
	enum table_policy policy = policy_of(t->table);

	return policy == TABLE_ALLKEYS_S3 ? evict__clock(t) : evict__sampled(t, policy);
}

static uint32_t evictions_allowed(uint64_t bytes)
{
	uint64_t count = EVICTIONS_MIN + bytes / BYTES_PER_EVICTION;

	return count < EVICTIONS_MAX ? (uint32_t)count : EVICTIONS_MAX;
}

/*
 * Evicts as far as one call may. Enough is what fits, or twice what is asked for while we are
 * only a little over the limit: when the index or a limbo chunk has taken a large piece at once,
 * writes work it off together instead of one of them being refused.
 */
static bool evict_for(struct table_thread *t, uint64_t max, uint64_t bytes, int64_t *excess)
{
	uint64_t limit = max ? max : t->table->region.size_bytes;
	int64_t before = *excess;

	for (uint32_t left = evictions_allowed(bytes); left > 0; left--) {
		if (*excess + (int64_t)bytes <= 0)
			return true;
		if (!evict_one(t))
			return false;
		*excess = excess_bytes(t->table, max);
	}
	return *excess + (int64_t)bytes <= 0 || (before - *excess >= 2 * (int64_t)bytes &&
						 *excess < (int64_t)(limit >> OVERSHOOT_SHIFT));
}

static bool make_room(struct table_thread *t, uint64_t max, uint64_t bytes, int64_t *excess)
{
	struct table *table = t->table;

	*excess = excess_bytes(table, max);
	if (*excess + (int64_t)bytes <= 0)
		return true;
	// What a flush has left behind goes first, whatever the policy.
	if (table__flush_pending(table)) {
		table__flush_slice(t, FLUSH_BUDGET_NS);
		*excess = excess_bytes(table, max);
	}
	if (evicts(table) && !t->follows)
		return evict_for(t, max, bytes, excess);
	return *excess + (int64_t)bytes <= 0;
}

/* How much this thread may use before it has to add up again. */
static uint64_t slack_bytes(struct table *table, int64_t excess)
{
	if (excess >= 0)
		return 0;
	uint64_t share = (uint64_t)-excess / 8 / atomic_load(&table->thread_count);

	return share < SLACK_BYTES_MAX ? share : SLACK_BYTES_MAX;
}

static bool reserve_slow(struct table_thread *t, uint64_t max, uint64_t bytes)
{
	struct table *table = t->table;

	t->reserve_left_bytes = 0;
	t->reserve_limit_bytes = max;
	if (table__limbo_sum(table) > LIMBO_BYTES_MAX + max / 64)
		return false;
	if (max == 0 && table->region.size_bytes == 0) {
		t->reserve_left_bytes = SLACK_BYTES_MAX;
		return true;
	}
	// An allocation has failed although the sums looked well: memory.c, note_torn().
	if (t->memory_short && evicts(table) && !t->follows)
		for (uint32_t i = 0; i < EVICTIONS_MIN && evict_one(t); i++)
			;
	t->memory_short = false;
	int64_t excess;

	if (!make_room(t, max, bytes, &excess))
		return false;
	t->reserve_left_bytes = slack_bytes(table, excess + (int64_t)bytes);
	return true;
}

bool table_reserve(struct table_thread *t, uint64_t bytes)
{
	uint64_t max =
		t->follows ? 0
			   : atomic_load_explicit(&t->table->limits.maxmemory_bytes,
						  memory_order_relaxed);

	REQUIRE(t->may_write);
	if (bytes > ITEM_VALUE_MAX + ITEM_KEY_MAX)
		return false;
	if (likely(bytes <= t->reserve_left_bytes && max == t->reserve_limit_bytes &&
		   !t->memory_short)) {
		t->reserve_left_bytes -= bytes;
		return true;
	}
	return reserve_slow(t, max, bytes);
}

/* Evicts ahead, so that a write seldom has to. What is left of the budget. */
int64_t evict__slice(struct table_thread *t, int64_t budget)
{
	struct table *table = t->table;
	uint64_t max = atomic_load_explicit(&table->limits.maxmemory_bytes, memory_order_relaxed);
	uint64_t limit = max ? max : table->region.size_bytes;

	ghost__grow(t);
	if (limit == 0 || !evicts(table) || t->follows)
		return budget;
	int64_t spare = (int64_t)(limit >> FREE_AHEAD_SHIFT);

	while (budget > 0 && excess_bytes(table, max) + spare > 0 && evict_one(t))
		budget -= COST_EVICT_NS;
	return budget;
}
