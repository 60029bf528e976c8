/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/stable.h"

#include "base/contract.h"

/*
 * The version clock (T4) and the numbers that hang on it. A hybrid logical clock:
 * table_set_time() moves it with real time, a change takes one more than everything it touches.
 * Ticks of 16 ns outrun the rate at which one thread can write, so the clock never runs far ahead
 * of time. Owner thread only.
 */

static uint64_t version_base(struct table *table, uint64_t wall_ms, uint64_t now_ns)
{
	if (likely(atomic_load_explicit(&table->version_base_set, memory_order_acquire)))
		return atomic_load_explicit(&table->version_base, memory_order_relaxed);
	uint64_t ticks = 0, none = 0;

	// Starting from the wall clock, versions keep rising over restarts.
	if (wall_ms > VERSION_EPOCH_MS)
		ticks = (wall_ms - VERSION_EPOCH_MS) * (1000000 >> VERSION_TICK_SHIFT);
	if (ticks > now_ns >> VERSION_TICK_SHIFT)
		ticks -= now_ns >> VERSION_TICK_SHIFT;
	atomic_compare_exchange_strong(&table->version_base, &none, ticks);
	atomic_store_explicit(&table->version_base_set, true, memory_order_release);
	return atomic_load_explicit(&table->version_base, memory_order_relaxed);
}

void table_set_time(struct table_thread *t, uint64_t wall_ms, uint64_t now_ns)
{
	t->wall_ms = wall_ms;
	t->now_ns = now_ns;
	t->follows = atomic_load_explicit(&t->table->limits.follows, memory_order_relaxed);
	access__clock(t);
	table_drop_found(t);
	table__version_seen(t, version_base(t->table, wall_ms, now_ns) +
				       (now_ns >> VERSION_TICK_SHIFT));
	effects__set_time(t);
}

uint64_t table_clock(const struct table_thread *t)
{
	return counter_read(&t->clock);
}

uint64_t table__version_next(struct table_thread *t, uint64_t at_least, uint64_t flushed)
{
	uint64_t version = counter_read(&t->clock);

	if (version < at_least)
		version = at_least;
	if (version < flushed)
		version = flushed;
	version++;
	INVARIANT(version <= VERSION_MAX);
	counter_set(&t->clock, version);
	return version;
}

/*
 * Handshake of the item counts: a thread's counts belong to one flush word. The owner, on meeting
 * a new one, stores zeroes (release) before the new epoch (release). table_count() adds up the
 * threads whose epoch is the flush word it has read, and starts over when that word has moved
 * meanwhile.
 */
void table__count(struct table_thread *t, uint64_t flushed, int64_t items, int64_t with_expiry)
{
	if (unlikely(counter_read(&t->count_epoch) != flushed)) {
		atomic_store_explicit(&t->items, 0, memory_order_release);
		atomic_store_explicit(&t->items_with_expiry, 0, memory_order_release);
		atomic_store_explicit(&t->count_epoch, flushed, memory_order_release);
	}
	if (items)
		atomic_store_explicit(&t->items, counter_read(&t->items) + (uint64_t)items,
				      memory_order_release);
	if (with_expiry)
		atomic_store_explicit(&t->items_with_expiry,
				      counter_read(&t->items_with_expiry) + (uint64_t)with_expiry,
				      memory_order_release);
}

static bool count_once(const struct table *table, uint64_t flushed, uint64_t *items,
		       uint64_t *with_expiry)
{
	struct table *any = (struct table *)(uintptr_t)table;
	uint32_t count = atomic_load_explicit(&any->thread_count, memory_order_acquire);

	*items = *with_expiry = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct table_thread *t = any->threads[i];

		if (atomic_load_explicit(&t->count_epoch, memory_order_acquire) != flushed)
			continue;
		*items += atomic_load_explicit(&t->items, memory_order_acquire);
		*with_expiry += atomic_load_explicit(&t->items_with_expiry, memory_order_acquire);
	}
	return atomic_load_explicit(&any->flushed, memory_order_acquire) == flushed;
}

void table__count_sum(const struct table *table, uint64_t *items, uint64_t *with_expiry)
{
	struct table *any = (struct table *)(uintptr_t)table;

	while (!count_once(table, atomic_load_explicit(&any->flushed, memory_order_acquire), items,
			   with_expiry))
		cpu_relax();
	if ((int64_t)*items < 0)
		*items = 0;
	if ((int64_t)*with_expiry < 0)
		*with_expiry = 0;
}

uint64_t table_count(const struct table *table)
{
	uint64_t items, with_expiry;

	table__count_sum(table, &items, &with_expiry);
	return items;
}
