/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_table.h"
#include "ctrl/config/config_words.h"

/*
 * The table as text for people: --help, and --print-config, whose output is the wirecache.conf of
 * the source tree (a unit test compares them). Main thread, then exit.
 */

#define WRAP_COLUMNS 100

/* Prints the text at `column`, every line after the prefix, broken at blanks. */
static void print_wrapped(FILE *out, const char *prefix, const char *text)
{
	size_t width = WRAP_COLUMNS - strlen(prefix);

	while (*text) {
		size_t len = strlen(text);

		if (len > width) {
			len = width;
			while (len > 0 && text[len] != ' ')
				len--;
		}
		fprintf(out, "%s%.*s\n", prefix, (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

static void print_fixed(FILE *out, const struct config_directive *d, const char *value)
{
	fprintf(out, "# %s %s (%s)\n", d->name, value, d->help);
}

static void print_range(FILE *out, const struct config_directive *d)
{
	if (d->type != CONFIG_TYPE_INT && d->type != CONFIG_TYPE_BYTES)
		return;
	if (d->max == INT64_MAX)
		fprintf(out, "# At least %lld.\n", (long long)d->min);
	else
		fprintf(out, "# From %lld to %lld.\n", (long long)d->min, (long long)d->max);
}

static void print_directive(FILE *out, const struct config_directive *d)
{
	char quoted[4 * CONFIG_VALUE_MAX];

	// Several words are no quoted one.
	if (d->type == CONFIG_TYPE_OUTPUT ||
	    (d->type == CONFIG_TYPE_WORDS && d->initial[0] != '\0'))
		snprintf(quoted, sizeof(quoted), "%s", d->initial);
	else
		config_words_quote(d->initial, quoted);
	if (d->type == CONFIG_TYPE_FIXED) {
		print_fixed(out, d, quoted);
		return;
	}
	fprintf(out, "\n");
	print_wrapped(out, "# ", d->help);
	print_range(out, d);
	if (d->live)
		fprintf(out, "# CONFIG SET changes it.\n");
	fprintf(out, "%s%s %s\n", d->initial[0] == '\0' ? "# " : "", d->name, quoted);
}

void config_print_defaults(FILE *out)
{
	fprintf(out, "# The configuration of wirecached, with every directive at its default.\n"
		     "# Printed by: wirecached --print-config\n"
		     "#\n"
		     "# Sizes take redis' units: 1k is 1000 bytes, 1kb is 1024; likewise m, mb, g, "
		     "gb.\n");
	for (size_t i = 0; i < config_table_count(); i++) {
		const struct config_directive *d = config_table_at(i);

		if (d->name) {
			print_directive(out, d);
			continue;
		}
		fprintf(out, "\n\n## %s\n", d->section);
		print_wrapped(out, "## ", d->section_text);
	}
}

void config_print_help(FILE *out)
{
	fprintf(out,
		"usage: wirecached [FILE] [--directive value ...] [-- EAL arguments]\n\n"
		"FILE holds directives, one per line; those on the command line override it.\n\n"
		"  --help           this text\n"
		"  --version        the version\n"
		"  --check-config   say whether the configuration is good, start nothing\n"
		"  --print-config   a commented configuration file with all defaults\n");
	for (size_t i = 0; i < config_table_count(); i++) {
		const struct config_directive *d = config_table_at(i);

		if (!d->name) {
			fprintf(out, "\n%s\n", d->section);
			continue;
		}
		if (d->type == CONFIG_TYPE_FIXED) {
			fprintf(out, "  --%s \"%s\": %s\n", d->name, d->initial, d->help);
			continue;
		}
		fprintf(out, "  --%s (default \"%s\"%s)\n", d->name, d->initial,
			d->live ? ", CONFIG SET" : "");
		for (int word = 0; d->words && d->words[word]; word++)
			fprintf(out, "%s%s%s", word ? ", " : "        one of ", d->words[word],
				d->words[word + 1] ? "" : "\n");
		print_wrapped(out, "        ", d->help);
	}
}
