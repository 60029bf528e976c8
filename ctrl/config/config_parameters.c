/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "ctrl/config/config_value.h"
#include "ctrl/config/config_words.h"
#include "dataplane/table/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * memcached-parameter-file: what an ElastiCache parameter group says, for those who bring theirs.
 * Every name and value is checked; what stands for a directive goes before it, the rest is kept to
 * be shown. Main thread, at start.
 */

enum kind {
	KIND_INT,
	KIND_DECIMAL,
	KIND_FLAG,
	KIND_WORD,
};

struct parameter {
	const char *name;
	enum kind kind;
	int64_t min, max;
	const char *words;
	const char *setting;
	bool inverted;
	void (*apply)(struct config *config, const char *value);
};

/* Nobody is refused by "binary": the text protocol is what all clients fall back to. */
static void apply_binding_protocol(struct config *config, const char *value)
{
	config->memcached_text_only = strcmp(value, "ascii") == 0;
}

static void apply_disable_flush_all(struct config *config, const char *value)
{
	config->memcached_flush_enabled = value[0] == '0';
}

/* A memcached that may evict does so by LRU; any policy of ours that evicts will do. */
static void apply_error_on_memory_exhausted(struct config *config, const char *value)
{
	if (value[0] == '1')
		config->maxmemory_policy = TABLE_NOEVICTION;
	else if (config->maxmemory_policy == TABLE_NOEVICTION)
		config->maxmemory_policy = TABLE_ALLKEYS_LRU;
}

static void apply_idle_timeout(struct config *config, const char *value)
{
	config->memcached_idle_timeout = strtoll(value, NULL, 10);
}

static void apply_max_item_size(struct config *config, const char *value)
{
	config->memcached_max_item_size = strtoull(value, NULL, 10);
}

static void apply_max_simultaneous_connections(struct config *config, const char *value)
{
	config->maxclients = strtoll(value, NULL, 10);
}

static const struct parameter parameters[] = {
#define PARAMETER_INT(name_, min_, max_, setting_, apply_)                                         \
	{.name = name_,                                                                            \
	 .kind = KIND_INT,                                                                         \
	 .min = min_,                                                                              \
	 .max = max_,                                                                              \
	 .setting = setting_,                                                                      \
	 .apply = apply_},
#define PARAMETER_DECIMAL(name_, min_, max_, setting_)                                             \
	{.name = name_, .kind = KIND_DECIMAL, .min = min_, .max = max_, .setting = setting_},
#define PARAMETER_FLAG(name_, setting_, inverted_, apply_)                                         \
	{.name = name_,                                                                            \
	 .kind = KIND_FLAG,                                                                        \
	 .setting = setting_,                                                                      \
	 .inverted = inverted_,                                                                    \
	 .apply = apply_},
#define PARAMETER_WORD(name_, words_, setting_, apply_)                                            \
	{.name = name_, .kind = KIND_WORD, .words = words_, .setting = setting_, .apply = apply_},
#include "ctrl/config/parameter.def"
#undef PARAMETER_INT
#undef PARAMETER_DECIMAL
#undef PARAMETER_FLAG
#undef PARAMETER_WORD
};

_Static_assert(ARRAY_COUNT(parameters) <= CONFIG_PARAMETERS_MAX, "each has its place");

static bool is_one_of(const char *words, const char *value)
{
	for (const char *at = words; *at != '\0'; at += *at == '|') {
		size_t len = strcspn(at, "|");

		if (strlen(value) == len && strncmp(at, value, len) == 0)
			return true;
		at += len;
	}
	return false;
}

static bool is_good(const struct parameter *p, const char *value)
{
	int64_t number;
	char *end;
	double decimal;

	switch (p->kind) {
	case KIND_INT:
		return number_parse_i64(slice_of_text(value), &number) && number >= p->min &&
		       number <= p->max;
	case KIND_DECIMAL:
		decimal = strtod(value, &end);
		return end != value && *end == '\0' && decimal >= (double)p->min &&
		       decimal <= (double)p->max;
	case KIND_FLAG:
		return (value[0] == '0' || value[0] == '1') && value[1] == '\0';
	case KIND_WORD:
		return is_one_of(p->words, value);
	}
	return false;
}

static void say_wanted(const struct parameter *p, FILE *err)
{
	switch (p->kind) {
	case KIND_INT:
	case KIND_DECIMAL:
		fprintf(err, "it takes a number from %lld to %lld\n", (long long)p->min,
			(long long)p->max);
		return;
	case KIND_FLAG:
		fprintf(err, "it takes 0 or 1\n");
		return;
	case KIND_WORD:
		fprintf(err, "it takes one of %s\n", p->words);
		return;
	}
}

/* As `stats settings` is to show it. */
static void keep(struct config *config, size_t row, const char *value)
{
	const struct parameter *p = &parameters[row];

	if (p->kind == KIND_FLAG)
		value = (value[0] == '1') != p->inverted ? "yes" : "no";
	snprintf(config->parameters[row], CONFIG_PARAMETER_MAX, "%s", value);
	if (p->kind == KIND_WORD && strcmp(value, "auto") == 0)
		snprintf(config->parameters[row], CONFIG_PARAMETER_MAX, "auto-negotiate");
}

static bool take(struct config *config, const struct config_words *words, const char *path,
		 unsigned line, FILE *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(parameters); i++) {
		const struct parameter *p = &parameters[i];

		if (strcmp(p->name, words->at[0]) != 0)
			continue;
		if (words->count != 2 || strlen(words->at[1]) >= CONFIG_PARAMETER_MAX ||
		    !is_good(p, words->at[1])) {
			fprintf(err, "%s:%u: %s: ", path, line, p->name);
			say_wanted(p, err);
			return false;
		}
		keep(config, i, words->at[1]);
		if (p->apply)
			p->apply(config, words->at[1]);
		return true;
	}
	fprintf(err, "%s:%u: '%s' is no parameter of family memcached1.6\n", path, line,
		words->at[0]);
	return false;
}

bool config_read_parameters(struct config *config, FILE *err)
{
	const char *path = config->memcached_parameter_file;
	FILE *file = path[0] ? fopen(path, "re") : NULL;
	char *text = NULL;
	size_t room = 0;
	bool good = true;

	if (path[0] == '\0')
		return true;
	if (!file) {
		fprintf(err, "%s: cannot be read (%s): see memcached-parameter-file\n", path,
			strerror(errno));
		return false;
	}
	for (unsigned line = 1; getline(&text, &room, file) >= 0; line++) {
		struct config_words words;
		const char *why;

		if (!config_words_split(&words, text, &why)) {
			fprintf(err, "%s:%u: %s\n", path, line, why);
			good = false;
		} else if (words.count > 0 && !take(config, &words, path, line, err)) {
			good = false;
		}
	}
	free(text);
	fclose(file);
	return good;
}

const char *config_parameter(const void *arg, const char *setting)
{
	const struct config *config = arg;

	for (size_t i = 0; i < ARRAY_COUNT(parameters); i++) {
		if (config->parameters[i][0] != '\0' && strcmp(parameters[i].setting, setting) == 0)
			return config->parameters[i];
	}
	return NULL;
}
