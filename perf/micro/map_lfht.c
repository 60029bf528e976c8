/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/micro/bench_map.h"

#include "base/compiler.h"
#include "base/hash.h"
#include "base/rcu.h"
#include "base/slice.h"

#include <stdlib.h>
#include <string.h>
#include <urcu/rculfhash.h>
#include <urcu/urcu-qsbr.h>

/*
 * liburcu's lock-free hash table: as small at first as ours and growing by itself, or with all the
 * buckets that it will want. One thread uses the map; what it replaces is freed by the thousands,
 * after a grace period, which costs it next to nothing.
 */

struct lfht_item {
	struct cds_lfht_node node;
	char key[BENCH_KEY_BYTES];
	char value[BENCH_VALUE_BYTES];
};

#define LIMBO_ITEMS 65536

/* What has been unlinked: the thread that resizes the table may be looking at it. */
struct limbo {
	struct lfht_item *items[LIMBO_ITEMS];
	uint32_t count;
	uint64_t tag; // of RCU, when it was full
};

struct bench_map {
	struct cds_lfht *table;
	struct limbo limbo[2]; // one is filled, the other one waits
	uint32_t filled;
};

static const struct hash_key hash_key = {1, 2};

static struct bench_map *open_map(uint64_t keys)
{
	struct bench_map *map = calloc(1, sizeof(*map));
	uint64_t buckets = BENCH_BUCKETS_SMALL;

	if (!map)
		bench_no_memory();
	while (bench_sized && buckets < keys)
		buckets *= 2;
	map->table = bench_sized ? cds_lfht_new_flavor(buckets, buckets, buckets, 0,
						       &urcu_qsbr_flavor, NULL)
				 : cds_lfht_new_flavor(buckets, buckets, 0,
						       CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
						       &urcu_qsbr_flavor, NULL);
	if (!map->table)
		bench_no_memory();
	return map;
}

static void free_limbo(struct limbo *limbo)
{
	for (uint32_t i = 0; i < limbo->count; i++)
		bench_peer_free(limbo->items[i]);
	limbo->count = 0;
}

static void retire(struct bench_map *map, struct cds_lfht_node *node)
{
	struct limbo *limbo = &map->limbo[map->filled];

	limbo->items[limbo->count++] = CONTAINER_OF(node, struct lfht_item, node);
	if (limbo->count < LIMBO_ITEMS)
		return;
	limbo->tag = rcu_tag();
	map->filled ^= 1;
	limbo = &map->limbo[map->filled];
	while (limbo->count > 0 && !rcu_done(limbo->tag))
		rcu_quiescent();
	free_limbo(limbo);
}

/* Unlinked all in one critical section, as the iterator wants it, and linked by their values. */
static struct lfht_item *unlink_all(struct bench_map *map)
{
	struct lfht_item *all = NULL;
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_first(map->table, &iter);
	while ((node = cds_lfht_iter_get_node(&iter))) {
		struct lfht_item *item = CONTAINER_OF(node, struct lfht_item, node);

		cds_lfht_next(map->table, &iter);
		cds_lfht_del(map->table, node);
		memcpy(item->value, &all, sizeof(all));
		all = item;
	}
	return all;
}

static void close_map(struct bench_map *map)
{
	struct lfht_item *item = unlink_all(map), *next;

	rcu_wait();
	for (; item; item = next) {
		memcpy(&next, item->value, sizeof(next));
		bench_peer_free(item);
	}
	free_limbo(&map->limbo[0]);
	free_limbo(&map->limbo[1]);
	rcu_offline();
	cds_lfht_destroy(map->table, NULL);
	rcu_online();
	free(map);
}

static uint64_t hash_of(const char *text)
{
	return hash_siphash13(&hash_key, slice_of(text, BENCH_KEY_BYTES));
}

static int match(struct cds_lfht_node *node, const void *key)
{
	return memcmp(CONTAINER_OF(node, struct lfht_item, node)->key, key, BENCH_KEY_BYTES) == 0;
}

static uint64_t find(struct bench_map *map, const struct bench_batch *batch)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		struct cds_lfht_iter iter;
		struct cds_lfht_node *node;

		cds_lfht_lookup(map->table, hash_of(batch->text[i]), match, batch->text[i], &iter);
		node = cds_lfht_iter_get_node(&iter);
		found += node && CONTAINER_OF(node, struct lfht_item, node)->value[0] == 0;
	}
	return found;
}

static void set(struct bench_map *map, const struct bench_batch *batch)
{
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		struct lfht_item *item = bench_peer_alloc(sizeof(*item));
		struct cds_lfht_node *old;

		cds_lfht_node_init(&item->node);
		memcpy(item->key, batch->text[i], BENCH_KEY_BYTES);
		memset(item->value, 0, BENCH_VALUE_BYTES);
		old = cds_lfht_add_replace(map->table, hash_of(item->key), match, item->key,
					   &item->node);
		if (old)
			retire(map, old);
	}
}

static void delete_batch(struct bench_map *map, const struct bench_batch *batch)
{
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		struct cds_lfht_iter iter;
		struct cds_lfht_node *node;

		cds_lfht_lookup(map->table, hash_of(batch->text[i]), match, batch->text[i], &iter);
		node = cds_lfht_iter_get_node(&iter);
		if (node && cds_lfht_del(map->table, node) == 0)
			retire(map, node);
	}
}

static void rest(struct bench_map *map, bool wrote)
{
	rcu_quiescent();
}

const struct bench_map_ops map_lfht = {
	.name = "cds_lfht",
	.open = open_map,
	.close = close_map,
	.find = find,
	.set = set,
	.delete = delete_batch,
	.rest = rest,
};
