/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

/*
 * allkeys-s3: S3-FIFO (Yang et al., SOSP 2023) without queues. A hand passes over the buckets in
 * the order of the index. What it needs to know of an item is in the slot: two bits of frequency,
 * and whether the item is on probation, as all new ones are.
 *
 *   on probation, asked for                    becomes a main item
 *   on probation since a lap, not asked for    evicted, and its key remembered (ghost.c)
 *   main, asked for                            loses one of its frequency
 *   main, frequency 0                          evicted
 *
 * While items on probation take more than a tenth of the memory, only they are looked at. A key
 * that comes back while it is remembered is a main item at once. Each writer has a hand of its own,
 * and all hands go round the whole index, so that no part is left alone by a worker without work.
 * Called by evict.c and commit.c on writer threads.
 */

#define PROBATION_SHARE  10   // the share is one in so many bytes
#define LOOK_BUCKETS_MAX 128  // per eviction; then the least frequent item seen has to go
#define LOOK_EMPTY_MAX   4096 // where no item is found at all
#define LOOK_ROUNDS_MAX  8

/* Who has to go where nobody should: the lowest rank that has been seen. 1 to 3 is frequency. */
#define RANK_YOUNG 1
#define RANK_MAIN  4 // and the frequency

/* What the hand has come to. */
struct found {
	uint64_t idx;
	const struct item *item;
	bool probation;
	uint32_t rank; // 0: to be evicted; else the lower the better, if it must be one
};

static uint64_t probation_sum(const struct table *table)
{
	struct table *any = (struct table *)(uintptr_t)table;
	uint32_t count = atomic_load_explicit(&any->thread_count, memory_order_acquire);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += counter_read(&any->threads[i]->probation_bytes);
	return (int64_t)sum < 0 ? 0 : sum;
}

static bool probation_is_large(const struct table *table)
{
	uint64_t used = table__memory_sum(table) - counter_read(&table->index_bytes) -
			counter_read(&table->ghost_bytes) - table__limbo_sum(table);

	return probation_sum(table) * PROBATION_SHARE > used;
}

void evict__probation_left(struct table_thread *t, uint64_t word)
{
	counter_sub(&t->probation_bytes, item_memory_bytes(slot_item(word)));
}

/*
 * The bits of a slot that gets a new item; `word` is what it holds, 0 for a free one. A value that
 * takes another's place takes its standing over, and is an access where the key was not looked up.
 */
uint64_t evict__slot_bits(struct table_thread *t, const struct bucket *b,
			  const struct table_change *change, uint64_t word)
{
	uint64_t bits = 0;

	if (change->old) {
		bits = word & (SLOT_FREQ | SLOT_PROBATION);
		if (t->policy == TABLE_ALLKEYS_S3 && change->expected == TABLE_ANY &&
		    (bits & SLOT_FREQ) != SLOT_FREQ)
			bits += SLOT_FREQ_ONE;
	} else if (t->policy == TABLE_ALLKEYS_S3 &&
		   !ghost__take(t, (uint64_t)(b - t->table->index), change->key.hash)) {
		bits = SLOT_PROBATION;
	}
	if (bits & SLOT_PROBATION)
		counter_add(&t->probation_bytes, item_memory_bytes(change->item));
	return bits;
}

static slot_word *slot_of(struct bucket *b, const struct item *item)
{
	struct line line = bucket_line(b);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (slot_is_item(word) && slot_item(word) == item)
				return &line.slots[i];
		}
	} while (line_next(&line));
	return NULL;
}

/*
 * Makes an item of the hand's bucket a main one. Locked, because whoever moves or replaces an item
 * counts by the bit that it has read; a lost bit of frequency does no harm, so that those are
 * exchanged without.
 */
static void promote(struct table_thread *t, const struct item *item)
{
	uint64_t hdr;
	struct bucket *b = table__lock(t->table, t->hand_bucket, &hdr);
	slot_word *slot = slot_of(b, item);

	if (slot) {
		uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

		evict__left(t, word);
		atomic_store_explicit(slot, word & ~(SLOT_FREQ | SLOT_PROBATION),
				      memory_order_release);
	}
	table__unlock(b, hdr, hdr_version(hdr));
}

/*
 * Whether the item has come since the hand was here last, or nearly so: it has had less time to be
 * asked for than the others, merely for the place that its hash has put it in.
 */
static bool is_young(const struct table_thread *t, const struct item *item)
{
	uint64_t mark = t->marks[t->mark_next];

	return mark != 0 && item_version(item) > mark;
}

/* One slot under the hand. Returns its rank as a victim, UINT32_MAX: none. */
static uint32_t look_at(struct table_thread *t, slot_word *slot, uint64_t word, bool only_probation)
{
	uint32_t freq = (uint32_t)((word & SLOT_FREQ) / SLOT_FREQ_ONE);

	if (!(word & SLOT_PROBATION)) {
		if (only_probation)
			return RANK_MAIN + freq;
		if (freq > 0)
			atomic_compare_exchange_strong_explicit(slot, &word, word - SLOT_FREQ_ONE,
								memory_order_release,
								memory_order_relaxed);
		return freq;
	}
	if (freq > 0) {
		promote(t, slot_item(word));
		return UINT32_MAX;
	}
	return only_probation && is_young(t, slot_item(word)) ? RANK_YOUNG : 0;
}

/* The rest of the bucket under the hand; true when it stops there. */
static bool look_at_bucket(struct table_thread *t, bool only_probation, struct found *best)
{
	struct line line = bucket_line(&t->table->index[t->hand_bucket]);
	uint64_t flushed = atomic_load_explicit(&t->table->flushed, memory_order_acquire);
	uint32_t at = 0;

	do {
		for (uint32_t i = 0; i < line.count; i++, at++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (at < t->hand_slot || !slot_is_item(word))
				continue;
			uint32_t rank = look_at(t, &line.slots[i], word, only_probation);

			// What a flush has hidden is its sweep's to remove and to count.
			if (rank >= best->rank || item_version(slot_item(word)) <= flushed)
				continue;
			*best = (struct found){
				.idx = t->hand_bucket,
				.item = slot_item(word),
				.probation = word & SLOT_PROBATION,
				.rank = rank,
			};
			if (rank == 0) {
				t->hand_slot = at + 1;
				return true;
			}
		}
	} while (line_next(&line));
	return false;
}

static void hand_forward(struct table_thread *t)
{
	uint64_t buckets = atomic_load_explicit(&t->table->buckets, memory_order_acquire);

	t->hand_slot = 0;
	if (++t->hand_bucket >= buckets)
		t->hand_bucket = 0;
	if (t->to_mark-- == 0) {
		t->to_mark = buckets / CLOCK_MARKS;
		t->marks[t->mark_next] = counter_read(&t->clock);
		t->mark_next = (t->mark_next + 1) % CLOCK_MARKS;
	}
	prefetch_read(&t->table->index[t->hand_bucket + 4]);
}

static bool evict(struct table_thread *t, const struct found *found)
{
	uint64_t hdr;
	struct bucket *b = table__lock(t->table, found->idx, &hdr);
	uint64_t flushed = atomic_load_explicit(&t->table->flushed, memory_order_acquire);
	slot_word *slot = slot_of(b, found->item);

	if (!slot || item_version(found->item) <= flushed) {
		table__unlock(b, hdr, hdr_version(hdr));
		return false;
	}
	if (found->probation)
		ghost__add(t, found->idx, table__hash(t->table, item_key(found->item)));
	evict__take_out(t, b, hdr, slot, flushed);
	return true;
}

static bool look(struct table_thread *t, struct found *best)
{
	bool only_probation = probation_is_large(t->table);
	uint64_t buckets = atomic_load_explicit(&t->table->buckets, memory_order_acquire);

	// The hands begin anywhere, so that they do not follow in one another's steps.
	if (t->hand_bucket >= buckets)
		t->hand_bucket = geometry_home(rng_next(&t->rng), buckets);
	*best = (struct found){.rank = UINT32_MAX};
	for (uint32_t n = 0; n < LOOK_BUCKETS_MAX || (!best->item && n < LOOK_EMPTY_MAX); n++) {
		if (look_at_bucket(t, only_probation, best))
			return true;
		hand_forward(t);
	}
	return best->item != NULL;
}

bool evict__clock(struct table_thread *t)
{
	struct found best;

	ghost__clock(t);
	for (uint32_t round = 0; round < LOOK_ROUNDS_MAX; round++) {
		if (!reclaim__prepare(t, 1) || !look(t, &best))
			return false;
		if (evict(t, &best))
			return true;
	}
	return false;
}
