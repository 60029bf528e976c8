/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <errno.h>
#include <sys/mman.h>

/*
 * Which keys have left probation by eviction not long ago, for evict_clock.c: beside each bucket of
 * the index a line of eight entries of four bytes, fingerprint and coarse time. Entries are hints.
 * Threads store them one by one without a lock; what is lost or mixed up costs a hit at most. As
 * the lines follow the buckets, the ghosts grow with the table; a split leaves half of a line
 * behind, which ages out.
 *
 * Time counts evictions from probation, in units of a sixteenth to a thirty-second of the buckets.
 */

#define GHOST_WAYS       8
#define GHOST_PAGE_BYTES 4096 // of 128 buckets
#define GHOST_PAGE_EACH  64   // evictions, of some 100 bytes and more
#define GHOST_UNIT_SHIFT 5
#define GHOST_ITEMS      6  // of a bucket: the load that growth aims at
#define GHOST_PRINT      32 // first bit of the fingerprint in the hash: above those of the index

struct ghost_line {
	_Atomic uint32_t entry[GHOST_WAYS]; // fingerprint 16, never 0 | time 16
};

static uint64_t range_bytes(const struct table *table)
{
	uint64_t bytes = table->buckets_max * sizeof(struct ghost_line);

	return (bytes + GHOST_PAGE_BYTES - 1) & ~(GHOST_PAGE_BYTES - 1);
}

/* Addresses only; memory is taken once the policy is used. */
int ghost__init(struct table *table)
{
	void *range = mmap(NULL, range_bytes(table), PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (range == MAP_FAILED)
		return -ENOMEM;
	table->ghosts = range;
	return 0;
}

void ghost__fini(struct table *table)
{
	if (table->ghosts)
		munmap(table->ghosts, range_bytes(table));
}

static bool covered(const struct table *table, uint64_t idx)
{
	return (idx + 1) * sizeof(struct ghost_line) <=
	       atomic_load_explicit((counter *)(uintptr_t)&table->ghost_bytes,
				    memory_order_acquire);
}

/*
 * More memory, where ghosts have been lost for want of it: a page at a time, and no faster than
 * evictions make room for it. Choosing the policy must not take a large piece of a full cache at
 * once. From housekeeping, as this is a system call.
 */
void ghost__grow(struct table_thread *t)
{
	struct table *table = t->table;

	if (t->ghosts_lost < GHOST_PAGE_EACH ||
	    atomic_flag_test_and_set_explicit(&table->ghost_lock, memory_order_acquire))
		return;
	uint64_t bytes = atomic_load_explicit(&table->ghost_bytes, memory_order_relaxed);

	if (bytes < range_bytes(table) && mprotect((uint8_t *)table->ghosts + bytes,
						   GHOST_PAGE_BYTES, PROT_READ | PROT_WRITE) == 0)
		atomic_store_explicit(&table->ghost_bytes, bytes + GHOST_PAGE_BYTES,
				      memory_order_release);
	t->ghosts_lost -= GHOST_PAGE_EACH;
	atomic_flag_clear_explicit(&table->ghost_lock, memory_order_release);
}

/* Evictions from probation by all threads, in units that about two hundred make a table full of. */
void ghost__clock(struct table_thread *t)
{
	struct table *table = t->table;
	uint32_t count = atomic_load_explicit(&table->thread_count, memory_order_acquire);
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
	uint32_t level = geometry_level(buckets);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += counter_read(&table->threads[i]->ghosts);
	t->ghost_shift = level > GHOST_UNIT_SHIFT ? level - GHOST_UNIT_SHIFT : 0;
	t->ghost_now = (uint16_t)(sum >> t->ghost_shift);
	t->ghost_window = (uint32_t)(buckets * GHOST_ITEMS >> t->ghost_shift);
}

static uint32_t print_of(uint64_t hash)
{
	uint32_t print = hash >> GHOST_PRINT & 0xffff;

	return print ? print : 1;
}

static uint32_t age_of(const struct table_thread *t, uint32_t entry)
{
	return entry ? (uint16_t)(t->ghost_now - entry) : UINT32_MAX;
}

/* In place of the oldest of the line. */
void ghost__add(struct table_thread *t, uint64_t idx, uint64_t hash)
{
	struct ghost_line *line = &t->table->ghosts[idx];
	uint32_t oldest = 0, oldest_age = 0;

	if (!covered(t->table, idx)) {
		t->ghosts_lost++;
		return;
	}
	for (uint32_t i = 0; i < GHOST_WAYS; i++) {
		uint32_t entry = atomic_load_explicit(&line->entry[i], memory_order_relaxed);
		uint32_t age = age_of(t, entry);

		if (age >= oldest_age) {
			oldest = i;
			oldest_age = age;
		}
	}
	atomic_store_explicit(&line->entry[oldest], print_of(hash) << 16 | t->ghost_now,
			      memory_order_relaxed);
	counter_add(&t->ghosts, 1);
}

/* Whether the key was there and is not too old; it is not there afterwards. */
bool ghost__take(struct table_thread *t, uint64_t idx, uint64_t hash)
{
	struct ghost_line *line = &t->table->ghosts[idx];
	uint32_t print = print_of(hash);

	if (!covered(t->table, idx))
		return false;
	for (uint32_t i = 0; i < GHOST_WAYS; i++) {
		uint32_t entry = atomic_load_explicit(&line->entry[i], memory_order_relaxed);

		if (entry >> 16 != print)
			continue;
		atomic_store_explicit(&line->entry[i], 0, memory_order_relaxed);
		return age_of(t, entry) <= t->ghost_window;
	}
	return false;
}
