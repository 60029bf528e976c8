/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

/* A line of the configuration file as words, with redis' quotes; inside ctrl/config only. */

#define CONFIG_WORDS_MAX 32   // words of a line
#define CONFIG_LINE_MAX  4096 // bytes of a line, with its terminator

/* Words of one line, unquoted. */
struct config_words {
	char text[CONFIG_LINE_MAX];
	char *at[CONFIG_WORDS_MAX];
	size_t count; // 0: a blank line or a comment
};

/*
 * Splits at blanks. "double quotes" know \n \r \t \b \a \xHH \" \\, 'single quotes' only \'. False,
 * with a static reason, when a quote is not closed or the line is too long.
 */
MUST_USE bool config_words_split(struct config_words *words, const char *line, const char **why);

/*
 * The text as one word of a line: in quotes where it needs them. `quoted` has room for 4 *
 * strlen(text) + 3 bytes.
 */
void config_words_quote(const char *text, char *quoted);

/* All words from `first` on, joined by blanks. False when they do not fit. */
MUST_USE bool config_words_join(char *const *words, size_t count, char *joined, size_t room);
