/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Effects as commands of the stream. */

#define SET(k, v, ms, flags_)                                                                      \
	{                                                                                          \
		.kind = TABLE_EFFECT_SET, .key = SLICE_LITERAL(k), .value = SLICE_LITERAL(v),      \
		.expire_ms = (ms), .mc_flags = (flags_)                                            \
	}

struct encode_case {
	struct table_effect effects[3];
	uint32_t count;
	const char *text;
};

static const struct encode_case cases[] = {
	{{SET("k", "v", 0, 0)}, 1, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"},
	{{SET("", "", 0, 0)}, 1, "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n"},
	{{SET("k", "v", 1800000000123, 0)},
	 1,
	 "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$4\r\nPXAT\r\n$13\r\n1800000000123\r\n"},
	{{SET("k", "v", 0, 4294967295)},
	 1,
	 "*2\r\n$4\r\nPING\r\n$26\r\nwirecache-flags:4294967295\r\n"
	 "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"},
	{{{.kind = TABLE_EFFECT_DELETE, .key = SLICE_LITERAL("gone")}},
	 1,
	 "*2\r\n$3\r\nDEL\r\n$4\r\ngone\r\n"},
	{{{.kind = TABLE_EFFECT_FLUSH}}, 1, "*1\r\n$8\r\nFLUSHALL\r\n"},
	{{{.kind = TABLE_EFFECT_DELETE, .key = SLICE_LITERAL("a"), .more = true},
	  SET("b", "1", 0, 0),
	  {.kind = TABLE_EFFECT_DELETE, .key = SLICE_LITERAL("c")}},
	 3,
	 "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
	 "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n*1\r\n$4\r\nEXEC\r\n"
	 "*2\r\n$3\r\nDEL\r\n$1\r\nc\r\n"},
};

static void assert_fed(struct feed *feed, struct slice expected)
{
	struct feed_place place = {0};
	uint64_t from, len, at = 0;
	struct blob *blob;

	assert_int_equal(feed->end, expected.len);
	assert_true(feed_place_at(feed, 0, &place));
	while (feed_read(&place, UINT64_MAX, &blob, &from, &len) == FEED_BYTES) {
		assert_memory_equal(blob->bytes + from, expected.ptr + at, len);
		at += len;
	}
	assert_int_equal(at, expected.len);
	feed_place_drop(&place);
}

static void test_encode(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct repl_encoder encoder = {0};
		struct feed feed;

		feed_init(&feed, 0, UINT64_MAX);
		for (uint32_t k = 0; k < cases[i].count; k++)
			repl_encode(&encoder, &feed, &cases[i].effects[k]);
		assert_false(encoder.in_transaction);
		assert_fed(&feed, slice_of_text(cases[i].text));
		feed_fini(&feed);
	}
}

static void test_encode_long_words(void **state)
{
	static char value[200001], expected[200100];
	const struct slice words[] = {SLICE_LITERAL("X"), slice_of(value, sizeof(value) - 1)};
	struct feed feed;

	memset(value, 'v', sizeof(value) - 1);
	feed_init(&feed, 0, UINT64_MAX);
	repl_encode_words(&feed, words, ARRAY_COUNT(words));
	snprintf(expected, sizeof(expected), "*2\r\n$1\r\nX\r\n$200000\r\n%s\r\n", value);
	assert_fed(&feed, slice_of_text(expected));
	feed_fini(&feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_encode_long_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
