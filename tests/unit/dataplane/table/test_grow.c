/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

#include <sys/mman.h>

/*
 * Growth, shrinking and chains against an oracle, with few hash bits where collisions are wanted.
 */

enum {
	KEYS = 3000
};

struct grow_case {
	const char *name;
	uint64_t hash_mask;
	uint64_t buckets_max;
	uint32_t keys;
	uint32_t operations;
};

static const struct grow_case cases[] = {
	{"free growth", UINT64_MAX, 0, KEYS, 60000},
	{"one bucket for ever", UINT64_MAX, 1, 100, 5000},
	{"all keys collide", 0, 0, 100, 5000},
	{"same tag for all", ~0ULL >> 14, 0, 500, 20000},
	{"few bits of index, few of tag", 0xc000000000000007ULL, 0, 200, 10000},
	{"at most eight buckets", UINT64_MAX, 8, 300, 10000},
};

static uint32_t oracle[KEYS]; // 0: absent, else the number of the value

static void assert_oracle(struct fixture *f, uint32_t keys)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < keys; i++) {
		struct key_text k = key_text(i);
		char value[16];

		snprintf(value, sizeof(value), "%u", oracle[i]);
		assert_value(f, k.text, oracle[i] ? value : NULL);
		count += oracle[i] != 0;
	}
	assert_int_equal(table_count(f->table), count);
}

/* Grows in the first third of the operations, is mixed in the second, shrinks in the last. */
static void run_operation(struct fixture *f, const struct grow_case *c, struct rng *rng,
			  uint32_t at)
{
	uint32_t number = rng_below(rng, c->keys);
	uint32_t delete_pct = at < c->operations / 3 ? 10 : at < c->operations / 3 * 2 ? 50 : 95;
	struct key_text k = key_text(number);
	char value[16];

	fixture_tick(f, 0);
	if (rng_below(rng, 100) < delete_pct) {
		fixture_delete(f, k.text);
		oracle[number] = 0;
	} else {
		oracle[number] = at + 1;
		snprintf(value, sizeof(value), "%u", oracle[number]);
		fixture_set(f, k.text, value);
	}
	if (at % 16 == 0) {
		rcu_wait();
		table_housekeep(f->t, 20000);
	}
}

static void test_table_random_changes_agree_with_oracle(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct grow_case *c = &cases[i];
		struct rng rng = rng_seeded(i);
		struct fixture f;

		print_message("%s\n", c->name);
		fixture_open(&f, &(struct table_config){.buckets_initial = 1,
							.buckets_max = c->buckets_max,
							.hash_key = {1, 2}});
		f.table->hash_mask = c->hash_mask;
		memset(oracle, 0, sizeof(oracle));
		for (uint32_t at = 0; at < c->operations; at++) {
			run_operation(&f, c, &rng, at);
			if (at % (c->operations / 20) == 0)
				assert_oracle(&f, c->keys);
		}
		assert_oracle(&f, c->keys);
		fixture_close(&f);
	}
}

static void test_table_grows_and_shrinks_back(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 20000; i++)
		fixture_set(&f, key_text(i).text, "v");
	struct table_stats full = fixture_stats(&f);

	assert_in_range(full.items * 4 / full.buckets, LOAD_GROW_QUARTERS - 4,
			LOAD_GROW_QUARTERS + 1);
	for (uint64_t i = 0; i < 20000; i++)
		fixture_delete(&f, key_text(i).text);
	fixture_settle(&f);
	struct table_stats empty = fixture_stats(&f);

	assert_int_equal(empty.buckets, 1);
	assert_int_equal(empty.items, 0);
	assert_int_equal(empty.merges, empty.splits);
	fixture_close(&f);
}

/* The resize is driven step by step, with a check of every key after each. */
static void test_split_and_merge_each_step_keeps_all_keys(void **state)
{
	struct fixture f;

	fixture_open(&f, &(struct table_config){
				 .buckets_initial = 1, .buckets_max = 64, .hash_key = {1, 2}});
	memset(oracle, 0, sizeof(oracle));
	for (uint32_t i = 0; i < 100; i++) {
		oracle[i] = i + 1;
		char value[16];

		snprintf(value, sizeof(value), "%u", i + 1);
		fixture_set(&f, key_text(i).text, value);
	}
	while (fixture_stats(&f).buckets < 64) {
		rcu_wait();
		table__resize_step(f.t, 1000000, 1);
		assert_oracle(&f, 100);
	}
	while (fixture_stats(&f).buckets > 1) {
		rcu_wait();
		table__resize_step(f.t, 0, 1);
		assert_oracle(&f, 100);
	}
	fixture_close(&f);
}

struct geometry_case {
	uint64_t hash, buckets, home;
	uint32_t depth;
};

static const struct geometry_case geometry_cases[] = {
	{0, 1, 0, 0},
	{~0ULL, 1, 0, 0},
	{1, 2, 1, 1},
	{2, 2, 0, 1},
	{2, 3, 2, 2},
	{3, 3, 1, 1},
	{0, 3, 0, 2},
	{7, 5, 3, 2},
	{4, 5, 4, 3},
	{8, 5, 0, 3},
	{0xfff, 4096, 0xfff, 12},
	{0x1000, 4097, 0x1000, 13},
	{0x1001, 4097, 1, 12},
};

static void test_geometry_home_and_depth(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(geometry_cases); i++) {
		const struct geometry_case *c = &geometry_cases[i];

		assert_int_equal(geometry_home(c->hash, c->buckets), c->home);
		assert_int_equal(geometry_depth(c->home, c->buckets), c->depth);
	}
}

/* Beyond what the thread has mapped at the start. Growth that finds it late goes on later. */
static void test_table_grows_into_what_is_mapped_ahead(void **state)
{
	const uint64_t items = 700000;
	struct fixture f;
	struct table_stats stats;

	fixture_open(&f, &(struct table_config){
				 .buckets_initial = 1, .hash_key = {1, 2}, .grows_ahead = true});
	for (uint64_t i = 0; i < items; i++)
		fixture_set(&f, key_text(i).text, "v");
	do {
		fixture_tick(&f, 1);
		table_housekeep(f.t, 100000);
		rcu_quiescent();
		table_stats(f.table, &stats);
	} while (stats.buckets * LOAD_GROW_QUARTERS < items * 4);
	assert_true(stats.index_bytes > 5 << 20);
	for (uint64_t i = 0; i < items; i++)
		assert_value(&f, key_text(i).text, "v");
	fixture_close(&f);
}

static bool is_resident(const void *page)
{
	unsigned char resident = 0;

	assert_int_equal(mincore((void *)(uintptr_t)page, 4096, &resident), 0);
	return resident & 1;
}

/* Nobody who writes there first waits for the kernel; what is far away takes no memory yet. */
static void test_region_is_touched_ahead(void **state)
{
	struct fixture f;

	fixture_open(&f, &(struct table_config){.buckets_initial = 1,
						.hash_key = {1, 2},
						.region_bytes = 256 << 20,
						.grows_ahead = true});
	for (uint64_t at = 0; at < 32 << 20; at += 4096)
		assert_true(is_resident(f.table->region.base + at));
	assert_false(is_resident(f.table->region.base + (128 << 20)));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geometry_home_and_depth),
		cmocka_unit_test(test_split_and_merge_each_step_keeps_all_keys),
		cmocka_unit_test(test_table_grows_and_shrinks_back),
		cmocka_unit_test(test_table_random_changes_agree_with_oracle),
		cmocka_unit_test(test_table_grows_into_what_is_mapped_ahead),
		cmocka_unit_test(test_region_is_touched_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
