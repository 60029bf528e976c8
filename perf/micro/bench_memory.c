/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rcu.h"
#include "dataplane/table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What items take: by how much this process has grown when they are in, as the kernel counts it,
 * and what the table says of itself. bench_memory KEYS VALUE_BYTES EXPIRE_S; perf/memory.py calls
 * it and shows what other servers take.
 */

#define KEY_BYTES       16
#define WALL_MS         1800000000000ULL
#define VALUE_BYTES_MAX 4096
#define SLICE_NS        5000

static uint64_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		exit(EXIT_FAILURE);
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill(struct table_thread *t, struct table *table, uint64_t keys, uint32_t value_bytes,
		 uint64_t expire_ms)
{
	static const char value[VALUE_BYTES_MAX];
	char text[32];

	for (uint64_t i = 0; i < keys; i++) {
		snprintf(text, sizeof(text), "key:%012llu", (unsigned long long)i);
		struct table_change change = {.key = table_key(table, slice_of(text, KEY_BYTES)),
					      .expected = TABLE_ANY};
		const struct item_spec spec = {.key = change.key.bytes,
					       .value = slice_of(value, value_bytes),
					       .expire_ms = expire_ms};

		change.item = table_item_new(t, &spec);
		if (!change.item || table_commit_one(t, &change) != TABLE_OK) {
			fprintf(stderr, "bench_memory: no memory\n");
			exit(EXIT_FAILURE);
		}
		if (i % 64 == 0) {
			table_housekeep(t, SLICE_NS);
			rcu_quiescent();
			table_set_time(t, WALL_MS, i * 100);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t keys = argc == 4 ? strtoull(argv[1], NULL, 10) : 0;
	uint32_t value_bytes = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	uint64_t expire_s = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	const struct table_config config = {
		.hash_key = {1, 2},
		.buckets_initial = 1024,
		.region_bytes = keys * (value_bytes + 256ULL) + (64 << 20),
	};
	char why[TABLE_WHY_MAX];
	struct table_stats stats;
	struct table *table;

	if (keys == 0 || value_bytes > VALUE_BYTES_MAX) {
		fprintf(stderr, "usage: bench_memory KEYS VALUE_BYTES EXPIRE_S\n");
		return 2;
	}
	if (rcu_start() || table_new(&config, &table, why))
		return EXIT_FAILURE;
	struct table_thread *t = table_thread_open(table, true);
	uint64_t before = resident_bytes();

	if (!t)
		return EXIT_FAILURE;
	table_set_time(t, WALL_MS, 1);
	fill(t, table, keys, value_bytes, expire_s ? WALL_MS + expire_s * 1000 : 0);
	table_stats(table, &stats);
	printf("%.2f %.2f\n", (double)(resident_bytes() - before) / (double)keys,
	       (double)stats.memory_bytes / (double)keys);
	table_thread_close(t);
	table_free(table);
	rcu_stop();
	return EXIT_SUCCESS;
}
