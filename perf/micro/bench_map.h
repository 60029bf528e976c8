/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What bench_table measures: our table and its peers behind one interface, in bursts, as a server
 * gets its requests. Keys and values are the same bytes for all; a hit reads the value's first one.
 * Each map is used by one thread at a time, but ours, which several may join.
 */

#define BENCH_BATCH       32
#define BENCH_KEY_BYTES   16
#define BENCH_VALUE_BYTES 32

struct bench_batch {
	char text[BENCH_BATCH][BENCH_KEY_BYTES + 1];
};

struct bench_map;

struct bench_map_ops {
	const char *name;
	/* For about `keys` keys. Ends the program when there is no memory. */
	struct bench_map *(*open)(uint64_t keys);
	void (*close)(struct bench_map *map);
	uint64_t (*find)(struct bench_map *map, const struct bench_batch *batch); // how many
	void (*set)(struct bench_map *map, const struct bench_batch *batch);
	void (*delete)(struct bench_map *map, const struct bench_batch *batch);
	void (*rest)(struct bench_map *map, bool wrote); // after a burst: upkeep
};

extern const struct bench_map_ops map_wirecache, map_lfht, map_rte_hash;

/* Reserved huge pages for what is opened from now on, as an appliance has them. */
extern bool map_wirecache_huge_pages;

/*
 * Whether a map is made with all the buckets that it will want. If not, ours and cds_lfht begin
 * with these and grow; rte_hash cannot.
 */
#define BENCH_BUCKETS_SMALL 1024
extern bool bench_sized;

/* A further thread's handle on the same table; closed by that thread, before the map itself. */
struct bench_map *map_wirecache_join(struct bench_map *map);

/* Sets one key of the batch: what a single insertion takes. */
void map_wirecache_set_one(struct bench_map *map, const struct bench_batch *batch, uint32_t i);

/* Bytes per item beyond key and value. */
double map_wirecache_overhead(const struct bench_map *map);

/* Once, before any rte_hash is opened: room for all of them. */
void map_rte_hash_prepare(uint64_t keys_max, const char *program);

/*
 * The C library's own allocator: the process' is jemalloc, and a thread that has a table open has
 * its memory from the table's region. Never NULL.
 */
void *bench_peer_alloc(size_t bytes);
void bench_peer_free(void *ptr);

/* Ends the program. */
_Noreturn void bench_no_memory(void);
