/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_line.h"

#include "base/compiler.h"
#include "dataplane/command/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * Lines to structs: the fields that execution relies on. What is refused is in mc_cases.h, with
 * the answers.
 */

struct line_case {
	const char *text;
	struct mc_line line; // keys and text are compared by what they say
	const char *keys;
};

static const struct line_case cases[] = {
	{"get a", {.op = MC_GET, .key_count = 1}, "a"},
	{"get a  bc a ", {.op = MC_GET, .key_count = 3}, "a bc a"},
	{"gets a b", {.op = MC_GET, .want_cas = true, .key_count = 2}, "a b"},
	{"bget a", {.op = MC_GET, .key_count = 1}, "a"},
	{"gat 100 a b", {.op = MC_GAT, .exptime = 100, .key_count = 2}, "a b"},
	{"gats -7 a", {.op = MC_GAT, .want_cas = true, .exptime = -7, .key_count = 1}, "a"},
	{"set k 1 2 3",
	 {.op = MC_STORE, .mode = KV_SET, .flags = 1, .exptime = 2, .value_len = 3, .key_count = 1},
	 "k"},
	{"add k 1 2 3",
	 {.op = MC_STORE, .mode = KV_ADD, .flags = 1, .exptime = 2, .value_len = 3, .key_count = 1},
	 "k"},
	{"replace k 0 0 0", {.op = MC_STORE, .mode = KV_REPLACE, .key_count = 1}, "k"},
	{"append k 0 0 0", {.op = MC_STORE, .mode = KV_APPEND, .key_count = 1}, "k"},
	{"prepend k 0 0 0 noreply",
	 {.op = MC_STORE, .mode = KV_PREPEND, .noreply = true, .key_count = 1},
	 "k"},
	{"cas k 0 -1 5 18446744073709551615 noreply",
	 {.op = MC_STORE,
	  .mode = KV_CAS,
	  .noreply = true,
	  .exptime = -1,
	  .value_len = 5,
	  .number = UINT64_MAX,
	  .key_count = 1},
	 "k"},
	{"set noreply 0 0 1",
	 {.op = MC_STORE, .mode = KV_SET, .value_len = 1, .key_count = 1},
	 "noreply"},
	{"delete k", {.op = MC_DELETE, .key_count = 1}, "k"},
	{"delete k 0 noreply", {.op = MC_DELETE, .noreply = true, .key_count = 1}, "k"},
	{"incr k 7", {.op = MC_INCR, .number = 7, .key_count = 1}, "k"},
	{"decr k 7 noreply", {.op = MC_DECR, .noreply = true, .number = 7, .key_count = 1}, "k"},
	{"touch k -1", {.op = MC_TOUCH, .exptime = -1, .key_count = 1}, "k"},
	{"flush_all", {.op = MC_FLUSH_ALL}, ""},
	{"flush_all 60 noreply", {.op = MC_FLUSH_ALL, .exptime = 60, .noreply = true}, ""},
	{"stats items", {.op = MC_STATS}, "stats items"},
	{"quit", {.op = MC_QUIT}, ""},
};

static void assert_keys(struct slice keys, const char *expected)
{
	struct slice want = slice_of_text(expected);

	for (;;) {
		struct slice got = mc_token(&keys);

		assert_true(slice_equal(got, mc_token(&want)));
		if (got.len == 0)
			return;
	}
}

static void test_line_valid_every_field(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct line_case *c = &cases[i];
		struct mc_line line;

		print_message("%s\n", c->text);
		mc_line_parse(slice_of_text(c->text), &line);
		assert_int_equal(line.op, c->line.op);
		assert_int_equal(line.mode, c->line.mode);
		assert_int_equal(line.noreply, c->line.noreply);
		assert_int_equal(line.want_cas, c->line.want_cas);
		assert_int_equal(line.flags, c->line.flags);
		assert_int_equal(line.exptime, c->line.exptime);
		assert_int_equal(line.value_len, c->line.value_len);
		assert_true(line.number == c->line.number);
		assert_int_equal(line.key_count, c->line.key_count);
		assert_false(line.malformed);
		assert_keys(line.keys, c->keys);
	}
}

static void test_may_grow_only_lists_of_keys(void **state)
{
	static const struct {
		const char *start;
		bool may;
	} starts[] = {
		{"get a", true},     {"gets a", true}, {"gat 0 a", true},
		{"   gets a", true}, {"get", false},   {"set a", false},
		{"getx a", false},   {"", false},      {"   ", false},
	};

	char blanks[110];

	for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
		print_message("'%s'\n", starts[i].start);
		assert_int_equal(mc_line_may_grow(slice_of_text(starts[i].start)), starts[i].may);
	}
	memset(blanks, ' ', sizeof(blanks));
	memcpy(blanks + 100, "get a", 5);
	assert_true(mc_line_may_grow(slice_of(blanks, 105)));
	memcpy(blanks + 100, " get a", 6);
	assert_false(mc_line_may_grow(slice_of(blanks, 106)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_valid_every_field),
		cmocka_unit_test(test_may_grow_only_lists_of_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
