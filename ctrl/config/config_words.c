/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_words.h"

#include <ctype.h>
#include <string.h>

/*
 * The small language of a configuration line, as redis' sdssplitargs() reads it. Used for reading
 * the file, and for writing it in CONFIG REWRITE, so that what was written is read back the same.
 */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * The character that a backslash in double quotes stands for; *from is behind the backslash and
 * moves on.
 */
static char unescape(const char **from)
{
	const char *at = *from;

	if (at[0] == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
		*from += 3;
		return (char)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
	}
	*from += 1;
	switch (at[0]) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	default:
		return at[0];
	}
}

/*
 * A quoted word behind its opening quote. Returns what follows the closing one, or NULL when it is
 * not closed.
 */
static const char *split_quoted(const char *from, char quote, char **to)
{
	while (*from != quote) {
		if (*from == '\0')
			return NULL;
		if (*from == '\\' && from[1] != '\0' && (quote == '"' || from[1] == '\'')) {
			from++;
			*(*to)++ = unescape(&from);
		} else {
			*(*to)++ = *from++;
		}
	}
	from++;
	// A closing quote ends the word.
	return *from == '\0' || isspace((unsigned char)*from) ? from : NULL;
}

bool config_words_split(struct config_words *words, const char *line, const char **why)
{
	char *to = words->text;

	words->count = 0;
	if (strlen(line) >= CONFIG_LINE_MAX) {
		*why = "the line is too long";
		return false;
	}
	for (;;) {
		while (isspace((unsigned char)*line))
			line++;
		if (*line == '\0' || (*line == '#' && words->count == 0))
			return true;
		if (words->count == CONFIG_WORDS_MAX) {
			*why = "too many words";
			return false;
		}
		words->at[words->count++] = to;
		if (*line == '"' || *line == '\'') {
			line = split_quoted(line + 1, *line, &to);
			if (!line) {
				*why = "a quotation mark is not closed, or text follows "
				       "the closing one";
				return false;
			}
		} else {
			while (*line != '\0' && !isspace((unsigned char)*line))
				*to++ = *line++;
		}
		*to++ = '\0';
	}
}

/* One character inside double quotes. Returns behind what was written. */
static char *quote_character(unsigned char c, char *to)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		*to++ = '\\';
		*to++ = (char)c;
	} else if (isprint(c)) {
		*to++ = (char)c;
	} else {
		*to++ = '\\';
		*to++ = 'x';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	return to;
}

void config_words_quote(const char *text, char *quoted)
{
	bool plain = *text != '\0' && *text != '#';

	for (const char *c = text; *c; c++) {
		if (!isgraph((unsigned char)*c) || *c == '"' || *c == '\'' || *c == '\\')
			plain = false;
	}
	if (plain) {
		memcpy(quoted, text, strlen(text) + 1);
		return;
	}
	*quoted++ = '"';
	for (const char *c = text; *c; c++)
		quoted = quote_character((unsigned char)*c, quoted);
	*quoted++ = '"';
	*quoted = '\0';
}

bool config_words_join(char *const *words, size_t count, char *joined, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(words[i]);

		if (used + len + 2 > room)
			return false;
		if (i > 0)
			joined[used++] = ' ';
		memcpy(joined + used, words[i], len);
		used += len;
	}
	joined[used] = '\0';
	return true;
}
