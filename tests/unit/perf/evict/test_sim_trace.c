/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_trace.h"

#include "base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Traces: the same from the same seed, numbered without gaps, and what their names promise. */

static const struct sim_trace_size size = {.requests = 20000, .base_keys = 5000, .seed = 1};
static const char *const names[] = {"zipf", "churn", "scan"};

static void test_trace_is_numbered_by_first_request(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct sim_trace trace;
		uint32_t next = 0;

		print_message("%s\n", names[i]);
		assert_true(sim_trace_make(&trace, names[i], &size));
		assert_int_equal(trace.count, size.requests);
		for (size_t at = 0; at < trace.count; at++) {
			assert_true(trace.keys[at] <= next);
			next += trace.keys[at] == next;
		}
		assert_int_equal(next, trace.footprint);
		sim_trace_free(&trace);
	}
}

static void test_trace_depends_on_its_seed_alone(void **state)
{
	const struct sim_trace_size other = {
		.requests = size.requests, .base_keys = size.base_keys, .seed = 2};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct sim_trace a, b, c;

		assert_true(sim_trace_make(&a, names[i], &size));
		assert_true(sim_trace_make(&b, names[i], &size));
		assert_true(sim_trace_make(&c, names[i], &other));
		assert_memory_equal(a.keys, b.keys, a.count * sizeof(*a.keys));
		assert_memory_not_equal(a.keys, c.keys, a.count * sizeof(*a.keys));
		sim_trace_free(&a);
		sim_trace_free(&b);
		sim_trace_free(&c);
	}
}

/* Requests for keys that are asked for but once, in percent. */
static uint32_t asked_once_percent(const struct sim_trace *trace)
{
	uint32_t *times = calloc(trace->footprint, sizeof(*times));
	uint32_t once = 0;

	assert_non_null(times);
	for (size_t i = 0; i < trace->count; i++)
		times[trace->keys[i]]++;
	for (uint32_t key = 0; key < trace->footprint; key++)
		once += times[key] == 1;
	free(times);
	return (uint32_t)(100 * (uint64_t)once / trace->count);
}

static void test_churn_and_scan_bring_keys_of_no_use(void **state)
{
	static const uint32_t least[] = {0, 25, 10}, most[] = {15, 40, 25};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct sim_trace trace;

		assert_true(sim_trace_make(&trace, names[i], &size));
		print_message("%s: %u %%\n", names[i], asked_once_percent(&trace));
		assert_in_range(asked_once_percent(&trace), least[i], most[i]);
		sim_trace_free(&trace);
	}
}

static void test_file_is_read_by_lines(void **state)
{
	static const uint32_t keys[] = {0, 1, 0, 2, 1};
	char path[] = "/tmp/wirecache-trace.XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "alpha\nbeta\nalpha\n\n gamma\nbeta";
	struct sim_trace trace;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_true(sim_trace_make(&trace, path, &size));
	assert_int_equal(trace.footprint, 3);
	assert_int_equal(trace.count, ARRAY_COUNT(keys));
	assert_memory_equal(trace.keys, keys, sizeof(keys));
	sim_trace_free(&trace);
	unlink(path);
	assert_false(sim_trace_make(&trace, path, &size));
	sim_trace_free(&trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace_is_numbered_by_first_request),
		cmocka_unit_test(test_trace_depends_on_its_seed_alone),
		cmocka_unit_test(test_churn_and_scan_bring_keys_of_no_use),
		cmocka_unit_test(test_file_is_read_by_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
