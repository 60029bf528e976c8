/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

/*
 * Flushing everything at one instant (T7), whatever the number of items: one store of a version
 * below which nothing lives. Writers read that word under their lock and take versions above it.
 * The walk that gives the memory back is done later, in slices.
 *
 * Handshake: what was committed before the store must have a version up to it, however long the
 * flushing thread takes. It sets `flushing` (sequentially consistent) and only then reads the
 * clocks. A writer reads `flushing` with its buckets locked, and waits while it is set:
 * table__flush_settled(). If it has missed it, the exchange by which it took its lock came before,
 * so its clock is among those that are read, and its version is one more at most.
 */

#define COST_BUCKET_NS 25
#define COST_REMOVE_NS 60

void table_flush(struct table_thread *t)
{
	struct table *table = t->table;
	uint32_t spins = 0;

	counter_add(&t->changes, table_count(table));
	while (atomic_exchange(&table->flushing, true))
		table__spin(&spins);
	uint64_t flushed = atomic_load_explicit(&table->flushed, memory_order_relaxed);
	uint32_t count = atomic_load(&table->thread_count);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t clock = counter_read(&table->threads[i]->clock);

		if (clock > flushed)
			flushed = clock;
	}
	flushed++;
	TABLE_YIELD();
	atomic_store_explicit(&table->flushed, flushed, memory_order_release);
	atomic_store_explicit(&table->flushing, false, memory_order_release);
	table__version_seen(t, flushed);
	if (unlikely(t->log != NULL))
		effects__flush(t, flushed);
}

/* One slice of the walk over all buckets; under flush_sweep_lock. */
static int64_t sweep_some(struct table_thread *t, int64_t budget)
{
	struct table *table = t->table;

	while (budget > 0) {
		uint64_t flushed = atomic_load_explicit(&table->flushed, memory_order_acquire);

		if (table->flush_sweep_for != flushed) {
			table->flush_sweep_for = flushed;
			table->flush_sweep_next = 0;
		}
		// Splits append behind the cursor, and merges wait for us: nothing slips past.
		if (table->flush_sweep_next >=
		    atomic_load_explicit(&table->buckets, memory_order_acquire)) {
			atomic_store_explicit(&table->flush_swept, flushed, memory_order_release);
			break;
		}
		int removed = table__sweep_bucket(t, table->flush_sweep_next);

		if (removed < 0)
			break;
		if (removed < SWEEP_ITEMS_MAX)
			table->flush_sweep_next++;
		budget -= COST_BUCKET_NS + COST_REMOVE_NS * removed;
	}
	return budget;
}

bool table__flush_pending(struct table *table)
{
	return atomic_load_explicit(&table->flush_swept, memory_order_relaxed) !=
	       atomic_load_explicit(&table->flushed, memory_order_relaxed);
}

/* Does a share of the walk unless another thread is at it; returns what is left of the budget. */
int64_t table__flush_slice(struct table_thread *t, int64_t budget)
{
	struct table *table = t->table;

	if (likely(!table__flush_pending(table)))
		return budget;
	if (atomic_flag_test_and_set_explicit(&table->flush_sweep_lock, memory_order_acquire))
		return budget;
	budget = sweep_some(t, budget);
	atomic_flag_clear_explicit(&table->flush_sweep_lock, memory_order_release);
	return budget;
}
