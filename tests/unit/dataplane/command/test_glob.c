/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/command.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Glob patterns: named cases, and random ones against the recursive definition. */

static const struct {
	const char *pattern, *text;
	bool nocase, match;
} cases[] = {
	{"", "", false, true},
	{"", "a", false, false},
	{"*", "", false,
	 false}, // as redis: a text with nothing in it is matched by nothing but nothing
	{"*", "a", false, true},
	{"a*", "a", false, true},
	{"a***", "a", false, true},
	{"*a", "bba", false, true},
	{"*a", "bab", false, false},
	{"a?c", "abc", false, true},
	{"a?c", "ac", false, false},
	{"?", "", false, false},
	{"[abc]", "b", false, true},
	{"[abc]", "d", false, false},
	{"[^abc]", "d", false, true},
	{"[^abc]", "a", false, false},
	{"[a-c]", "b", false, true},
	{"[c-a]", "b", false, true},
	{"[a-c]x", "bx", false, true},
	{"[a-", "-", false, true},
	{"[a-", "a", false, true},
	{"[a-]", "-", false, false}, // the range a to ], which has no closing bracket
	{"[", "[", false, false},
	{"[^", "x", false, true},
	{"[a", "a", false, true},
	{"[]", "]", false, false},
	{"[\\]]", "]", false, true},
	{"[\\a-c]", "b", false, false},
	{"\\*", "*", false, true},
	{"\\*", "a", false, false},
	{"\\", "\\", false, true},
	{"a\\", "a\\", false, true},
	{"h*llo", "heeeello", false, true},
	{"*:*:*", "a:b:c", false, true},
	{"*:*:*", "a:b", false, false},
	{"ABC", "abc", false, false},
	{"ABC", "abc", true, true},
	{"[A-C]*", "bXX", true, true},
	{"*b*c", "aXbXXc", false, true},
	{"*b*c", "aXcXXb", false, false},
};

static void test_glob_case_as_redis(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		bool match = cmd_glob_match(slice_of_text(cases[i].pattern),
					    slice_of_text(cases[i].text), cases[i].nocase);

		if (match != cases[i].match)
			fail_msg("`%s` on `%s`", cases[i].pattern, cases[i].text);
	}
}

/* What * ? and plain letters mean, said as simply as can be. */
static bool means(const char *pattern, const char *text)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return means(pattern + 1, text) || (*text && means(pattern, text + 1));
	return *text && (*pattern == '?' || *pattern == *text) && means(pattern + 1, text + 1);
}

static void test_glob_random_patterns_mean_the_same(void **state)
{
	struct rng rng = rng_seeded(42);
	uint32_t matches = 0;

	for (int i = 0; i < 200000; i++) {
		char pattern[10] = "", text[12] = "";
		uint32_t pattern_len = rng_below(&rng, sizeof(pattern));
		uint32_t text_len = 1 + rng_below(&rng, sizeof(text) - 1);

		for (uint32_t j = 0; j < pattern_len; j++)
			pattern[j] = "ab**?"[rng_below(&rng, 5)];
		for (uint32_t j = 0; j < text_len; j++)
			text[j] = "ab"[rng_below(&rng, 2)];
		bool match = cmd_glob_match(slice_of_text(pattern), slice_of_text(text), false);

		if (match != means(pattern, text))
			fail_msg("`%s` on `%s`", pattern, text);
		matches += match;
	}
	assert_in_range(matches, 20000, 180000);
}

/* The pattern that takes a recursive matcher beyond the age of the universe. */
static void test_glob_many_stars_ends_soon(void **state)
{
	char pattern[2000], text[2000];

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[sizeof(pattern) - 1] = 'b';
	memset(text, 'a', sizeof(text));
	assert_false(cmd_glob_match(slice_of(pattern, sizeof(pattern)),
				    slice_of(text, sizeof(text)), false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob_case_as_redis),
		cmocka_unit_test(test_glob_random_patterns_mean_the_same),
		cmocka_unit_test(test_glob_many_stars_ends_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
