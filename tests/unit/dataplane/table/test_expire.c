/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* Expiry: what a lookup sees, and when the memory goes. */

struct expire_case {
	const char *name;
	uint64_t ttl_ms; // 0: none
	uint64_t after_ms;
	bool found;
};

static const struct expire_case cases[] = {
	{"no expiry", 0, 100000, true},
	{"before its time", 100, 99, true},
	{"at its time, as in redis", 100, 100, true},
	{"one millisecond later", 100, 101, false},
	{"long after", 100, 1000000, false},
	{"one slot of the wheel", 4, 5, false},
	{"the edge of the wheel", 65535, 65536, false},
	{"beyond the wheel", 70000, 70001, false},
};

static void test_find_expired_counts_as_absent(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct expire_case *c = &cases[i];
		struct fixture f;

		print_message("%s\n", c->name);
		fixture_open_small(&f);
		fixture_set_expiring(&f, "k", "v", c->ttl_ms ? f.wall_ms + c->ttl_ms : 0);
		fixture_tick(&f, c->after_ms);
		assert_value(&f, "k", c->found ? "v" : NULL);
		// A writer's lookup has removed it too.
		assert_int_equal(table_count(f.table), c->found);
		assert_int_equal(fixture_stats(&f).expired, !c->found);
		fixture_close(&f);
	}
}

/* Nobody asks for the key; upkeep runs every 2 ms of table time. */
static void test_housekeep_removes_within_ten_ms(void **state)
{
	static const uint64_t ttls_ms[] = {1, 50, 4000, 20000, 64000, 66000, 100000, 200000};

	for (size_t i = 0; i < ARRAY_COUNT(ttls_ms); i++) {
		struct fixture f;

		fixture_open_small(&f);
		for (uint64_t k = 0; k < 100; k++)
			fixture_set(&f, key_text(k).text, "stays");
		fixture_set_expiring(&f, "k", "v", f.wall_ms + ttls_ms[i]);
		uint64_t waited_ms = 0;

		while (table_count(f.table) == 101 && waited_ms <= ttls_ms[i] + 10) {
			fixture_tick(&f, 2);
			waited_ms += 2;
			table_housekeep(f.t, 20000);
		}
		print_message("ttl %llu ms, gone after %llu ms\n", (unsigned long long)ttls_ms[i],
			      (unsigned long long)waited_ms);
		assert_in_range(waited_ms, ttls_ms[i], ttls_ms[i] + 10);
		assert_int_equal(fixture_stats(&f).items_with_expiry, 0);
		fixture_close(&f);
	}
}

/* As a session store does with each request: one entry of the wheel, not one a request. */
static void test_expiry_put_off_takes_no_memory(void **state)
{
	enum {
		TTL_MS = 20000,
		ROUNDS = 5000,
		KEYS = 20
	};
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t k = 0; k < KEYS; k++)
		fixture_set_expiring(&f, key_text(k).text, "v", f.wall_ms + TTL_MS);
	fixture_settle(&f);
	uint64_t before = fixture_stats(&f).memory_bytes;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		fixture_tick(&f, 10);
		for (uint64_t k = 0; k < KEYS; k++)
			fixture_set_expiring(&f, key_text(k).text, "v", f.wall_ms + TTL_MS);
		table_housekeep(f.t, 100000);
		rcu_wait();
	}
	fixture_settle(&f);
	assert_int_equal(table_count(f.table), KEYS);
	// A few chunks of entries more or less; each request's would be 160,000 bytes in the end.
	assert_in_range(fixture_stats(&f).memory_bytes, 0, before + 8192);
	uint64_t waited_ms = 0;

	for (; table_count(f.table) > 0 && waited_ms < 2 * TTL_MS; waited_ms += 2) {
		fixture_tick(&f, 2);
		table_housekeep(f.t, 100000);
	}
	assert_in_range(waited_ms, TTL_MS - 20, TTL_MS + 10);
	fixture_close(&f);
}

static void test_count_with_expiry_is_exact(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 1000; i++)
		fixture_set_expiring(&f, key_text(i).text, "v", i % 2 ? f.wall_ms + 1000 : 0);
	assert_int_equal(fixture_stats(&f).items_with_expiry, 500);
	for (uint64_t i = 0; i < 1000; i += 4)
		fixture_set_expiring(&f, key_text(i).text, "v", f.wall_ms + 2000);
	assert_int_equal(fixture_stats(&f).items_with_expiry, 750);
	for (uint64_t i = 1; i < 1000; i += 4)
		fixture_set(&f, key_text(i).text, "v");
	assert_int_equal(fixture_stats(&f).items_with_expiry, 500);
	for (uint64_t i = 0; i < 1000; i += 8)
		fixture_delete(&f, key_text(i).text);
	assert_int_equal(fixture_stats(&f).items_with_expiry, 375);
	fixture_tick(&f, 3000);
	fixture_settle(&f);
	assert_int_equal(fixture_stats(&f).items_with_expiry, 0);
	assert_int_equal(fixture_stats(&f).expired, 375);
	table_flush(f.t);
	assert_int_equal(fixture_stats(&f).items_with_expiry, 0);
	fixture_close(&f);
}

/* Many keys at one millisecond go in slices; none takes more than a small part of them. */
static void test_housekeep_slices_a_mass_expiry(void **state)
{
	enum {
		KEYS = 50000
	};
	struct fixture f;
	uint64_t left = KEYS, most = 0;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set_expiring(&f, key_text(i).text, "v", f.wall_ms + 100);
	fixture_tick(&f, 120);
	while (left > 0) {
		table_housekeep(f.t, 20000);
		uint64_t now = table_count(f.table);

		if (left - now > most)
			most = left - now;
		left = now;
	}
	assert_in_range(most, 1, KEYS / 40);
	fixture_settle(&f);
	assert_int_equal(fixture_stats(&f).limbo_items, 0);
	fixture_close(&f);
}

static void test_stats_mean_ttl_is_estimated(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 100; i++)
		fixture_set_expiring(&f, key_text(i).text, "v", f.wall_ms + 100000);
	for (int i = 0; i < 300; i++) {
		fixture_tick(&f, 10);
		table_housekeep(f.t, 20000);
	}
	assert_in_range(fixture_stats(&f).expire_sum_ms, 96000, 100000);
	fixture_close(&f);
}

static void test_wall_clock_steps_back_and_forth(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set_expiring(&f, "a", "v", f.wall_ms + 50);
	fixture_tick(&f, 1);
	table_housekeep(f.t, 20000);
	f.wall_ms -= 100000;
	fixture_tick(&f, 0);
	table_housekeep(f.t, 20000);
	assert_value(&f, "a", "v");
	f.wall_ms += 100000000;
	fixture_tick(&f, 0);
	fixture_settle(&f);
	assert_int_equal(table_count(f.table), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_expired_counts_as_absent),
		cmocka_unit_test(test_housekeep_removes_within_ten_ms),
		cmocka_unit_test(test_expiry_put_off_takes_no_memory),
		cmocka_unit_test(test_count_with_expiry_is_exact),
		cmocka_unit_test(test_housekeep_slices_a_mass_expiry),
		cmocka_unit_test(test_stats_mean_ttl_is_estimated),
		cmocka_unit_test(test_wall_clock_steps_back_and_forth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
