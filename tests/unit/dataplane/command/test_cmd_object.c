/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* OBJECT and MEMORY against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("object encoding int", "set k 123", "object encoding k", "$3\r\nint\r\n"),
	CASE("object encoding embstr", "set k abc", "object encoding k", "$6\r\nembstr\r\n"),
	CASE("object encoding longest embstr", "set k 44*a", "object encoding k",
	     "$6\r\nembstr\r\n"),
	CASE("object encoding raw", "set k 45*a", "object encoding k", "$3\r\nraw\r\n"),
	CASE("object encoding of nothing", NULL, "object encoding k", "$-1\r\n"),
	CASE("object encoding leading zero", "set k 01", "object encoding k", "$6\r\nembstr\r\n"),
	CASE("object encoding after append", "set k 1;append k 2", "object encoding k",
	     "$3\r\nraw\r\n"),
	CASE("object encoding after an empty append", "set k 1;append k \"\"", "object encoding k",
	     "$3\r\nraw\r\n"),
	CASE("object encoding of what append begins", "append k 12", "object encoding k",
	     "$3\r\nint\r\n"),
	CASE("object encoding after setrange", "set k 123;setrange k 1 5", "object encoding k",
	     "$3\r\nraw\r\n"),
	CASE("object encoding of what setrange begins", "setrange k 0 5", "object encoding k",
	     "$3\r\nraw\r\n"),
	CASE("object encoding after incr of what was edited", "set k 1;append k 2;incr k",
	     "object encoding k", "$3\r\nint\r\n"),
	CASE("object encoding of a decimal", "incrbyfloat k 5", "object encoding k",
	     "$6\r\nembstr\r\n"),
	CASE("object encoding survives expire", "set k 1;append k 2;expire k 100",
	     "object encoding k", "$3\r\nraw\r\n"),
	CASE("object encoding ends with a new value", "set k 1;append k 2;set k 3",
	     "object encoding k", "$3\r\nint\r\n"),
	CASE("object refcount of what was edited", "set k 1;append k 2", "object refcount k",
	     ":1\r\n"),
	CASE("object refcount", "set k abc", "object refcount k", ":1\r\n"),
	CASE("object refcount of a small number", "set k 9999", "object refcount k",
	     ":2147483647\r\n"),
	CASE("object refcount of a number", "set k 10000", "object refcount k", ":1\r\n"),
	CASE("object refcount of a negative number", "set k -1", "object refcount k", ":1\r\n"),
	CASE("object refcount of nothing", NULL, "object refcount k", "$-1\r\n"),
	CASE("object idletime", "set k abc", "object idletime k", ":0\r\n"),
	CASE("object freq", "set k abc", "object freq k",
	     "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Plea"
	     "se note that when switching between policies at runtime LRU and LFU data will ta"
	     "ke some time to adjust.\r\n"),
	CASE("object freq of nothing", NULL, "object freq k", "$-1\r\n"),
	CASE("object unknown", NULL, "object foo k",
	     "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\r\n"),
	CASE("object alone", NULL, "object",
	     "-ERR wrong number of arguments for 'object' command\r\n"),
	CASE("object arity", NULL, "object encoding",
	     "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
	CASE("memory usage of nothing", NULL, "memory usage k", "$-1\r\n"),
	CASE("memory usage bad samples", "set k v", "memory usage k samples x",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("memory usage negative samples", "set k v", "memory usage k samples -1",
	     "-ERR syntax error\r\n"),
	CASE("memory usage samples without a number", "set k v", "memory usage k samples",
	     "-ERR syntax error\r\n"),
	CASE("memory usage bad option", "set k v", "memory usage k foo 1", "-ERR syntax error\r\n"),
};

static void test_object_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

/* One at a time, on a key that has just been set. */
static void assert_said(struct bench *b, const char *line, const char *reply)
{
	struct slice said = bench_run(b, line);

	print_message("%s\n", line);
	assert_int_equal(said.len, strlen(reply));
	assert_memory_equal(said.ptr, reply, said.len);
}

static void test_object_under_a_policy_answers_as_redis(void **state)
{
	static const struct {
		enum table_policy policy;
		const char *idle, *freq, *refcount;
	} answers[] = {
		{TABLE_NOEVICTION, ":7\r\n", NULL, ":2147483647\r\n"},
		{TABLE_ALLKEYS_LRU, ":7\r\n", NULL, ":1\r\n"},
		{TABLE_ALLKEYS_LFU, NULL, ":5\r\n", ":1\r\n"},
		{TABLE_ALLKEYS_RANDOM, ":7\r\n", NULL, ":2147483647\r\n"},
		{TABLE_VOLATILE_LRU, ":7\r\n", NULL, ":1\r\n"},
		{TABLE_VOLATILE_LFU, NULL, ":5\r\n", ":1\r\n"},
		{TABLE_VOLATILE_TTL, ":7\r\n", NULL, ":2147483647\r\n"},
	};

	static const char no_freq[] =
		"-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Plea"
		"se note that when switching between policies at runtime LRU and LFU data will ta"
		"ke some time to adjust.\r\n";
	static const char no_idle[] =
		"-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note tha"
		"t when switching between policies at runtime LRU and LFU data will take some tim"
		"e to adjust.\r\n";

	for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
		struct bench b;

		bench_open(&b);
		table_limits(b.table)->policy = answers[i].policy;
		table_limits(b.table)->maxmemory_bytes = 1 << 30;
		bench_set_time(&b, BENCH_NOW_MS);
		bench_run(&b, "set k 5");
		bench_set_time(&b, BENCH_NOW_MS + 7000);
		assert_said(&b, "object idletime k", answers[i].idle ? answers[i].idle : no_idle);
		assert_said(&b, "object freq k", answers[i].freq ? answers[i].freq : no_freq);
		assert_said(&b, "object refcount k", answers[i].refcount);
		bench_close(&b);
	}
}

static void test_object_under_s3_keeps_no_idle_time(void **state)
{
	struct bench b;

	bench_open(&b);
	table_limits(b.table)->policy = TABLE_ALLKEYS_S3;
	bench_set_time(&b, BENCH_NOW_MS);
	bench_run(&b, "set k v");
	assert_said(&b, "object idletime k",
		    "-ERR The allkeys-s3 maxmemory policy is selected, idle time not tracked.\r\n");
	assert_said(&b, "object idletime nothing", "$-1\r\n");
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object_case_answers_as_redis),
		cmocka_unit_test(test_object_under_a_policy_answers_as_redis),
		cmocka_unit_test(test_object_under_s3_keeps_no_idle_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
