/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"
#include "ctrl/config/config_words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * CONFIG REWRITE: the file takes over the values of the run. Lines that already say the right
 * thing, comments and blank lines stay as they are. The new text goes into a file beside the old
 * one, is made durable, and takes its name. Control thread; it may wait for the disk.
 */

#define TABLE_ROWS_MAX   256
#define APPENDED_HEADING "# Written by CONFIG REWRITE"

/* Which directives the file has shown so far, by table row. */
struct progress {
	const struct config *config;
	bool seen[TABLE_ROWS_MAX];
	bool appended;
};

static size_t row_of(const struct config_directive *directive)
{
	size_t row = (size_t)(directive - config_table_at(0));

	INVARIANT(row < TABLE_ROWS_MAX);
	return row;
}

static void write_value(FILE *out, const struct config_directive *directive,
			const struct config *config)
{
	char value[CONFIG_VALUE_MAX];
	char quoted[4 * CONFIG_VALUE_MAX + 3];

	config_value_format(directive, config, value);
	if (directive->type == CONFIG_TYPE_OUTPUT ||
	    (directive->type == CONFIG_TYPE_WORDS && value[0] != '\0'))
		snprintf(quoted, sizeof(quoted), "%s", value);
	else
		config_words_quote(value, quoted);
	fprintf(out, "%s %s\n", directive->name, quoted);
}

static bool same_value(const struct config_directive *directive, const struct config *a,
		       const struct config *b)
{
	char text_a[CONFIG_VALUE_MAX], text_b[CONFIG_VALUE_MAX];

	config_value_format(directive, a, text_a);
	config_value_format(directive, b, text_b);
	return strcmp(text_a, text_b) == 0;
}

/* Whether the line, as it stands, gives its directive the value of the run. */
static bool says_so(const struct config_directive *directive, const struct config_words *words,
		    const struct config *config)
{
	struct config_store read;
	char value[CONFIG_VALUE_MAX];
	char why[CONFIG_WHY_MAX];

	config_init(&read);
	return config_words_join(words->at + 1, words->count - 1, value, sizeof(value)) &&
	       config_value_parse(directive, value, &read.now, why) &&
	       same_value(directive, &read.now, config);
}

static void rewrite_line(FILE *out, const char *line, struct progress *progress)
{
	const struct config_directive *directive = NULL;
	struct config_words words;
	const char *why;

	if (config_words_split(&words, line, &why) && words.count > 0)
		directive = config_table_find(slice_of_text(words.at[0]));
	// A line that is not understood was put there after the start; it is its author's to mend.
	if (!directive) {
		fputs(line, out);
		if (line[0] && line[strlen(line) - 1] != '\n')
			fputc('\n', out);
		return;
	}
	if (progress->seen[row_of(directive)])
		return; // said already, by the line that was there first
	progress->seen[row_of(directive)] = true;
	if (says_so(directive, &words, progress->config))
		fprintf(out, "%s%s", line, line[strlen(line) - 1] == '\n' ? "" : "\n");
	else
		write_value(out, directive, progress->config);
}

/* What the file has not said and is not the default. */
static void append_missing(FILE *out, struct progress *progress)
{
	struct config_store defaults;

	config_init(&defaults);
	for (size_t row = 0; row < config_table_count(); row++) {
		const struct config_directive *directive = config_table_at(row);

		if (!directive->name || progress->seen[row] ||
		    same_value(directive, &defaults.now, progress->config))
			continue;
		if (!progress->appended)
			fprintf(out, APPENDED_HEADING "\n");
		progress->appended = true;
		write_value(out, directive, progress->config);
	}
}

/* Copies `from` to `to` with the values of the run. 0 or a negative errno. */
static int rewrite_stream(FILE *from, FILE *to, const struct config *config)
{
	struct progress progress = {.config = config};
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, from) >= 0) {
		// Not written twice: the heading is there from the last time.
		if (strcmp(line, APPENDED_HEADING "\n") == 0)
			progress.appended = true;
		rewrite_line(to, line, &progress);
	}
	free(line);
	if (ferror(from))
		return -EIO;
	append_missing(to, &progress);
	if (fflush(to) != 0 || fsync(fileno(to)) != 0)
		return -errno;
	return 0;
}

/* The rename is durable when the directory is. */
static int sync_directory_of(const char *path)
{
	char directory[CONFIG_PATH_MAX];
	char *slash;
	int fd, err;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	INVARIANT(slash);
	slash[slash == directory] = '\0';
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return err;
}

static FILE *create_beside(const char *path, FILE *model, char temporary[CONFIG_PATH_MAX])
{
	struct stat st;
	FILE *file;
	int fd;

	if (snprintf(temporary, CONFIG_PATH_MAX, "%s.XXXXXX", path) >= CONFIG_PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fileno(model), &st) != 0 || fchmod(fd, st.st_mode & 0777) != 0 ||
	    !(file = fdopen(fd, "w"))) {
		int err = errno;

		close(fd);
		unlink(temporary);
		errno = err;
		return NULL;
	}
	return file;
}

int config_rewrite(const struct config_store *store)
{
	char temporary[CONFIG_PATH_MAX];
	FILE *from, *to;
	int err;

	if (store->path[0] == '\0')
		return -ENOENT;
	from = fopen(store->path, "re");
	if (!from)
		return -errno;
	to = create_beside(store->path, from, temporary);
	if (!to) {
		err = -errno;
		goto out_close;
	}
	err = rewrite_stream(from, to, &store->now);
	if (fclose(to) != 0 && err == 0)
		err = -errno;
	if (err == 0 && rename(temporary, store->path) != 0)
		err = -errno;
	if (err != 0)
		unlink(temporary);
	else
		err = sync_directory_of(store->path);
out_close:
	fclose(from);
	return err;
}
