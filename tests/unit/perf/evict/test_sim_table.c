/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_table.h"

#include "base/compiler.h"
#include "base/rcu.h"
#include "perf/evict/sim_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A small trace through the table: as many items as were asked for, and hits that make sense. */

enum {
	ITEMS = 2000
};

static const struct sim_trace_size size = {.requests = 200000, .base_keys = 20000, .seed = 1};

static void test_table_case_holds_the_items(void **state)
{
	static const struct {
		enum table_policy policy;
		double least, most; // beside exact LRU
	} cases[] = {
		{TABLE_ALLKEYS_LRU, -0.02, 0.01},
		{TABLE_ALLKEYS_S3, 0.01, 0.2},
		{TABLE_ALLKEYS_RANDOM, -0.2, -0.01},
		{TABLE_VOLATILE_TTL, -0.3, 0},
	};
	struct sim_trace trace;

	assert_true(sim_trace_make(&trace, "zipf", &size));
	double lru = sim_model_lru(&trace, ITEMS), belady = sim_model_belady(&trace, ITEMS);

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct sim_table_result result;
		const struct sim_table_options options = {
			.policy = cases[i].policy,
			.items = ITEMS,
			.requests_rate = 2000,
			.expiring = cases[i].policy == TABLE_VOLATILE_TTL,
		};

		assert_true(sim_table_run(&trace, &options, &result));
		print_message("policy %d: %.4f, LRU %.4f, Belady %.4f, %.0f items\n",
			      cases[i].policy, result.hit_ratio, lru, belady, result.items_mean);
		assert_true(result.hit_ratio - lru >= cases[i].least);
		assert_true(result.hit_ratio - lru <= cases[i].most);
		assert_true(result.hit_ratio < belady);
		assert_in_range((uint32_t)result.items_mean, ITEMS * 98 / 100, ITEMS * 102 / 100);
		assert_int_equal(result.refused, 0);
	}
	sim_trace_free(&trace);
}

static void test_table_nothing_volatile_is_refused(void **state)
{
	struct sim_table_result result;
	struct sim_trace trace;
	const struct sim_table_options options = {
		.policy = TABLE_VOLATILE_LRU, .items = ITEMS, .requests_rate = 2000};

	assert_true(sim_trace_make(&trace, "zipf", &size));
	assert_true(sim_table_run(&trace, &options, &result));
	assert_true(result.refused > size.requests / 10);
	sim_trace_free(&trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_case_holds_the_items),
		cmocka_unit_test(test_table_nothing_volatile_is_refused),
	};

	if (rcu_start())
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_stop();
	return failed;
}
