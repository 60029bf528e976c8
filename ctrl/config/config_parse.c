/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"

#include "base/number.h"

#include <arpa/inet.h>

/*
 * Directives' texts taken apart: addresses, networks, cores, rules, times of day; and the checks of
 * them that config.def names. Called when a value is set and by whoever uses it afterwards.
 */

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
	       config_refuse(why, "argument must be an IPv4 address such as 127.0.0.1");
}

bool config_check_ip4_or_empty(const char *value, char *why)
{
	return *value == '\0' || config_check_ip4(value, why);
}

bool config_check_ip6_or_empty(const char *value, char *why)
{
	return *value == '\0' || is_address(value, false) ||
	       config_refuse(why, "argument must be an IPv6 address such as fe80::1");
}

bool config_check_cidr(const char *value, char *why)
{
	struct config_network network;

	// Empty is the default; that one must be set is for config_validate() to say.
	return *value == '\0' || (config_parse_network(value, &network) && network.address.v4) ||
	       config_refuse(
		       why,
		       "argument must be an IPv4 address and prefix length such as 10.99.0.2/24");
}

bool config_check_cidr6(const char *value, char *why)
{
	struct config_network network;

	return *value == '\0' || (config_parse_network(value, &network) && is_ours6(&network)) ||
	       config_refuse(
		       why,
		       "argument must be an IPv6 address and prefix length such as fd00:99::2/64");
}

bool config_check_networks(const char *value, char *why)
{
	struct config_network networks[CONFIG_NETWORKS_MAX];

	return config_parse_networks(value, networks) >= 0 ||
	       config_refuse(why,
			     "argument must be a list of at most %d networks such as "
			     "10.0.0.0/8,fd00::/8",
			     CONFIG_NETWORKS_MAX);
}

bool config_check_cores(const char *value, char *why)
{
	int cores[CONFIG_CORES_MAX];

	return config_parse_cores(value, cores) >= 0 ||
	       config_refuse(why,
			     "argument must be a list of at most %d different cores such as 1-3,5",
			     CONFIG_CORES_MAX);
}

bool config_check_file_name(const char *value, char *why)
{
	return (*value != '\0' && !strchr(value, '/')) ||
	       config_refuse(why, "argument must be the name of a file, without a path");
}

int config_parse_saves(const char *text, struct config_save saves[CONFIG_SAVES_MAX])
{
	char copy[CONFIG_TEXT_MAX];
	char *left = NULL;
	int count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &left); word; word = strtok_r(NULL, " ", &left)) {
		const char *second = strtok_r(NULL, " ", &left);
		struct config_save save;

		if (!second || count == CONFIG_SAVES_MAX ||
		    !number_parse_u64(slice_of_text(word), &save.seconds) ||
		    !number_parse_u64(slice_of_text(second), &save.changes) || save.seconds == 0 ||
		    save.seconds > INT32_MAX || save.changes > INT32_MAX)
			return -1;
		saves[count++] = save;
	}
	return count;
}

/* "03:00"; NULL: that is no time of day. */
static const char *parse_time_of_day(const char *text, uint32_t *second)
{
	if (strspn(text, "0123456789") != 2 || text[2] != ':' ||
	    strspn(text + 3, "0123456789") != 2)
		return NULL;
	uint32_t hour = (uint32_t)(text[0] - '0') * 10 + (uint32_t)(text[1] - '0');
	uint32_t minute = (uint32_t)(text[3] - '0') * 10 + (uint32_t)(text[4] - '0');

	*second = hour * 3600 + minute * 60;
	return hour < 24 && minute < 60 ? text + 5 : NULL;
}

bool config_parse_window(const char *text, struct config_window *window)
{
	struct config_window parsed;
	const char *end = parse_time_of_day(text, &parsed.start_s);

	if (!end || *end != '-')
		return false;
	end = parse_time_of_day(end + 1, &parsed.end_s);
	if (!end || *end != '\0' || parsed.start_s == parsed.end_s)
		return false;
	*window = parsed;
	return true;
}

bool config_check_saves(const char *value, char *why)
{
	struct config_save saves[CONFIG_SAVES_MAX];

	return config_parse_saves(value, saves) >= 0 ||
	       config_refuse(why, "Invalid save parameters");
}

bool config_check_window(const char *value, char *why)
{
	struct config_window window;

	return *value == '\0' || config_parse_window(value, &window) ||
	       config_refuse(why, "argument must be two times of day such as 03:00-05:00");
}

bool config_check_replicaof(const char *value, char *why)
{
	const char *blank = strchr(value, ' ');
	struct config_address address;
	char host[INET6_ADDRSTRLEN];
	uint64_t port;

	if (*value == '\0')
		return true;
	if (blank && (size_t)(blank - value) < sizeof(host)) {
		memcpy(host, value, (size_t)(blank - value));
		host[blank - value] = '\0';
		if (config_parse_address(host, &address) &&
		    number_parse_u64(slice_of_text(blank + 1), &port) && port > 0 &&
		    port <= UINT16_MAX)
			return true;
	}
	return config_refuse(why, "argument must be an address and a port, such as 10.99.0.3 6379");
}
