/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/stats/stats.h"

#include "tests/unit/ctrl/stats_fixture.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Sums over threads, the baseline of CONFIG RESETSTAT, and rates. */

static struct stats_fixture f;

static int setup(void **state)
{
	stats_fixture_init(&f);
	return 0;
}

static int teardown(void **state)
{
	stats_fixture_fini(&f);
	return 0;
}

static void test_collect_sums_all_threads(void **state)
{
	struct stats_snapshot s;

	counter_set(&f.workers[0].count[WORKER_COUNT_POLLS], 3);
	counter_set(&f.workers[1].count[WORKER_COUNT_POLLS], 4);
	counter_set(&f.workers[0].drops.count[DROP_ARP_BAD], 5);
	counter_set(&f.workers[1].tcp.count[TCP_COUNT_RTO], 6);
	counter_set(&f.workers[0].connections, 7);
	counter_set(&f.workers[1].connections, 8);
	counter_set(&f.workers[1].blocked, 1);
	counter_set(&f.workers[0].commands.hits, 10);
	counter_set(&f.control_counters.hits, 1);
	counter_set(&f.workers[1].commands.resp_protocol_errors, 2);
	counter_set(&f.admin.clients, 2);
	f.table.items = 9;
	f.table.expired = 11;
	f.port.rx_missed = 12;
	f.link_up = true;
	stats_collect(f.stats, &s);
	assert_int_equal(s.totals.worker[WORKER_COUNT_POLLS], 7);
	assert_int_equal(s.totals.drops[DROP_ARP_BAD], 5);
	assert_int_equal(s.totals.tcp[TCP_COUNT_RTO], 6);
	assert_int_equal(s.connections, 15);
	assert_int_equal(s.blocked, 1);
	assert_int_equal(STATS_OF_COMMANDS(&s.totals, hits), 11);
	assert_int_equal(STATS_OF_COMMANDS(&s.totals, resp_protocol_errors), 2);
	assert_int_equal(s.admin_clients, 2);
	assert_int_equal(s.table.items, 9);
	assert_int_equal(s.totals.expired, 11);
	assert_int_equal(s.port_counters.rx_missed, 12);
	assert_true(s.link_up);
}

static void test_reset_hides_what_was_but_not_gauges(void **state)
{
	struct cmd_stat *get = stats_fixture_command(&f, 0, "get");
	uint32_t id = (uint32_t)(get - f.workers[0].per_command);
	struct stats_command sum;
	struct stats_snapshot s;

	counter_set(&f.workers[0].commands.hits, 10);
	counter_set(&f.workers[0].connections, 4);
	counter_set(&get->calls, 5);
	f.table.evicted = 3;
	stats_reset(f.stats);
	counter_add(&f.workers[0].commands.hits, 2);
	counter_add(&get->calls, 1);
	counter_add(&stats_fixture_command(&f, FIXTURE_WORKERS, "get")->calls, 1);
	f.table.evicted = 4;
	stats_collect_since_reset(f.stats, &s);
	assert_int_equal(STATS_OF_COMMANDS(&s.totals, hits), 2);
	assert_int_equal(s.totals.evicted, 1);
	assert_int_equal(s.connections, 4);
	stats_of_command_since_reset(f.stats, id, &sum);
	assert_int_equal(sum.calls, 2);
	stats_of_command(f.stats, id, &sum);
	assert_int_equal(sum.calls, 7);
	stats_collect(f.stats, &s);
	assert_int_equal(STATS_OF_COMMANDS(&s.totals, hits), 12);
}

static void sample(uint32_t tenth, uint64_t commands, uint64_t busy, uint64_t total)
{
	counter_set(&f.workers[0].commands.commands, commands);
	counter_set(&f.workers[0].count[WORKER_COUNT_BUSY_TSC], busy);
	counter_set(&f.workers[1].count[WORKER_COUNT_TOTAL_TSC], total);
	stats_sample(f.stats, 5000000000ULL + tenth * STATS_SAMPLE_NS);
}

static void test_rates_are_over_the_last_samples(void **state)
{
	struct stats_rates rates;

	stats_rates(f.stats, &rates);
	assert_int_equal(rates.commands_per_s, 0);
	sample(0, 0, 0, 0);
	stats_rates(f.stats, &rates);
	assert_int_equal(rates.commands_per_s, 0);
	sample(1, 100, 10, 40);
	stats_rates(f.stats, &rates);
	assert_int_equal(rates.commands_per_s, 1000);
	assert_true(rates.busy_ratio > 0.249 && rates.busy_ratio < 0.251);

	// A burst that is older than sixteen samples no longer counts.
	for (uint32_t i = 2; i < 40; i++)
		sample(i, 100, 10, 40 + i);
	stats_rates(f.stats, &rates);
	assert_int_equal(rates.commands_per_s, 0);
	assert_true(rates.busy_ratio == 0);
}

static void test_run_id_is_random_hexadecimal(void **state)
{
	const char *id = stats_run_id(f.stats);
	struct stats_fixture other;

	assert_int_equal(strlen(id), STATS_RUN_ID_LEN);
	for (size_t i = 0; i < STATS_RUN_ID_LEN; i++)
		assert_true(isxdigit((unsigned char)id[i]));
	stats_fixture_init(&other);
	assert_string_not_equal(id, stats_run_id(other.stats));
	stats_fixture_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_collect_sums_all_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_hides_what_was_but_not_gauges, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_rates_are_over_the_last_samples, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_run_id_is_random_hexadecimal, setup, teardown),
	};

	cmd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
