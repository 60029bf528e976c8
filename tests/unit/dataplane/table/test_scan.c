/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

#include <stdlib.h>

/* T5 and T7 on one thread: scans across resizes of every kind, and flushes. */

enum {
	KEYS = 500
};

static uint32_t seen[KEYS];

static void note(void *arg, struct item *item)
{
	struct slice key = item_key(item);
	char text[32];

	memcpy(text, key.ptr, key.len);
	text[key.len] = 0;
	seen[strtoul(text + 4, NULL, 10)]++;
}

struct scan_case {
	const char *name;
	uint64_t start_buckets;
	int64_t steps_per_call; // splits, or merges if negative
	uint32_t want;
	bool once; // every key exactly once
};

static const struct scan_case cases[] = {
	{"still, one bucket", 1, 0, 1, true},
	{"still, between powers of two", 100, 0, 1, true},
	{"still, large steps", 100, 0, 200, true},
	{"growing slowly", 3, 1, 1, false},
	{"growing fast", 1, 7, 1, false},
	{"shrinking slowly", 300, -1, 1, false},
	{"shrinking fast", 511, -9, 1, false},
};

static void resize_to(struct fixture *f, uint64_t buckets)
{
	while (fixture_stats(f).buckets < buckets) {
		rcu_wait();
		table__resize_step(f->t, 1ULL << 40, 1);
	}
}

static void run_case(const struct scan_case *c)
{
	struct fixture f;
	uint64_t cursor = 0;

	memset(seen, 0, sizeof(seen));
	fixture_open(&f, &(struct table_config){
				 .buckets_initial = 1, .buckets_max = 1024, .hash_key = {1, 2}});
	resize_to(&f, c->start_buckets);
	uint64_t load_buckets = fixture_stats(&f).buckets;

	f.table->buckets_max = load_buckets; // the inserts shall not resize
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set(&f, key_text(i).text, "v");
	f.table->buckets_max = 1024;
	do {
		cursor = table_scan(f.t, cursor, c->want, note, NULL);
		if (c->steps_per_call) {
			rcu_wait();
			table__resize_step(f.t, c->steps_per_call > 0 ? 1ULL << 40 : 0,
					   (uint32_t)llabs(c->steps_per_call));
		}
	} while (cursor != 0);
	for (uint64_t i = 0; i < KEYS; i++) {
		assert_true(seen[i] > 0);
		if (c->once)
			assert_int_equal(seen[i], 1);
	}
	fixture_close(&f);
}

static void test_scan_reports_every_key(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		print_message("%s\n", cases[i].name);
		run_case(&cases[i]);
	}
}

static void test_scan_of_empty_buckets_comes_back_in_between(void **state)
{
	struct fixture f;
	uint64_t cursor = 0;
	int calls = 0;

	fixture_open(&f, &(struct table_config){.buckets_initial = 1 << 16, .hash_key = {1, 2}});
	memset(seen, 0, sizeof(seen));
	fixture_set(&f, key_text(0).text, "v");
	do {
		cursor = table_scan(f.t, cursor, 10, note, NULL);
		calls++;
	} while (cursor != 0);
	assert_int_equal(seen[0], 1);
	assert_in_range(calls, 4, 64);
	fixture_close(&f);
}

static void test_random_finds_the_only_item(void **state)
{
	struct fixture f;

	fixture_open(&f, &(struct table_config){.buckets_initial = 4096, .hash_key = {1, 2}});
	assert_null(table_random(f.t));
	fixture_set(&f, "k", "v");
	assert_non_null(table_random(f.t));
	fixture_set_expiring(&f, "k", "v", f.wall_ms + 1);
	fixture_tick(&f, 5);
	assert_null(table_random(f.t));
	fixture_close(&f);
}

static void test_flush_hides_all_and_only_what_was_before(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (int round = 0; round < 300; round++) {
		fixture_set(&f, "before", "1");
		fixture_set(&f, "both", "1");
		uint64_t version = item_version(fixture_find(&f, "both"));

		table_flush(f.t);
		assert_int_equal(table_count(f.table), 0);
		assert_value(&f, "before", NULL);
		assert_value(&f, "both", NULL);
		assert_null(table_random(f.t));
		fixture_set(&f, "both", "2");
		assert_value(&f, "both", "2");
		assert_true(item_version(fixture_find(&f, "both")) > version);
		assert_int_equal(table_count(f.table), 1);
		if (round % 3 == 0)
			fixture_settle(&f);
		assert_int_equal(table_count(f.table), 1);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_reports_every_key),
		cmocka_unit_test(test_scan_of_empty_buckets_comes_back_in_between),
		cmocka_unit_test(test_random_finds_the_only_item),
		cmocka_unit_test(test_flush_hides_all_and_only_what_was_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
