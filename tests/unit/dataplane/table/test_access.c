/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/item_layout.h"
#include "tests/unit/dataplane/table/fixture.h"

/* What accesses leave in an item, and that a repeat hit leaves nothing. */

enum {
	MINUTE_MS = 60000
};

static void open_with(struct fixture *f, enum table_policy policy, uint32_t factor, uint32_t decay)
{
	fixture_open_small(f);
	table_limits(f->table)->policy = policy;
	table_limits(f->table)->lfu_log_factor = factor;
	table_limits(f->table)->lfu_decay_min = decay;
	fixture_tick(f, 0);
}

static uint32_t freq(struct fixture *f, const char *key)
{
	struct table_key k = fixture_key(f, key);
	const struct item *item = table_peek(f->t, &k);

	assert_non_null(item);
	return table_item_freq(f->t, item);
}

struct freq_case {
	const char *name;
	uint32_t factor, decay_min;
	uint32_t hits;
	uint32_t minutes; // that pass after the hits
	uint32_t least, most;
};

/* Redis' own figures for factor 10: 10 after 100 hits, 18 after 1,000, 142 after 100,000. */
static const struct freq_case freq_cases[] = {
	{"a new key", 10, 1, 0, 0, 5, 5},
	{"a hundred hits", 10, 1, 100, 0, 8, 13},
	{"a thousand hits", 10, 1, 1000, 0, 15, 23},
	{"a hundred thousand hits", 10, 1, 100000, 0, 120, 170},
	{"every hit counts", 0, 1, 100, 0, 105, 105},
	{"the counter is full", 0, 1, 1000, 0, 255, 255},
	{"ten minutes", 0, 1, 100, 10, 95, 95},
	{"ten minutes by threes", 0, 3, 100, 10, 102, 102},
	{"no decay", 0, 0, 100, 1000, 105, 105},
	{"not below nothing", 0, 1, 10, 1000, 0, 0},
	{"a key that was never asked for fades too", 10, 1, 0, 3, 2, 2},
};

static void test_freq_case_is_as_redis(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(freq_cases); i++) {
		const struct freq_case *c = &freq_cases[i];
		struct fixture f;

		print_message("%s\n", c->name);
		open_with(&f, TABLE_ALLKEYS_LFU, c->factor, c->decay_min);
		fixture_set(&f, "k", "v");
		for (uint32_t n = 0; n < c->hits; n++)
			assert_non_null(fixture_find(&f, "k"));
		fixture_tick(&f, (uint64_t)c->minutes * MINUTE_MS);
		assert_in_range(freq(&f, "k"), c->least, c->most);
		fixture_close(&f);
	}
}

static void test_freq_value_replaced_keeps_count(void **state)
{
	struct fixture f;

	open_with(&f, TABLE_VOLATILE_LFU, 0, 1);
	fixture_set(&f, "k", "v");
	for (int i = 0; i < 10; i++)
		fixture_set(&f, "k", "w"); // each is an access of its own
	assert_int_equal(freq(&f, "k"), 15);
	struct item *found = fixture_find(&f, "k");

	// The look-up was the access.
	assert_int_equal(fixture_change(&f, "k", found, fixture_item(&f, "k", "x", 0)), TABLE_OK);
	assert_int_equal(freq(&f, "k"), 16);
	fixture_delete(&f, "k");
	fixture_set(&f, "k", "v");
	assert_int_equal(freq(&f, "k"), 5);
	fixture_close(&f);
}

static void test_repeat_hit_writes_nothing(void **state)
{
	static const enum table_policy policies[] = {TABLE_NOEVICTION, TABLE_ALLKEYS_LRU,
						     TABLE_VOLATILE_TTL, TABLE_ALLKEYS_LFU};

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		struct fixture f;

		// One hit in some thousand millions raises the counter.
		open_with(&f, policies[i], INT32_MAX, 1);
		fixture_set(&f, "k", "v");
		for (int n = 0; n < 10; n++)
			fixture_find(&f, "k");
		struct item *item = stable__original(f.t, fixture_find(&f, "k"));
		uint32_t before = item__access(item);

		fixture_tick(&f, 900);
		for (int n = 0; n < 100; n++)
			fixture_find(&f, "k");
		assert_int_equal(item__access(item), before);
		fixture_tick(&f, MINUTE_MS);
		fixture_find(&f, "k");
		assert_int_not_equal(item__access(item), before);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freq_case_is_as_redis),
		cmocka_unit_test(test_freq_value_replaced_keeps_count),
		cmocka_unit_test(test_repeat_hit_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
