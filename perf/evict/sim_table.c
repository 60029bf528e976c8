/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_table.h"

#include "base/rcu.h"

#include <stdio.h>
#include <string.h>

/*
 * Feeds a trace to the server's own table, as a worker does: look the key up; where it is missing,
 * reserve, build, commit; between bursts, upkeep and a quiescent state. maxmemory is set when the
 * wanted number of items is in, and then kept where that number stays. Main thread.
 */

#define BURST        32
#define VALUE_BYTES  32
#define ITEM_RESERVE 96 // as commands reckon
#define START_MS     1800000000000ULL
#define UPKEEP_NS    20000
#define TRIM_BURSTS  64 // between two looks at the number of items
#define NEVER_EACH   64 // one key in so many has no expiry in an expiring trace

struct run {
	const struct sim_trace *trace;
	const struct sim_table_options *options;
	struct table *table;
	struct table_thread *t;
	bool limited;
	uint64_t hits, refused;
	uint64_t items_sum, items_samples;
	double item_bytes; // that maxmemory changes by for an item more or less
};

uint64_t sim_table_expire_s(uint32_t key)
{
	if (key % NEVER_EACH == 0)
		return 0;
	return 100000 + (uint32_t)(key * 2654435761U) % 1000000;
}

static bool store(struct run *run, const struct table_key *key, uint32_t number)
{
	static const uint8_t value[VALUE_BYTES];
	struct item_spec spec = {.key = key->bytes, .value = slice_of(value, VALUE_BYTES)};
	uint64_t expire_s = run->options->expiring ? sim_table_expire_s(number) : 0;

	spec.expire_ms = expire_s ? START_MS + expire_s * 1000 : 0;
	if (!table_reserve(run->t, ITEM_RESERVE))
		return false;
	struct table_change change = {
		.key = *key,
		.expected = TABLE_ANY,
		.item = table_item_new(run->t, &spec),
	};

	if (!change.item)
		return false;
	if (table_commit_one(run->t, &change) == TABLE_OK)
		return true;
	table_item_discard(run->t, change.item);
	return false;
}

static void request(struct run *run, uint32_t number)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "key:%012u", number);
	struct table_key key = table_key(run->table, slice_of(text, (size_t)len));

	if (table_find(run->t, &key))
		run->hits++;
	else if (!store(run, &key, number))
		run->refused++;
}

static uint64_t used_bytes(const struct run *run)
{
	struct table_stats stats;

	table_stats(run->table, &stats);
	return stats.memory_bytes - stats.limbo_bytes;
}

/* Sets the limit when the items are in, and trims it so that they stay as many. */
static void keep_items(struct run *run)
{
	struct table_limits *limits = table_limits(run->table);
	uint64_t items = table_count(run->table), wanted = run->options->items;

	if (!run->limited && items < wanted)
		return;
	if (!run->limited) {
		run->limited = true;
		run->item_bytes = (double)used_bytes(run) / (double)items;
		limits->maxmemory_bytes = used_bytes(run);
		return;
	}
	run->items_sum += items;
	run->items_samples++;
	double change = ((double)wanted - (double)items) * run->item_bytes / 2;

	limits->maxmemory_bytes =
		(uint64_t)((double)atomic_load(&limits->maxmemory_bytes) + change);
}

static void feed(struct run *run)
{
	uint64_t rate = run->options->requests_rate;

	for (size_t i = 0; i < run->trace->count; i += BURST) {
		table_set_time(run->t, START_MS + i * 1000 / rate, i * 1000000 / rate * 1000 + 1);
		for (size_t j = i; j < i + BURST && j < run->trace->count; j++)
			request(run, run->trace->keys[j]);
		rcu_quiescent();
		table_housekeep(run->t, UPKEEP_NS);
		if (!run->limited || i / BURST % TRIM_BURSTS == 0)
			keep_items(run);
	}
}

bool sim_table_run(const struct sim_trace *trace, const struct sim_table_options *options,
		   struct sim_table_result *result)
{
	const struct table_config config = {
		.hash_key = {1, 2}, .buckets_initial = 64, .rng_seed = 1};
	struct run run = {.trace = trace, .options = options};
	char why[TABLE_WHY_MAX];
	struct table_stats stats;

	if (table_new(&config, &run.table, why)) {
		fprintf(stderr, "sim_evict: %s\n", why);
		return false;
	}
	table_limits(run.table)->policy = options->policy;
	run.t = table_thread_open(run.table, true);
	if (!run.t) {
		fprintf(stderr, "sim_evict: no memory for a thread of the table\n");
		table_free(run.table);
		return false;
	}
	feed(&run);
	table_stats(run.table, &stats);
	*result = (struct sim_table_result){
		.hit_ratio = (double)run.hits / (double)trace->count,
		.items_mean = run.items_samples ? (double)run.items_sum / (double)run.items_samples
						: (double)stats.items,
		.refused = run.refused,
		.ghost_bytes = stats.ghost_bytes,
		.maxmemory_bytes = table_limits(run.table)->maxmemory_bytes,
	};
	table_thread_close(run.t);
	table_free(run.table);
	return true;
}
