/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* The registry: every row is found by its words, and its columns make sense together. */

static const struct cmd *find(const char *first, const char *second)
{
	struct slice argv[2] = {slice_of_text(first), slice_of_text(second ? second : "")};

	return cmd_lookup(argv, second ? 2 : 1);
}

static void upper(char *text)
{
	for (; *text; text++) {
		if (*text >= 'a' && *text <= 'z')
			*text = (char)(*text - 0x20);
	}
}

static void test_every_row_found_in_any_case(void **state)
{
	for (uint32_t id = 0; id < cmd_count(); id++) {
		const struct cmd *cmd = cmd_at(id);
		char name[64];
		char *bar;

		strcpy(name, cmd->name);
		assert_int_equal(cmd->id, id);
		for (int round = 0; round < 2; round++) {
			bar = strchr(name, '|');
			if (bar) {
				*bar = '\0';
				assert_ptr_equal(find(name, bar + 1), cmd);
				*bar = '|';
			} else {
				assert_ptr_equal(find(name, NULL), cmd);
			}
			upper(name);
		}
	}
}

static void test_lookup_words_give_rows(void **state)
{
	static const struct {
		const char *first, *second;
		const char *name; // NULL: none
	} words[] = {
		{"get", "client", "get"},
		{"GeT", NULL, "get"},
		{"gett", NULL, NULL},
		{"ge", NULL, NULL},
		{"", NULL, NULL},
		{"client", NULL, "client"},
		{"client", "id", "client|id"},
		{"CLIENT", "No-Evict", "client|no-evict"},
		{"client", "nothing", "client"},
		{"client", "", "client"},
		{"client|id", NULL, NULL},
		{"config", "id", "config"},
		{"id", NULL, NULL},
		{"get ", NULL, NULL},
		{"G\x05T", NULL, NULL},
		{"client", "no\remove", "client"},
		{"commandcommandcommandcommandcommand", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		const struct cmd *cmd = find(words[i].first, words[i].second);

		if (words[i].name && cmd)
			assert_string_equal(cmd->name, words[i].name);
		else
			assert_true(!words[i].name && !cmd);
	}
}

/* Bits that only fold together by OR with 0x20 do not make two words equal. */
static void test_lookup_control_bytes_are_no_letters(void **state)
{
	struct slice word = {(const uint8_t *)"g\x45t", 3};
	struct slice other = {(const uint8_t *)"\x07"
					       "et",
			      3};

	assert_non_null(cmd_lookup(&word, 1));
	assert_null(cmd_lookup(&other, 1));
}

static void test_rows_are_consistent(void **state)
{
	for (uint32_t id = 0; id < cmd_count(); id++) {
		const struct cmd *cmd = cmd_at(id);
		bool both = (cmd->flags & CMD_WRITE) && (cmd->flags & CMD_READONLY);
		bool has_keys = cmd->first_key > 0;

		if (both || has_keys != (cmd->key_flags != NULL) ||
		    has_keys != (cmd->key_step > 0) ||
		    ((cmd->flags & CMD_DENYOOM) && !(cmd->flags & CMD_WRITE)) || cmd->arity == 0 ||
		    !cmd->run || !cmd->summary[0] || !cmd->group[0] ||
		    cmd->acl_categories[0] != '@')
			fail_msg("the row of %s", cmd->name);
		// Whoever finds the keys relies on the arity for them to be there.
		if (has_keys)
			assert_true(abs(cmd->arity) > cmd->first_key);
	}
}

static int init(void **state)
{
	cmd_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_found_in_any_case),
		cmocka_unit_test(test_lookup_words_give_rows),
		cmocka_unit_test(test_lookup_control_bytes_are_no_letters),
		cmocka_unit_test(test_rows_are_consistent),
	};

	return cmocka_run_group_tests(tests, init, NULL);
}
