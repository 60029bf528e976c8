/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Deadlines against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("expire", "set k v", "expire k 100", ":1\r\n"),
	CASE("expire of nothing", NULL, "expire k 100", ":0\r\n"),
	CASE("expire sets", "set k v;expire k 100", "ttl k", ":100\r\n"),
	CASE("pexpire sets", "set k v;pexpire k 100000", "ttl k", ":100\r\n"),
	CASE("expireat sets", "set k v;expireat k 9000000000", "expiretime k", ":9000000000\r\n"),
	CASE("pexpireat sets", "set k v;pexpireat k 9000000000123", "pexpiretime k",
	     ":9000000000123\r\n"),
	CASE("expiretime rounds", "set k v;pexpireat k 9000000000500", "expiretime k",
	     ":9000000001\r\n"),
	CASE("expiretime rounds down", "set k v;pexpireat k 9000000000499", "expiretime k",
	     ":9000000000\r\n"),
	CASE("expire 0 deletes", "set k v;expire k 0", "exists k", ":0\r\n"),
	CASE("expire 0 answers", "set k v", "expire k 0", ":1\r\n"),
	CASE("expire negative deletes", "set k v;expire k -1", "exists k", ":0\r\n"),
	CASE("expireat in the past deletes", "set k v;expireat k 1", "exists k", ":0\r\n"),
	CASE("expireat -1 answers", "set k v", "expireat k -1", ":1\r\n"),
	CASE("pexpireat smallest", "set k v", "pexpireat k -9223372036854775808", ":1\r\n"),
	CASE("expire too large", "set k v", "expire k 9223372036854776",
	     "-ERR invalid expire time in 'expire' command\r\n"),
	CASE("expire too small", "set k v", "expire k -9223372036854776",
	     "-ERR invalid expire time in 'expire' command\r\n"),
	CASE("expire largest in seconds", "set k v", "expire k 9223372036854775",
	     "-ERR invalid expire time in 'expire' command\r\n"),
	CASE("pexpire too large", "set k v", "pexpire k 9223372036854775807",
	     "-ERR invalid expire time in 'pexpire' command\r\n"),
	CASE("pexpire smallest", "set k v", "pexpire k -9223372036854775808", ":1\r\n"),
	CASE("expireat too large", "set k v", "expireat k 9223372036854776",
	     "-ERR invalid expire time in 'expireat' command\r\n"),
	CASE("pexpireat largest", "set k v;pexpireat k 9223372036854775807", "pexpiretime k",
	     ":9223372036854775807\r\n"),
	CASE("expire too large, no key", NULL, "expire k 9223372036854776",
	     "-ERR invalid expire time in 'expire' command\r\n"),
	CASE("expire word", "set k v", "expire k x",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("expire arity", NULL, "expire k",
	     "-ERR wrong number of arguments for 'expire' command\r\n"),
	CASE("nx without a deadline", "set k v", "expire k 10 nx", ":1\r\n"),
	CASE("nx with one", "set k v ex 5", "expire k 10 nx", ":0\r\n"),
	CASE("xx without a deadline", "set k v", "expire k 10 xx", ":0\r\n"),
	CASE("xx with one", "set k v ex 5", "expire k 10 xx", ":1\r\n"),
	CASE("gt without a deadline", "set k v", "expire k 10 gt", ":0\r\n"),
	CASE("gt later", "set k v ex 50", "expire k 100 gt", ":1\r\n"),
	CASE("gt earlier", "set k v ex 500", "expire k 100 gt", ":0\r\n"),
	CASE("gt same", "set k v pxat 9000000000000", "pexpireat k 9000000000000 gt", ":0\r\n"),
	CASE("lt without a deadline", "set k v", "expire k 10 lt", ":1\r\n"),
	CASE("lt later", "set k v ex 50", "expire k 100 lt", ":0\r\n"),
	CASE("lt earlier", "set k v ex 500", "expire k 100 lt", ":1\r\n"),
	CASE("lt same", "set k v pxat 9000000000000", "pexpireat k 9000000000000 lt", ":0\r\n"),
	CASE("lt in the past deletes", "set k v;expire k -1 lt", "exists k", ":0\r\n"),
	CASE("gt in the past keeps", "set k v ex 100;expire k -1 gt", "exists k", ":1\r\n"),
	CASE("xx gt", "set k v ex 50", "expire k 100 xx gt", ":1\r\n"),
	CASE("xx lt without a deadline", "set k v", "expire k 100 xx lt", ":0\r\n"),
	CASE("nx nx", "set k v", "expire k 100 nx NX", ":1\r\n"),
	CASE("nx xx", "set k v", "expire k 100 nx xx",
	     "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
	CASE("nx gt", "set k v", "expire k 100 gt nx",
	     "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
	CASE("gt lt", "set k v", "expire k 100 gt lt",
	     "-ERR GT and LT options at the same time are not compatible\r\n"),
	CASE("unsupported option", "set k v", "expire k 100 foo",
	     "-ERR Unsupported option foo\r\n"),
	CASE("option before number", "set k v", "expire k abc foo",
	     "-ERR Unsupported option foo\r\n"),
	CASE("option with a line end", "set k v", "expire k 100 a\\r\\nb",
	     "-ERR Unsupported option a  b\r\n"),
	CASE("ttl of nothing", NULL, "ttl k", ":-2\r\n"),
	CASE("ttl without a deadline", "set k v", "ttl k", ":-1\r\n"),
	CASE("pttl of nothing", NULL, "pttl k", ":-2\r\n"),
	CASE("expiretime of nothing", NULL, "expiretime k", ":-2\r\n"),
	CASE("pexpiretime without a deadline", "set k v", "pexpiretime k", ":-1\r\n"),
	CASE("persist", "set k v ex 100", "persist k", ":1\r\n"),
	CASE("persist without a deadline", "set k v", "persist k", ":0\r\n"),
	CASE("persist of nothing", NULL, "persist k", ":0\r\n"),
	CASE("persist removes", "set k v ex 100;persist k", "ttl k", ":-1\r\n"),
	CASE("expire keeps the value", "set k v;expire k 100", "get k", "$1\r\nv\r\n"),
	CASE("expire keeps a long value", "set k 5000*v;expire k 100", "strlen k", ":5000\r\n"),
};

static void test_expire_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expire_case_answers_as_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
