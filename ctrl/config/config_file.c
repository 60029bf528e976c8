/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"
#include "ctrl/config/config_words.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The configuration file: one directive per line, in redis.conf's syntax. Read once at start,
 * before anything is opened. Every bad line is reported, so that one run shows all that is to be
 * mended.
 */

static void say_unknown(const char *path, unsigned line, const char *name, FILE *err)
{
	const char *meant = config_table_suggest(slice_of_text(name));

	if (meant)
		fprintf(err, "%s:%u: unknown directive '%s': did you mean '%s'?\n", path, line,
			name, meant);
	else
		fprintf(err,
			"%s:%u: unknown directive '%s': remove it, or see wirecached --help for "
			"those there are\n",
			path, line, name);
}

/* A line of words goes behind those before it, unless it is empty, which takes them back. */
static bool join_lines(const struct config_directive *directive, const struct config *config,
		       char value[CONFIG_VALUE_MAX])
{
	char before[CONFIG_VALUE_MAX], both[2 * CONFIG_VALUE_MAX];

	config_value_format(directive, config, before);
	if (value[0] == '\0' || before[0] == '\0')
		return true;
	if (snprintf(both, sizeof(both), "%s %s", before, value) >= CONFIG_VALUE_MAX)
		return false;
	memcpy(value, both, strlen(both) + 1);
	return true;
}

/* One line that is neither blank nor a comment. */
static bool read_directive(struct config *config, const struct config_words *words,
			   const char *path, unsigned line, FILE *err)
{
	const struct config_directive *directive = config_table_find(slice_of_text(words->at[0]));
	char value[CONFIG_VALUE_MAX];
	char why[CONFIG_WHY_MAX];
	bool many;

	if (!directive) {
		say_unknown(path, line, words->at[0], err);
		return false;
	}
	many = directive->type == CONFIG_TYPE_OUTPUT || directive->type == CONFIG_TYPE_FIXED ||
	       directive->type == CONFIG_TYPE_WORDS;
	if (words->count < 2 || (words->count > 2 && !many)) {
		fprintf(err, "%s:%u: %s takes %s: \"%s\" is the default\n", path, line,
			directive->name, many ? "values" : "one value (in quotes if it has blanks)",
			directive->initial);
		return false;
	}
	if (!config_words_join(words->at + 1, words->count - 1, value, sizeof(value)) ||
	    (directive->type == CONFIG_TYPE_WORDS && !join_lines(directive, config, value))) {
		fprintf(err, "%s:%u: the value of %s is too long\n", path, line, directive->name);
		return false;
	}
	if (!config_value_parse(directive, value, config, why)) {
		fprintf(err, "%s:%u: %s \"%s\": %s\n", path, line, directive->name, value, why);
		return false;
	}
	return true;
}

bool config_read_file(struct config *config, const char *path, FILE *err)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	bool good = true;
	unsigned line = 0;

	if (!file) {
		fprintf(err, "%s: cannot be read (%s): check its name and permissions\n", path,
			strerror(errno));
		return false;
	}
	while (getline(&text, &room, file) >= 0) {
		struct config_words words;
		const char *why;

		line++;
		if (!config_words_split(&words, text, &why)) {
			fprintf(err, "%s:%u: %s\n", path, line, why);
			good = false;
		} else if (words.count > 0 && !read_directive(config, &words, path, line, err)) {
			good = false;
		}
	}
	if (ferror(file)) {
		fprintf(err, "%s: cannot be read (%s)\n", path, strerror(errno));
		good = false;
	}
	free(text);
	fclose(file);
	return good;
}
