/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* maxmemory: who is refused, who has to go, and how far the limit is overstepped. */

enum {
	MIB = 1 << 20
};

static void limit(struct fixture *f, uint64_t bytes, enum table_policy policy)
{
	table_limits(f->table)->maxmemory_bytes = bytes;
	table_limits(f->table)->policy = policy;
	fixture_tick(f, 0);
}

/* A command as the engine runs it: ask for room, build, commit. False: refused. */
static bool try_set(struct fixture *f, uint64_t number, const char *value)
{
	struct key_text k = key_text(number);

	if (!table_reserve(f->t, strlen(value) + 64))
		return false;
	fixture_set(f, k.text, value);
	return true;
}

static void test_reserve_noeviction_refuses_and_recovers(void **state)
{
	struct fixture f;
	uint64_t number = 0;

	fixture_open_small(&f);
	uint64_t max = fixture_stats(&f).memory_bytes + 2 * MIB;

	limit(&f, max, TABLE_NOEVICTION);
	while (number < 100000 && try_set(&f, number, "0123456789012345678901234567890123456789"))
		number++;
	assert_in_range(number, 1000, 99999);
	struct table_stats stats = fixture_stats(&f);

	assert_in_range(stats.memory_bytes - stats.limbo_bytes, max - MIB / 8, max);
	assert_int_equal(fixture_stats(&f).evicted, 0);
	for (uint64_t i = 0; i < number / 2; i++)
		fixture_delete(&f, key_text(i).text);
	// What is retired counts as free for the decision, and comes back later.
	assert_true(table_reserve(f.t, 1000));
	limit(&f, 1, TABLE_NOEVICTION);
	assert_false(table_reserve(f.t, 1));
	limit(&f, 0, TABLE_NOEVICTION);
	assert_true(table_reserve(f.t, 1000));
	fixture_close(&f);
}

static void test_reserve_lru_evicts_the_idle(void **state)
{
	enum {
		KEYS = 20000,
		HOT = 1000
	};
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set(&f, key_text(i).text, "0123456789012345678901234567890123456789");
	fixture_tick(&f, 60000);
	for (uint64_t i = 0; i < HOT; i++)
		assert_non_null(fixture_find(&f, key_text(i).text));
	uint64_t max = fixture_stats(&f).memory_bytes;
	uint64_t hot_left = 0;

	limit(&f, max, TABLE_ALLKEYS_LRU);
	for (uint64_t i = 0; i < KEYS / 2; i++) {
		assert_true(try_set(&f, KEYS + i, "0123456789012345678901234567890123456789"));
		if (i % 64 == 0) {
			rcu_wait();
			table_housekeep(f.t, 20000);
		}
	}
	fixture_settle(&f);
	for (uint64_t i = 0; i < HOT; i++)
		hot_left += fixture_find(&f, key_text(i).text) != NULL;
	print_message("hot keys left: %llu of %d\n", (unsigned long long)hot_left, HOT);
	assert_true(hot_left > HOT * 95 / 100);
	assert_true(fixture_stats(&f).evicted > KEYS / 3);
	assert_true(fixture_stats(&f).memory_bytes <= max + max / 100);
	fixture_close(&f);
}

/* Every policy keeps within the limit and one item. */
static void test_reserve_policy_keeps_the_limit(void **state)
{
	static const enum table_policy policies[] = {
		TABLE_ALLKEYS_LRU,  TABLE_ALLKEYS_LFU,     TABLE_ALLKEYS_RANDOM, TABLE_VOLATILE_LRU,
		TABLE_VOLATILE_LFU, TABLE_VOLATILE_RANDOM, TABLE_VOLATILE_TTL,   TABLE_ALLKEYS_S3,
	};

	enum {
		KEYS = 5000,
		ITEM = 128 // bytes, at most
	};

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		struct fixture f;
		uint64_t max = 0, worst = 0;

		fixture_open_small(&f);
		for (uint64_t n = 0; n < 3 * KEYS; n++) {
			struct key_text k = key_text(n);

			if (n == KEYS) {
				struct table_stats full = fixture_stats(&f);

				max = full.memory_bytes - full.limbo_bytes;
				limit(&f, max, policies[i]);
			}
			assert_true(table_reserve(f.t, ITEM));
			fixture_set_expiring(&f, k.text, "0123456789012345678901234567890123456789",
					     FIXTURE_WALL_MS + 3600000 + n);
			struct table_stats stats = fixture_stats(&f);

			// The first chunk of limbo and the catching up with the limit aside.
			if (n > KEYS + 100 && stats.memory_bytes - stats.limbo_bytes > max + worst)
				worst = stats.memory_bytes - stats.limbo_bytes - max;
			if (n % 64 == 0) {
				rcu_wait();
				table_housekeep(f.t, 20000);
			}
		}
		print_message("policy %d: %llu bytes over\n", policies[i],
			      (unsigned long long)worst);
		assert_true(worst <= ITEM);
		assert_true(fixture_stats(&f).evicted > KEYS);
		fixture_close(&f);
	}
}

static void test_reserve_large_value_evicts_many_in_bounded_calls(void **state)
{
	struct fixture f;
	uint32_t calls = 0;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 20000; i++)
		fixture_set(&f, key_text(i).text, "0123456789012345678901234567890123456789");
	limit(&f, fixture_stats(&f).memory_bytes, TABLE_ALLKEYS_LRU);
	for (; !table_reserve(f.t, MIB); calls++)
		assert_true(calls < 1000);
	print_message("%u calls, %llu evicted\n", calls,
		      (unsigned long long)fixture_stats(&f).evicted);
	assert_true(fixture_stats(&f).evicted >= 5000);
	assert_true(fixture_stats(&f).evicted <= 520 * (calls + 1));
	fixture_close(&f);
}

/*
 * Grace periods stand still: retired memory piles up, and writes are refused before it is without
 * bound.
 */
static void test_reserve_stalled_reader_bounds_limbo(void **state)
{
	struct fixture f;
	uint64_t refused_at = 0;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 400 && !refused_at; i++) {
		struct blob *blob = table_blob_new(f.t, MIB);

		if (!table_reserve(f.t, MIB)) {
			refused_at = i;
			blob_unref(blob);
			break;
		}
		blob->len = MIB;
		struct item *item = table_item_new(
			f.t, &(struct item_spec){.key = SLICE_LITERAL("k"), .blob = blob});

		assert_int_equal(fixture_change(&f, "k", TABLE_ANY, item), TABLE_OK);
		table_housekeep(f.t, 20000);
	}
	print_message("refused after %llu MiB\n", (unsigned long long)refused_at);
	assert_in_range(refused_at, 100, 200);
	fixture_settle(&f);
	assert_true(table_reserve(f.t, MIB));
	fixture_close(&f);
}

/* Housekeeping keeps a little room, and stops there. */
static void test_housekeep_evicts_ahead(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 20000; i++)
		fixture_set(&f, key_text(i).text, "0123456789012345678901234567890123456789");
	fixture_settle(&f);
	uint64_t max = fixture_stats(&f).memory_bytes;

	limit(&f, max, TABLE_ALLKEYS_LRU);
	for (int i = 0; i < 100; i++) {
		rcu_wait();
		fixture_tick(&f, 1);
		table_housekeep(f.t, 20000);
	}
	assert_in_range(fixture_stats(&f).memory_bytes, max - max / 64, max);
	uint64_t evicted = fixture_stats(&f).evicted;

	assert_true(evicted > 0);
	fixture_settle(&f);
	assert_int_equal(fixture_stats(&f).evicted, evicted);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve_noeviction_refuses_and_recovers),
		cmocka_unit_test(test_reserve_lru_evicts_the_idle),
		cmocka_unit_test(test_reserve_policy_keeps_the_limit),
		cmocka_unit_test(test_reserve_large_value_evicts_many_in_bounded_calls),
		cmocka_unit_test(test_reserve_stalled_reader_bounds_limbo),
		cmocka_unit_test(test_housekeep_evicts_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
