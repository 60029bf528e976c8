/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * Commands on keys, one and many, against the wire. Replies are what redis-server 7.0.15
 * answered.
 */

static const struct bench_case cases[] = {
	CASE("del of nothing", NULL, "del k", ":0\r\n"),
	CASE("del", "set k v", "del k", ":1\r\n"),
	CASE("del several", "mset a 1 b 2 c 3", "del a b x", ":2\r\n"),
	CASE("del the same key twice", "mset a 1 b 2", "del a a b a", ":2\r\n"),
	CASE("del makes it absent", "set k v;del k", "exists k", ":0\r\n"),
	CASE("del one twice", "set a 1", "del a a", ":1\r\n"),
	CASE("unlink", "mset a 1 b 2", "unlink a b", ":2\r\n"),
	CASE("del arity", NULL, "del", "-ERR wrong number of arguments for 'del' command\r\n"),
	CASE("exists", "set a 1", "exists a", ":1\r\n"),
	CASE("exists counts repeats", "set a 1", "exists a a b", ":2\r\n"),
	CASE("touch counts repeats", "mset a 1 b 2", "touch a b c a", ":3\r\n"),
	CASE("type", "set a 1", "type a", "+string\r\n"),
	CASE("type of nothing", NULL, "type a", "+none\r\n"),
	CASE3("type, resp3", "set a 1", "type a", "+string\r\n"),
	CASE("dbsize", "mset a 1 b 2 \"\" 3", "dbsize", ":3\r\n"),
	CASE("flushall", "mset a 1 b 2;flushall", "dbsize", ":0\r\n"),
	CASE("flushall async", NULL, "flushall async", "+OK\r\n"),
	CASE("flushdb sync", NULL, "flushdb SYNC", "+OK\r\n"),
	CASE("flushall bad", NULL, "flushall now", "-ERR syntax error\r\n"),
	CASE("flushall too many", NULL, "flushall sync sync", "-ERR syntax error\r\n"),
	CASE("set after flush", "set a 1;flushall;set a 2", "get a", "$1\r\n2\r\n"),
	CASE("setnx after flush", "set a 1;flushall", "setnx a 2", ":1\r\n"),
	CASE("randomkey of nothing", NULL, "randomkey", "$-1\r\n"),
	CASE("randomkey of one", "set a 1", "randomkey", "$1\r\na\r\n"),
};

static void test_key_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_case_answers_as_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
