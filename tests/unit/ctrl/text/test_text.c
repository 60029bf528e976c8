/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/text/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The growing text at its edges: empty, many times its first size, at its limit. */

static void test_grows_and_keeps_what_was_there(void **state)
{
	struct text text;
	struct slice bytes;

	text_init(&text, 1 << 20);
	assert_int_equal(text_bytes(&text).len, 0);
	for (int i = 0; i < 10000; i++)
		text_printf(&text, "%05d ", i);
	bytes = text_bytes(&text);
	assert_false(text.out.failed);
	assert_int_equal(bytes.len, 60000);
	assert_memory_equal(bytes.ptr, "00000 00001 ", 12);
	assert_memory_equal(bytes.ptr + 59994, "09999 ", 6);
	text_fini(&text);
}

static void test_refuses_beyond_its_limit(void **state)
{
	static const size_t limits[] = {1, 10, 4096, 5000};

	for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
		struct text text;

		text_init(&text, limits[i]);
		for (size_t n = 0; n < limits[i]; n++)
			OUT_LITERAL(&text.out, "x");
		assert_false(text.out.failed);
		assert_int_equal(text_bytes(&text).len, limits[i]);
		OUT_LITERAL(&text.out, "y");
		assert_true(text.out.failed);
		text_printf(&text, "z");
		assert_int_equal(text_bytes(&text).len, limits[i]);
		text_fini(&text);
	}
}

static void test_cuts_a_piece_that_is_too_long(void **state)
{
	char word[2 * TEXT_PIECE_MAX];
	struct text text;

	memset(word, 'w', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	text_init(&text, 1 << 20);
	text_printf(&text, "%s", word);
	assert_int_equal(text_bytes(&text).len, TEXT_PIECE_MAX - 1);
	text_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_keeps_what_was_there),
		cmocka_unit_test(test_refuses_beyond_its_limit),
		cmocka_unit_test(test_cuts_a_piece_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
