/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Values from text and back, good ones and bad ones, for every type of directive. */

struct value_case {
	const char *directive;
	const char *text;
	const char *shown; // NULL: refused
	const char *why;   // part of the reason, when refused
};

static const struct value_case cases[] = {
	{"port", "6379", "6379", NULL},
	{"port", "0", "0", NULL},
	{"port", "65535", "65535", NULL},
	{"port", "65536", NULL, "between 0 and 65535"},
	{"port", "-1", NULL, "between 0 and 65535"},
	{"port", "12x", NULL, "parsed into an integer"},
	{"port", "", NULL, "parsed into an integer"},
	{"port", "99999999999999999999", NULL, "parsed into an integer"},
	{"control-core", "-1", "-1", NULL},
	{"maxmemory", "100", "100", NULL},
	{"maxmemory", "1b", "1", NULL},
	{"maxmemory", "1k", "1000", NULL},
	{"maxmemory", "1kb", "1024", NULL},
	{"maxmemory", "2m", "2000000", NULL},
	{"maxmemory", "2MB", "2097152", NULL},
	{"maxmemory", "3g", "3000000000", NULL},
	{"maxmemory", "3Gb", "3221225472", NULL},
	{"maxmemory", "1.5gb", NULL, "memory value"},
	{"maxmemory", "gb", NULL, "memory value"},
	{"maxmemory", "1tb", NULL, "memory value"},
	{"maxmemory", "-1", NULL, "memory value"},
	{"maxmemory", "9223372036854775808", NULL, "memory value"},
	{"maxmemory", "18446744073709551615gb", NULL, "memory value"},
	{"proto-max-bulk-len", "5", NULL, "between 1048576 and 536870912"},
	{"huge-pages", "yes", "yes", NULL},
	{"huge-pages", "NO", "no", NULL},
	{"huge-pages", "true", NULL, "'yes' or 'no'"},
	{"loglevel", "Warning", "warning", NULL},
	{"loglevel", "loud", NULL, "one of the following: debug, verbose, notice, warning"},
	{"maxmemory-policy", "allkeys-lru", "allkeys-lru", NULL},
	{"maxmemory-policy", "Volatile-TTL", "volatile-ttl", NULL},
	{"maxmemory-policy", "allkeys-mru", NULL, "one of the following: noeviction, allkeys-lru"},
	{"lfu-log-factor", "0", "0", NULL},
	{"lfu-decay-time", "-1", NULL, "between 0 and 2147483647"},
	{"poll-idle", "busy", "busy", NULL},
	{"nic-address", "10.99.0.2/24", "10.99.0.2/24", NULL},
	{"nic-address", "", "", NULL},
	{"nic-address", "10.99.0.2", NULL, "prefix length"},
	{"nic-address", "10.99.0.2/33", NULL, "prefix length"},
	{"nic-address", "10.99.0.2/", NULL, "prefix length"},
	{"nic-address", "10.99.0.256/8", NULL, "prefix length"},
	{"nic-address", "1000000000000000000000.1.1.1/8", NULL, "prefix length"},
	{"save", "", "", NULL},
	{"save", "3600 1 60 10000", "3600 1 60 10000", NULL},
	{"save", "3600", NULL, "Invalid save parameters"},
	{"save", "0 1", NULL, "Invalid save parameters"},
	{"save", "60 -1", NULL, "Invalid save parameters"},
	{"save", "60 1 300 x", NULL, "Invalid save parameters"},
	{"save", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", NULL,
	 "Invalid save parameters"},
	{"snapshot-window", "", "", NULL},
	{"snapshot-window", "03:00-05:00", "03:00-05:00", NULL},
	{"snapshot-window", "23:30-00:30", "23:30-00:30", NULL},
	{"snapshot-window", "03:00-03:00", NULL, "two times of day"},
	{"snapshot-window", "03:00", NULL, "two times of day"},
	{"snapshot-window", "3:00-5:00", NULL, "two times of day"},
	{"snapshot-window", "03:00-24:00", NULL, "two times of day"},
	{"snapshot-window", "03:00-05:60", NULL, "two times of day"},
	{"snapshot-window", "03:00-05:00 ", NULL, "two times of day"},
	{"nic-gateway", "", "", NULL},
	{"nic-gateway", "10.0.0.1", "10.0.0.1", NULL},
	{"nic-gateway", "fe80::1", NULL, "IPv4 address"},
	{"allow-from", "", "", NULL},
	{"allow-from", "10.0.0.0/8", "10.0.0.0/8", NULL},
	{"allow-from", "10.1.2.3/8,192.168.7.1/32", "10.1.2.3/8,192.168.7.1/32", NULL},
	{"allow-from", "10.0.0.0/8,", NULL, "networks such as"},
	{"memcached-cluster-nodes", "a|10.0.0.1|11211,b||11211", "a|10.0.0.1|11211,b||11211", NULL},
	{"memcached-cluster-nodes", "a|10.0.0.1", NULL, "nodes such as"},
	{"memcached-cluster-nodes", "a|10.0.0.1|", NULL, "nodes such as"},
	{"memcached-cluster-nodes", "|10.0.0.1|11211", NULL, "nodes such as"},
	{"memcached-cluster-nodes", "a|10.0.0.1|11211,", NULL, "nodes such as"},
	{"memcached-cluster-nodes", "a|10.0.0.1|11211 b||1", NULL, "nodes such as"},
	{"memcached-cluster-nodes", "a|10.0.0.1|123456", NULL, "nodes such as"},
	{"allow-from", "10.0.0.0", NULL, "networks such as"},
	{"allow-from", "10.0.0.0/0", NULL, "networks such as"},
	{"allow-from", "fe80::/10", "fe80::/10", NULL},
	{"allow-from", "fe80::/129", NULL, "networks such as"},
	{"nic-address", "fd00::2/64", NULL, "an IPv4 address"},
	{"nic-address6", "fd00::2/64", "fd00::2/64", NULL},
	{"nic-address6", "10.0.0.1/8", NULL, "an IPv6 address"},
	{"nic-address6", "ff02::1/64", NULL, "an IPv6 address"},
	{"nic-address6", "::1/128", NULL, "an IPv6 address"},
	{"nic-address6", "::ffff:10.0.0.1/128", NULL, "an IPv6 address"},
	{"nic-gateway6", "fe80::1", "fe80::1", NULL},
	{"nic-gateway6", "10.0.0.1", NULL, "an IPv6 address"},
	{"nic-vlan", "4094", "4094", NULL},
	{"nic-vlan", "4095", NULL, "between 0 and 4094"},
	{"allow-from",
	 "1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8,5.0.0.0/8,6.0.0.0/8,7.0.0.0/8,8.0.0.0/8,"
	 "9.0.0.0/8,10.0.0.0/8,11.0.0.0/8,12.0.0.0/8,13.0.0.0/8,14.0.0.0/8,15.0.0.0/8,"
	 "16.0.0.0/8,17.0.0.0/8",
	 NULL, "at most 16"},
	{"admin-bind", "", NULL, "IPv4 address"},
	{"worker-cores", "1-3,5", "1-3,5", NULL},
	{"worker-cores", "3-1", NULL, "list of"},
	{"worker-cores", "1,1", NULL, "different"},
	{"worker-cores", "1,", NULL, "list of"},
	{"worker-cores", "0-64", NULL, "at most 64"},
	{"worker-cores", "4096", NULL, "list of"},
	{"worker-cores", "0-18446744073709551615", NULL, "list of"},
	{"client-output-buffer-limit", "normal 1mb 2 3",
	 "normal 1048576 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60", NULL},
	{"client-output-buffer-limit", "replica 1 2 3 pubsub 0 0 0",
	 "normal 268435456 0 0 slave 1 2 3 pubsub 0 0 0", NULL},
	{"client-output-buffer-limit", "normal 0", NULL, "Wrong number of arguments"},
	{"client-output-buffer-limit", "other 0 0 0", NULL, "Invalid client class"},
	{"client-output-buffer-limit", "normal 0 0 -1", NULL, "soft_seconds"},
	{"appendonly", "no", "no", NULL},
	{"appendonly", "yes", NULL, "must be \"no\": there is no append-only file"},
	{"save", "", "", NULL},
	{"dbfilename", "other.rdb", "other.rdb", NULL},
	{"dbfilename", "", NULL, "name of a file"},
	{"dbfilename", "a/b.rdb", NULL, "without a path"},
};

static void test_value_text_gives_value_or_reason(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct value_case *c = &cases[i];
		const struct config_directive *d = config_table_find(slice_of_text(c->directive));
		struct config_store store, before;
		char shown[CONFIG_VALUE_MAX], why[CONFIG_WHY_MAX];
		bool good;

		print_message("%s \"%s\"\n", c->directive, c->text);
		assert_non_null(d);
		config_init(&store);
		config_init(&before);
		good = config_value_parse(d, c->text, &store.now, why);
		assert_int_equal(good, c->shown != NULL);
		if (good) {
			config_value_format(d, &store.now, shown);
			assert_string_equal(shown, c->shown);
		} else {
			assert_non_null(strstr(why, c->why));
			assert_memory_equal(&store, &before, sizeof(store));
		}
	}
}

static void test_value_text_too_long_is_refused(void **state)
{
	struct config_store store;
	char text[CONFIG_TEXT_MAX + 1], why[CONFIG_WHY_MAX];

	config_init(&store);
	memset(text, 'x', sizeof(text));
	text[CONFIG_TEXT_MAX] = '\0';
	assert_false(config_value_parse(config_table_find(slice_of_text("logfile")), text,
					&store.now, why));
	text[CONFIG_TEXT_MAX - 1] = '\0';
	assert_true(config_value_parse(config_table_find(slice_of_text("logfile")), text,
				       &store.now, why));
	assert_string_equal(store.now.logfile, text);
}

/* Whatever a default is shown as is read back as the same: the table has no typing errors. */
static void test_value_every_default_round_trips(void **state)
{
	struct config_store store;
	char shown[CONFIG_VALUE_MAX], again[CONFIG_VALUE_MAX], why[CONFIG_WHY_MAX];

	config_init(&store);
	for (size_t i = 0; i < config_table_count(); i++) {
		const struct config_directive *d = config_table_at(i);

		if (!d->name)
			continue;
		config_value_format(d, &store.now, shown);
		assert_true(config_value_parse(d, shown, &store.now, why));
		config_value_format(d, &store.now, again);
		assert_string_equal(shown, again);
	}
}

static void test_table_find_and_suggest(void **state)
{
	static const struct {
		const char *name, *found, *suggested;
	} names[] = {
		{"PORT", "port", "port"},
		{"maxmemroy", NULL, "maxmemory"},
		{"worker-core", NULL, "worker-cores"},
		{"nic-adress", NULL, "nic-address"},
		{"completely-different", NULL, NULL},
		{"", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		const struct config_directive *d = config_table_find(slice_of_text(names[i].name));
		const char *suggested = config_table_suggest(slice_of_text(names[i].name));

		print_message("%s\n", names[i].name);
		assert_int_equal(d != NULL, names[i].found != NULL);
		if (d)
			assert_string_equal(d->name, names[i].found);
		assert_int_equal(suggested != NULL && !d,
				 names[i].suggested != NULL && !names[i].found);
		if (suggested && names[i].suggested)
			assert_string_equal(suggested, names[i].suggested);
	}
}

static void test_cores_are_listed_in_order(void **state)
{
	int cores[CONFIG_CORES_MAX];

	assert_int_equal(config_parse_cores("", cores), 0);
	assert_int_equal(config_parse_cores("1-3,0,7", cores), 5);
	assert_int_equal(cores[0], 1);
	assert_int_equal(cores[2], 3);
	assert_int_equal(cores[3], 0);
	assert_int_equal(cores[4], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_text_gives_value_or_reason),
		cmocka_unit_test(test_value_text_too_long_is_refused),
		cmocka_unit_test(test_value_every_default_round_trips),
		cmocka_unit_test(test_table_find_and_suggest),
		cmocka_unit_test(test_cores_are_listed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
