/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"
#include "ctrl/config/config_words.h"

#include <stdlib.h>

/*
 * The command line: wirecached [FILE] [--directive value ...] [-- EAL arguments]. The file is read
 * first, wherever it stands; the directives behind it override it. Main thread, before anything is
 * started.
 */

/* What the first pass over the arguments finds. */
struct scan {
	const char *file;
	int first_directive; // index of the first --directive, or argc
	int end;             // index of "--", or argc
	bool check_only;
};

static bool usage_error(FILE *err, const char *what, const char *argument)
{
	fprintf(err,
		"wirecached: %s '%s'\n"
		"usage: wirecached [FILE] [--directive value ...] [-- EAL arguments]\n"
		"Try wirecached --help.\n",
		what, argument);
	return false;
}

/* True when the argument was a question that has been answered. */
static bool answered(const char *argument, FILE *out)
{
	if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
		config_print_help(out);
	else if (strcmp(argument, "--version") == 0 || strcmp(argument, "-v") == 0)
		fprintf(out, "wirecache %s\n", WIRECACHE_VERSION);
	else if (strcmp(argument, "--print-config") == 0)
		config_print_defaults(out);
	else
		return false;
	return true;
}

/*
 * Finds the file, "--" and the options that are no directives. An argument that starts with --
 * begins a directive, whose values are all up to the next such argument.
 */
static enum config_verdict scan_args(int argc, char *const *argv, struct scan *scan, FILE *out,
				     FILE *err)
{
	*scan = (struct scan){.first_directive = argc, .end = argc};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			scan->end = i;
			break;
		}
		if (answered(argv[i], out))
			return CONFIG_EXIT_OK;
		if (strcmp(argv[i], "--check-config") == 0) {
			scan->check_only = true;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (scan->first_directive == argc)
				scan->first_directive = i;
		} else if (scan->first_directive < argc) {
			continue; // a value
		} else if (scan->file || argv[i][0] == '-') {
			usage_error(err, "unexpected argument", argv[i]);
			return CONFIG_EXIT_BAD;
		} else {
			scan->file = argv[i];
		}
	}
	return CONFIG_RUN;
}

static int count_values(int at, int end, char *const *argv)
{
	int count = 0;

	while (at + count < end && strncmp(argv[at + count], "--", 2) != 0)
		count++;
	return count;
}

/* One "--name value ..." whose values are argv[at + 1, at + 1 + count). */
static bool take_directive(struct config *config, char *const *argv, int at, int count, FILE *err)
{
	const char *name = argv[at] + 2;
	const struct config_directive *directive = config_table_find(slice_of_text(name));
	char value[CONFIG_VALUE_MAX];
	char why[CONFIG_WHY_MAX];

	if (!directive) {
		const char *meant = config_table_suggest(slice_of_text(name));

		if (!meant)
			return usage_error(err, "unknown option", argv[at]);
		fprintf(err, "wirecached: unknown option '%s': did you mean '--%s'?\n", argv[at],
			meant);
		return false;
	}
	if (count == 0) {
		fprintf(err, "wirecached: %s needs a value, for example: %s \"%s\"\n", argv[at],
			argv[at], directive->initial);
		return false;
	}
	if (!config_words_join(argv + at + 1, (size_t)count, value, sizeof(value))) {
		fprintf(err, "wirecached: the value of %s is too long\n", argv[at]);
		return false;
	}
	if (!config_value_parse(directive, value, config, why)) {
		fprintf(err, "wirecached: %s \"%s\": %s\n", argv[at], value, why);
		return false;
	}
	return true;
}

static bool take_directives(struct config *config, const struct scan *scan, char *const *argv,
			    FILE *err)
{
	bool good = true;

	for (int i = scan->first_directive; i < scan->end;) {
		int count = count_values(i + 1, scan->end, argv);

		if (strcmp(argv[i], "--check-config") != 0)
			good = take_directive(config, argv, i, count, err) && good;
		i += 1 + count;
	}
	return good;
}

enum config_verdict config_load(struct config_store *store, int argc, char *const *argv,
				struct config_command_line *line, FILE *out, FILE *err)
{
	char why[CONFIG_WHY_MAX];
	struct scan scan;
	enum config_verdict verdict = scan_args(argc, argv, &scan, out, err);
	bool good = true;

	if (verdict != CONFIG_RUN)
		return verdict;
	config_init(store);
	if (scan.file) {
		good = config_read_file(&store->now, scan.file, err);
		// The directory may change later, and CONFIG REWRITE has to find the file again.
		if (good && !realpath(scan.file, store->path))
			store->path[0] = '\0';
	}
	good = take_directives(&store->now, &scan, argv, err) && good;
	good = good && config_read_parameters(&store->now, err);
	if (good && !config_validate(&store->now, why)) {
		fprintf(err, "wirecached: %s\n", why);
		good = false;
	}
	if (!good)
		return CONFIG_EXIT_BAD;
	if (scan.check_only) {
		fprintf(out, "%s: good\n", scan.file ? scan.file : "configuration");
		return CONFIG_EXIT_OK;
	}
	line->eal_args = scan.end < argc ? argv + scan.end + 1 : NULL;
	line->eal_args_count = scan.end < argc ? argc - scan.end - 1 : 0;
	return CONFIG_RUN;
}
