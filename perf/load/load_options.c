/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The command line of the load generator: one table of options, one function per kind of value,
 * then what must hold between options. Called by main() first of all.
 */

#define OPTIONS_MAX 64
#define HELP_COLUMN 30

static const char *const protocol_names[] = {
	[LOAD_RESP] = "resp",
	[LOAD_MC_TEXT] = "memcache_text",
	[LOAD_MC_META] = "memcache_meta",
	[LOAD_MC_UDP] = "memcache_udp",
};

const char *load_protocol_name(enum load_protocol protocol)
{
	return protocol_names[protocol];
}

static bool parse_text(const char *text, void *target)
{
	*(const char **)target = text;
	return true;
}

static bool parse_u64(const char *text, void *target)
{
	char *end;

	errno = 0;
	*(uint64_t *)target = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

bool load_parse_u32(const char *text, void *target)
{
	uint64_t value;

	if (!parse_u64(text, &value) || value > UINT32_MAX)
		return false;
	*(uint32_t *)target = (uint32_t)value;
	return true;
}

bool load_parse_core(const char *text, void *target)
{
	uint64_t value;

	if (!parse_u64(text, &value) || value > INT16_MAX)
		return false;
	*(int32_t *)target = (int32_t)value;
	return true;
}

static bool parse_positive(const char *text, void *target)
{
	char *end;

	errno = 0;
	*(double *)target = strtod(text, &end);
	return errno == 0 && end != text && *end == '\0' && *(double *)target >= 0 &&
	       *(double *)target < 1e12;
}

static bool parse_yes(const char *text, void *target)
{
	*(bool *)target = strcmp(text, "yes") == 0;
	return *(bool *)target || strcmp(text, "no") == 0;
}

static bool parse_protocol(const char *text, void *target)
{
	for (size_t i = 0; i < sizeof(protocol_names) / sizeof(protocol_names[0]); i++) {
		if (strcmp(text, protocol_names[i]) == 0) {
			*(enum load_protocol *)target = (enum load_protocol)i;
			return true;
		}
	}
	return false;
}

static bool parse_verify(const char *text, void *target)
{
	static const char *const names[] = {"none", "values", "hits"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*(enum load_verify *)target = (enum load_verify)i;
			return true;
		}
	}
	return false;
}

static bool parse_arrivals(const char *text, void *target)
{
	*(bool *)target = strcmp(text, "uniform") == 0;
	return *(bool *)target || strcmp(text, "poisson") == 0;
}

static bool parse_requests(const char *text, void *target)
{
	if (strcmp(text, "allkeys") == 0) {
		*(uint64_t *)target = LOAD_REQUESTS_ALL;
		return true;
	}
	return parse_u64(text, target) && *(uint64_t *)target != LOAD_REQUESTS_ALL;
}

/* "A<separator>B" into target[0] and target[1]. */
static bool parse_pair(const char *text, char separator, uint32_t *target)
{
	const char *at = strchr(text, separator);
	char first[16];
	size_t len = at ? (size_t)(at - text) : 0;

	if (!at || len >= sizeof(first))
		return false;
	memcpy(first, text, len);
	first[len] = '\0';
	return load_parse_u32(first, &target[0]) && load_parse_u32(at + 1, &target[1]);
}

static bool parse_ratio(const char *text, void *target)
{
	return parse_pair(text, ':', target);
}

static bool parse_size(const char *text, void *target)
{
	uint32_t *range = target;

	if (!load_parse_u32(text, &range[0]))
		return false;
	range[1] = range[0];
	return true;
}

static bool parse_size_range(const char *text, void *target)
{
	return parse_pair(text, '-', target);
}

static bool parse_patterns(const char *text, void *target)
{
	enum load_pattern *patterns = target;

	if (strlen(text) != 3 || text[1] != ':' || !strchr("RZGSP", text[0]) ||
	    !strchr("RZGSP", text[2]))
		return false;
	patterns[0] = (enum load_pattern)text[0];
	patterns[1] = (enum load_pattern)text[2];
	return true;
}

_Static_assert(offsetof(struct load_options, ratio_get) ==
		       offsetof(struct load_options, ratio_set) + sizeof(uint32_t),
	       "parse_ratio() fills both");
_Static_assert(offsetof(struct load_options, data_max) ==
		       offsetof(struct load_options, data_min) + sizeof(uint32_t),
	       "parse_size() fills both");
_Static_assert(offsetof(struct load_options, pattern_get) ==
		       offsetof(struct load_options, pattern_set) + sizeof(enum load_pattern),
	       "parse_patterns() fills both");

/* The table, with the places in *o. Returns how many there are. */
static size_t options_of(struct load_options *o, struct load_option *to)
{
	const struct load_option table[] = {
		{"server", 's', parse_text, &o->server, true, "HOST", "IPv4 address (127.0.0.1)"},
		{"port", 'p', load_parse_u32, &o->port, true, "N", "(6379, or 11211)"},
		{"protocol", 'P', parse_protocol, &o->protocol, true, "P",
		 "resp, memcache_text, memcache_meta or memcache_udp (resp)"},
		{"nic-device", 0, parse_text, &o->nic_device, true, "DEVICE",
		 "DPDK device, as wirecache.conf has it; without: kernel sockets"},
		{"nic-address", 0, parse_text, &o->nic_address, true, "A/LEN",
		 "ours, on that device"},
		{"nic-gateway", 0, parse_text, &o->nic_gateway, true, "A", "to other networks"},
		{"nic-huge-pages", 0, parse_yes, &o->nic_huge_pages, true, "yes|no", "(no)"},
		{"nic-memory-mib", 0, load_parse_u32, &o->nic_memory_mib, true, "N", "(256)"},
		{"core", 0, load_parse_core, &o->core, true, "N", "CPU to stay on"},
		{"clients", 'c', load_parse_u32, &o->clients, true, "N", "connections (50)"},
		{"pipeline", 0, load_parse_u32, &o->pipeline, true, "N",
		 "outstanding requests of a connection (1)"},
		{"ratio", 0, parse_ratio, &o->ratio_set, true, "S:G", "SETs to GETs (1:10)"},
		{"multi-key-get", 0, load_parse_u32, &o->multi_get, true, "N", "keys of a GET (1)"},
		{"key-pattern", 0, parse_patterns, &o->pattern_set, true, "S:G",
		 "R uniform, Z Zipf, G Gauss, S sequential, P sequential in parts (R:R)"},
		{"key-zipf-exp", 0, parse_positive, &o->zipf_exponent, true, "X", "(0.99)"},
		{"key-prefix", 0, parse_text, &o->key_prefix, true, "TEXT", "(key:)"},
		{"key-bytes", 0, load_parse_u32, &o->key_bytes, true, "N",
		 "length of a key, with zeros; 0: as it comes (16)"},
		{"key-minimum", 0, parse_u64, &o->key_min, true, "N", "(0)"},
		{"key-maximum", 0, parse_u64, &o->key_max, true, "N", "(999999)"},
		{"data-size", 'd', parse_size, &o->data_min, true, "N", "bytes of a value (64)"},
		{"data-size-range", 0, parse_size_range, &o->data_min, true, "A-B",
		 "each key has its size between A and B"},
		{"big-clients", 0, load_parse_u32, &o->big_clients, true, "N",
		 "further connections that GET one big value each after each (0)"},
		{"big-size", 0, load_parse_u32, &o->big_bytes, true, "N",
		 "bytes of that (1048576)"},
		{"requests", 'n', parse_requests, &o->requests, true, "N|allkeys",
		 "of each client, instead of a time"},
		{"test-time", 0, parse_positive, &o->test_s, true, "S", "seconds (10)"},
		{"warmup", 0, parse_positive, &o->warmup_s, true, "S", "seconds before that (0)"},
		{"rate", 0, parse_positive, &o->rate, true, "N",
		 "open loop: requests/s of all clients, timed from when they were due"},
		{"arrivals", 0, parse_arrivals, &o->arrivals_uniform, true, "poisson|uniform",
		 "of the open loop (poisson)"},
		{"reconnect-interval", 0, load_parse_u32, &o->reconnect_interval, true, "N",
		 "requests of one connection, then another (0: for ever)"},
		{"verify", 0, parse_verify, &o->verify, true, "none|values|hits",
		 "check replies byte for byte; hits: and no key may be missing (values)"},
		{"udp-timeout-ms", 0, load_parse_u32, &o->udp_timeout_ms, true, "N",
		 "then a datagram counts as lost (100)"},
		{"seed", 0, parse_u64, &o->seed, true, "N", "of keys and arrivals (1)"},
		{"json", 0, parse_text, &o->json, true, "FILE", "figures as JSON; -: to stdout"},
		{"hdr-file-prefix", 0, parse_text, &o->hdr_prefix, true, "P",
		 "latency distributions in HdrHistogram's text form, to P_*.txt"},
		{"on-demand", 0, NULL, &o->on_demand, false, NULL,
		 "measure for each line of stdin as many seconds as it says; JSON to stdout"},
		{"quiet", 'q', NULL, &o->quiet, false, NULL, "no progress on stderr"},
		{"help", 'h', NULL, NULL, false, NULL, "this"},
	};

	_Static_assert(sizeof(table) / sizeof(table[0]) + 16 <= OPTIONS_MAX,
		       "room for the program's");
	memcpy(to, table, sizeof(table));
	return sizeof(table) / sizeof(table[0]);
}

static void print_help(const char *program, const struct load_option *options, size_t count)
{
	printf("usage: %s [OPTION]...\n\n"
	       "Loads a cache server and measures it. In parentheses: defaults.\n\n",
	       program);
	for (size_t i = 0; i < count; i++) {
		const struct load_option *o = &options[i];
		char left[64];

		snprintf(left, sizeof(left), "  %c%c --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		printf("%-*s  %s\n", HELP_COLUMN, left, o->help);
	}
}

/* Does the argument name the option, and where is its value? NULL: in the next argument. */
static bool names(const char *argument, const struct load_option *o, const char **value)
{
	size_t len = strlen(o->name);

	*value = NULL;
	if (argument[0] != '-')
		return false;
	if (argument[1] != '-')
		return o->letter && argument[1] == o->letter && argument[2] == '\0';
	if (strncmp(argument + 2, o->name, len) != 0)
		return false;
	if (argument[2 + len] == '=')
		*value = argument + 2 + len + 1;
	return argument[2 + len] == '\0' || *value;
}

static enum load_options_result bad(char *why, const char *format, const char *a, const char *b)
{
	snprintf(why, LOAD_OPTIONS_WHY_MAX, format, a, b);
	return LOAD_OPTIONS_BAD;
}

/* What the options mean together. NULL when that is something. */
static const char *contradiction(const struct load_options *o)
{
	struct in_addr address;
	uint64_t digits_max = 1;

	for (uint32_t room = load_options_key_bytes(o) - (uint32_t)strlen(o->key_prefix);
	     room > 0 && digits_max <= UINT64_MAX / 10; room--)
		digits_max *= 10;
	if (inet_pton(AF_INET, o->server, &address) != 1)
		return "--server takes an IPv4 address";
	if (o->port > UINT16_MAX)
		return "--port is at most 65535";
	if (o->nic_device && !o->nic_address)
		return "--nic-device needs --nic-address, such as 10.99.0.1/24";
	if (o->clients == 0 || o->clients + (uint64_t)o->big_clients > LOAD_CLIENTS_MAX)
		return "--clients and --big-clients are 1 to 60000 together";
	if (o->pipeline == 0 || o->pipeline > LOAD_PIPELINE_MAX)
		return "--pipeline is 1 to 4096";
	if (o->ratio_set == 0 && o->ratio_get == 0)
		return "--ratio 0:0 asks for nothing";
	if (o->multi_get == 0 || o->multi_get > LOAD_MULTI_MAX)
		return "--multi-key-get is 1 to 1024";
	if (o->multi_get > 1 && o->protocol == LOAD_MC_META)
		return "the meta protocol has no GET of several keys";
	if (o->key_min > o->key_max || o->key_max - o->key_min >= UINT32_MAX)
		return "--key-minimum to --key-maximum is no range of less than 2^32 keys";
	if (load_options_key_bytes(o) > LOAD_KEY_BYTES_MAX)
		return "keys have at most 250 bytes";
	if (o->key_bytes && (o->key_bytes <= strlen(o->key_prefix) || o->key_max >= digits_max))
		return "--key-bytes is too short for prefix and number";
	if (o->data_min > o->data_max || o->data_max > LOAD_VALUE_MAX ||
	    o->big_bytes > LOAD_VALUE_MAX)
		return "values have at most 512 MiB, and a range goes upwards";
	if (o->protocol == LOAD_MC_UDP && (o->data_max > LOAD_UDP_VALUE_MAX || o->big_clients))
		return "over UDP values have at most 1300 bytes";
	if (o->protocol == LOAD_MC_UDP &&
	    o->multi_get * (load_options_key_bytes(o) + 1) > LOAD_UDP_VALUE_MAX)
		return "over UDP the keys of a request have at most 1300 bytes together";
	if (o->on_demand && (o->requests || o->warmup_s > 0 || o->json || o->hdr_prefix))
		return "--on-demand takes times from stdin, and writes JSON to stdout";
	if (o->rate > 0 && o->requests)
		return "--rate goes with --test-time, not with --requests";
	if (o->reconnect_interval && o->protocol == LOAD_MC_UDP)
		return "UDP has no connections to renew";
	return NULL;
}

static enum load_options_result parse_all(const struct load_option *options, size_t count, int argc,
					  char **argv, char *why)
{
	for (int i = 1; i < argc; i++) {
		const struct load_option *o = NULL;
		const char *value;

		for (size_t k = 0; k < count && !o; k++)
			o = names(argv[i], &options[k], &value) ? &options[k] : NULL;
		if (!o)
			return bad(why, "what is '%s'? --help lists the options%s", argv[i], "");
		if (!o->takes_value && value)
			return bad(why, "--%s takes no value%s", o->name, "");
		if (!o->takes_value && !o->target) {
			print_help(argv[0], options, count);
			return LOAD_OPTIONS_HELP;
		}
		if (!o->takes_value) {
			*(bool *)o->target = true;
			continue;
		}
		if (!value && i + 1 == argc)
			return bad(why, "--%s wants %s", o->name, o->value);
		if (!value)
			value = argv[++i];
		if (!o->parse(value, o->target))
			return bad(why, "--%s cannot be '%s'", o->name, value);
	}
	return LOAD_OPTIONS_OK;
}

enum load_options_result load_options_parse(struct load_options *o, const struct load_option *extra,
					    int argc, char **argv, char *why)
{
	struct load_option options[OPTIONS_MAX];
	enum load_options_result result;
	const char *wrong;
	size_t count;

	*o = (struct load_options){
		.server = "127.0.0.1",
		.nic_memory_mib = 256,
		.core = -1,
		.clients = 50,
		.pipeline = 1,
		.ratio_set = 1,
		.ratio_get = 10,
		.multi_get = 1,
		.pattern_set = LOAD_UNIFORM,
		.pattern_get = LOAD_UNIFORM,
		.zipf_exponent = 0.99,
		.key_prefix = "key:",
		.key_bytes = 16,
		.key_max = 999999,
		.data_min = 64,
		.data_max = 64,
		.big_bytes = 1u << 20,
		.test_s = 10,
		.verify = LOAD_VERIFY_VALUES,
		.udp_timeout_ms = 100,
		.seed = 1,
	};
	count = options_of(o, options);
	for (; extra && extra->name && count < OPTIONS_MAX; extra++)
		options[count++] = *extra;
	result = parse_all(options, count, argc, argv, why);
	if (result != LOAD_OPTIONS_OK)
		return result;
	wrong = contradiction(o);
	if (wrong)
		return bad(why, "%s%s", wrong, "");
	if (o->port == 0)
		o->port = o->protocol == LOAD_RESP ? 6379 : 11211;
	return LOAD_OPTIONS_OK;
}

uint32_t load_options_key_bytes(const struct load_options *o)
{
	char digits[24];

	if (o->key_bytes)
		return o->key_bytes;
	return (uint32_t)(strlen(o->key_prefix) + (size_t)snprintf(digits, sizeof(digits), "%llu",
								   (unsigned long long)o->key_max));
}
