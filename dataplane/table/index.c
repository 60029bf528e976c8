/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/slot_find.h"
#include "dataplane/table/table_internal.h"

#include "base/contract.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The array of buckets and the work on one locked bucket. The array is one reserved range of
 * addresses, so that a bucket never moves; memory is committed behind the end as the table grows.
 * Who holds a bucket's LOCK may change its slots with the helpers below; readers look on at any
 * moment, so each store must leave a state in which a present item is found, or be covered by the
 * changed header that makes a reader who missed look again.
 */

#define PAGE_BYTES         4096
#define HUGE_PAGE_BYTES    (2ULL << 20)
#define SMALL_STEP_BYTES   (64ULL << 10)
#define SPINS_BEFORE_YIELD 2000

static uint64_t round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) / unit * unit;
}

int table__index_init(struct table *table)
{
	uint64_t bytes = round_up(table->buckets_max * sizeof(struct bucket), HUGE_PAGE_BYTES) +
			 HUGE_PAGE_BYTES;
	void *range =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (range == MAP_FAILED)
		return -ENOMEM;
	table->index_reserved = range;
	table->index_reserved_bytes = bytes;
	table->index = (struct bucket *)round_up((uintptr_t)range, HUGE_PAGE_BYTES);
	return 0;
}

void table__index_fini(struct table *table)
{
	if (table->index_reserved)
		munmap(table->index_reserved, table->index_reserved_bytes);
}

static bool commit_step(uint8_t *at, uint64_t bytes, bool huge_pages)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (huge_pages &&
	    mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0) != MAP_FAILED)
		return true;
	// No huge page to be had: ordinary ones are slower, and better than no growth.
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return false;
	if (bytes % HUGE_PAGE_BYTES == 0)
		madvise(at, bytes, MADV_HUGEPAGE);
	return true;
}

/* Small tables are charged for what they need, large ones grow by huge pages. */
static uint64_t step_bytes(uint64_t want, bool huge_pages)
{
	uint64_t bytes = SMALL_STEP_BYTES;

	if (huge_pages || want >= HUGE_PAGE_BYTES)
		return round_up(want, HUGE_PAGE_BYTES);
	while (bytes < want)
		bytes *= 2;
	return bytes;
}

/* Every page now: whoever writes there first would wait for the kernel to clear it. */
static void touch_pages(uint8_t *at, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i += PAGE_BYTES)
		*(volatile uint8_t *)(at + i) = 0;
}

/* Backs the index's first `want_bytes` with memory. One caller at a time. */
bool table__index_map(struct table *table, uint64_t want_bytes, bool touch)
{
	uint64_t have = atomic_load_explicit(&table->index_committed_bytes, memory_order_relaxed);
	uint8_t *at = (uint8_t *)table->index + have;
	uint64_t step;

	if (want_bytes <= have)
		return true;
	step = step_bytes(want_bytes, table->huge_pages) - have;
	if (!commit_step(at, step, table->huge_pages))
		return false;
	if (touch)
		touch_pages(at, step);
	atomic_store_explicit(&table->index_committed_bytes, have + step, memory_order_release);
	return true;
}

/*
 * Whether the first `buckets` buckets have memory; without a thread that sees to it, it is had now.
 * Under resize_lock, or before threads start.
 */
bool table__index_commit(struct table *table, uint64_t buckets)
{
	uint64_t want = buckets * sizeof(struct bucket);

	if (want > atomic_load_explicit(&table->index_committed_bytes, memory_order_acquire) &&
	    (table->ahead_runs || !table__index_map(table, want, false)))
		return false;
	if (want > counter_read(&table->index_bytes))
		counter_set(&table->index_bytes, want);
	return true;
}

/* Locks are held for well under a microsecond; only a preempted holder takes longer. */
void table__spin(uint32_t *spins)
{
	if (++*spins < SPINS_BEFORE_YIELD) {
		cpu_relax();
		return;
	}
	*spins = 0;
	sched_yield();
}

struct bucket *table__lock(struct table *table, uint64_t idx, uint64_t *hdr)
{
	struct bucket *b = &table->index[idx];
	uint32_t spins = 0;

	for (;;) {
		uint64_t h = atomic_load_explicit(&b->hdr, memory_order_relaxed);

		if (!(h & HDR_LOCK) && atomic_compare_exchange_weak_explicit(
					       &b->hdr, &h, h | HDR_LOCK, memory_order_acquire,
					       memory_order_relaxed)) {
			*hdr = h;
			return b;
		}
		table__spin(&spins);
	}
}

/*
 * While a bucket is locked it is neither split nor merged, so the check holds until it is
 * unlocked.
 */
struct bucket *table__lock_home(struct table_thread *t, uint64_t hash, uint64_t *idx, uint64_t *hdr)
{
	struct table *table = t->table;

	HOT_ASSERT(t->may_write);
	for (;;) {
		uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);

		*idx = geometry_home(hash, buckets);
		struct bucket *b = table__lock(table, *idx, hdr);

		buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
		if (likely(geometry_home(hash, buckets) == *idx))
			return b;
		atomic_store_explicit(&b->hdr, *hdr, memory_order_release);
	}
}

/* `hdr` as locking returned it, with the flags that have been added or removed. */
void table__unlock(struct bucket *b, uint64_t hdr, uint64_t version)
{
	uint64_t last = atomic_load_explicit(&b->slot[BUCKET_SLOTS - 1], memory_order_relaxed);
	uint64_t flags = hdr & HDR_FLAGS & ~(HDR_LOCK | HDR_TXN | HDR_CHAIN);

	HOT_ASSERT(version >= hdr_version(hdr));
	if (slot_is_chain(last))
		flags |= HDR_CHAIN;
	atomic_store_explicit(&b->hdr, version << HDR_VERSION_SHIFT | flags, memory_order_release);
}

slot_word *table__chain_find(slot_word *node, const struct table_key *key, uint64_t *word)
{
	const uint64_t tag = slot_tag_of_hash(key->hash);
	struct line line = {node, OVERFLOW_SLOTS};

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t w = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (w >> SLOT_TAG_SHIFT == tag &&
			    item__key_equal(slot_item(w), key->bytes)) {
				*word = w;
				return &line.slots[i];
			}
		}
	} while (line_next(&line));
	return NULL;
}

static uint32_t line_free(const struct line *line)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < line->count; i++)
		count += atomic_load_explicit(&line->slots[i], memory_order_relaxed) == 0;
	return count;
}

/* Links empty nodes until `needed` items more will fit. False: no memory, and nothing is harmed. */
bool table__room(struct table_thread *t, struct bucket *b, uint32_t needed)
{
	struct line tail = bucket_line(b);
	uint32_t have = (uint32_t)__builtin_popcount(bucket_free(b));

	while (have < needed && line_next(&tail))
		have += line_free(&tail);
	while (have < needed) {
		slot_word *node = table__alloc(t, OVERFLOW_BYTES);

		if (!node)
			return false;
		// The item in the slot that becomes the link moves first: it is always found.
		uint64_t last =
			atomic_load_explicit(&tail.slots[tail.count - 1], memory_order_relaxed);

		atomic_init(&node[0], last);
		for (uint32_t i = 1; i < OVERFLOW_SLOTS; i++)
			atomic_init(&node[i], 0);
		atomic_store_explicit(&tail.slots[tail.count - 1], (uint64_t)(uintptr_t)node,
				      memory_order_release);
		have += OVERFLOW_SLOTS - 1;
		tail = (struct line){node, OVERFLOW_SLOTS};
	}
	return true;
}

/* The first free slot behind the bucket's own; table__room() has seen to it that there is one. */
static COLD slot_word *chain_slot_free(struct bucket *b)
{
	struct line line = bucket_line(b);

	while (line_next(&line))
		for (uint32_t i = 0; i < line.count; i++)
			if (atomic_load_explicit(&line.slots[i], memory_order_relaxed) == 0)
				return &line.slots[i];
	INVARIANT(!"a free slot");
	return NULL;
}

void table__slot_insert(struct bucket *b, uint64_t word)
{
	uint32_t empty = bucket_free(b);
	slot_word *slot = empty ? &b->slot[__builtin_ctz(empty)] : chain_slot_free(b);

	atomic_store_explicit(slot, word, memory_order_release);
}

static slot_word *first_hole(struct bucket *b, slot_word *before)
{
	struct line line = bucket_line(b);

	for (; line.slots != before; line_next(&line)) {
		for (uint32_t i = 0; i < line.count; i++)
			if (atomic_load_explicit(&line.slots[i], memory_order_relaxed) == 0)
				return &line.slots[i];
	}
	return NULL;
}

/* Fills holes from the end of the chain and unlinks the nodes that become empty. */
void table__compact(struct table_thread *t, struct bucket *b)
{
	for (;;) {
		struct line before = bucket_line(b), tail = before;
		slot_word *last = NULL;

		while (line_next(&tail)) {
			struct line peek = tail;

			if (!line_next(&peek))
				break;
			before = tail;
		}
		if (tail.slots == b->slot)
			return;
		for (uint32_t i = 0; i < tail.count; i++)
			if (atomic_load_explicit(&tail.slots[i], memory_order_relaxed))
				last = &tail.slots[i];
		if (!last) {
			if (!reclaim__prepare(t, 1))
				return;
			atomic_store_explicit(&before.slots[before.count - 1], 0,
					      memory_order_release);
			reclaim__retire_node(t, tail.slots);
			continue;
		}
		slot_word *hole = first_hole(b, tail.slots);

		if (!hole)
			return;
		atomic_store_explicit(hole, atomic_load_explicit(last, memory_order_relaxed),
				      memory_order_release);
		atomic_store_explicit(last, 0, memory_order_release);
	}
}
