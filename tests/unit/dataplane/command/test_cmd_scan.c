/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* SCAN and KEYS against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("keys of nothing", NULL, "keys *", "*0\r\n"),
	CASE("keys", "set a 1", "keys a*", "*1\r\n$1\r\na\r\n"),
	CASE("keys no match", "set a 1", "keys b*", "*0\r\n"),
	CASE("keys the empty key", "set \"\" 1", "keys *", "*1\r\n$0\r\n\r\n"),
	CASE("keys the empty key by two stars", "set \"\" 1", "keys **", "*0\r\n"),
	CASE("scan of nothing", NULL, "scan 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
	CASE("scan", "set a 1", "scan 0 count 100", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
	CASE("scan match", "set a 1", "scan 0 match b* count 100", "*2\r\n$1\r\n0\r\n*0\r\n"),
	CASE("scan type", "set a 1", "scan 0 type STRING count 100",
	     "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
	CASE("scan another type", "set a 1", "scan 0 type hash count 100",
	     "*2\r\n$1\r\n0\r\n*0\r\n"),
	CASE("scan bad cursor", NULL, "scan abc", "-ERR invalid cursor\r\n"),
	CASE("scan blank cursor", NULL, "scan \\s0", "-ERR invalid cursor\r\n"),
	CASE("scan empty cursor", NULL, "scan \"\"", "*2\r\n$1\r\n0\r\n*0\r\n"),
	CASE("scan cursor out of range", NULL, "scan 18446744073709551616",
	     "-ERR invalid cursor\r\n"),
	CASE("scan cursor with a tail", NULL, "scan 0x", "-ERR invalid cursor\r\n"),
	CASE("scan count 0", NULL, "scan 0 count 0", "-ERR syntax error\r\n"),
	CASE("scan count word", NULL, "scan 0 count x",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("scan count negative", NULL, "scan 0 count -5", "-ERR syntax error\r\n"),
	CASE("scan count without a number", NULL, "scan 0 count", "-ERR syntax error\r\n"),
	CASE("scan bad option", NULL, "scan 0 foo 1", "-ERR syntax error\r\n"),
	CASE("scan error order", NULL, "scan abc foo", "-ERR invalid cursor\r\n"),
};

static void test_scan_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

/* A whole iteration with `count` a call; how often each of the keys 0 .. keys - 1 came. */
static void iterate(struct bench *b, const char *options, uint32_t keys, uint32_t *seen)
{
	char line[128] = "scan 0";
	uint32_t calls = 0;

	strcat(line, options);
	for (;;) {
		struct slice reply = bench_run(b, line);
		const char *at = (const char *)reply.ptr;
		unsigned long long cursor;
		int elements, skip;

		assert_int_equal(
			sscanf(at, "*2\r\n$%*d\r\n%llu\r\n*%d\r\n%n", &cursor, &elements, &skip),
			2);
		for (at += skip; elements > 0; elements--) {
			uint32_t key;

			assert_int_equal(sscanf(at, "$%*d\r\nkey%u\r\n%n", &key, &skip), 1);
			assert_true(key < keys);
			seen[key]++;
			at += skip;
		}
		assert_true(++calls < 100000);
		if (cursor == 0)
			return;
		snprintf(line, sizeof(line), "scan %llu%s", cursor, options);
	}
}

static void test_scan_iteration_gives_every_key(void **state)
{
	static const char *const options[] = {"",
					      " count 1",
					      " count 7",
					      " count 1000000",
					      " match key*",
					      " match * type string count 50"};

	enum {
		KEYS = 3000
	};

	for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
		uint32_t seen[KEYS] = {0};
		char line[64];
		struct bench b;

		bench_open(&b);
		for (uint32_t k = 0; k < KEYS; k++) {
			snprintf(line, sizeof(line), "set key%u v", k);
			bench_run(&b, line);
		}
		iterate(&b, options[i], KEYS, seen);
		for (uint32_t k = 0; k < KEYS; k++)
			assert_int_equal(seen[k], 1);
		bench_close(&b);
	}
}

/* However much a client asks for, one call holds the core for a bounded time. */
static void test_scan_huge_count_bounded(void **state)
{
	struct bench b;
	char line[64];
	int elements;

	bench_open(&b);
	for (uint32_t k = 0; k < 5000; k++) {
		snprintf(line, sizeof(line), "set key%u v", k);
		bench_run(&b, line);
	}
	struct slice reply = bench_run(&b, "scan 0 count 9223372036854775807");

	assert_int_equal(sscanf((const char *)reply.ptr, "*2\r\n$%*d\r\n%*u\r\n*%d\r\n", &elements),
			 1);
	assert_in_range(elements, 1000, 2000);
	bench_close(&b);
}

static void test_keys_many_all_found(void **state)
{
	struct bench b;
	char line[64];

	bench_open(&b);
	for (uint32_t k = 0; k < 2000; k++) {
		snprintf(line, sizeof(line), "set key%u v", k);
		bench_run(&b, line);
	}
	assert_memory_equal(bench_run(&b, "keys *").ptr, "*2000\r\n", 7);
	assert_memory_equal(bench_run(&b, "keys key1?").ptr, "*10\r\n", 5);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_case_answers_as_redis),
		cmocka_unit_test(test_scan_iteration_gives_every_key),
		cmocka_unit_test(test_scan_huge_count_bounded),
		cmocka_unit_test(test_keys_many_all_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
