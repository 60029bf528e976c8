/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <string.h>

/*
 * Redis' policies by sampling: no lists and nothing shared. Each thread looks at three buckets
 * chosen at random, keeps the best candidates that it has seen in a pool of
 * its own, and evicts the one with the highest score. Called by evict.c on writer threads.
 *
 * Volatile items may be few among many. The hint bits in the slots, and VOL in the header, tell
 * them without a look at the items; where three buckets hold too few, the search walks on through
 * the index from where it stopped last.
 */

#define SAMPLE_BUCKETS    3
#define SAMPLE_ROUNDS_MAX 16
#define SAMPLE_ITEMS_MIN  5    // fewer are no choice
#define WALK_BUCKETS_MAX  4096 // headers looked at per search: about 50 us

static bool is_volatile(enum table_policy policy)
{
	return policy >= TABLE_VOLATILE_LRU && policy <= TABLE_VOLATILE_TTL;
}

static bool is_random(enum table_policy policy)
{
	return policy == TABLE_ALLKEYS_RANDOM || policy == TABLE_VOLATILE_RANDOM;
}

/*
 * How many items a sample is of. The best of many is not always better: by counts and expiries new
 * keys, or those that expire early, get no chance to be asked for. With these numbers the policies
 * are nearest to redis and its five samples (perf/evict/compare_redis.py).
 */
static uint32_t sample_items_max(struct table_thread *t, enum table_policy policy)
{
	if (policy == TABLE_VOLATILE_TTL)
		return 5 + rng_below(&t->rng, 2);
	return is_random(policy) ? UINT32_MAX : 8;
}

static uint64_t score_of(const struct table_thread *t, enum table_policy policy,
			 const struct item *item)
{
	if (policy == TABLE_VOLATILE_TTL)
		return UINT64_MAX - item_expire_ms(item);
	if (table_policy_is_lfu(policy))
		return UINT32_MAX - table_item_freq(t, item);
	if (is_random(policy))
		return 0;
	return item_idle_s(item, t->wall_ms);
}

/* Keeps the pool sorted, the highest score last; the lowest falls out. */
static void pool_offer(struct table_thread *t, struct evict_candidate candidate)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < t->pool_count; i++)
		if (t->pool[i].item == candidate.item && t->pool[i].version == candidate.version)
			return;
	while (at < t->pool_count && t->pool[at].score < candidate.score)
		at++;
	if (t->pool_count == EVICT_POOL_SIZE) {
		if (at == 0)
			return;
		at--;
		memmove(&t->pool[0], &t->pool[1], at * sizeof(t->pool[0]));
	} else {
		memmove(&t->pool[at + 1], &t->pool[at], (t->pool_count - at) * sizeof(t->pool[0]));
		t->pool_count++;
	}
	candidate.hash = table__hash(t->table, item_key(candidate.item));
	t->pool[at] = candidate;
}

struct sample {
	enum table_policy policy;
	uint64_t flushed;
	uint32_t items; // that would do
	uint32_t most;  // of them, to be looked at
	uint32_t skip;  // first, or the last slots of a bucket would never be looked at
};

static void sample_item(struct table_thread *t, struct sample *sample, const struct item *item)
{
	struct evict_candidate candidate = {
		.item = item,
		.version = item_version(item),
		.score = score_of(t, sample->policy, item),
	};

	if (sample->skip > 0) {
		sample->skip--;
		return;
	}
	sample->items++;
	// Of n items seen one after another, each stays with a probability of 1 / n.
	if (is_random(sample->policy) && rng_below(&t->rng, sample->items) != 0)
		return;
	if (is_random(sample->policy))
		t->pool_count = 0;
	pool_offer(t, candidate);
}

static void sample_bucket(struct table_thread *t, struct sample *sample, struct bucket *b)
{
	const uint64_t hints = is_volatile(sample->policy) ? SLOT_TTL : 0;
	struct line line = bucket_line(b);

	do {
		for (uint32_t i = 0; i < line.count && sample->items < sample->most; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (slot_is_item(word) && (word & hints) == hints &&
			    table__item_live(t, slot_item(word), sample->flushed))
				sample_item(t, sample, slot_item(word));
		}
	} while (line_next(&line));
}

static void prefetch_items(struct bucket *b)
{
	for (uint32_t i = 0; i < BUCKET_SLOTS; i++)
		prefetch_read(slot_item(atomic_load_explicit(&b->slot[i], memory_order_relaxed)));
}

static void sample_random(struct table_thread *t, struct sample *sample, uint64_t buckets)
{
	struct bucket *b[SAMPLE_BUCKETS];

	for (int i = 0; i < SAMPLE_BUCKETS; i++) {
		b[i] = &t->table->index[geometry_home(rng_next(&t->rng), buckets)];
		prefetch_read(b[i]);
	}
	for (int i = 0; i < SAMPLE_BUCKETS; i++)
		prefetch_items(b[i]);
	for (int i = 0; i < SAMPLE_BUCKETS; i++)
		sample_bucket(t, sample, b[i]);
}

/* On through the index until there is something to choose from. */
static void sample_walk(struct table_thread *t, struct sample *sample, uint64_t buckets)
{
	uint64_t walk = buckets < WALK_BUCKETS_MAX ? buckets : WALK_BUCKETS_MAX;

	for (; walk > 0 && sample->items < SAMPLE_ITEMS_MIN; walk--) {
		if (t->walk_next >= buckets)
			t->walk_next = 0;
		struct bucket *b = &t->table->index[t->walk_next++];

		prefetch_read(b + 8);
		if (!is_volatile(sample->policy) ||
		    atomic_load_explicit(&b->hdr, memory_order_relaxed) & HDR_VOL)
			sample_bucket(t, sample, b);
	}
}

static void fill_pool(struct table_thread *t, enum table_policy policy)
{
	struct table *table = t->table;
	uint64_t buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
	struct sample sample = {
		.policy = policy,
		.most = sample_items_max(t, policy),
		.flushed = atomic_load_explicit(&table->flushed, memory_order_acquire),
	};

	if (sample.most < SAMPLE_BUCKETS * BUCKET_SLOTS)
		sample.skip = rng_below(&t->rng, BUCKET_SLOTS);
	// Scores of another policy mean nothing, and a random choice has no memory.
	if (t->pool_policy != policy || is_random(policy))
		t->pool_count = 0;
	t->pool_policy = policy;
	sample_random(t, &sample, buckets);
	if (sample.items < SAMPLE_ITEMS_MIN)
		sample_walk(t, &sample, buckets);
}

/*
 * The candidate's slot in its locked bucket, if it is still that item and has not been used
 * since.
 */
static slot_word *find_candidate(const struct table_thread *t, enum table_policy policy,
				 struct bucket *b, const struct evict_candidate *candidate)
{
	struct line line = bucket_line(b);

	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (slot_is_item(word) && slot_item(word) == candidate->item &&
			    item_version(candidate->item) == candidate->version &&
			    score_of(t, policy, candidate->item) >= candidate->score)
				return &line.slots[i];
		}
	} while (line_next(&line));
	return NULL;
}

static bool evict(struct table_thread *t, enum table_policy policy,
		  const struct evict_candidate *candidate)
{
	uint64_t idx, hdr;
	struct bucket *b = table__lock_home(t, candidate->hash, &idx, &hdr);
	uint64_t flushed = atomic_load_explicit(&t->table->flushed, memory_order_acquire);
	slot_word *slot = find_candidate(t, policy, b, candidate);

	// What a flush has hidden is its sweep's to remove and to count.
	if (!slot || candidate->version <= flushed) {
		table__unlock(b, hdr, hdr_version(hdr));
		return false;
	}
	evict__take_out(t, b, hdr, slot, flushed);
	return true;
}

bool evict__sampled(struct table_thread *t, enum table_policy policy)
{
	uint64_t items, with_expiry;

	if (is_volatile(policy)) {
		table__count_sum(t->table, &items, &with_expiry);
		if (with_expiry == 0)
			return false;
	}
	for (int round = 0; round < SAMPLE_ROUNDS_MAX; round++) {
		if (!reclaim__prepare(t, 1))
			return false;
		fill_pool(t, policy);
		if (t->pool_count == 0)
			return false;
		while (t->pool_count > 0)
			if (evict(t, policy, &t->pool[--t->pool_count]))
				return true;
	}
	return false;
}
