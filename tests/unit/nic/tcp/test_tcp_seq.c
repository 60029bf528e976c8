/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_seq.h"

#include "base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Sequence comparisons around 2^31 and 2^32 (RFC 9293 3.4). */

struct seq_case {
	const char *name;
	tcp_seq a, b;
	bool lt, le;
};

static const struct seq_case cases[] = {
	{"equal", 5, 5, false, true},
	{"next", 5, 6, true, true},
	{"previous", 6, 5, false, false},
	{"across the wrap", 0xffffffff, 0, true, true},
	{"across the wrap, back", 0, 0xffffffff, false, false},
	{"far across the wrap", 0xf0000000, 0x10000000, true, true},
	{"just less than half ahead", 0, 0x7fffffff, true, true},
	{"just more than half ahead is behind", 0, 0x80000001, false, false},
	{"around the sign", 0x7fffffff, 0x80000000, true, true},
	{"around the sign, back", 0x80000000, 0x7fffffff, false, false},
};

static void test_comparison_table_holds(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct seq_case *c = &cases[i];

		print_message("case %s\n", c->name);
		assert_int_equal(tcp_seq_lt(c->a, c->b), c->lt);
		assert_int_equal(tcp_seq_le(c->a, c->b), c->le);
		assert_int_equal(tcp_seq_gt(c->a, c->b), !c->le);
		assert_int_equal(tcp_seq_ge(c->a, c->b), !c->lt);
		assert_int_equal(tcp_seq_max(c->a, c->b), c->le ? c->b : c->a);
	}
}

static void test_within_covers_exactly_the_window(void **state)
{
	static const tcp_seq starts[] = {0, 100, 0x7ffffff0, 0xfffffff0, 0xffffffff};

	for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
		tcp_seq from = starts[i];

		assert_false(tcp_seq_within(from - 1, from, 32));
		assert_true(tcp_seq_within(from, from, 32));
		assert_true(tcp_seq_within(from + 31, from, 32));
		assert_false(tcp_seq_within(from + 32, from, 32));
		assert_false(tcp_seq_within(from, from, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comparison_table_holds),
		cmocka_unit_test(test_within_covers_exactly_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
