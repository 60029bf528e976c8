/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/rcu.h"
#include "base/rng.h"
#include "dataplane/table/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/rculfhash.h>
#include <urcu/urcu-qsbr.h>

/*
 * What one operation on the table costs on one core, against liburcu's hash table in the same
 * run: 16-byte keys, 32-byte values, keys in random order. Usage: bench_table [KEYS]
 */

#define BATCH       32
#define KEY_BYTES   16
#define VALUE_BYTES 32

struct bench {
	struct table *table;
	struct table_thread *t;
	struct cds_lfht *lfht;
	uint64_t keys;
	uint64_t base; // first key number: present keys from 0, absent ones from `keys`
	struct rng rng;
};

struct lfht_item {
	struct cds_lfht_node node;
	char key[KEY_BYTES];
	char value[VALUE_BYTES];
};

struct batch {
	char text[BATCH][KEY_BYTES + 1];
	struct table_key keys[BATCH];
};

static void fill(struct bench *b, struct batch *batch, uint64_t from, bool random)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		uint64_t number = random ? rng_next(&b->rng) % b->keys : from + i;

		snprintf(batch->text[i], KEY_BYTES + 1, "%016" PRIu64, b->base + number);
	}
}

static void hash_batch(struct bench *b, struct batch *batch)
{
	for (uint32_t i = 0; i < BATCH; i++)
		batch->keys[i] = table_key(b->table, slice_of(batch->text[i], KEY_BYTES));
}

static uint64_t found; // keeps the compiler from leaving lookups out

static void find_batched(struct bench *b, struct batch *batch)
{
	hash_batch(b, batch);
	for (uint32_t i = 0; i < BATCH; i++)
		table_prefetch(b->table, batch->keys[i].hash);
	for (uint32_t i = 0; i < BATCH; i++)
		table_prefetch_item(b->table, batch->keys[i].hash);
	for (uint32_t i = 0; i < BATCH; i++)
		found += table_find(b->t, &batch->keys[i]) != NULL;
}

static void find_single(struct bench *b, struct batch *batch)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		struct table_key key = table_key(b->table, slice_of(batch->text[i], KEY_BYTES));

		found += table_find(b->t, &key) != NULL;
	}
}

static void set_batched(struct bench *b, struct batch *batch)
{
	static const char value[VALUE_BYTES];

	hash_batch(b, batch);
	for (uint32_t i = 0; i < BATCH; i++)
		table_prefetch(b->table, batch->keys[i].hash);
	for (uint32_t i = 0; i < BATCH; i++)
		table_prefetch_item(b->table, batch->keys[i].hash);
	for (uint32_t i = 0; i < BATCH; i++) {
		struct table_change change = {
			.key = batch->keys[i],
			.expected = TABLE_ANY,
			.item = table_item_new(
				b->t, &(struct item_spec){.key = batch->keys[i].bytes,
							  .value = slice_of(value, VALUE_BYTES)}),
		};

		if (!change.item || table_commit_one(b->t, &change) != TABLE_OK)
			abort();
	}
	table_housekeep(b->t, 5000);
}

static int lfht_match(struct cds_lfht_node *node, const void *key)
{
	return memcmp(CONTAINER_OF(node, struct lfht_item, node)->key, key, KEY_BYTES) == 0;
}

static struct cds_lfht_node *lfht_find(struct bench *b, const char *text)
{
	struct cds_lfht_iter iter;
	uint64_t hash = table_key(b->table, slice_of(text, KEY_BYTES)).hash;

	cds_lfht_lookup(b->lfht, hash, lfht_match, text, &iter);
	return cds_lfht_iter_get_node(&iter);
}

static void lfht_find_batch(struct bench *b, struct batch *batch)
{
	for (uint32_t i = 0; i < BATCH; i++)
		found += lfht_find(b, batch->text[i]) != NULL;
}

static void lfht_set_batch(struct bench *b, struct batch *batch)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		struct lfht_item *item = malloc(sizeof(*item));

		if (!item)
			abort();
		cds_lfht_node_init(&item->node);
		memcpy(item->key, batch->text[i], KEY_BYTES);
		memset(item->value, 0, VALUE_BYTES);
		uint64_t hash = table_key(b->table, slice_of(item->key, KEY_BYTES)).hash;
		struct cds_lfht_node *old =
			cds_lfht_add_replace(b->lfht, hash, lfht_match, item->key, &item->node);

		// One thread: nobody else can hold it, so no grace period is measured.
		if (old)
			free(CONTAINER_OF(old, struct lfht_item, node));
	}
}

typedef void operation(struct bench *b, struct batch *batch);

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The median over batches: what else runs on the machine disturbs some of them, not most. */
static void report(struct bench *b, const char *name, operation *op, uint64_t base, bool random)
{
	uint64_t batches = b->keys / BATCH;
	uint32_t *cycles = malloc(batches * sizeof(*cycles));
	struct batch batch;

	if (!cycles)
		abort();
	b->base = base;
	for (uint64_t i = 0; i < batches; i++) {
		fill(b, &batch, i * BATCH, random);
		uint64_t start = clock_tsc();

		op(b, &batch);
		cycles[i] = (uint32_t)(clock_tsc() - start);
		rcu_quiescent();
		table_set_time(b->t, 1800000000000, clock_now_ns());
	}
	qsort(cycles, batches, sizeof(*cycles), compare_u32);
	double median = cycles[batches / 2] / (double)BATCH,
	       p90 = cycles[batches * 9 / 10] / (double)BATCH;

	printf("%-28s %7.1f cycles, p90 %7.1f; %7.1f ns\n", name, median, p90,
	       median * 1e9 / (double)clock_tsc_hz());
	free(cycles);
}

static void lfht_free(struct bench *b)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_first(b->lfht, &iter);
	while ((node = cds_lfht_iter_get_node(&iter))) {
		cds_lfht_next(b->lfht, &iter);
		cds_lfht_del(b->lfht, node);
		free(CONTAINER_OF(node, struct lfht_item, node));
	}
	cds_lfht_destroy(b->lfht, NULL);
}

int main(int argc, char **argv)
{
	struct bench b = {.keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
			  .rng = rng_seeded(1)};
	struct table_config config = {.hash_key = {1, 2},
				      .buckets_initial = 1024,
				      .region_bytes = b.keys * 160 + (64 << 20)};
	char why[TABLE_WHY_MAX];

	clock_init();
	if (rcu_start() || table_new(&config, &b.table, why))
		return 1;
	b.t = table_thread_open(b.table, true);
	// Buckets enough from the start: its resizing thread would disturb the measurement.
	uint64_t lfht_buckets = 1;

	while (lfht_buckets < b.keys)
		lfht_buckets *= 2;
	b.lfht = cds_lfht_new_flavor(lfht_buckets, lfht_buckets, lfht_buckets, 0, &urcu_qsbr_flavor,
				     NULL);
	if (!b.t || !b.lfht)
		return 1;
	table_set_time(b.t, 1800000000000, clock_now_ns());
	report(&b, "table insert", set_batched, 0, false);
	report(&b, "table find hit, batch 32", find_batched, 0, true);
	report(&b, "table find hit, single", find_single, 0, true);
	report(&b, "table find miss, batch 32", find_batched, b.keys, true);
	report(&b, "table replace, batch 32", set_batched, 0, true);
	report(&b, "cds_lfht insert", lfht_set_batch, 0, false);
	report(&b, "cds_lfht find hit", lfht_find_batch, 0, true);
	report(&b, "cds_lfht find miss", lfht_find_batch, b.keys, true);
	report(&b, "cds_lfht replace", lfht_set_batch, 0, true);
	struct table_stats stats;

	table_stats(b.table, &stats);
	printf("%" PRIu64 " keys, %.1f per bucket, %.1f bytes overhead each (%" PRIu64 " found)\n",
	       stats.items, (double)stats.items / (double)stats.buckets,
	       (double)(stats.memory_bytes - stats.limbo_bytes) / (double)stats.items - KEY_BYTES -
		       VALUE_BYTES,
	       found);
	lfht_free(&b);
	table_thread_close(b.t);
	table_free(b.table);
	rcu_stop();
	return 0;
}
