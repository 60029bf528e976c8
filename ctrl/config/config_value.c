/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"

#include "base/number.h"

#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

/*
 * Values between text and field, one pair of functions per type of directive. Everything that is
 * refused comes from a user: a reason in words, never an assertion. Called for the file, the
 * command line and CONFIG SET.
 */

bool config_refuse(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CONFIG_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static void *field_of(const struct config_directive *directive, struct config *config)
{
	return (char *)config + directive->offset;
}

static const void *field_in(const struct config_directive *directive, const struct config *config)
{
	return (const char *)config + directive->offset;
}

/* Redis' units: k m g are powers of 1000, kb mb gb of 1024; b or nothing is bytes. */
static bool parse_memory(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		uint64_t factor;
	} units[] = {
		{"", 1},        {"b", 1},           {"k", 1000},       {"kb", 1ULL << 10},
		{"m", 1000000}, {"mb", 1ULL << 20}, {"g", 1000000000}, {"gb", 1ULL << 30},
	};

	size_t digits = strspn(text, "0123456789");
	uint64_t number;

	if (!number_parse_u64(slice_of(text, digits), &number))
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		if (strcasecmp(text + digits, units[i].unit) == 0)
			return !__builtin_mul_overflow(number, units[i].factor, bytes);
	}
	return false;
}

static bool in_range(const struct config_directive *d, int64_t value, char *why)
{
	if (value < d->min || value > d->max)
		return config_refuse(why, "argument must be between %lld and %lld inclusive",
				     (long long)d->min, (long long)d->max);
	return true;
}

static bool parse_int(const struct config_directive *d, const char *text, struct config *config,
		      char *why)
{
	int64_t value;

	if (!number_parse_i64(slice_of_text(text), &value))
		return config_refuse(why, "argument couldn't be parsed into an integer");
	if (!in_range(d, value, why))
		return false;
	*(int64_t *)field_of(d, config) = value;
	return true;
}

static bool parse_bytes(const struct config_directive *d, const char *text, struct config *config,
			char *why)
{
	uint64_t value;

	if (!parse_memory(text, &value) || value > INT64_MAX)
		return config_refuse(why, "argument must be a memory value");
	if (!in_range(d, (int64_t)value, why))
		return false;
	*(uint64_t *)field_of(d, config) = value;
	return true;
}

static bool parse_bool(const struct config_directive *d, const char *text, struct config *config,
		       char *why)
{
	bool yes = strcasecmp(text, "yes") == 0;

	if (!yes && strcasecmp(text, "no") != 0)
		return config_refuse(why, "argument must be 'yes' or 'no'");
	*(bool *)field_of(d, config) = yes;
	return true;
}

static bool parse_enum(const struct config_directive *d, const char *text, struct config *config,
		       char *why)
{
	int used;

	for (int i = 0; d->words[i]; i++) {
		if (strcasecmp(text, d->words[i]) == 0) {
			*(int *)field_of(d, config) = i;
			return true;
		}
	}
	used = snprintf(why, CONFIG_WHY_MAX, "argument(s) must be one of the following: ");
	for (int i = 0; d->words[i]; i++)
		used += snprintf(why + used, CONFIG_WHY_MAX - (size_t)used, "%s%s", i ? ", " : "",
				 d->words[i]);
	INVARIANT(used < CONFIG_WHY_MAX);
	return false;
}

static bool parse_text(const struct config_directive *d, const char *text, struct config *config,
		       char *why)
{
	size_t len = strlen(text);

	if (len >= CONFIG_TEXT_MAX)
		return config_refuse(why, "argument must be shorter than %d bytes",
				     CONFIG_TEXT_MAX);
	if (!d->check(text, why))
		return false;
	memcpy(field_of(d, config), text, len + 1);
	return true;
}

static const char *const class_words[CONFIG_CLASS_COUNT] = {"normal", "slave", "pubsub"};

static int class_find(const char *word)
{
	if (strcasecmp(word, "replica") == 0)
		return CONFIG_CLASS_SLAVE;
	for (int i = 0; i < CONFIG_CLASS_COUNT; i++) {
		if (strcasecmp(word, class_words[i]) == 0)
			return i;
	}
	return -1;
}

/* Groups of four words; a class that is not named keeps its limits. */
static bool parse_output(const struct config_directive *d, const char *text, struct config *config,
			 char *why)
{
	struct config_output_limits limits = *(struct config_output_limits *)field_of(d, config);
	char words[CONFIG_VALUE_MAX];
	char *save = NULL;

	if (strlen(text) >= sizeof(words))
		return config_refuse(why, "argument must be shorter than %zu bytes", sizeof(words));
	memcpy(words, text, strlen(text) + 1);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		const char *hard = strtok_r(NULL, " ", &save);
		const char *soft = strtok_r(NULL, " ", &save);
		const char *seconds = strtok_r(NULL, " ", &save);
		int class = class_find(word);
		uint64_t hard_bytes, soft_bytes;
		int64_t soft_s;

		if (!seconds)
			return config_refuse(
				why, "Wrong number of arguments in buffer limit configuration.");
		if (class < 0)
			return config_refuse(
				why,
				"Invalid client class specified in buffer limit configuration.");
		if (!parse_memory(hard, &hard_bytes) || !parse_memory(soft, &soft_bytes) ||
		    !number_parse_i64(slice_of_text(seconds), &soft_s) || soft_s < 0 ||
		    soft_s > INT32_MAX)
			return config_refuse(
				why, "Error in hard, soft or soft_seconds setting in buffer "
				     "limit configuration.");
		limits.hard_bytes[class] = hard_bytes;
		limits.soft_bytes[class] = soft_bytes;
		limits.soft_s[class] = (uint32_t)soft_s;
	}
	*(struct config_output_limits *)field_of(d, config) = limits;
	return true;
}

static bool parse_fixed(const struct config_directive *d, const char *text, struct config *config,
			char *why)
{
	if (strcasecmp(text, d->initial) != 0)
		return config_refuse(why, "argument must be \"%s\": %s", d->initial, d->help);
	return true;
}

bool config_value_parse(const struct config_directive *directive, const char *text,
			struct config *config, char *why)
{
	static bool (*const parsers[])(const struct config_directive *, const char *,
				       struct config *, char *) = {
		[CONFIG_TYPE_INT] = parse_int,       [CONFIG_TYPE_BYTES] = parse_bytes,
		[CONFIG_TYPE_BOOL] = parse_bool,     [CONFIG_TYPE_ENUM] = parse_enum,
		[CONFIG_TYPE_TEXT] = parse_text,     [CONFIG_TYPE_WORDS] = parse_text,
		[CONFIG_TYPE_OUTPUT] = parse_output, [CONFIG_TYPE_FIXED] = parse_fixed,
	};

	REQUIRE(directive->name);
	return parsers[directive->type](directive, text, config, why);
}

static void format_output(const struct config_output_limits *limits, char text[CONFIG_VALUE_MAX])
{
	int used = 0;

	for (int i = 0; i < CONFIG_CLASS_COUNT; i++)
		used += snprintf(text + used, CONFIG_VALUE_MAX - (size_t)used, "%s%s %llu %llu %u",
				 i ? " " : "", class_words[i],
				 (unsigned long long)limits->hard_bytes[i],
				 (unsigned long long)limits->soft_bytes[i], limits->soft_s[i]);
	INVARIANT(used < CONFIG_VALUE_MAX);
}

void config_value_format(const struct config_directive *directive, const struct config *config,
			 char text[CONFIG_VALUE_MAX])
{
	const void *field = field_in(directive, config);

	switch (directive->type) {
	case CONFIG_TYPE_INT:
		snprintf(text, CONFIG_VALUE_MAX, "%lld", (long long)*(const int64_t *)field);
		break;
	case CONFIG_TYPE_BYTES:
		snprintf(text, CONFIG_VALUE_MAX, "%llu",
			 (unsigned long long)*(const uint64_t *)field);
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(text, CONFIG_VALUE_MAX, "%s", *(const bool *)field ? "yes" : "no");
		break;
	case CONFIG_TYPE_ENUM:
		snprintf(text, CONFIG_VALUE_MAX, "%s", directive->words[*(const int *)field]);
		break;
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_WORDS:
		snprintf(text, CONFIG_VALUE_MAX, "%s", (const char *)field);
		break;
	case CONFIG_TYPE_OUTPUT:
		format_output(field, text);
		break;
	case CONFIG_TYPE_FIXED:
		snprintf(text, CONFIG_VALUE_MAX, "%s", directive->initial);
		break;
	}
}
