/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* Numbers as text, with the edges of redis' string2ll. */

struct parse_case {
	const char *text;
	bool valid;
	int64_t value;
};

static const struct parse_case parse_cases[] = {
	{"0", true, 0},
	{"7", true, 7},
	{"-1", true, -1},
	{"9223372036854775807", true, INT64_MAX},
	{"-9223372036854775808", true, INT64_MIN},
	{"9223372036854775808", false, 0},
	{"-9223372036854775809", false, 0},
	{"99999999999999999999", false, 0},
	{"", false, 0},
	{"-", false, 0},
	{"-0", false, 0},
	{"01", false, 0},
	{"-01", false, 0},
	{"+1", false, 0},
	{" 1", false, 0},
	{"1 ", false, 0},
	{"1.5", false, 0},
	{"0x10", false, 0},
};

static void test_parse_i64_edges_match_string2ll(void **state)
{
	for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
		const struct parse_case *c = &parse_cases[i];
		int64_t value = 42;

		print_message("'%s'\n", c->text);
		assert_int_equal(number_parse_i64(slice_of_text(c->text), &value), c->valid);
		assert_int_equal(value, c->valid ? c->value : 42);
	}
}

static void test_parse_u64_edges(void **state)
{
	uint64_t value = 42;

	assert_true(number_parse_u64(SLICE_LITERAL("18446744073709551615"), &value));
	assert_true(value == UINT64_MAX);
	assert_false(number_parse_u64(SLICE_LITERAL("18446744073709551616"), &value));
	assert_true(number_parse_u64(SLICE_LITERAL("007"), &value));
	assert_true(value == 7);
	assert_false(number_parse_u64(SLICE_LITERAL(""), &value));
}

static void test_encode_matches_printf(void **state)
{
	uint64_t value = 1;

	for (int i = 0; i < 200; i++) {
		char expected[32];
		uint8_t text[NUMBER_TEXT_MAX];
		size_t len = number_encode_i64((int64_t)value, text);

		snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)value);
		assert_int_equal(len, strlen(expected));
		assert_memory_equal(text, expected, len);
		value = value * 3 + (uint64_t)i;
	}
	uint8_t text[NUMBER_TEXT_MAX];

	assert_int_equal(number_encode_i64(INT64_MIN, text), 20);
	assert_int_equal(number_encode_u64(UINT64_MAX, text), 20);
	assert_int_equal(number_encode_u64(0, text), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_i64_edges_match_string2ll),
		cmocka_unit_test(test_parse_u64_edges),
		cmocka_unit_test(test_encode_matches_printf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
