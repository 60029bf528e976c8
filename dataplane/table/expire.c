/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <string.h>

/*
 * Active expiry: keys go within a few milliseconds of their time, whether anybody asks for them
 * or not, in slices that a housekeeping budget bounds. Two parts:
 *
 *   wheel  Each writer has one of its own, of 4 ms slots over 32 s. A commit of a key that
 *          expires in that time leaves the key's hash there; when the slot is due, the bucket of
 *          that hash is swept. An entry points at nothing, so it cannot dangle, and a needless
 *          one costs a glance at a bucket. An expiry that is put off again and again has one
 *          entry: when that comes too early, it is made anew.
 *   walk   All threads together pass over the index at an even pace and look into the buckets
 *          flagged VOL. What will expire before the next pass goes into the walker's wheel; so
 *          distant expiries cost no memory.
 */

#define WHEEL_SLOTS         8192
#define WHEEL_SLOT_MS       4
#define CHUNK_HASHES        14
#define WALK_PERIOD_MS_MIN  1000
#define WALK_PERIOD_MS_MAX  30000
#define WALK_BUCKETS_PER_MS 4000 // at most: a tenth of a core, at 25 ns each
#define COST_TIMER_NS       120
#define COST_WALK_NS        15
#define COST_VOLATILE_NS    80

_Static_assert(WALK_PERIOD_MS_MAX + WALK_PERIOD_MS_MAX / 16 < WHEEL_SLOTS * WHEEL_SLOT_MS,
	       "what one pass of the walk notes must fit the wheel");

struct timer_chunk {
	struct timer_chunk *next;
	uint64_t count;
	uint64_t hashes[CHUNK_HASHES];
};

struct timer_wheel {
	struct timer_chunk *slots[WHEEL_SLOTS];
};

static struct timer_wheel *wheel_of(struct table_thread *t)
{
	if (likely(t->wheel))
		return t->wheel;
	t->wheel = table__alloc(t, sizeof(*t->wheel));
	if (t->wheel) {
		memset(t->wheel, 0, sizeof(*t->wheel));
		t->wheel_at = t->wall_ms / WHEEL_SLOT_MS;
	}
	return t->wheel;
}

/* A key of this hash expires then. Without memory, or too far ahead, it is left to the walk. */
void expire__note(struct table_thread *t, uint64_t hash, uint64_t expire_ms)
{
	struct timer_wheel *wheel = wheel_of(t);
	uint64_t number = expire_ms / WHEEL_SLOT_MS + 1;

	if (!wheel)
		return;
	if (number < t->wheel_at)
		number = t->wheel_at;
	if (number - t->wheel_at >= WHEEL_SLOTS)
		return;
	struct timer_chunk **slot = &wheel->slots[number % WHEEL_SLOTS];
	struct timer_chunk *chunk = *slot;

	if (!chunk || chunk->count == CHUNK_HASHES) {
		chunk = table__alloc(t, sizeof(*chunk));
		if (!chunk)
			return;
		chunk->next = *slot;
		chunk->count = 0;
		*slot = chunk;
	}
	chunk->hashes[chunk->count++] = hash;
}

/* A key of this hash that is there still has had its expiry put off. */
static void note_again(struct table_thread *t, uint64_t idx, uint64_t hash)
{
	struct line line = bucket_line(&t->table->index[idx]);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);
			const struct item *item = slot_item(word);

			if (word >> SLOT_TAG_SHIFT == slot_tag_of_hash(hash) && word & SLOT_TTL &&
			    item__expire_ms(item) >= t->wall_ms &&
			    table__hash(t->table, item__key(item)) == hash)
				expire__note(t, hash, item__expire_ms(item));
		}
	} while (line_next(&line));
}

static void sweep_home(struct table_thread *t, uint64_t hash)
{
	uint64_t idx = geometry_home(hash, table__buckets(t->table));

	table__sweep_bucket(t, idx);
	note_again(t, idx, hash);
}

/* One chunk of the slot that is due: its buckets are fetched together, then swept. */
static void run_chunk(struct table_thread *t, struct timer_chunk **slot)
{
	struct timer_chunk *chunk = *slot;

	for (uint64_t i = 0; i < chunk->count; i++)
		prefetch_read(&t->table->index[geometry_home(chunk->hashes[i],
							     table__buckets(t->table))]);
	for (uint64_t i = 0; i < chunk->count; i++)
		sweep_home(t, chunk->hashes[i]);
	*slot = chunk->next;
	table__dealloc(t, chunk, sizeof(*chunk));
}

static bool wheel_due(const struct table_thread *t)
{
	return t->wheel && t->wheel_at <= t->wall_ms / WHEEL_SLOT_MS;
}

static int64_t run_wheel(struct table_thread *t, int64_t budget)
{
	struct timer_wheel *wheel = t->wheel;

	// After a leap of the clock every slot is due once.
	if (wheel_due(t) && t->wall_ms / WHEEL_SLOT_MS - t->wheel_at > WHEEL_SLOTS)
		t->wheel_at = t->wall_ms / WHEEL_SLOT_MS - WHEEL_SLOTS;
	while (wheel_due(t) && budget > 0) {
		struct timer_chunk **slot = &wheel->slots[t->wheel_at % WHEEL_SLOTS];

		if (!*slot) {
			t->wheel_at++;
			budget--;
			continue;
		}
		budget -= COST_TIMER_NS * (int64_t)(*slot)->count;
		run_chunk(t, slot);
	}
	return budget;
}

/* Looks at the items of one bucket that have an expiry. True when one has passed. */
static bool survey_volatile(struct table_thread *t, struct bucket *b, uint64_t window_ms)
{
	struct table *table = t->table;
	struct line line = bucket_line(b);
	bool expired = false;

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (!slot_is_item(word) || !(word & SLOT_TTL))
				continue;
			uint64_t expire_ms = item_expire_ms(slot_item(word));

			if (expire_ms < t->wall_ms) {
				expired = true;
				continue;
			}
			table->ttl_sum_ms += expire_ms - t->wall_ms;
			table->ttl_count++;
			if (expire_ms - t->wall_ms <= window_ms)
				expire__note(t, table__hash(table, item_key(slot_item(word))),
					     expire_ms);
		}
	} while (line_next(&line));
	return expired;
}

static uint64_t walk_period_ms(uint64_t buckets)
{
	uint64_t period_ms = buckets / WALK_BUCKETS_PER_MS;

	if (period_ms < WALK_PERIOD_MS_MIN)
		return WALK_PERIOD_MS_MIN;
	return period_ms < WALK_PERIOD_MS_MAX ? period_ms : WALK_PERIOD_MS_MAX;
}

static void begin_pass(struct table *table, uint64_t wall_ms)
{
	atomic_store_explicit(&table->ttl_mean_ms,
			      table->ttl_count ? table->ttl_sum_ms / table->ttl_count : 0,
			      memory_order_relaxed);
	table->ttl_sum_ms = table->ttl_count = 0;
	table->expire_sweep_next = 0;
	table->expire_pass_started_ms = wall_ms;
	table__torn_decay(table);
}

/* How far the walk should have come by this time of the pass. */
static uint64_t walk_target(const struct table *table, uint64_t wall_ms, uint64_t buckets)
{
	uint64_t period_ms = walk_period_ms(buckets);
	uint64_t elapsed_ms = wall_ms - table->expire_pass_started_ms;

	return elapsed_ms >= period_ms ? buckets : buckets * elapsed_ms / period_ms;
}

/* Under expire_sweep_lock. */
static int64_t walk_some(struct table_thread *t, int64_t budget)
{
	struct table *table = t->table;
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
	uint64_t period_ms = walk_period_ms(buckets);

	if (t->wall_ms < table->expire_pass_started_ms ||
	    (table->expire_sweep_next >= buckets &&
	     t->wall_ms - table->expire_pass_started_ms >= period_ms))
		begin_pass(table, t->wall_ms);
	uint64_t target = walk_target(table, t->wall_ms, buckets);
	// A pass may be late by what a full slice does; the rest of the window is for that.
	uint64_t window_ms = period_ms + period_ms / 16 + 100;

	for (; table->expire_sweep_next < target && budget > 0; budget -= COST_WALK_NS) {
		struct bucket *b = &table->index[table->expire_sweep_next];

		prefetch_read(b + 8);
		if (atomic_load_explicit(&b->hdr, memory_order_relaxed) & HDR_VOL) {
			if (survey_volatile(t, b, window_ms))
				table__sweep_bucket(t, table->expire_sweep_next);
			budget -= COST_VOLATILE_NS;
		}
		table->expire_sweep_next++;
	}
	return budget;
}

int64_t expire__slice(struct table_thread *t, int64_t budget)
{
	return run_wheel(t, budget);
}

int64_t expire__walk(struct table_thread *t, int64_t budget)
{
	struct table *table = t->table;

	if (budget <= 0 ||
	    atomic_flag_test_and_set_explicit(&table->expire_sweep_lock, memory_order_acquire))
		return budget;
	budget = walk_some(t, budget);
	atomic_flag_clear_explicit(&table->expire_sweep_lock, memory_order_release);
	return budget;
}

bool expire__pending(const struct table_thread *t)
{
	return wheel_due(t);
}

/* What is in the wheel is found again by the walk. */
void expire__thread_close(struct table_thread *t)
{
	if (!t->wheel)
		return;
	for (uint32_t i = 0; i < WHEEL_SLOTS; i++) {
		while (t->wheel->slots[i]) {
			struct timer_chunk *next = t->wheel->slots[i]->next;

			table__dealloc(t, t->wheel->slots[i], sizeof(*next));
			t->wheel->slots[i] = next;
		}
	}
	table__dealloc(t, t->wheel, sizeof(*t->wheel));
	t->wheel = NULL;
}
