/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* COMMAND against the wire. Replies are what redis-server 7.0.15 answered. */

static const struct bench_case cases[] = {
	CASE("info get", NULL, "command info get",
	     "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n"
	     ":1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n"
	     "*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n"
	     "*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\n"
	     "index\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n"
	     "$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
	     "$5\r\nlimit\r\n:0\r\n*0\r\n"),
	CASE3("info get, resp3", NULL, "command info get",
	      "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n"
	      ":1\r\n:1\r\n~3\r\n+@read\r\n+@string\r\n+@fast\r\n~0\r\n~1\r\n"
	      "%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n"
	      "%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\n"
	      "index\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n"
	      "$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
	      "$5\r\nlimit\r\n:0\r\n~0\r\n"),
	CASE3("info set, resp3", NULL, "command info set",
	      "*1\r\n*10\r\n$3\r\nset\r\n:-3\r\n~2\r\n+write\r\n+denyoom\r\n"
	      ":1\r\n:1\r\n:1\r\n~3\r\n+@write\r\n+@string\r\n+@slow\r\n~0\r\n"
	      "~1\r\n%4\r\n$5\r\nnotes\r\n$48\r\nRW and ACCESS due to the optional `GET` argume"
	      "nt\r\n$5\r\nflags\r\n~4\r\n+RW\r\n+access\r\n+update\r\n+variable_flags\r\n"
	      "$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\n"
	      "spec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\n"
	      "type\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:0\r\n"
	      "$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n"),
	CASE("info unknown", NULL, "command info nothing", "*1\r\n$-1\r\n"),
	CASE3("info unknown, resp3", NULL, "command info nothing", "*1\r\n_\r\n"),
	CASE("info subcommand", NULL, "command info client|id",
	     "*1\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n*3\r\n+noscript\r\n+loading\r\n"
	     "+stale\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@slow\r\n+@connection\r\n*0\r\n"
	     "*0\r\n*0\r\n"),
	CASE("info mset", NULL, "command info mset",
	     "*1\r\n*10\r\n$4\r\nmset\r\n:-3\r\n*2\r\n+write\r\n+denyoom\r\n"
	     ":1\r\n:-1\r\n:2\r\n*3\r\n+@write\r\n+@string\r\n+@slow\r\n*2\r\n"
	     "$26\r\nrequest_policy:multi_shard\r\n$29\r\nresponse_policy:all_succeeded\r\n"
	     "*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+OW\r\n+update\r\n$12\r\nbegin_search\r\n"
	     "*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\n"
	     "index\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n"
	     "$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n"
	     ":2\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"),
	CASE("getkeys", NULL, "command getkeys mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
	CASE("getkeys get", NULL, "command getkeys get k", "*1\r\n$1\r\nk\r\n"),
	CASE("getkeys del", NULL, "command getkeys del a b c",
	     "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"),
	CASE("getkeys of a subcommand", NULL, "command getkeys object encoding k",
	     "*1\r\n$1\r\nk\r\n"),
	CASE("getkeys of a container", NULL, "command getkeys object foo k",
	     "-ERR Invalid command specified\r\n"),
	CASE("getkeys without keys", NULL, "command getkeys ping x",
	     "-ERR The command has no key arguments\r\n"),
	CASE("getkeys unknown", NULL, "command getkeys foo bar",
	     "-ERR Invalid command specified\r\n"),
	CASE("getkeys arity", NULL, "command getkeys get a b",
	     "-ERR Invalid number of arguments specified for command\r\n"),
	CASE("getkeysandflags", NULL, "command getkeysandflags get k",
	     "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+RO\r\n+access\r\n"),
	CASE3("getkeysandflags, resp3", NULL, "command getkeysandflags del a b",
	      "*2\r\n*2\r\n$1\r\na\r\n~2\r\n+RM\r\n+delete\r\n*2\r\n$1\r\nb\r\n"
	      "~2\r\n+RM\r\n+delete\r\n"),
	CASE("getkeysandflags set", NULL, "command getkeysandflags set k v",
	     "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+OW\r\n+update\r\n"),
	CASE("getkeysandflags set get", NULL, "command getkeysandflags set k v nx get",
	     "*1\r\n*2\r\n$1\r\nk\r\n*3\r\n+RW\r\n+access\r\n+update\r\n"),
	CASE("list bad filter", NULL, "command list filterby foo x", "-ERR syntax error\r\n"),
	CASE("list bad option", NULL, "command list foo", "-ERR syntax error\r\n"),
	CASE("list by module", NULL, "command list filterby module x", "*0\r\n"),
	CASE("list by unknown category", NULL, "command list filterby aclcat foo", "*0\r\n"),
	CASE("list by pattern", NULL, "command list filterby pattern GETR*",
	     "*1\r\n$8\r\ngetrange\r\n"),
	CASE3("list by pattern, resp3", NULL, "command list filterby pattern getr*",
	      "*1\r\n$8\r\ngetrange\r\n"),
	CASE("docs unknown", NULL, "command docs nothing", "*0\r\n"),
	CASE("command unknown", NULL, "command foo",
	     "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"),
};

static void test_command_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_case_answers_as_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
