/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* Redis' policies: what each of them chooses, and what it leaves alone. */

#define VALUE "0123456789012345678901234567890123456789"

enum {
	GROUP = 2000, // keys of each of the two groups
	HOUR_MS = 3600000
};

static void use(struct fixture *f, enum table_policy policy)
{
	table_limits(f->table)->policy = policy;
	fixture_tick(f, 0);
}

/* Lowers the limit by the size of so many keys and makes room. False: not to be had. */
static bool shrink(struct fixture *f, uint32_t keys)
{
	struct table_stats stats = fixture_stats(f);
	uint64_t max = stats.memory_bytes - stats.limbo_bytes - 64 * keys, evicted;

	table_limits(f->table)->maxmemory_bytes = max;
	do {
		evicted = stats.evicted;
		bool granted = table_reserve(f->t, 1);

		stats = fixture_stats(f);
		if (!granted && stats.evicted == evicted)
			return false;
	} while (stats.memory_bytes - stats.limbo_bytes > max);
	return true;
}

struct choice_case {
	const char *name;
	enum table_policy policy;
	uint32_t hits_kept, hits_gone;        // after they were written, a minute later
	uint64_t expire_kept, expire_gone;    // milliseconds from the beginning, 0: none
	uint32_t least_percent, most_percent; // of the evictions, that hit the second group
};

static const struct choice_case choice_cases[] = {
	{"lru", TABLE_ALLKEYS_LRU, 1, 0, 0, 0, 95, 100},
	{"lru minds no expiry", TABLE_ALLKEYS_LRU, 1, 0, HOUR_MS, 0, 95, 100},
	{"lfu", TABLE_ALLKEYS_LFU, 60, 0, 0, 0, 95, 100},
	{"lfu minds no idle time", TABLE_ALLKEYS_LFU, 60, 1, 0, 0, 95, 100},
	{"random", TABLE_ALLKEYS_RANDOM, 60, 0, 0, 0, 40, 60},
	{"volatile lru", TABLE_VOLATILE_LRU, 1, 0, HOUR_MS, HOUR_MS, 95, 100},
	{"volatile lru, others are safe", TABLE_VOLATILE_LRU, 0, 1, 0, HOUR_MS, 100, 100},
	{"volatile lfu", TABLE_VOLATILE_LFU, 60, 0, HOUR_MS, HOUR_MS, 95, 100},
	{"volatile lfu, others are safe", TABLE_VOLATILE_LFU, 0, 60, 0, HOUR_MS, 100, 100},
	{"volatile random", TABLE_VOLATILE_RANDOM, 60, 0, HOUR_MS, HOUR_MS, 40, 60},
	{"volatile random, others are safe", TABLE_VOLATILE_RANDOM, 0, 60, 0, HOUR_MS, 100, 100},
	{"ttl", TABLE_VOLATILE_TTL, 0, 60, 2 * HOUR_MS, HOUR_MS, 95, 100},
	{"ttl, others are safe", TABLE_VOLATILE_TTL, 0, 60, 0, HOUR_MS, 100, 100},
};

static void write_group(struct fixture *f, uint64_t from, uint64_t expire_ms)
{
	for (uint64_t i = from; i < from + GROUP; i++)
		fixture_set_expiring(f, key_text(i).text, VALUE,
				     expire_ms ? FIXTURE_WALL_MS + expire_ms : 0);
}

static void hit_group(struct fixture *f, uint64_t from, uint32_t hits)
{
	for (uint64_t i = from; i < from + GROUP; i++)
		for (uint32_t n = 0; n < hits; n++)
			assert_non_null(fixture_find(f, key_text(i).text));
}

static uint32_t count_group(struct fixture *f, uint64_t from)
{
	uint32_t count = 0;

	for (uint64_t i = from; i < from + GROUP; i++)
		count += fixture_find(f, key_text(i).text) != NULL;
	return count;
}

static void test_choice_case_evicts_the_right_group(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(choice_cases); i++) {
		const struct choice_case *c = &choice_cases[i];
		struct fixture f;

		fixture_open_small(&f);
		use(&f, c->policy);
		write_group(&f, 0, c->expire_kept);
		write_group(&f, GROUP, c->expire_gone);
		fixture_tick(&f, 60000);
		hit_group(&f, 0, c->hits_kept);
		hit_group(&f, GROUP, c->hits_gone);
		assert_true(shrink(&f, GROUP / 2));
		uint32_t kept = GROUP - count_group(&f, 0), gone = GROUP - count_group(&f, GROUP);

		print_message("%s: %u and %u evicted\n", c->name, kept, gone);
		assert_in_range(kept + gone, GROUP / 4, GROUP);
		assert_int_equal(fixture_stats(&f).evicted, kept + gone);
		assert_in_range(100 * gone, c->least_percent * (kept + gone),
				c->most_percent * (kept + gone));
		fixture_close(&f);
	}
}

static const enum table_policy volatile_policies[] = {TABLE_VOLATILE_LRU, TABLE_VOLATILE_LFU,
						      TABLE_VOLATILE_RANDOM, TABLE_VOLATILE_TTL};

static void test_volatile_none_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(volatile_policies); i++) {
		struct fixture f;

		fixture_open_small(&f);
		use(&f, volatile_policies[i]);
		write_group(&f, 0, 0);
		assert_false(shrink(&f, 10));
		assert_int_equal(count_group(&f, 0), GROUP);
		fixture_close(&f);
	}
}

/* A few among many are all found, then writes are refused. */
static void test_volatile_few_are_found(void **state)
{
	enum {
		MANY = 20000,
		FEW = 8
	};

	for (size_t i = 0; i < ARRAY_COUNT(volatile_policies); i++) {
		struct fixture f;

		fixture_open_small(&f);
		use(&f, volatile_policies[i]);
		for (uint64_t n = 0; n < MANY; n++)
			fixture_set_expiring(&f, key_text(n).text, VALUE,
					     n % (MANY / FEW) ? 0 : FIXTURE_WALL_MS + HOUR_MS);
		assert_false(shrink(&f, 100));
		assert_int_equal(fixture_stats(&f).evicted, FEW);
		assert_int_equal(table_count(f.table), MANY - FEW);
		fixture_close(&f);
	}
}

/* What one policy has sampled must not decide for the next one. */
static void test_policy_changes_at_run_time(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	write_group(&f, 0, HOUR_MS);
	write_group(&f, GROUP, 0);
	fixture_tick(&f, 60000);
	hit_group(&f, 0, 1);
	use(&f, TABLE_ALLKEYS_LRU);
	assert_true(shrink(&f, 100));
	assert_in_range(count_group(&f, 0), GROUP - 10, GROUP);
	hit_group(&f, 0, 0);
	use(&f, TABLE_VOLATILE_TTL);
	uint32_t others = count_group(&f, GROUP);

	assert_true(shrink(&f, 100));
	assert_int_equal(count_group(&f, GROUP), others);
	print_message("%u of %d\n", count_group(&f, 0), GROUP);
	assert_true(count_group(&f, 0) < GROUP - 50);
	use(&f, TABLE_NOEVICTION);
	uint64_t evicted = fixture_stats(&f).evicted;

	assert_false(shrink(&f, 100));
	assert_int_equal(fixture_stats(&f).evicted, evicted);
	use(&f, TABLE_ALLKEYS_RANDOM);
	assert_true(shrink(&f, 100));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice_case_evicts_the_right_group),
		cmocka_unit_test(test_volatile_none_is_refused),
		cmocka_unit_test(test_volatile_few_are_found),
		cmocka_unit_test(test_policy_changes_at_run_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
