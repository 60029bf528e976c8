/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Lines of the configuration file as words, and words as they are written back. */

struct line_case {
	const char *line;
	int count; // -1: refused
	const char *words[4];
};

static const struct line_case lines[] = {
	{"", 0, {0}},
	{"   \t\n", 0, {0}},
	{"# a comment", 0, {0}},
	{"  # a comment", 0, {0}},
	{"port 6379", 2, {"port", "6379"}},
	{"  port\t 6379 \r\n", 2, {"port", "6379"}},
	{"logfile \"\"", 2, {"logfile", ""}},
	{"logfile ''", 2, {"logfile", ""}},
	{"dir \"a b\"", 2, {"dir", "a b"}},
	{"dir 'a \"b'", 2, {"dir", "a \"b"}},
	{"dir 'it\\'s'", 2, {"dir", "it's"}},
	{"dir 'a\\n'", 2, {"dir", "a\\n"}},
	{"dir \"\\x41\\n\\\"\\\\\\q\"", 2, {"dir", "A\n\"\\q"}},
	{"dir \"\\x4\"", 2, {"dir", "x4"}},
	{"a#b c", 2, {"a#b", "c"}},
	{"a b # c", 4, {"a", "b", "#", "c"}},
	{"dir \"open", -1, {0}},
	{"dir 'open", -1, {0}},
	{"dir \"a\\\"", -1, {0}},
	{"dir \"a\"b", -1, {0}},
	{"1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2", 32, {"1", "2"}},
	{"1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3", -1, {0}},
};

static void test_split_line_gives_words(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct config_words words;
		const char *why = NULL;
		bool good = config_words_split(&words, lines[i].line, &why);

		print_message("[%s]\n", lines[i].line);
		assert_int_equal(good, lines[i].count >= 0);
		if (!good) {
			assert_non_null(why);
			continue;
		}
		assert_int_equal(words.count, lines[i].count);
		for (int w = 0; w < lines[i].count && w < 4 && lines[i].words[w]; w++)
			assert_string_equal(words.at[w], lines[i].words[w]);
	}
}

static void test_split_line_too_long_is_refused(void **state)
{
	static char line[CONFIG_LINE_MAX + 1];
	struct config_words words;
	const char *why;

	memset(line, 'x', CONFIG_LINE_MAX);
	assert_false(config_words_split(&words, line, &why));
	line[CONFIG_LINE_MAX - 1] = '\0';
	assert_true(config_words_split(&words, line, &why));
	assert_int_equal(strlen(words.at[0]), CONFIG_LINE_MAX - 1);
}

static void test_quote_reads_back_the_same(void **state)
{
	static const char *const texts[] = {"",        "plain", "a b",          "#",
					    "a\"b\\c", "it's",  "\x01\x7f\xff", "tab\there"};

	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		char quoted[256];
		struct config_words words;
		const char *why;

		config_words_quote(texts[i], quoted);
		print_message("%s\n", quoted);
		assert_true(config_words_split(&words, quoted, &why));
		assert_int_equal(words.count, 1);
		assert_string_equal(words.at[0], texts[i]);
	}
	char quoted[16];

	config_words_quote("6379", quoted);
	assert_string_equal(quoted, "6379");
}

static void test_join_stops_at_room(void **state)
{
	char one[] = "ab", two[] = "cd";
	char *words[] = {one, two};
	char joined[8];

	assert_true(config_words_join(words, 2, joined, sizeof(joined)));
	assert_string_equal(joined, "ab cd");
	assert_false(config_words_join(words, 2, joined, 5));
	assert_true(config_words_join(words, 0, joined, 1));
	assert_string_equal(joined, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_line_gives_words),
		cmocka_unit_test(test_split_line_too_long_is_refused),
		cmocka_unit_test(test_quote_reads_back_the_same),
		cmocka_unit_test(test_join_stops_at_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
