/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/stress/stress_table.h"

#include "dataplane/table/snapshot.h"

#include <string.h>

/*
 * The table's guarantees (T1 to T7 of table.h, T8 of snapshot.h) under threads. Each scenario has
 * an invariant that one wrong interleaving breaks, and runs while a further thread forces the table
 * to grow and shrink.
 */

#define STABLE_KEYS 64
#define CHURN_KEYS  3000
#define BUCKETS_TOP 512

/* Resizes up and down without regard to the number of items. */
static void force_resize(struct stress_thread *self)
{
	static bool up = true;
	uint64_t buckets = atomic_load(&self->t->table->buckets);

	if (buckets >= BUCKETS_TOP)
		up = false;
	if (buckets <= 1)
		up = true;
	table__resize_step(self->t, up ? 1ULL << 40 : 0, 1 + rng_below(&self->rng, 8));
}

static void churn(struct stress_thread *self)
{
	for (int i = 0; i < 16; i++) {
		uint64_t number = 1000000 + rng_below(&self->rng, CHURN_KEYS);

		if (rng_below(&self->rng, 3) == 0)
			stress_set(self->t, number, number * 3);
		else
			stress_delete(self->t, number);
	}
}

static void prepare(struct stress *s, uint64_t value)
{
	struct table_thread *t = table_thread_open(s->table, true);

	stress_time(t);
	for (uint64_t i = 0; i < STABLE_KEYS; i++)
		stress_set(t, i, value);
	table_thread_close(t);
}

static void start(struct stress *s, const char *name)
{
	printf("%s\n", name);
	fflush(stdout);
	stress_init(s, &(struct table_config){.buckets_initial = 1,
					      .buckets_max = BUCKETS_TOP * 2,
					      .hash_key = {3, 4}});
}

static void finish(struct stress *s)
{
	stress_run(s);
	table_free(s->table);
}

/*
 * T2, T6: keys that are there all the time are found by every lookup, and hold what was put into
 * them.
 */
static void find_stable(struct stress_thread *self)
{
	for (uint64_t i = 0; i < STABLE_KEYS; i++) {
		struct item *item = stress_find(self->t, i);

		STRESS_CHECK(item, "T2: key %llu missed", (unsigned long long)i);
		STRESS_CHECK(stress_value(item) % STABLE_KEYS == i, "T6: key %llu has %llu",
			     (unsigned long long)i, (unsigned long long)stress_value(item));
	}
}

static void replace_stable(struct stress_thread *self)
{
	for (int i = 0; i < 8; i++) {
		uint64_t number = rng_below(&self->rng, STABLE_KEYS);

		stress_set(self->t, number,
			   number + STABLE_KEYS * (uint64_t)rng_below(&self->rng, 1000));
	}
}

static void run_present_keys_found(void)
{
	struct stress s;

	start(&s, "T2: a present key is never missed");
	struct table_thread *t = table_thread_open(s.table, true);

	stress_time(t);
	for (uint64_t i = 0; i < STABLE_KEYS; i++)
		stress_set(t, i, i);
	table_thread_close(t);
	stress_add(&s, 2, find_stable);
	stress_add(&s, 1, replace_stable);
	stress_add(&s, 1, churn);
	stress_add(&s, 1, force_resize);
	finish(&s);
}

/* T3: money moves between accounts by commits with expectations; the sum stays. */
#define START_BALANCE 1000

static void transfer(struct stress_thread *self)
{
	enum {
		PARTIES = 3
	};
	struct stress_key keys[PARTIES];
	struct table_change changes[PARTIES];
	struct item *found[PARTIES];
	uint64_t amount = rng_below(&self->rng, 50);

	for (int i = 0; i < PARTIES; i++) {
		stress_key(self->t->table, &keys[i], rng_below(&self->rng, STABLE_KEYS));
		for (int j = 0; j < i; j++)
			if (slice_equal(keys[i].key.bytes, keys[j].key.bytes))
				return;
		found[i] = table_peek(self->t, &keys[i].key);
		STRESS_CHECK(found[i], "account gone");
	}
	if (stress_value(found[0]) < 2 * amount)
		return;
	for (int i = 0; i < PARTIES; i++) {
		uint64_t balance = stress_value(found[i]) + (i == 0 ? -2 * amount : amount);

		changes[i] = (struct table_change){
			.key = keys[i].key,
			.expected = found[i],
			.item = stress_item(self->t, &keys[i].key, balance, 0)};
	}
	if (table_commit(self->t, changes, PARTIES) == TABLE_OK)
		return;
	for (int i = 0; i < PARTIES; i++)
		table_item_discard(self->t, changes[i].item);
}

static void sum_accounts(struct stress_thread *self)
{
	struct stress_key keys[STABLE_KEYS];
	struct table_key lookups[STABLE_KEYS];
	struct item *items[STABLE_KEYS];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < STABLE_KEYS; i++) {
		stress_key(self->t->table, &keys[i], i);
		lookups[i] = keys[i].key;
	}
	table_find_many(self->t, lookups, STABLE_KEYS, items);
	for (uint64_t i = 0; i < STABLE_KEYS; i++) {
		STRESS_CHECK(items[i], "T2: account %llu missed", (unsigned long long)i);
		sum += stress_value(items[i]);
	}
	STRESS_CHECK(sum == STABLE_KEYS * START_BALANCE, "T3: the sum is %llu",
		     (unsigned long long)sum);
}

static void run_transfers_keep_sum(void)
{
	struct stress s;

	start(&s, "T3: transfers keep the sum");
	prepare(&s, START_BALANCE);
	stress_add(&s, 3, transfer);
	stress_add(&s, 1, sum_accounts);
	stress_add(&s, 1, force_resize);
	finish(&s);
}

/*
 * T3: a commit stores one rising number under all keys; single lookups, one after the other,
 * never see it fall.
 */
static void store_number(struct stress_thread *self)
{
	enum {
		KEYS = 8
	};
	struct stress_key keys[KEYS];
	struct table_change changes[KEYS];
	uint64_t number = self->turns + 1;

	for (uint64_t i = 0; i < KEYS; i++) {
		stress_key(self->t->table, &keys[i], i);
		changes[i] = (struct table_change){
			.key = keys[i].key,
			.expected = TABLE_ANY,
			.item = stress_item(self->t, &keys[i].key, number, 0)};
	}
	STRESS_CHECK(table_commit(self->t, changes, KEYS) == TABLE_OK, "commit");
}

static void watch_number(struct stress_thread *self)
{
	uint64_t last = 0;

	for (int i = 0; i < 32; i++) {
		uint64_t value = stress_value(stress_find(self->t, rng_below(&self->rng, 8)));

		STRESS_CHECK(value >= last, "T3: %llu after %llu", (unsigned long long)value,
			     (unsigned long long)last);
		last = value;
	}
}

static void run_commit_is_one_instant(void)
{
	struct stress s;

	start(&s, "T3: single lookups see a commit whole");
	prepare(&s, 0);
	stress_add(&s, 1, store_number);
	stress_add(&s, 2, watch_number);
	stress_add(&s, 1, churn);
	stress_add(&s, 1, force_resize);
	finish(&s);
}

/* T1, T4: what starts after another operation has returned gets a higher version. */
static _Atomic uint64_t newest_version;

static void write_versions(struct stress_thread *self)
{
	for (int i = 0; i < 8; i++) {
		uint64_t before = atomic_load(&newest_version);

		stress_time(self->t);
		uint64_t version = stress_set(self->t, rng_below(&self->rng, STABLE_KEYS), 1);

		STRESS_CHECK(version > before, "T4: %llu after %llu", (unsigned long long)version,
			     (unsigned long long)before);
		while (before < version &&
		       !atomic_compare_exchange_weak(&newest_version, &before, version))
			;
	}
}

/* T1: counters by compare and set lose no step. */
static _Atomic uint64_t steps_done;

static void count_up(struct stress_thread *self)
{
	struct stress_key k;

	stress_key(self->t->table, &k, STABLE_KEYS + 1);
	const struct item *found = table_peek(self->t, &k.key);
	struct table_change change = {
		.key = k.key,
		.expected = found,
		.item = stress_item(self->t, &k.key, found ? stress_value(found) + 1 : 1, 0)};

	if (table_commit_one(self->t, &change) == TABLE_OK)
		atomic_fetch_add(&steps_done, 1);
	else
		table_item_discard(self->t, change.item);
}

static void run_versions_and_counters(void)
{
	struct stress s;

	start(&s, "T1, T4: no lost update, versions follow real time");
	prepare(&s, 0);
	stress_add(&s, 2, write_versions);
	stress_add(&s, 2, count_up);
	stress_add(&s, 1, force_resize);
	stress_run(&s);
	struct table_thread *t = table_thread_open(s.table, true);

	stress_time(t);
	STRESS_CHECK(stress_value(stress_find(t, STABLE_KEYS + 1)) == atomic_load(&steps_done),
		     "T1: a step was lost");
	table_thread_close(t);
	table_free(s.table);
}

/* T5: every scan reports every stable key. */
static void note_number(void *arg, struct item *item)
{
	bool *found = arg;
	struct slice key = item_key(item);
	char text[24];

	memcpy(text, key.ptr, key.len);
	text[key.len] = 0;
	uint64_t number = strtoull(text + 4, NULL, 10);

	if (number < STABLE_KEYS)
		found[number] = true;
}

static void scan_all(struct stress_thread *self)
{
	bool found[STABLE_KEYS] = {false};
	uint64_t cursor = 0;

	do {
		cursor = table_scan(self->t, cursor, 5, note_number, found);
		rcu_quiescent();
	} while (cursor != 0);
	for (uint64_t i = 0; i < STABLE_KEYS; i++)
		STRESS_CHECK(found[i], "T5: key %llu not reported", (unsigned long long)i);
}

static void run_scan_reports_all(void)
{
	struct stress s;

	start(&s, "T5: a scan reports what is present throughout");
	prepare(&s, 0);
	stress_add(&s, 2, scan_all);
	stress_add(&s, 1, replace_stable);
	stress_add(&s, 1, churn);
	stress_add(&s, 1, force_resize);
	finish(&s);
}

/*
 * T7: the writer stores n under a, then under b; a flush in between may hide a, never reorder
 * them.
 */
static void write_pair(struct stress_thread *self)
{
	stress_set(self->t, 0, self->turns + 1);
	stress_set(self->t, 1, self->turns + 1);
}

static void read_pair(struct stress_thread *self)
{
	struct stress_key keys[2];
	struct item *items[2];

	stress_key(self->t->table, &keys[0], 0);
	stress_key(self->t->table, &keys[1], 1);
	table_find_many(self->t, (struct table_key[]){keys[0].key, keys[1].key}, 2, items);
	if (!items[0] || !items[1])
		return;
	uint64_t a = stress_value(items[0]), b = stress_value(items[1]);

	STRESS_CHECK(b == a || b + 1 == a, "T7: a %llu, b %llu", (unsigned long long)a,
		     (unsigned long long)b);
}

static void flush_own(struct stress_thread *self)
{
	uint64_t number = 10 + self->id;

	if (self->turns % 50)
		return;
	uint64_t before = stress_set(self->t, number, 1);

	table_flush(self->t);
	STRESS_CHECK(!stress_find(self->t, number), "T7: found after the flush");
	STRESS_CHECK(stress_set(self->t, number, 2) > before, "T4");
	struct item *item = stress_find(self->t, number);

	// The other flusher may have hidden it again, but not brought the old one back.
	STRESS_CHECK(!item || stress_value(item) == 2, "T7: an old value is back");
}

static void count_one(void *arg, struct item *item)
{
	++*(uint64_t *)arg;
}

static void run_flush_is_one_instant(void)
{
	struct stress s;
	uint64_t counted = 0, cursor = 0;

	start(&s, "T7: a flush is one instant, the count is exact, the memory comes back");
	stress_add(&s, 1, write_pair);
	stress_add(&s, 1, read_pair);
	stress_add(&s, 2, flush_own);
	stress_add(&s, 1, churn);
	stress_run(&s);
	struct table_thread *t = table_thread_open(s.table, true);

	stress_time(t);
	do {
		cursor = table_scan(t, cursor, 100, count_one, &counted);
	} while (cursor != 0);
	STRESS_CHECK(counted == table_count(s.table), "scan %llu, count %llu",
		     (unsigned long long)counted, (unsigned long long)table_count(s.table));
	table_flush(t);
	STRESS_CHECK(table_count(s.table) == 0, "count after flush");
	struct table_stats stats;

	do {
		rcu_quiescent();
		rcu_wait();
		stress_time(t);
		while (table_housekeep(t, 1000000))
			rcu_quiescent();
		table_stats(s.table, &stats);
	} while (stats.limbo_items || stats.buckets > 1);
	STRESS_CHECK(stats.memory_bytes - stats.index_bytes <= 3 * 4096, "memory left: %llu",
		     (unsigned long long)(stats.memory_bytes - stats.index_bytes));
	table_thread_close(t);
	table_free(s.table);
}

/* A cache under pressure: what is found is right, the limit holds, nothing is lost count of. */
#define LIMIT_ROOM_BYTES (800 << 10)
#define CACHE_KEYS       200000

static void fill_cache(struct stress_thread *self)
{
	for (int i = 0; i < 8; i++) {
		uint64_t number = rng_below(&self->rng, CACHE_KEYS);
		uint64_t expire_ms = self->t->wall_ms + rng_below(&self->rng, 20);
		struct stress_key k;

		if (!table_reserve(self->t, 128))
			continue;
		stress_key(self->t->table, &k, number);
		struct table_change change = {.key = k.key, .expected = TABLE_ANY};

		change.item = stress_item(self->t, &k.key, number, number % 4 ? 0 : expire_ms);
		STRESS_CHECK(table_commit_one(self->t, &change) == TABLE_OK, "no memory");
	}
}

static void read_cache(struct stress_thread *self)
{
	for (int i = 0; i < 32; i++) {
		uint64_t number = rng_below(&self->rng, CACHE_KEYS);
		struct item *item = stress_find(self->t, number);

		STRESS_CHECK(!item || stress_value(item) == number, "T6: key %llu has %llu",
			     (unsigned long long)number, (unsigned long long)stress_value(item));
	}
}

/* To the limit, so that even a slow build evicts from its first turn on. */
static void prefill_cache(struct stress *s)
{
	struct stress_thread self = {.stress = s, .t = table_thread_open(s->table, true)};

	self.rng = rng_seeded(s->seed);
	stress_time(self.t);
	while (counter_read(&self.t->evicted) == 0) {
		fill_cache(&self);
		table_housekeep(self.t, 20000);
		rcu_quiescent();
	}
	table_thread_close(self.t);
}

static void settle_cache(struct table_thread *t, struct table_stats *stats)
{
	do {
		rcu_quiescent();
		rcu_wait();
		stress_time(t);
		while (table_housekeep(t, 1000000))
			rcu_quiescent();
		table_stats(t->table, stats);
	} while (stats->limbo_items || stats->items_with_expiry);
}

/* What the items on probation take, by a look at each, and as the threads have counted it. */
static void check_probation(struct table *table)
{
	uint64_t counted = 0, seen = 0;

	for (uint64_t i = 0; i < atomic_load(&table->buckets); i++) {
		struct line line = bucket_line(&table->index[i]);

		do {
			for (uint32_t n = 0; n < line.count; n++)
				if (slot_is_item(line.slots[n]) && line.slots[n] & SLOT_PROBATION)
					seen += item_memory_bytes(slot_item(line.slots[n]));
		} while (line_next(&line));
	}
	for (uint32_t i = 0; i < atomic_load(&table->thread_count); i++)
		counted += counter_read(&table->threads[i]->probation_bytes);
	printf("  %llu bytes on probation\n", (unsigned long long)seen);
	STRESS_CHECK(counted == seen, "%llu counted", (unsigned long long)counted);
}

static void run_cache(enum table_policy policy)
{
	struct stress s;
	struct table_stats stats;
	uint64_t counted = 0, cursor = 0;

	printf("eviction and expiry: the limit holds, the counts stay exact\n");
	stress_init(&s, &(struct table_config){.buckets_initial = 1, .hash_key = {3, 4}});
	struct table_limits *limits = table_limits(s.table);
	uint64_t max = table__memory_sum(s.table) + LIMIT_ROOM_BYTES;

	limits->maxmemory_bytes = max;
	limits->policy = policy;
	prefill_cache(&s);
	stress_add(&s, 3, fill_cache);
	stress_add(&s, 1, read_cache);
	stress_run(&s);
	struct table_thread *t = table_thread_open(s.table, true);

	settle_cache(t, &stats);
	do {
		cursor = table_scan(t, cursor, 100, count_one, &counted);
	} while (cursor != 0);
	printf("  %llu items, %llu evicted, %llu expired, %llu of %llu bytes\n",
	       (unsigned long long)stats.items, (unsigned long long)stats.evicted,
	       (unsigned long long)stats.expired, (unsigned long long)stats.memory_bytes,
	       (unsigned long long)max);
	STRESS_CHECK(counted == stats.items, "scan %llu", (unsigned long long)counted);
	STRESS_CHECK(stats.memory_bytes <= max, "limit");
	STRESS_CHECK(stats.evicted > 0 && stats.expired > 0, "nothing went");
	check_probation(s.table);
	table_thread_close(t);
	table_free(s.table);
}

static void run_cache_under_pressure(void)
{
	run_cache(TABLE_ALLKEYS_LRU);
}

static void run_clock_under_pressure(void)
{
	run_cache(TABLE_ALLKEYS_S3);
}

/*
 * T8: in each snapshot the accounts add up, and of two numbers that one thread raises one after the
 * other, stored over in place, the second is never ahead.
 */
#define FIRST_NUMBER    500
#define SECOND_NUMBER   501
#define SNAPSHOT_BUFFER (8 << 20)

static void raise_numbers(struct stress_thread *self)
{
	for (uint64_t number = FIRST_NUMBER; number <= SECOND_NUMBER; number++) {
		uint64_t value = self->turns + 1;
		struct stress_key k;
		enum table_status status;

		stress_key(self->t->table, &k, number);
		struct table_change change = {.key = k.key, .expected = TABLE_ANY};
		const struct item_spec spec = {.key = k.key.bytes,
					       .value = slice_of(&value, sizeof(value))};

		if (!table_overwrite(self->t, &change, &spec, &status))
			stress_set(self->t, number, value);
		stress_time(self->t);
	}
}

struct seen {
	uint64_t sum, accounts, first, second, keys;
};

static bool see(void *arg, const struct item *item)
{
	struct seen *seen = arg;
	struct slice key = item_key(item);
	char text[24];

	memcpy(text, key.ptr, key.len);
	text[key.len] = '\0';
	uint64_t number = strtoull(text + 4, NULL, 10), value = stress_value(item);

	seen->keys++;
	if (number < STABLE_KEYS) {
		seen->accounts++;
		seen->sum += value;
	} else if (number == FIRST_NUMBER) {
		seen->first = value;
	} else if (number == SECOND_NUMBER) {
		seen->second = value;
	}
	return true;
}

static _Atomic uint64_t snapshots_taken;

static void take_snapshot(struct stress_thread *self)
{
	struct table_snapshot *s = table_snapshot_begin(
		self->t, stress_clock_ns(CLOCK_MONOTONIC), SNAPSHOT_BUFFER);
	enum table_snapshot_state state;
	struct seen seen = {0};

	STRESS_CHECK(s, "no snapshot");
	(void)table_snapshot_confirm(s, stress_clock_ns(CLOCK_MONOTONIC));
	do {
		stress_time(self->t);
		rcu_quiescent();
		state = table_snapshot_step(s, self->t, see, &seen);
	} while (state == TABLE_SNAPSHOT_WAITS || state == TABLE_SNAPSHOT_GOES_ON);
	if (state == TABLE_SNAPSHOT_DONE) {
		STRESS_CHECK(seen.accounts == STABLE_KEYS, "T8: %llu accounts",
			     (unsigned long long)seen.accounts);
		STRESS_CHECK(seen.sum == STABLE_KEYS * START_BALANCE, "T8: the sum is %llu",
			     (unsigned long long)seen.sum);
		STRESS_CHECK(seen.second <= seen.first && seen.first <= seen.second + 1,
			     "T8: %llu and %llu", (unsigned long long)seen.first,
			     (unsigned long long)seen.second);
		atomic_fetch_add(&snapshots_taken, 1);
	} else {
		STRESS_CHECK(table_snapshot_failure(s) == TABLE_SNAPSHOT_LATE, "failed: %d",
			     table_snapshot_failure(s));
	}
	table_snapshot_end(s, self->t);
}

static void run_snapshots_are_one_instant(void)
{
	struct stress s;

	start(&s, "T8: a snapshot is one instant");
	prepare(&s, START_BALANCE);
	stress_add(&s, 2, transfer);
	stress_add(&s, 1, raise_numbers);
	stress_add(&s, 1, churn);
	stress_add(&s, 1, force_resize);
	stress_add(&s, 1, take_snapshot);
	finish(&s);
	printf("  %llu snapshots\n", (unsigned long long)atomic_load(&snapshots_taken));
	STRESS_CHECK(atomic_load(&snapshots_taken) > 0, "none was taken");
}

struct scenario {
	const char *name;
	void (*run)(void);
};

static const struct scenario scenarios[] = {
	{"present", run_present_keys_found},    {"transfers", run_transfers_keep_sum},
	{"instant", run_commit_is_one_instant}, {"versions", run_versions_and_counters},
	{"scan", run_scan_reports_all},         {"flush", run_flush_is_one_instant},
	{"cache", run_cache_under_pressure},    {"clock", run_clock_under_pressure},
	{"snapshot", run_snapshots_are_one_instant},
};

int main(int argc, char **argv)
{
	STRESS_CHECK(rcu_start() == 0, "rcu");
	for (size_t i = 0; i < ARRAY_COUNT(scenarios); i++)
		if (argc < 2 || strcmp(argv[1], scenarios[i].name) == 0)
			scenarios[i].run();
	rcu_stop();
	return 0;
}
