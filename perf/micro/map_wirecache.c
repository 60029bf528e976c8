/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/micro/bench_map.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "dataplane/table/prefetch.h"

#include <stdio.h>
#include <stdlib.h>

/* Our table: the lines that a burst will want are fetched in three steps, then it is executed. */

#define WALL_MS         1800000000000ULL
#define REGION_PER_KEY  144
#define REGION_BASE     (64ULL << 20)
#define UPKEEP_NS       5000
#define KEYS_PER_BUCKET 7 // that growth aims at

bool map_wirecache_huge_pages;

struct bench_map {
	struct table *table;
	struct table_thread *t;
	bool owns_table;
};

static struct bench_map *thread_open(struct table *table, bool owns_table)
{
	struct bench_map *map = calloc(1, sizeof(*map));

	if (!map)
		bench_no_memory();
	*map = (struct bench_map){table, table_thread_open(table, true), owns_table};
	if (!map->t)
		bench_no_memory();
	table_set_time(map->t, WALL_MS, clock_now_ns());
	return map;
}

static uint64_t buckets_for(uint64_t keys)
{
	uint64_t buckets = BENCH_BUCKETS_SMALL;

	while (bench_sized && buckets * KEYS_PER_BUCKET < keys)
		buckets *= 2;
	return buckets;
}

static struct bench_map *open_map(uint64_t keys)
{
	const struct table_config config = {
		.hash_key = {1, 2},
		.buckets_initial = buckets_for(keys),
		.region_bytes = keys * REGION_PER_KEY + REGION_BASE,
		.grows_ahead = true,
		.huge_pages = map_wirecache_huge_pages,
	};
	struct table *table;
	char why[TABLE_WHY_MAX];

	if (table_new(&config, &table, why) != 0) {
		fprintf(stderr, "bench_table: %s%s\n", why,
			map_wirecache_huge_pages ? "; hugepages.sh reserves more" : "");
		exit(EXIT_FAILURE);
	}
	return thread_open(table, true);
}

struct bench_map *map_wirecache_join(struct bench_map *map)
{
	return thread_open(map->table, false);
}

static void close_map(struct bench_map *map)
{
	table_thread_close(map->t);
	if (map->owns_table)
		table_free(map->table);
	free(map);
}

static void look_ahead(struct bench_map *map, const struct bench_batch *batch,
		       struct table_key *keys)
{
	struct table_key *all[BENCH_BATCH];

	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		keys[i].bytes = slice_of(batch->text[i], BENCH_KEY_BYTES);
		all[i] = &keys[i];
	}
	table_keys_init(map->table, all, BENCH_BATCH);
	table_prefetch_burst(all, BENCH_BATCH);
}

static uint64_t find(struct bench_map *map, const struct bench_batch *batch)
{
	struct table_key keys[BENCH_BATCH];
	uint64_t found = 0;

	look_ahead(map, batch, keys);
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		struct item *item = table_find(map->t, &keys[i]);

		found += item && *item_value(item).ptr == 0;
	}
	return found;
}

static void set_key(struct bench_map *map, const struct table_key *key)
{
	static const char value[BENCH_VALUE_BYTES];
	const struct item_spec spec = {.key = key->bytes,
				       .value = slice_of(value, BENCH_VALUE_BYTES)};
	struct table_change change = {.key = *key, .expected = TABLE_ANY};
	enum table_status status;

	if (table_overwrite(map->t, &change, &spec, &status))
		return;
	change.item = table_item_new(map->t, &spec);
	if (!change.item || table_commit_one(map->t, &change) != TABLE_OK)
		bench_no_memory();
}

static void set(struct bench_map *map, const struct bench_batch *batch)
{
	struct table_key keys[BENCH_BATCH];

	look_ahead(map, batch, keys);
	for (uint32_t i = 0; i < BENCH_BATCH; i++)
		set_key(map, &keys[i]);
}

void map_wirecache_set_one(struct bench_map *map, const struct bench_batch *batch, uint32_t i)
{
	struct table_key key = table_key(map->table, slice_of(batch->text[i], BENCH_KEY_BYTES));

	set_key(map, &key);
}

static void delete_batch(struct bench_map *map, const struct bench_batch *batch)
{
	struct table_key keys[BENCH_BATCH];

	look_ahead(map, batch, keys);
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		struct table_change change = {.key = keys[i], .expected = TABLE_ANY};

		if (table_commit_one(map->t, &change) != TABLE_OK)
			bench_no_memory();
	}
}

static void rest(struct bench_map *map, bool wrote)
{
	if (wrote)
		table_housekeep(map->t, UPKEEP_NS);
	rcu_quiescent();
	table_set_time(map->t, WALL_MS, clock_now_ns());
}

double map_wirecache_overhead(const struct bench_map *map)
{
	struct table_stats stats;

	table_stats(map->table, &stats);
	return (double)(stats.memory_bytes - stats.limbo_bytes) / (double)stats.items -
	       BENCH_KEY_BYTES - BENCH_VALUE_BYTES;
}

const struct bench_map_ops map_wirecache = {
	.name = "wirecache",
	.open = open_map,
	.close = close_map,
	.find = find,
	.set = set,
	.delete = delete_batch,
	.rest = rest,
};
