/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* INCR and its relatives against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("incr of nothing", NULL, "incr k", ":1\r\n"),
	CASE("incr", "set k 41", "incr k", ":42\r\n"),
	CASE("incr negative", "set k -1", "incr k", ":0\r\n"),
	CASE("incr stores text", "set k 9;incr k", "get k", "$2\r\n10\r\n"),
	CASE("decr of nothing", NULL, "decr k", ":-1\r\n"),
	CASE("incr at the top", "set k 9223372036854775807", "incr k",
	     "-ERR increment or decrement would overflow\r\n"),
	CASE("decr at the bottom", "set k -9223372036854775808", "decr k",
	     "-ERR increment or decrement would overflow\r\n"),
	CASE("incr beyond the top", "set k 9223372036854775808", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr of a word", "set k abc", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr of an empty value", "set k \"\"", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr with a blank before", "set k \\s1", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr with a blank behind", "set k 1\\s", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr with a plus", "set k +1", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr with leading zeros", "set k 01", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr of minus zero", "set k -0", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr of a decimal", "set k 1.0", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr with a NUL", "set k 1\\0", "incr k",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incr keeps the deadline", "set k 1 ex 100;incr k", "ttl k", ":100\r\n"),
	CASE("incrby", "set k 10", "incrby k 5", ":15\r\n"),
	CASE("incrby negative", "set k 10", "incrby k -15", ":-5\r\n"),
	CASE("incrby over the top", "set k 1", "incrby k 9223372036854775807",
	     "-ERR increment or decrement would overflow\r\n"),
	CASE("incrby to the top", "set k 0", "incrby k 9223372036854775807",
	     ":9223372036854775807\r\n"),
	CASE("incrby bad number", "set k 1", "incrby k 1.5",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incrby huge number", "set k 1", "incrby k 9223372036854775808",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("incrby of a word, bad number", "set k abc", "incrby k x",
	     "-ERR value is not an integer or out of range\r\n"),
	CASE("decrby", "set k 10", "decrby k 15", ":-5\r\n"),
	CASE("decrby negative", "set k 10", "decrby k -5", ":15\r\n"),
	CASE("decrby the smallest", "set k 0", "decrby k -9223372036854775808",
	     "-ERR decrement would overflow\r\n"),
	CASE("decrby to the bottom", "set k -1", "decrby k 9223372036854775807",
	     ":-9223372036854775808\r\n"),
	CASE("decrby over the bottom", "set k -2", "decrby k 9223372036854775807",
	     "-ERR increment or decrement would overflow\r\n"),
	CASE("incr arity", NULL, "incr", "-ERR wrong number of arguments for 'incr' command\r\n"),
	CASE("incrbyfloat of nothing", NULL, "incrbyfloat k 10.5", "$4\r\n10.5\r\n"),
	CASE("incrbyfloat", "set k 10.50", "incrbyfloat k 0.1", "$4\r\n10.6\r\n"),
	CASE("incrbyfloat exponent", "set k 5.0e3", "incrbyfloat k 2.0e2", "$4\r\n5200\r\n"),
	CASE("incrbyfloat to a whole number", "set k 1.5", "incrbyfloat k 1.5", "$1\r\n3\r\n"),
	CASE("incrbyfloat to zero", "set k 1.5", "incrbyfloat k -1.5", "$1\r\n0\r\n"),
	CASE("incrbyfloat of minus zero", "set k -0", "incrbyfloat k -0", "$1\r\n0\r\n"),
	CASE("incrbyfloat many digits", "set k 3.14159265358979323846", "incrbyfloat k 0",
	     "$19\r\n3.14159265358979324\r\n"),
	CASE("incrbyfloat tiny", NULL, "incrbyfloat k 0.00000000000000001",
	     "$19\r\n0.00000000000000001\r\n"),
	CASE("incrbyfloat below what is shown", NULL, "incrbyfloat k 1e-18", "$1\r\n0\r\n"),
	CASE("incrbyfloat minus, below what is shown", NULL, "incrbyfloat k -1e-18", "$1\r\n0\r\n"),
	CASE("incrbyfloat one tenth thrice", "set k 0.1;incrbyfloat k 0.1", "incrbyfloat k 0.1",
	     "$3\r\n0.3\r\n"),
	CASE("incrbyfloat large", "set k 123456789012345678901234567890", "incrbyfloat k 1",
	     "$30\r\n123456789012345678899921813504\r\n"),
	CASE("incrbyfloat 1e30", NULL, "incrbyfloat k 1e30",
	     "$31\r\n1000000000000000000024696061952\r\n"),
	CASE("incrbyfloat hexadecimal", NULL, "incrbyfloat k 0x10", "$2\r\n16\r\n"),
	CASE("incrbyfloat infinity", NULL, "incrbyfloat k inf",
	     "-ERR increment would produce NaN or Infinity\r\n"),
	CASE("incrbyfloat of infinity", "set k inf", "incrbyfloat k -inf",
	     "-ERR increment would produce NaN or Infinity\r\n"),
	CASE("incrbyfloat of infinity and a number", "set k -inf", "incrbyfloat k 1",
	     "-ERR increment would produce NaN or Infinity\r\n"),
	CASE("incrbyfloat nan", NULL, "incrbyfloat k nan", "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat of nan", "set k nan", "incrbyfloat k 1",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat out of range", NULL, "incrbyfloat k 1e5000",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat too small", NULL, "incrbyfloat k 1e-5000",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat over the top", "set k 1.18e4932", "incrbyfloat k 1.18e4932",
	     "-ERR increment would produce NaN or Infinity\r\n"),
	CASE("incrbyfloat word", NULL, "incrbyfloat k abc", "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat empty", NULL, "incrbyfloat k \"\"",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat blank before", NULL, "incrbyfloat k \\s1",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat blank behind", NULL, "incrbyfloat k 1\\s",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat NUL behind", NULL, "incrbyfloat k 1\\0",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat plus", NULL, "incrbyfloat k +1", "$1\r\n1\r\n"),
	CASE("incrbyfloat of a long text", "set k 6000*1", "incrbyfloat k 1",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat of a word, bad number", "set k abc", "incrbyfloat k x",
	     "-ERR value is not a valid float\r\n"),
	CASE("incrbyfloat keeps the deadline", "set k 1 ex 100;incrbyfloat k 1", "ttl k",
	     ":100\r\n"),
	CASE("incr after incrbyfloat", "incrbyfloat k 3", "incr k", ":4\r\n"),
	CASE("incrbyfloat after incr", "incr k", "incrbyfloat k 0.5", "$3\r\n1.5\r\n"),
};

static void test_counter_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter_case_answers_as_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
