/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/micro/bench_map.h"

#include "base/hash.h"
#include "base/slice.h"

#include <rte_eal.h>
#include <rte_hash.h>
#include <stdlib.h>
#include <string.h>

/*
 * DPDK's cuckoo hash: lock-free for readers, looked up in bulk, with our hash function, made for
 * its full size at once, as it cannot grow. It keeps the key; the value hangs on it.
 */

#define MEMORY_PER_KEY 100 // its keys, its buckets, and room for what is not used
#define MEMORY_BASE    (256ULL << 20)

struct bench_map {
	struct rte_hash *table;
};

static uint32_t hash_of(const void *key, uint32_t len, uint32_t seed)
{
	static const struct hash_key hash_key = {1, 2};

	return (uint32_t)hash_siphash13(&hash_key, slice_of(key, len));
}

/* Once for all maps of the program: the environment cannot be made twice. */
void map_rte_hash_prepare(uint64_t keys_max, const char *program)
{
	char name[64], memory[32];
	char *args[] = {name,
			(char[]){"-m"},
			memory,
			(char[]){"--no-huge"},
			(char[]){"--no-pci"},
			(char[]){"--no-shconf"},
			(char[]){"--no-telemetry"},
			(char[]){"--log-level=1"},
			(char[]){"--lcores=0@(0-1)"}};

	snprintf(name, sizeof(name), "%s", program);
	snprintf(memory, sizeof(memory), "%llu",
		 (unsigned long long)((keys_max * MEMORY_PER_KEY + MEMORY_BASE) >> 20));
	if (rte_eal_init(sizeof(args) / sizeof(args[0]), args) < 0)
		bench_no_memory();
}

static struct bench_map *open_map(uint64_t keys)
{
	struct rte_hash_parameters parameters = {
		.name = "bench",
		.entries = (uint32_t)(keys + keys / 4),
		.key_len = BENCH_KEY_BYTES,
		.hash_func = hash_of,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	struct bench_map *map = calloc(1, sizeof(*map));

	if (!map)
		bench_no_memory();
	map->table = rte_hash_create(&parameters);
	if (!map->table)
		bench_no_memory();
	return map;
}

static void close_map(struct bench_map *map)
{
	const void *key;
	uint32_t next = 0;
	void *value;

	while (rte_hash_iterate(map->table, &key, &value, &next) >= 0)
		bench_peer_free(value);
	rte_hash_free(map->table);
	free(map);
}

static uint64_t find(struct bench_map *map, const struct bench_batch *batch)
{
	const void *keys[BENCH_BATCH];
	void *values[BENCH_BATCH];
	uint64_t hits = 0, found = 0;

	for (uint32_t i = 0; i < BENCH_BATCH; i++)
		keys[i] = batch->text[i];
	rte_hash_lookup_bulk_data(map->table, keys, BENCH_BATCH, &hits, values);
	for (uint32_t i = 0; i < BENCH_BATCH; i++)
		found += (hits >> i & 1) && *(char *)values[i] == 0;
	return found;
}

static void set(struct bench_map *map, const struct bench_batch *batch)
{
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		void *old = NULL, *value = bench_peer_alloc(BENCH_VALUE_BYTES);
		uint32_t hash;

		memset(value, 0, BENCH_VALUE_BYTES);
		hash = hash_of(batch->text[i], BENCH_KEY_BYTES, 0);
		rte_hash_lookup_with_hash_data(map->table, batch->text[i], hash, &old);
		if (rte_hash_add_key_with_hash_data(map->table, batch->text[i], hash, value) != 0)
			bench_no_memory();
		bench_peer_free(old);
	}
}

static void delete_batch(struct bench_map *map, const struct bench_batch *batch)
{
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		void *old = NULL;
		int32_t position;

		uint32_t hash = hash_of(batch->text[i], BENCH_KEY_BYTES, 0);

		rte_hash_lookup_with_hash_data(map->table, batch->text[i], hash, &old);
		position = rte_hash_del_key_with_hash(map->table, batch->text[i], hash);
		if (position >= 0)
			rte_hash_free_key_with_position(map->table, position);
		bench_peer_free(old);
	}
}

static void rest(struct bench_map *map, bool wrote)
{
}

const struct bench_map_ops map_rte_hash = {
	.name = "rte_hash",
	.open = open_map,
	.close = close_map,
	.find = find,
	.set = set,
	.delete = delete_batch,
	.rest = rest,
};
