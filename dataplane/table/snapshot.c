/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/snapshot.h"

#include "base/rcu.h"
#include "base/spsc.h"
#include "dataplane/table/stable.h"

#include <stdlib.h>
#include <string.h>

/*
 * A walker passes bucket by bucket: it reads the slots, then stamps the header with this snapshot's
 * colour by compare-and-swap, which proves that nothing has changed since, and raises its version
 * to the cut. A writer that displaces an item which the walker has yet to see copies it into a ring
 * of its own first. The walker takes no lock that a writer could wait for.
 *
 * Handshake (tests/model/snapshot.pml):
 *   - The cut is ahead of every thread's clock when it becomes visible, so no writer has taken a
 *     version above it without having seen it. table_snapshot_confirm() checks that.
 *   - A writer, its bucket locked and its version taken, loads table->snapshot; the walker stamps
 *     unlocked buckets only. So a copy is in the ring before its bucket can be stamped.
 *   - A stamped bucket has a version of at least the cut: what a slow clock commits there is above.
 *   - The walk begins when the cut is in the past, so that real-time order holds across buckets,
 *     and a grace period after it was shown, so that no merge is under way that does not know of
 *     it; merges wait for the end. A split's child has its parent's colour, and comes to stand
 *     behind the walker's place.
 *
 * The colour alternates, so every walk, a failed one too, passes all buckets.
 */

#define CUT_AHEAD_NS     4000000
#define CUT_GUARD_NS     2000000 // by which it must be ahead still when it has been shown
#define BUCKETS_PER_STEP 256
#define COPIES_PER_STEP  1024
#define RING_ENTRIES     (1U << 16)

struct side_ring {
	struct spsc copies;
	CACHE_ALIGNED counter put_bytes; // [writer w]
	CACHE_ALIGNED counter got_bytes; // [walker w]
};

struct table_snapshot {
	struct table *table;      // [const]
	uint64_t cut;             // [const] versions below it are in
	uint64_t colour;          // [const] of buckets that have been passed: HDR_COLOUR or 0
	uint64_t tag;             // [const] of RCU, when the cut was shown
	uint64_t ring_bytes_max;  // [const] of each ring's copies
	uint32_t rings_count;     // [const] threads there were
	_Atomic uint32_t failure; // [any] enum table_snapshot_failure
	uint64_t next;            // [walker] bucket
	uint64_t peak_bytes;      // [walker]
	struct side_ring rings[]; // by the number of the thread
};

static uint64_t ticks_of(const struct table *table, uint64_t ns)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&table->version_base,
				    memory_order_relaxed) +
	       (ns >> VERSION_TICK_SHIFT);
}

static void fail(struct table_snapshot *s, enum table_snapshot_failure why)
{
	uint32_t good = TABLE_SNAPSHOT_GOOD;

	atomic_compare_exchange_strong(&s->failure, &good, why);
}

uint64_t table_snapshot_cut(const struct table_snapshot *s)
{
	return s->cut;
}

enum table_snapshot_failure table_snapshot_failure(const struct table_snapshot *s)
{
	return (enum table_snapshot_failure)atomic_load_explicit(
		(_Atomic uint32_t *)(uintptr_t)&s->failure, memory_order_relaxed);
}

void table_snapshot_cancel(struct table_snapshot *s)
{
	fail(s, TABLE_SNAPSHOT_CANCELLED);
}

/* --- begin and end --- */

static void free_snapshot(struct table_snapshot *s)
{
	for (uint32_t i = 0; i < s->rings_count; i++)
		spsc_fini(&s->rings[i].copies);
	free(s);
}

static struct table_snapshot *new_snapshot(struct table *table, uint32_t rings)
{
	size_t bytes = sizeof(struct table_snapshot) + rings * sizeof(struct side_ring);
	struct table_snapshot *s = aligned_alloc(
		CACHE_LINE_BYTES, (bytes + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1));

	if (!s)
		return NULL;
	memset(s, 0, bytes);
	for (; s->rings_count < rings; s->rings_count++) {
		if (!spsc_init(&s->rings[s->rings_count].copies, RING_ENTRIES)) {
			free_snapshot(s);
			return NULL;
		}
	}
	return s;
}

struct table_snapshot *table_snapshot_begin(struct table_thread *t, uint64_t now_ns,
					    uint64_t buffer_bytes)
{
	struct table *table = t->table;
	struct table_snapshot *none = NULL, *s;
	uint32_t rings = atomic_load(&table->thread_count);

	if (atomic_load(&table->snapshot))
		return NULL;
	s = new_snapshot(table, rings);
	if (!s)
		return NULL;
	s->table = table;
	s->cut = ticks_of(table, now_ns + CUT_AHEAD_NS);
	s->colour = atomic_load(&table->snapshot_colour) ^ HDR_COLOUR;
	s->ring_bytes_max = buffer_bytes / rings;
	if (!atomic_compare_exchange_strong(&table->snapshot, &none, s)) {
		free_snapshot(s);
		return NULL;
	}
	s->tag = rcu_tag();
	return s;
}

bool table_snapshot_goes_on(const struct table *table)
{
	return atomic_load((_Atomic(struct table_snapshot *) *)(uintptr_t)&table->snapshot) != NULL;
}

bool table_snapshot_confirm(struct table_snapshot *s, uint64_t now_ns)
{
	if (ticks_of(s->table, now_ns + CUT_GUARD_NS) < s->cut)
		return true;
	fail(s, TABLE_SNAPSHOT_LATE);
	return false;
}

/* One copy of a ring, or NULL. */
static struct item *take_copy(struct side_ring *ring)
{
	void *copy;

	return spsc_pop(&ring->copies, &copy, 1) == 1 ? copy : NULL;
}

static void free_copy(struct table_thread *t, struct side_ring *ring, struct item *copy)
{
	counter_add(&ring->got_bytes, item_memory_bytes(copy));
	item__free(t, copy);
}

void table_snapshot_end(struct table_snapshot *s, struct table_thread *t)
{
	struct item *copy;

	if (!s)
		return;
	atomic_store(&s->table->snapshot_colour, s->colour);
	atomic_store(&s->table->snapshot, NULL);
	rcu_wait(); // writers that are still looking at it
	for (uint32_t i = 0; i < s->rings_count; i++)
		while ((copy = take_copy(&s->rings[i])))
			free_copy(t, &s->rings[i], copy);
	free_snapshot(s);
}

/* --- writers --- */

/* Under its bucket's lock nothing changes but the header, where others may note an access. */
static struct item *copy_of(struct table_thread *t, const struct item *item)
{
	const size_t bytes = item__size_bytes(item), head = sizeof(struct item);
	_Atomic uint64_t *from = (_Atomic uint64_t *)(uintptr_t)item;
	uint64_t *to = table__alloc(t, bytes);
	struct blob *blob = item_blob(item);

	if (!to)
		return NULL;
	for (size_t i = 0; i < head / 8; i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	memcpy((uint8_t *)to + head, item->rest, bytes - head);
	if (blob)
		blob_ref(blob);
	return (struct item *)to;
}

/* The bucket is locked, `hdr` what it was; `version` is that of the change. */
COLD void table__snapshot_displaced(struct table_thread *t, struct table_snapshot *s, uint64_t hdr,
				    uint64_t version, const struct item *item)
{
	if (version < s->cut || (hdr & HDR_COLOUR) == s->colour || item__version(item) >= s->cut ||
	    !table__item_live(t, item, table__flushed(t->table)) ||
	    table_snapshot_failure(s) != TABLE_SNAPSHOT_GOOD)
		return;
	struct side_ring *ring = t->id < s->rings_count ? &s->rings[t->id] : NULL;
	uint64_t bytes = item_memory_bytes(item);
	void *copy = NULL;

	if (ring && counter_read(&ring->put_bytes) - counter_read(&ring->got_bytes) + bytes <=
			    s->ring_bytes_max)
		copy = copy_of(t, item);
	if (!copy) {
		fail(s, TABLE_SNAPSHOT_OVERFLOW);
		return;
	}
	counter_add(&ring->put_bytes, bytes);
	if (spsc_push(&ring->copies, &copy, 1) == 1)
		return;
	counter_sub(&ring->put_bytes, bytes);
	item__free(t, copy);
	fail(s, TABLE_SNAPSHOT_OVERFLOW);
}

/* --- the walker --- */

struct visit {
	bool (*visit)(void *arg, const struct item *item); // NULL: it has failed
	void *arg;
	bool enough; // for this step
};

static void show(struct visit *v, const struct item *item)
{
	v->enough |= !v->visit(v->arg, item);
}

/* True: there may be more. */
static bool take_copies(struct table_snapshot *s, struct table_thread *t, struct visit *v)
{
	uint32_t left = COPIES_PER_STEP;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < s->rings_count; i++) {
		struct side_ring *ring = &s->rings[i];
		struct item *copy;

		bytes += counter_read(&ring->put_bytes) - counter_read(&ring->got_bytes);
		while (left > 0 && !v->enough && (copy = take_copy(ring))) {
			if (v->visit)
				show(v, copy);
			free_copy(t, ring, copy);
			left--;
		}
	}
	if (bytes > s->peak_bytes)
		s->peak_bytes = bytes;
	return left == 0 || v->enough;
}

/* The bucket's items below the cut, in t->scan_items; false: no memory. */
static bool collect(const struct table_snapshot *s, struct table_thread *t, struct bucket *b,
		    uint64_t flushed, uint32_t *count)
{
	struct line line = bucket_line(b);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (!slot_is_item(word))
				continue;
			if (!stable__has_room(t, 1))
				stable__hold(t);
			struct item *item = stable__item(t, slot_item(word));

			if (item__version(item) < s->cut && table__item_live(t, item, flushed) &&
			    !table__scan_keep(t, item, count))
				return false;
		}
	} while (line_next(&line));
	return true;
}

static uint64_t stamped(const struct table_snapshot *s, uint64_t hdr)
{
	uint64_t version = hdr_version(hdr) < s->cut ? s->cut : hdr_version(hdr);

	return version << HDR_VERSION_SHIFT | (hdr & HDR_FLAGS & ~HDR_COLOUR) | s->colour;
}

static void pass_bucket(struct table_snapshot *s, struct table_thread *t, struct bucket *b,
			uint64_t flushed, struct visit *v)
{
	uint32_t count, spins = 0;
	uint64_t hdr;

	for (;; table__spin(&spins)) {
		table_drop_found(t);
		count = 0;
		hdr = atomic_load_explicit(&b->hdr, memory_order_acquire);
		if ((hdr & HDR_COLOUR) == s->colour && !(hdr & HDR_LOCK))
			return;
		if (hdr & (HDR_LOCK | HDR_TXN))
			continue;
		if (v->visit && !collect(s, t, b, flushed, &count)) {
			fail(s, TABLE_SNAPSHOT_OVERFLOW);
			count = 0;
		}
		TABLE_YIELD();
		if (atomic_compare_exchange_strong_explicit(&b->hdr, &hdr, stamped(s, hdr),
							    memory_order_acq_rel,
							    memory_order_relaxed))
			break;
	}
	for (uint32_t i = 0; i < count; i++)
		show(v, t->scan_items[i]);
}

/*
 * Nothing is handed over any more: what is in the rings is all there is. A flush is looked for
 * last, as the buckets that it has had emptied were passed after it.
 */
static enum table_snapshot_state complete(struct table_snapshot *s, struct table_thread *t,
					  struct visit *v)
{
	while (take_copies(s, t, v))
		if (v->enough)
			return TABLE_SNAPSHOT_GOES_ON;
	if (table__flushed(s->table) >= s->cut)
		fail(s, TABLE_SNAPSHOT_FLUSHED);
	return table_snapshot_failure(s) == TABLE_SNAPSHOT_GOOD ? TABLE_SNAPSHOT_DONE
								: TABLE_SNAPSHOT_FAILED;
}

static bool cut_has_come(const struct table_snapshot *s, const struct table_thread *t)
{
	return ticks_of(s->table, t->now_ns) > s->cut && rcu_done(s->tag);
}

enum table_snapshot_state table_snapshot_step(struct table_snapshot *s, struct table_thread *t,
					      bool (*visit)(void *arg, const struct item *item),
					      void *arg)
{
	struct table *table = s->table;
	uint64_t flushed = table__flushed(table);

	if (!cut_has_come(s, t))
		return TABLE_SNAPSHOT_WAITS;
	if (flushed >= s->cut)
		fail(s, TABLE_SNAPSHOT_FLUSHED);
	struct visit v = {
		.visit = table_snapshot_failure(s) == TABLE_SNAPSHOT_GOOD ? visit : NULL,
		.arg = arg,
	};

	if (take_copies(s, t, &v))
		return TABLE_SNAPSHOT_GOES_ON;
	for (uint32_t i = 0; i < BUCKETS_PER_STEP && !v.enough && s->next < table__buckets(table);
	     i++)
		pass_bucket(s, t, &table->index[s->next++], flushed, &v);
	table_drop_found(t);
	if (s->next < table__buckets(table) || v.enough)
		return TABLE_SNAPSHOT_GOES_ON;
	return complete(s, t, &v);
}

void table_snapshot_progress(const struct table_snapshot *s, uint64_t *passed, uint64_t *buckets)
{
	*passed = s->next;
	*buckets = table__buckets(s->table);
}

uint64_t table_snapshot_peak_bytes(const struct table_snapshot *s)
{
	return s->peak_bytes;
}
