/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table.h"

#include "base/contract.h"
#include "base/rcu.h"
#include "dataplane/table/stable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Making and ending the table and its threads, its upkeep and its figures. The way of a lookup is
 * lookup.c; of a change, commit.c.
 */

#define BUCKETS_MAX_DEFAULT (1ULL << 26) // 4 GiB of addresses, for tables without a region
#define ITEM_BYTES_MIN      32           // for how many buckets a region could possibly need
#define LFU_LOG_FACTOR      10           // as redis has them
#define LFU_DECAY_MIN       1

static int fail(char *why, const char *text)
{
	if (why)
		snprintf(why, TABLE_WHY_MAX, "%s", text);
	return -ENOMEM;
}

static uint64_t buckets_max_of(const struct table_config *config)
{
	uint64_t max = config->buckets_max;

	if (max == 0 && config->region_bytes)
		max = config->region_bytes / (ITEM_BYTES_MIN * 4);
	if (max == 0)
		max = BUCKETS_MAX_DEFAULT;
	return max < config->buckets_initial ? config->buckets_initial : max;
}

static void table_init(struct table *table, const struct table_config *config)
{
	uint64_t depth = hdr_depth_bits(geometry_level(config->buckets_initial));

	for (uint64_t i = 0; i < config->buckets_initial; i++)
		atomic_init(&table->index[i].hdr, depth);
	atomic_init(&table->buckets, config->buckets_initial);
	atomic_init(&table->limits.lfu_log_factor, LFU_LOG_FACTOR);
	atomic_init(&table->limits.lfu_decay_min, LFU_DECAY_MIN);
	table->resize_grew = true;
	atomic_flag_clear(&table->resize_lock);
	atomic_flag_clear(&table->ghost_lock);
	atomic_flag_clear(&table->flush_sweep_lock);
	atomic_flag_clear(&table->expire_sweep_lock);
	pthread_mutex_init(&table->threads_lock, NULL);
}

int table_new(const struct table_config *config, struct table **out, char *why)
{
	REQUIRE(config->buckets_initial > 0);
	REQUIRE((config->buckets_initial & (config->buckets_initial - 1)) == 0);
	struct table *table = aligned_alloc(CACHE_LINE_BYTES, sizeof(*table));

	if (!table)
		return fail(why, "no memory for the table");
	memset(table, 0, sizeof(*table));
	table->hash_key = config->hash_key;
	table->hash_many = hash_many_best();
	table->hash_mask = UINT64_MAX;
	table->rng_seed = config->rng_seed;
	table->huge_pages = config->huge_pages;
	table->buckets_min = config->buckets_initial;
	table->buckets_max = buckets_max_of(config);
	if (table__region_init(&table->region, config->region_bytes, config->huge_pages)) {
		fail(why, config->huge_pages ? "cannot reserve the memory region in huge pages"
					     : "cannot reserve the memory region");
		goto err_free;
	}
	if (table__index_init(table) || !table__index_commit(table, config->buckets_initial) ||
	    ghost__init(table)) {
		fail(why, "cannot reserve the index");
		goto err_index;
	}
	table_init(table, config);
	if (config->grows_ahead && table__ahead_start(table) != 0) {
		fail(why, "cannot start the thread that maps the index");
		goto err_index;
	}
	*out = table;
	return 0;

err_index:
	ghost__fini(table);
	table__index_fini(table);
err_free:
	free(table);
	return -ENOMEM;
}

static void free_items(struct table *table, struct table_thread *t)
{
	uint64_t buckets = atomic_load(&table->buckets);

	for (uint64_t i = 0; i < buckets; i++) {
		struct line line = bucket_line(&table->index[i]);
		slot_word *node = NULL;
		bool more;

		do {
			for (uint32_t s = 0; s < line.count; s++)
				if (slot_is_item(line.slots[s]))
					item__free(t, slot_item(line.slots[s]));
			struct line next = line;

			more = line_next(&next);
			if (node)
				table__dealloc(t, node, OVERFLOW_BYTES);
			node = more ? next.slots : NULL;
			line = next;
		} while (more);
	}
}

void table_free(struct table *table)
{
	if (!table)
		return;
	uint32_t count = atomic_load(&table->thread_count);

	for (uint32_t i = 0; i < count; i++)
		REQUIRE(!table->threads[i]->open);
	if (count > 0) {
		struct table_thread *t = table->threads[0];

		table__own_thread_set(t);
		free_items(table, t);
		reclaim__table_free(table, t);
		table__own_thread_set(NULL);
	}
	for (uint32_t i = 0; i < count; i++) {
		free(table->threads[i]->copies);
		free(table->threads[i]);
	}
	pthread_mutex_destroy(&table->threads_lock);
	table__ahead_stop(table);
	ghost__fini(table);
	table__index_fini(table);
	free(table);
}

struct table_limits *table_limits(struct table *table)
{
	return &table->limits;
}

/* A closed thread's place, with its counters and its arena, or a further one. */
static struct table_thread *thread_place(struct table *table)
{
	uint32_t count = atomic_load(&table->thread_count);

	for (uint32_t i = 0; i < count; i++)
		if (!table->threads[i]->open)
			return table->threads[i];
	if (count == TABLE_THREADS_MAX)
		return NULL;
	struct table_thread *t = aligned_alloc(CACHE_LINE_BYTES, sizeof(*t));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->copies = aligned_alloc(CACHE_LINE_BYTES, COPIES_BYTES);
	if (!t->copies) {
		free(t);
		return NULL;
	}
	t->table = table;
	t->id = count;
	atomic_store(&table->threads[count], t);
	atomic_store(&table->thread_count, count + 1);
	return t;
}

struct table_thread *table_thread_open(struct table *table, bool may_write)
{
	pthread_mutex_lock(&table->threads_lock);
	struct table_thread *t = thread_place(table);

	if (t) {
		t->open = true;
		t->may_write = may_write;
		t->rng = rng_seeded(table->rng_seed + t->id);
		t->hand_bucket = UINT64_MAX; // nowhere yet
	}
	pthread_mutex_unlock(&table->threads_lock);
	if (!t)
		return NULL;
	if (table__arena_bind(t)) {
		t->open = false;
		return NULL;
	}
	table__own_thread_set(t);
	rcu_register_thread();
	return t;
}

void table_thread_close(struct table_thread *t)
{
	if (!t)
		return;
	struct table *table = t->table;

	expire__thread_close(t);
	reclaim__thread_close(t);
	free(t->scan_items);
	t->scan_items = NULL;
	t->scan_capacity = 0;
	t->pool_count = 0;
	t->reserve_left_bytes = 0;
	table_drop_found(t);
	effects__thread_close(t);
	table__own_thread_set(NULL);
	table__arena_unbind(t);
	rcu_unregister_thread();
	pthread_mutex_lock(&table->threads_lock);
	t->open = false;
	pthread_mutex_unlock(&table->threads_lock);
}

#define COST_RESIZE_NS   400
#define RESIZES_PER_TURN 8
#define LOOK_PERIOD_NS   200000 // between two looks at what other threads write too

static void note_peak(struct table *table, uint64_t bytes)
{
	uint64_t peak = atomic_load_explicit(&table->memory_peak_bytes, memory_order_relaxed);

	while (bytes > peak &&
	       !atomic_compare_exchange_weak(&table->memory_peak_bytes, &peak, bytes))
		;
}

/*
 * What needs the sums over all threads. Their counters are in other cores' caches, so an idle
 * loop must not read them on each turn; while there is work it goes on. True when it has not come
 * to an end.
 */
static bool look_around(struct table_thread *t, int64_t budget)
{
	uint64_t with_expiry;
	int64_t left = budget;

	note_peak(t->table, table__memory_sum(t->table));
	left -= left / 2 - expire__walk(t, left / 2);
	int64_t unused = evict__slice(t, left / 2);
	bool more = unused <= 0;

	left -= left / 2 - unused;
	table__count_sum(t->table, &t->items_known, &with_expiry);
	int64_t steps = left / COST_RESIZE_NS;

	if (steps > RESIZES_PER_TURN)
		steps = RESIZES_PER_TURN;
	return table__resize_step(t, t->items_known, steps > 0 ? (uint32_t)steps : 1) || more;
}

/* The stages share the slice: each may take half of what is left, the last one all of it. */
bool table_housekeep(struct table_thread *t, uint32_t budget_ns)
{
	REQUIRE(t->may_write);
	int64_t left = budget_ns;

	left -= left / 2 - reclaim__slice(t, left / 2);
	left -= left / 2 - expire__slice(t, left / 2);
	if (t->look_again || t->now_ns - t->looked_ns >= LOOK_PERIOD_NS) {
		t->looked_ns = t->now_ns;
		t->look_again = look_around(t, left / 2);
		left -= left / 2;
	}
	table__flush_slice(t, left);
	return t->look_again || reclaim__pending(t) || expire__pending(t) ||
	       table__flush_pending(t->table);
}

void table_stats(const struct table *table, struct table_stats *stats)
{
	struct table *any = (struct table *)(uintptr_t)table;
	uint32_t count = atomic_load_explicit(&any->thread_count, memory_order_acquire);

	*stats = (struct table_stats){
		.memory_bytes = table__memory_sum(table),
		.index_bytes = counter_read(&table->index_bytes),
		.limbo_bytes = table__limbo_sum(table),
		.ghost_bytes = counter_read(&table->ghost_bytes),
		.region_bytes = table->region.size_bytes,
		.buckets = atomic_load_explicit(&any->buckets, memory_order_relaxed),
		.splits = counter_read(&table->splits),
		.merges = counter_read(&table->merges),
	};
	table__count_sum(table, &stats->items, &stats->items_with_expiry);
	for (uint32_t i = 0; i < count; i++) {
		stats->expired += counter_read(&any->threads[i]->expired);
		stats->changes += counter_read(&any->threads[i]->changes);
		stats->evicted += counter_read(&any->threads[i]->evicted);
		stats->expired_unfetched += counter_read(&any->threads[i]->expired_unfetched);
		stats->evicted_unfetched += counter_read(&any->threads[i]->evicted_unfetched);
		stats->limbo_items += counter_read(&any->threads[i]->limbo_items);
	}
	note_peak(any, stats->memory_bytes);
	stats->memory_peak_bytes =
		atomic_load_explicit(&any->memory_peak_bytes, memory_order_relaxed);
	stats->expire_sum_ms = atomic_load_explicit(&any->ttl_mean_ms, memory_order_relaxed);
}
