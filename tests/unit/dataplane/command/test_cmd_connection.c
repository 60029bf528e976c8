/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * The handshake and its relatives against the wire. Replies are what redis-server 7.0.15
 * answered.
 */

static const struct bench_case cases[] = {
	CASE("ping", NULL, "ping", "+PONG\r\n"),
	CASE("ping with a message", NULL, "ping hello", "$5\r\nhello\r\n"),
	CASE("ping with two", NULL, "ping a b",
	     "-ERR wrong number of arguments for 'ping' command\r\n"),
	CASE("echo", NULL, "echo a\\r\\nb", "$4\r\na\r\nb\r\n"),
	CASE("echo arity", NULL, "echo", "-ERR wrong number of arguments for 'echo' command\r\n"),
	CASE("quit", NULL, "quit", "+OK\r\n"),
	CASE("reset", NULL, "reset", "+RESET\r\n"),
	CASE3("reset, resp3", NULL, "reset", "+RESET\r\n"),
	CASE("reset goes back to resp2", "hello 3;reset", "get x", "$-1\r\n"),
	CASE("select 0", NULL, "select 0", "+OK\r\n"),
	CASE("select 1", NULL, "select 1", "-ERR DB index is out of range\r\n"),
	CASE("select -1", NULL, "select -1", "-ERR DB index is out of range\r\n"),
	CASE("select word", NULL, "select x", "-ERR value is not an integer or out of range\r\n"),
	CASE("select beyond an int", NULL, "select 2147483648",
	     "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
	CASE("select below an int", NULL, "select -2147483649",
	     "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
	CASE("hello 4", NULL, "hello 4", "-NOPROTO unsupported protocol version\r\n"),
	CASE("hello 1", NULL, "hello 1", "-NOPROTO unsupported protocol version\r\n"),
	CASE("hello word", NULL, "hello x",
	     "-ERR Protocol version is not an integer or out of range\r\n"),
	CASE("hello leading zero", NULL, "hello 03",
	     "-ERR Protocol version is not an integer or out of range\r\n"),
	CASE("hello bad option", NULL, "hello 3 foo",
	     "-ERR Syntax error in HELLO option 'foo'\r\n"),
	CASE("hello setname without a name", NULL, "hello 3 setname",
	     "-ERR Syntax error in HELLO option 'setname'\r\n"),
	CASE("hello auth without a password", NULL, "hello 3 auth default",
	     "-ERR Syntax error in HELLO option 'auth'\r\n"),
	CASE("hello bad name", NULL, "hello 3 setname a\\sb",
	     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
	CASE("hello unknown user", NULL, "hello 3 auth nobody x",
	     "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
	CASE("hello 3 fails, still resp2", "hello 3 foo", "get x", "$-1\r\n"),
	CASE("hello setname sets", "hello 2 setname me", "client getname", "$2\r\nme\r\n"),
	CASE("hello sets the name before it fails", "hello 2 setname me foo", "client getname",
	     "$2\r\nme\r\n"),
	CASE("auth password", NULL, "auth x",
	     "-ERR AUTH <password> called without any password configured for the default user"
	     ". Are you sure your configuration is correct?\r\n"),
	CASE("auth default", NULL, "auth default x", "+OK\r\n"),
	CASE("auth nobody", NULL, "auth nobody x",
	     "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
	CASE("auth too many", NULL, "auth a b c", "-ERR syntax error\r\n"),
	CASE("auth arity", NULL, "auth", "-ERR wrong number of arguments for 'auth' command\r\n"),
	CASE("readonly", NULL, "readonly", "-ERR This instance has cluster support disabled\r\n"),
	CASE("readwrite", NULL, "readwrite", "-ERR This instance has cluster support disabled\r\n"),
	CASE("asking", NULL, "asking", "-ERR This instance has cluster support disabled\r\n"),
	CASE("cluster", NULL, "cluster info",
	     "-ERR This instance has cluster support disabled\r\n"),
	CASE("wait bad number", NULL, "wait x 100",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("wait bad timeout", NULL, "wait 0 x",
	     "-ERR timeout is not an integer or out of range\r\n"),
	CASE("wait negative timeout", NULL, "wait 0 -1", "-ERR timeout is negative\r\n"),
};

static void test_connection_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

static void test_hello_switches_and_describes(void **state)
{
	static const char in_resp2[] =
		"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n" CMD_REDIS_VERSION
		"\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
		"$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
	struct bench b;

	bench_open(&b);
	assert_true(slice_equal(bench_run(&b, "hello"), SLICE_LITERAL(in_resp2)));
	assert_memory_equal(bench_run(&b, "hello 3").ptr, "%7\r\n", 4);
	assert_int_equal(b.client.resp, 3);
	assert_true(slice_equal(bench_run(&b, "get k"), SLICE_LITERAL("_\r\n")));
	assert_memory_equal(bench_run(&b, "hello").ptr, "%7\r\n", 4);
	assert_true(slice_equal(bench_run(&b, "hello 2"), SLICE_LITERAL(in_resp2)));
	assert_memory_equal(bench_run(&b, "hello 3 auth default x setname me").ptr, "%7\r\n", 4);
	assert_string_equal(client_names(&b.client)->name, "me");
	bench_close(&b);
}

static void test_quit_and_reset_change_the_client(void **state)
{
	struct bench b;

	bench_open(&b);
	bench_run(&b, "hello 3 setname me");
	bench_run(&b, "client no-evict on");
	bench_run(&b, "client no-touch on");
	bench_run(&b, "client setinfo lib-name hiredis");
	assert_true(b.client.no_evict && b.client.no_touch);
	bench_run(&b, "reset");
	assert_int_equal(b.client.resp, 2);
	assert_int_equal(b.client.id, 7);
	assert_string_equal(client_names(&b.client)->name, "");
	assert_string_equal(client_names(&b.client)->lib_name, "hiredis");
	assert_false(b.client.no_evict || b.client.no_touch);
	assert_false(b.client.close_after);
	bench_run(&b, "quit");
	assert_true(b.client.close_after);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_case_answers_as_redis),
		cmocka_unit_test(test_hello_switches_and_describes),
		cmocka_unit_test(test_quit_and_reset_change_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
