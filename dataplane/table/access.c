/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/access.h"

/*
 * What an access leaves in an item: 24 bits, which mean what redis' robj.lru means.
 *
 *   LFU policies   minutes 16 | counter 8   of the last access, and a logarithmic count of them
 *   all others     seconds 24               of the last access
 *
 * Under allkeys-s3 they stay as they were written, and the slot of the index has two bits instead.
 *
 * A repeat hit stores nothing: seconds and minutes are stored when they have changed, and the
 * counter rises with a probability that falls with its value. Two threads that store at once lose
 * one of two increments, which a count that is a matter of chance can bear. Called by lookups, on
 * any thread, and by commits.
 */

#define ACCESS_SECONDS 0xffffffU
#define LFU_MINUTES    0xffffU
#define LFU_SHIFT      8
#define LFU_MAX        255U
#define LFU_FIRST      5U // of a new item, so that it is not the first to go

static uint32_t limit_of(_Atomic uint32_t *limit)
{
	return atomic_load_explicit(limit, memory_order_relaxed);
}

/* With table_set_time(): what the accesses until the next one are noted by. */
void access__clock(struct table_thread *t)
{
	uint32_t seconds = (uint32_t)(t->wall_ms / 1000);

	t->now_s = seconds & ACCESS_SECONDS;
	t->now_min = seconds / 60 & LFU_MINUTES;
	t->policy = (enum table_policy)limit_of(&t->table->limits.policy);
	t->counts_accesses = table_policy_is_lfu(t->policy) || t->policy == TABLE_ALLKEYS_S3;
	t->access_first =
		table_policy_is_lfu(t->policy) ? t->now_min << LFU_SHIFT | LFU_FIRST : t->now_s;
}

/* The counter less one for each period of decay since the last access. */
static uint32_t lfu_count(const struct table_thread *t, uint32_t access)
{
	uint32_t period_min = limit_of(&t->table->limits.lfu_decay_min);
	uint32_t elapsed_min = (t->now_min - (access >> LFU_SHIFT)) & LFU_MINUTES;
	uint32_t count = access & LFU_MAX;

	if (likely(period_min == 0 || elapsed_min < period_min))
		return count;
	uint32_t periods = elapsed_min / period_min;

	return periods < count ? count - periods : 0;
}

static uint32_t lfu_risen(struct table_thread *t, uint32_t count)
{
	uint64_t above = count > LFU_FIRST ? count - LFU_FIRST : 0;
	uint64_t one_in = above * limit_of(&t->table->limits.lfu_log_factor) + 1;
	bool rises = (unsigned __int128)rng_next(&t->rng) * one_in >> 64 == 0;

	return count + (rises && count < LFU_MAX);
}

static uint32_t counted(struct table_thread *t, uint32_t access)
{
	return t->now_min << LFU_SHIFT | lfu_risen(t, lfu_count(t, access));
}

/*
 * The key's two bits of frequency, in its slot. A hot key's are full, and its hits write nothing. A
 * writer that comes between makes the exchange fail: the bit is lost, not the change.
 */
static void note_in_slot(struct table *table, const struct item *item, uint64_t hash)
{
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
	struct line line = bucket_line(&table->index[geometry_home(hash, buckets)]);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (slot_item(word) != item)
				continue;
			if (!slot_is_chain(word) && (word & SLOT_FREQ) != SLOT_FREQ)
				atomic_compare_exchange_strong_explicit(
					&line.slots[i], &word, word + SLOT_FREQ_ONE,
					memory_order_release, memory_order_relaxed);
			return;
		}
	} while (line_next(&line));
}

void access__count(struct table_thread *t, struct item *item, uint64_t hash)
{
	if (t->policy == TABLE_ALLKEYS_S3)
		note_in_slot(t->table, item, hash);
	else
		item__set_access(item, counted(t, item__access(item)));
}

/*
 * A value that takes another's place takes over how often the key was asked for. A change that has
 * not looked the key up is an access of its own.
 */
void access__inherit(struct table_thread *t, const struct table_change *change,
		     const struct item *displaced)
{
	if (likely(!table_policy_is_lfu(t->policy)))
		return;
	uint32_t access = item__access(displaced);

	item__set_access(change->item, change->expected == TABLE_ANY ? counted(t, access) : access);
}

uint32_t table_item_freq(const struct table_thread *t, const struct item *item)
{
	return lfu_count(t, item__access(item));
}
