/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/kv_number.h"

#include "base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* memcached's numbers, at the edges of strtoul, strtoull and strtol followed by its own checks. */

struct number_case {
	const char *text;
	bool is_u64, is_i32;
	uint64_t u64;
	int32_t i32;
};

static const struct number_case cases[] = {
	{"0", true, true, 0, 0},
	{"007", true, true, 7, 7},
	{"+5", true, true, 5, 5},
	{" \t\v5", true, true, 5, 5},
	{"5 x", true, true, 5, 5},
	{"5\tx", true, true, 5, 5},
	{"5x", false, false},
	{"", false, false},
	{" ", false, false},
	{"-", false, false},
	{"- 5", false, false},
	{"--5", false, false},
	{"0x10", false, false},
	{"-0", true, true, 0, 0},
	{"-1", false, true, 0, -1},
	{"2147483648", true, true, 2147483648, INT32_MIN},
	{"4294967297", true, true, 4294967297, 1},
	{"9223372036854775807", true, true, INT64_MAX, -1},
	{"9223372036854775808", true, false, 9223372036854775808U},
	{"-9223372036854775808", false, true, 0, 0},
	{"-9223372036854775809", true, false,
	 9223372036854775807U}, // strtoull negates without a complaint
	{"18446744073709551615", true, false, UINT64_MAX},
	{"-18446744073709551615", true, false, 1},
	{"18446744073709551616", false, false},
	{"99999999999999999999", false, false},
	{"18446744073709551615 -", false, false}, // a minus anywhere, once the number is large
};

static void test_number_edges(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct number_case *c = &cases[i];
		uint64_t u64 = 42;
		uint32_t u32 = 42;
		int32_t i32 = 42;

		print_message("'%s'\n", c->text);
		assert_int_equal(kv_number_u64(slice_of_text(c->text), &u64), c->is_u64);
		assert_true(u64 == (c->is_u64 ? c->u64 : 42));
		assert_int_equal(kv_number_u32(slice_of_text(c->text), &u32), c->is_u64);
		assert_int_equal(u32, c->is_u64 ? (uint32_t)c->u64 : 42);
		assert_int_equal(kv_number_i32(slice_of_text(c->text), &i32), c->is_i32);
		assert_int_equal(i32, c->is_i32 ? c->i32 : 42);
	}
}

static void test_number_ends_at_nul(void **state)
{
	uint64_t value;

	assert_true(kv_number_u64(slice_of("3\0y", 3), &value));
	assert_true(value == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_edges),
		cmocka_unit_test(test_number_ends_at_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
