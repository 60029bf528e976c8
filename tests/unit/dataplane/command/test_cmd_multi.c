/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* MGET, MSET and MSETNX against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("mget", "mset a 1 b 2", "mget a x b a",
	     "*4\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n$1\r\n1\r\n"),
	CASE3("mget, resp3", "mset a 1", "mget a x", "*2\r\n$1\r\n1\r\n_\r\n"),
	CASE("mget arity", NULL, "mget", "-ERR wrong number of arguments for 'mget' command\r\n"),
	CASE("mset", NULL, "mset a 1 b 2", "+OK\r\n"),
	CASE("mset last wins", "mset a 1 a 2", "get a", "$1\r\n2\r\n"),
	CASE("mset odd", NULL, "mset a 1 b",
	     "-ERR wrong number of arguments for 'mset' command\r\n"),
	CASE("mset drops the deadline", "set a 1 ex 100;mset a 2", "ttl a", ":-1\r\n"),
	CASE("msetnx", NULL, "msetnx a 1 b 2", ":1\r\n"),
	CASE("msetnx one is there", "set b 1", "msetnx a 1 b 2", ":0\r\n"),
	CASE("msetnx leaves all", "set b 1;msetnx a 1 b 2", "mget a b", "*2\r\n$-1\r\n$1\r\n1\r\n"),
	CASE("msetnx same key twice", "msetnx a 1 a 2", "get a", "$1\r\n2\r\n"),
	CASE("msetnx odd", NULL, "msetnx a 1 b",
	     "-ERR wrong number of arguments for 'msetnx' command\r\n"),
};

static void test_multi_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multi_case_answers_as_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
