/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/stress/stress_table.h"

#include <string.h>

/*
 * One thread stops in the middle of its turn, as a stopped process or a worker without its core
 * would, while others overwrite: nothing that it has found is freed or changes (T6), what waits to
 * be freed stays bounded as evict.c has it, because writes are refused, reads go on, and all of it
 * comes back when the thread moves again.
 *
 * STALL_MS is how long it stops at least (1000).
 */

#define STALL_MS_DEFAULT 1000
#define STALL_MS_MAX     60000 // by then writes must have been refused
#define AFTER_MS         200   // for which the others go on
#define HELD_KEYS        200
#define REFUSALS_MIN     1000
#define WRITERS          2
#define LIMBO_BYTES_MAX  (128ULL << 20) // evict.c
#define LIMBO_SLACK      (2ULL << 20)   // of each writer, until it adds up again
#define VALUE_MAX        20000

struct stall_case {
	const char *name;
	uint32_t keys;
	uint32_t value_len;
	uint64_t maxmemory_bytes; // with eviction, or 0
};

static const struct stall_case cases[] = {
	{"items of 1,000 bytes", 10000, 1000, 0},
	{"blobs of 16,000 bytes", 500, 16000, 0},
	{"a cache at its limit", 40000, 1000, 24 << 20},
};

static const struct stall_case *running;
static _Atomic bool stalled, stall_over;
static _Atomic uint64_t refused, stored_after;
static _Atomic uint64_t limbo_highest, items_lowest;

static void fill_value(uint8_t *value, uint64_t number, uint64_t version)
{
	for (uint32_t at = 0; at + 16 <= running->value_len; at += 16) {
		memcpy(value + at, &number, 8);
		memcpy(value + at + 8, &version, 8);
	}
}

/* Whose value it is, and that it is one value from end to end. */
static uint64_t check_value(const struct item *item, uint64_t number)
{
	struct slice value = item_value(item);
	uint64_t first[2], last[2];

	STRESS_CHECK(value.len == running->value_len, "T6: key %llu has length %zu",
		     (unsigned long long)number, value.len);
	memcpy(first, value.ptr, 16);
	memcpy(last, value.ptr + (value.len / 16 - 1) * 16, 16);
	STRESS_CHECK(first[0] == number && memcmp(first, last, 16) == 0,
		     "T6: key %llu has %llx and %llx", (unsigned long long)number,
		     (unsigned long long)first[0], (unsigned long long)last[0]);
	return first[1];
}

static bool overwrite(struct table_thread *t, uint64_t number, uint64_t version)
{
	uint8_t value[VALUE_MAX] = {0};
	struct stress_key k;

	if (!table_reserve(t, running->value_len + 64))
		return false;
	fill_value(value, number, version);
	stress_key(t->table, &k, number);
	struct table_change change = {
		.key = k.key,
		.expected = TABLE_ANY,
		.item = table_item_new(
			t, &(struct item_spec){.key = k.key.bytes,
					       .value = slice_of(value, running->value_len)}),
	};

	STRESS_CHECK(change.item, "no memory");
	STRESS_CHECK(table_commit_one(t, &change) == TABLE_OK, "no memory");
	return true;
}

static void overwrite_some(struct stress_thread *self)
{
	for (int i = 0; i < 16; i++) {
		uint64_t number = rng_below(&self->rng, running->keys);

		if (!overwrite(self->t, number, self->turns))
			atomic_fetch_add(&refused, 1);
		else if (atomic_load(&stall_over))
			atomic_fetch_add(&stored_after, 1);
	}
}

static void read_some(struct stress_thread *self)
{
	for (int i = 0; i < 32; i++) {
		uint64_t number = rng_below(&self->rng, running->keys);
		struct item *item = stress_find(self->t, number);

		STRESS_CHECK(item || running->maxmemory_bytes, "T2: key %llu missed",
			     (unsigned long long)number);
		if (item)
			check_value(item, number);
	}
}

static void watch_limbo(struct stress_thread *self)
{
	struct table_stats stats;

	table_stats(self->t->table, &stats);
	if (stats.limbo_bytes > atomic_load(&limbo_highest))
		atomic_store(&limbo_highest, stats.limbo_bytes);
	if (atomic_load(&stalled) && stats.items < atomic_load(&items_lowest))
		atomic_store(&items_lowest, stats.items);
	read_some(self);
}

struct held {
	const struct item *item;
	uint64_t number, version;
};

static uint32_t find_held(struct stress_thread *self, struct held *held)
{
	uint32_t count = 0;

	for (uint64_t number = 0; count < HELD_KEYS && number < running->keys; number++) {
		const struct item *item = stress_find(self->t, number);

		if (item)
			held[count++] = (struct held){item, number, check_value(item, number)};
	}
	return count;
}

/* Its first turn lasts until the others have run into the bound. */
static void stall_once(struct stress_thread *self)
{
	struct held held[HELD_KEYS];
	uint64_t least_ms = stress_env("STALL_MS", STALL_MS_DEFAULT);
	uint32_t count = find_held(self, held);

	STRESS_CHECK(count > 0, "nothing to hold");
	if (atomic_load(&stall_over))
		return;
	atomic_store(&stalled, true);
	for (uint64_t ms = 0; ms < least_ms || atomic_load(&refused) < REFUSALS_MIN; ms += 10) {
		STRESS_CHECK(ms < STALL_MS_MAX, "T6: no write was refused, limbo %llu",
			     (unsigned long long)atomic_load(&limbo_highest));
		stress_sleep_ms(10);
		for (uint32_t i = 0; i < count; i++)
			STRESS_CHECK(check_value(held[i].item, held[i].number) == held[i].version,
				     "T6: key %llu changed", (unsigned long long)held[i].number);
	}
	atomic_store(&stalled, false);
	atomic_store(&stall_over, true);
}

static void reset_figures(void)
{
	atomic_store(&stalled, false);
	atomic_store(&stall_over, false);
	atomic_store(&refused, 0);
	atomic_store(&stored_after, 0);
	atomic_store(&limbo_highest, 0);
	atomic_store(&items_lowest, UINT64_MAX);
}

/* What waits is freed; the figures of the table at rest. */
static struct table_stats settle(struct table_thread *t)
{
	struct table_stats stats;

	do {
		rcu_quiescent();
		rcu_wait();
		stress_time(t);
		while (table_housekeep(t, 1000000))
			rcu_quiescent();
		table_stats(t->table, &stats);
	} while (stats.limbo_items);
	return stats;
}

static struct table_stats prefill(struct stress *s)
{
	struct table_thread *t = table_thread_open(s->table, true);

	STRESS_CHECK(t, "thread");
	stress_time(t);
	for (uint64_t number = 0; number < running->keys; number++) {
		STRESS_CHECK(overwrite(t, number, 0), "key %llu", (unsigned long long)number);
		if (number % 64 == 0) {
			table_housekeep(t, 100000);
			rcu_quiescent();
		}
	}
	struct table_stats stats = settle(t);

	table_thread_close(t);
	return stats;
}

static void run_case(const struct stall_case *c)
{
	struct stress s;

	printf("one thread stops: %s\n", c->name);
	fflush(stdout);
	running = c;
	reset_figures();
	stress_init(&s, &(struct table_config){.buckets_initial = 1, .hash_key = {3, 4}});
	table_limits(s.table)->maxmemory_bytes = c->maxmemory_bytes;
	table_limits(s.table)->policy = c->maxmemory_bytes ? TABLE_ALLKEYS_LRU : TABLE_NOEVICTION;
	struct table_stats before = prefill(&s);

	stress_add(&s, 1, stall_once);
	stress_add(&s, WRITERS, overwrite_some);
	stress_add(&s, 1, watch_limbo);
	stress_begin(&s);
	while (!atomic_load(&stall_over))
		stress_sleep_ms(10);
	stress_sleep_ms(AFTER_MS);
	stress_end(&s);
	struct table_thread *t = table_thread_open(s.table, true);

	stress_time(t);
	struct table_stats after = settle(t);
	uint64_t bound = LIMBO_BYTES_MAX + c->maxmemory_bytes / 64 + WRITERS * LIMBO_SLACK;

	printf("  %llu refused, %llu stored afterwards, limbo %llu at most, %llu allowed\n",
	       (unsigned long long)refused, (unsigned long long)stored_after,
	       (unsigned long long)limbo_highest, (unsigned long long)bound);
	STRESS_CHECK(limbo_highest <= bound, "limbo");
	STRESS_CHECK(stored_after > 0, "no write after the stall");
	STRESS_CHECK(items_lowest >= before.items / 2, "%llu of %llu items were left",
		     (unsigned long long)items_lowest, (unsigned long long)before.items);
	// Each thread keeps a chunk of limbo to spare.
	STRESS_CHECK(after.memory_bytes <= before.memory_bytes + before.memory_bytes / 32,
		     "%llu bytes before, %llu after", (unsigned long long)before.memory_bytes,
		     (unsigned long long)after.memory_bytes);
	table_thread_close(t);
	table_free(s.table);
}

int main(void)
{
	STRESS_CHECK(rcu_start() == 0, "rcu");
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		run_case(&cases[i]);
	rcu_stop();
	return 0;
}
