/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

/*
 * Values between text and field, one pair of functions per type of directive. Everything that is
 * refused comes from a user: a reason in words, never an assertion. Called for the file, the
 * command line and CONFIG SET.
 */

static bool refuse(char *why, const char *format, ...) PRINTF(2, 3);

static bool refuse(char *why, const char *format, ...)
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
		return refuse(why, "argument must be between %lld and %lld inclusive",
			      (long long)d->min, (long long)d->max);
	return true;
}

static bool parse_int(const struct config_directive *d, const char *text, struct config *config,
		      char *why)
{
	int64_t value;

	if (!number_parse_i64(slice_of_text(text), &value))
		return refuse(why, "argument couldn't be parsed into an integer");
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
		return refuse(why, "argument must be a memory value");
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
		return refuse(why, "argument must be 'yes' or 'no'");
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
		return refuse(why, "argument must be shorter than %d bytes", CONFIG_TEXT_MAX);
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
		return refuse(why, "argument must be shorter than %zu bytes", sizeof(words));
	memcpy(words, text, strlen(text) + 1);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		const char *hard = strtok_r(NULL, " ", &save);
		const char *soft = strtok_r(NULL, " ", &save);
		const char *seconds = strtok_r(NULL, " ", &save);
		int class = class_find(word);
		uint64_t hard_bytes, soft_bytes;
		int64_t soft_s;

		if (!seconds)
			return refuse(why,
				      "Wrong number of arguments in buffer limit configuration.");
		if (class < 0)
			return refuse(
				why,
				"Invalid client class specified in buffer limit configuration.");
		if (!parse_memory(hard, &hard_bytes) || !parse_memory(soft, &soft_bytes) ||
		    !number_parse_i64(slice_of_text(seconds), &soft_s) || soft_s < 0 ||
		    soft_s > INT32_MAX)
			return refuse(why, "Error in hard, soft or soft_seconds setting in buffer "
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
		return refuse(why, "argument must be \"%s\": %s", d->initial, d->help);
	return true;
}

bool config_value_parse(const struct config_directive *directive, const char *text,
			struct config *config, char *why)
{
	static bool (*const parsers[])(const struct config_directive *, const char *,
				       struct config *, char *) = {
		[CONFIG_TYPE_INT] = parse_int,     [CONFIG_TYPE_BYTES] = parse_bytes,
		[CONFIG_TYPE_BOOL] = parse_bool,   [CONFIG_TYPE_ENUM] = parse_enum,
		[CONFIG_TYPE_TEXT] = parse_text,   [CONFIG_TYPE_OUTPUT] = parse_output,
		[CONFIG_TYPE_FIXED] = parse_fixed,
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

bool config_parse_address(const char *text, struct config_address *address)
{
	struct config_address v4 = {.bytes = {[10] = 0xff, [11] = 0xff}, .v4 = true};
	struct config_address v6 = {.v4 = false};

	if (inet_pton(AF_INET, text, v4.bytes + 12) == 1)
		*address = v4;
	else if (inet_pton(AF_INET6, text, v6.bytes) == 1)
		*address = v6;
	else
		return false;
	return true;
}

bool config_parse_network(const char *text, struct config_network *network)
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	struct config_network parsed;
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (!config_parse_address(host, &parsed.address) ||
	    !number_parse_u64(slice_of_text(slash + 1), &bits))
		return false;
	if (bits < 1 || bits > (parsed.address.v4 ? 32 : 128))
		return false;
	parsed.prefix_bits = (unsigned)bits;
	*network = parsed;
	return true;
}

int config_parse_networks(const char *text, struct config_network networks[CONFIG_NETWORKS_MAX])
{
	char copy[CONFIG_TEXT_MAX];
	char *rest = copy, *word;
	int count = 0;

	if (*text == '\0')
		return 0;
	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, ","))) {
		struct config_network network;

		if (count == CONFIG_NETWORKS_MAX || !config_parse_network(word, &network))
			return -1;
		networks[count++] = network;
	}
	return count;
}

/* One "a" or "a-b" up to a comma or the end; NULL when it is malformed. */
static const char *parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	size_t digits = strspn(text, "0123456789");

	if (!number_parse_u64(slice_of(text, digits), first))
		return NULL;
	*last = *first;
	text += digits;
	if (*text == '-') {
		digits = strspn(++text, "0123456789");
		if (!number_parse_u64(slice_of(text, digits), last))
			return NULL;
		text += digits;
	}
	return *last >= *first && *last < 4096 ? text : NULL;
}

int config_parse_cores(const char *text, int cores[CONFIG_CORES_MAX])
{
	int parsed[CONFIG_CORES_MAX];
	int count = 0;

	if (*text == '\0')
		return 0;
	for (;;) {
		uint64_t first, last;

		text = parse_range(text, &first, &last);
		if (!text)
			return -1;
		for (uint64_t core = first; core <= last; core++) {
			for (int i = 0; i < count; i++) {
				if (parsed[i] == (int)core)
					return -1;
			}
			if (count == CONFIG_CORES_MAX)
				return -1;
			parsed[count++] = (int)core;
		}
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return -1;
	}
	memcpy(cores, parsed, (size_t)count * sizeof(cores[0]));
	return count;
}

bool config_check_any(const char *value, char *why)
{
	return true;
}

static bool is_address(const char *value, bool v4)
{
	struct config_address address;

	return config_parse_address(value, &address) && address.v4 == v4;
}

/* Not such as no host has: a group, the unspecified, a loopback or a mapped address. */
static bool is_ours6(const struct config_network *network)
{
	static const uint8_t zeros[15];
	const uint8_t *bytes = network->address.bytes;

	return !network->address.v4 && bytes[0] != 0xff && memcmp(bytes, zeros, 10) != 0;
}

bool config_check_ip4(const char *value, char *why)
{
	return is_address(value, true) ||
	       refuse(why, "argument must be an IPv4 address such as 127.0.0.1");
}

bool config_check_ip4_or_empty(const char *value, char *why)
{
	return *value == '\0' || config_check_ip4(value, why);
}

bool config_check_ip6_or_empty(const char *value, char *why)
{
	return *value == '\0' || is_address(value, false) ||
	       refuse(why, "argument must be an IPv6 address such as fe80::1");
}

bool config_check_cidr(const char *value, char *why)
{
	struct config_network network;

	// Empty is the default; that one must be set is for config_validate() to say.
	return *value == '\0' || (config_parse_network(value, &network) && network.address.v4) ||
	       refuse(why,
		      "argument must be an IPv4 address and prefix length such as 10.99.0.2/24");
}

bool config_check_cidr6(const char *value, char *why)
{
	struct config_network network;

	return *value == '\0' || (config_parse_network(value, &network) && is_ours6(&network)) ||
	       refuse(why,
		      "argument must be an IPv6 address and prefix length such as fd00:99::2/64");
}

bool config_check_networks(const char *value, char *why)
{
	struct config_network networks[CONFIG_NETWORKS_MAX];

	return config_parse_networks(value, networks) >= 0 ||
	       refuse(why,
		      "argument must be a list of at most %d networks such as "
		      "10.0.0.0/8,fd00::/8",
		      CONFIG_NETWORKS_MAX);
}

bool config_check_cores(const char *value, char *why)
{
	int cores[CONFIG_CORES_MAX];

	return config_parse_cores(value, cores) >= 0 ||
	       refuse(why, "argument must be a list of at most %d different cores such as 1-3,5",
		      CONFIG_CORES_MAX);
}

bool config_check_file_name(const char *value, char *why)
{
	return (*value != '\0' && !strchr(value, '/')) ||
	       refuse(why, "argument must be the name of a file, without a path");
}
