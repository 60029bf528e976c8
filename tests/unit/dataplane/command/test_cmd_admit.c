/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What is refused before it runs. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("unknown command", NULL, "foo",
	     "-ERR unknown command 'foo', with args beginning with: \r\n"),
	CASE("unknown command with arguments", NULL, "foo a b\\r\\nc \"\"",
	     "-ERR unknown command 'foo', with args beginning with: 'a' 'b  c' '' \r\n"),
	CASE("unknown command, many arguments", NULL, "foo 100*a 100*b c",
	     "-ERR unknown command 'foo', with args beginning with: 'aaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' 'bb"
	     "bbbbbbbbbbbbbbbbbbbbbbb' \r\n"),
	CASE("unknown long command", NULL, "200*f 200*a",
	     "-ERR unknown command 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', with ar"
	     "gs beginning with: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' \r\n"),
	CASE("unknown with a NUL", NULL, "foo\\0bar a\\0b",
	     "-ERR unknown command 'foo', with args beginning with: 'a' \r\n"),
	CASE("empty command", NULL, "\"\" a",
	     "-ERR unknown command '', with args beginning with: 'a' \r\n"),
	CASE("subcommand by its full name", NULL, "client|id",
	     "-ERR unknown command 'client|id', with args beginning with: \r\n"),
	CASE("get arity", NULL, "get", "-ERR wrong number of arguments for 'get' command\r\n"),
	CASE("get arity over", NULL, "get a b",
	     "-ERR wrong number of arguments for 'get' command\r\n"),
};

static void test_admit_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

static uint64_t calls_of(const struct bench *b, const char *name)
{
	struct slice word = slice_of_text(name);

	return counter_read(&b->thread.stats[cmd_lookup(&word, 1)->id].calls);
}

static void test_requests_counted_by_outcome(void **state)
{
	struct slice get = SLICE_LITERAL("get");
	struct slice incr = SLICE_LITERAL("incr");
	struct bench b;

	bench_open(&b);
	struct cmd_stat *get_stat = &b.thread.stats[cmd_lookup(&get, 1)->id];
	struct cmd_stat *incr_stat = &b.thread.stats[cmd_lookup(&incr, 1)->id];

	bench_run(&b, "get a");
	bench_run(&b, "get");     // refused
	bench_run(&b, "nothing"); // unknown
	bench_run(&b, "set s word");
	bench_run(&b, "incr s"); // fails
	assert_int_equal(counter_read(&get_stat->calls), 1);
	assert_int_equal(counter_read(&get_stat->rejected), 1);
	assert_int_equal(counter_read(&get_stat->failed), 0);
	assert_int_equal(counter_read(&incr_stat->calls), 1);
	assert_int_equal(counter_read(&incr_stat->failed), 1);
	assert_int_equal(counter_read(&b.counters.commands), 3);
	assert_int_equal(counter_read(&b.counters.error_replies), 3);
	assert_int_equal(b.client.commands, 3);
	assert_string_equal(b.client.last, "incr");
	assert_int_equal(calls_of(&b, "set"), 1);
	bench_close(&b);
}

static void test_admin_commands_refused_to_tenants(void **state)
{
	static const char *const requests[] = {"shutdown", "debug sleep 0", "shutdown nosave"};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		b.client.admin = false;
		assert_memory_equal(bench_run(&b, requests[i]).ptr, "-NOPERM ", 8);
		b.client.admin = true;
		assert_memory_not_equal(bench_run(&b, requests[i]).ptr, "-NOPERM ", 8);
	}
	bench_close(&b);
}

/* With the memory full, what may take more of it is refused, and the rest still works. */
static void test_full_memory_refuses_growth_only(void **state)
{
	static const struct {
		const char *request;
		bool refused;
	} requests[] = {
		{"set a 1", true},         {"setnx b 1", true},  {"incr n", true},
		{"append k x", true},      {"mset a 1", true},   {"setrange k 0 x", true},
		{"incrbyfloat n 1", true}, {"getset k v", true}, {"get k", false},
		{"exists k", false},       {"del x", false},     {"ttl k", false},
		{"ping", false},           {"flushall", false},
	};

	static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
	struct bench b;

	bench_open(&b);
	bench_run(&b, "set k 1000*v");
	atomic_store(&table_limits(b.table)->maxmemory_bytes, 1);
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		bool refused = slice_equal(bench_run(&b, requests[i].request), SLICE_LITERAL(oom));

		if (refused != requests[i].refused)
			fail_msg("%s", requests[i].request);
	}
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admit_case_answers_as_redis),
		cmocka_unit_test(test_requests_counted_by_outcome),
		cmocka_unit_test(test_admin_commands_refused_to_tenants),
		cmocka_unit_test(test_full_memory_refuses_growth_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
