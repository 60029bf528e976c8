/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_table.h"

#include "ctrl/config/config_value.h"
#include "dataplane/table/table.h"

#include <strings.h>

/*
 * The one table behind the file, the command line, --help, CONFIG GET and CONFIG SET, built from
 * config.def. Main thread at start, control thread later; constant.
 */

// The order is that of the enums that the fields hold: log_level, table_policy, config_poll_idle.
static const char *const config_loglevel_words[] = {"debug", "verbose", "notice", "warning", NULL};
#define POLICY_WORD(name, word) word,
static const char *const config_policy_words[] = {TABLE_POLICIES(POLICY_WORD) NULL};
#undef POLICY_WORD
static const char *const config_poll_idle_words[] = {"auto", "busy", "adaptive", NULL};

enum {
	LIVE = true,
	START = false,
};

#define DIRECTIVE(kind, field_, name_, initial_, when_, help_, ...)                                \
	{.name = name_,                                                                            \
	 .type = CONFIG_TYPE_##kind,                                                               \
	 .live = when_,                                                                            \
	 .offset = offsetof(struct config, field_),                                                \
	 .initial = initial_,                                                                      \
	 .help = help_,                                                                            \
	 __VA_ARGS__},

static const struct config_directive table[] = {
// A section is a row without a name, so that the table keeps config.def's order.
#define CONFIG_SECTION(title, text) {.section = title, .section_text = text},
#define CONFIG_INT(f, name, initial, lo, hi, when, help)                                           \
	DIRECTIVE(INT, f, name, initial, when, help, .min = lo, .max = hi)
#define CONFIG_BYTES(f, name, initial, lo, hi, when, help)                                         \
	DIRECTIVE(BYTES, f, name, initial, when, help, .min = lo, .max = hi)
#define CONFIG_BOOL(f, name, initial, when, help)                                                  \
	DIRECTIVE(BOOL, f, name, initial, when, help, .min = 0)
#define CONFIG_ENUM(f, name, initial, list, when, help)                                            \
	DIRECTIVE(ENUM, f, name, initial, when, help, .words = list)
#define CONFIG_TEXT(f, name, initial, check_, when, help)                                          \
	DIRECTIVE(TEXT, f, name, initial, when, help, .check = check_)
#define CONFIG_WORDS(f, name, initial, check_, when, help)                                         \
	DIRECTIVE(WORDS, f, name, initial, when, help, .check = check_)
#define CONFIG_OUTPUT(f, name, initial, when, help)                                                \
	DIRECTIVE(OUTPUT, f, name, initial, when, help, .min = 0)
#define CONFIG_FIXED(name_, value, help_)                                                          \
	{.name = name_, .type = CONFIG_TYPE_FIXED, .initial = value, .help = help_},
#include "ctrl/config/config.def"
};

#define EDITS_MAX           2  // a suggestion differs by at most so many letters
#define SUGGEST_LETTERS_MAX 40 // letters of a name that are compared

size_t config_table_count(void)
{
	return ARRAY_COUNT(table);
}

const struct config_directive *config_table_at(size_t index)
{
	REQUIRE(index < ARRAY_COUNT(table));
	return &table[index];
}

const struct config_directive *config_table_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (table[i].name && slice_equal_nocase(name, table[i].name))
			return &table[i];
	}
	return NULL;
}

/* Letters to insert, delete or replace to make `b` of `a` (Levenshtein), by rows. */
static size_t edit_distance(struct slice a, struct slice b)
{
	size_t row[SUGGEST_LETTERS_MAX + 1];

	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b.len];
}

const char *config_table_suggest(struct slice name)
{
	const char *best = NULL;
	size_t allowed = (name.len + 2) / 3; // a short word is not to become any other
	size_t least = (allowed < EDITS_MAX ? allowed : EDITS_MAX) + 1;

	if (name.len > SUGGEST_LETTERS_MAX)
		return NULL;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (!table[i].name || strlen(table[i].name) > SUGGEST_LETTERS_MAX)
			continue;
		size_t edits = edit_distance(name, slice_of_text(table[i].name));

		if (edits < least) {
			least = edits;
			best = table[i].name;
		}
	}
	return best;
}
