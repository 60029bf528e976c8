/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* The command line of the load generator: what is taken, and what is refused in which words. */

#define WORDS_MAX 8

static enum load_options_result parse(struct load_options *o, const char *line, char *why)
{
	char text[256], *words[WORDS_MAX + 1] = {NULL};
	int count = 0;

	why[0] = '\0';
	snprintf(text, sizeof(text), "load %s", line);
	for (char *save, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[count++] = w;
	return load_options_parse(o, NULL, count, words, why);
}

static void test_defaults_are_memtiers_where_it_has_them(void **state)
{
	struct load_options o;
	char why[LOAD_OPTIONS_WHY_MAX];

	assert_int_equal(parse(&o, "", why), LOAD_OPTIONS_OK);
	assert_string_equal(o.server, "127.0.0.1");
	assert_int_equal(o.port, 6379);
	assert_int_equal(o.clients, 50);
	assert_int_equal(o.pipeline, 1);
	assert_int_equal(o.ratio_set, 1);
	assert_int_equal(o.ratio_get, 10);
	assert_int_equal(o.pattern_get, LOAD_UNIFORM);
	assert_int_equal(o.verify, LOAD_VERIFY_VALUES);
	assert_true(o.rate == 0);
}

static void test_values_reach_their_fields(void **state)
{
	struct load_options o;
	char why[LOAD_OPTIONS_WHY_MAX];

	assert_int_equal(parse(&o, "-P memcache_udp -c 7 --pipeline=9 --ratio 3:4", why),
			 LOAD_OPTIONS_OK);
	assert_int_equal(o.port, 11211);
	assert_int_equal(o.clients, 7);
	assert_int_equal(o.pipeline, 9);
	assert_int_equal(o.ratio_set, 3);
	assert_int_equal(o.ratio_get, 4);
	assert_int_equal(parse(&o, "--key-pattern P:Z --data-size-range 5-9 -n allkeys", why),
			 LOAD_OPTIONS_OK);
	assert_int_equal(o.pattern_set, LOAD_PARALLEL);
	assert_int_equal(o.pattern_get, LOAD_ZIPF);
	assert_int_equal(o.data_min, 5);
	assert_int_equal(o.data_max, 9);
	assert_true(o.requests == LOAD_REQUESTS_ALL);
	assert_int_equal(parse(&o, "--rate 1e5 --arrivals uniform --verify hits", why),
			 LOAD_OPTIONS_OK);
	assert_true(o.rate == 1e5);
	assert_true(o.arrivals_uniform);
	assert_int_equal(o.verify, LOAD_VERIFY_HITS);
}

struct refused_case {
	const char *line, *why;
};

static const struct refused_case refused_cases[] = {
	{"--nonsense", "what is '--nonsense'?"},
	{"--clients", "--clients wants N"},
	{"--clients x", "--clients cannot be 'x'"},
	{"--clients -1", "--clients cannot be '-1'"},
	{"--clients 0", "--clients and --big-clients"},
	{"--clients 60000 --big-clients 1", "--clients and --big-clients"},
	{"--clients 4294967296", "--clients cannot be"},
	{"--pipeline 5000", "--pipeline is"},
	{"--ratio 1", "--ratio cannot be '1'"},
	{"--ratio 0:0", "--ratio 0:0"},
	{"--key-pattern R", "--key-pattern cannot be"},
	{"--key-pattern R:X", "--key-pattern cannot be"},
	{"--key-minimum 5 --key-maximum 4", "--key-minimum"},
	{"--key-bytes 4", "--key-bytes is too short"},
	{"--key-bytes 6 --key-maximum 100", "--key-bytes is too short"},
	{"--key-bytes 251", "at most 250"},
	{"--data-size-range 9-5", "a range goes upwards"},
	{"--data-size 536870913", "at most 512 MiB"},
	{"--protocol redis", "--protocol cannot be 'redis'"},
	{"--server example.com", "IPv4"},
	{"--port 65536", "--port"},
	{"--nic-device net_tap0", "--nic-address"},
	{"--on-demand=yes", "takes no value"},
	{"--test-time -1", "--test-time cannot be"},
	{"--rate 5 --requests 5", "--rate"},
	{"-P memcache_meta --multi-key-get 2", "meta"},
	{"-P memcache_udp --data-size 1301", "1300"},
	{"-P memcache_udp --multi-key-get 77", "1300"},
	{"-P memcache_udp --reconnect-interval 1", "UDP"},
};

static void test_what_makes_no_sense_is_refused_in_words(void **state)
{
	for (size_t i = 0; i < sizeof(refused_cases) / sizeof(refused_cases[0]); i++) {
		const struct refused_case *c = &refused_cases[i];
		struct load_options o;
		char why[LOAD_OPTIONS_WHY_MAX];

		print_message("%s\n", c->line);
		assert_int_equal(parse(&o, c->line, why), LOAD_OPTIONS_BAD);
		assert_non_null(strstr(why, c->why));
	}
}

static void test_further_options_of_a_program(void **state)
{
	int32_t core = -1;
	const struct load_option extra[] = {
		{"worker-core", 0, load_parse_core, &core, true, "N", ""},
		{NULL, 0, NULL, NULL, false, NULL, NULL},
	};
	char program[] = "load", option[] = "--worker-core=3";
	char *words[] = {program, option, NULL};
	struct load_options o;
	char why[LOAD_OPTIONS_WHY_MAX];

	assert_int_equal(load_options_parse(&o, extra, 2, words, why), LOAD_OPTIONS_OK);
	assert_int_equal(core, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_memtiers_where_it_has_them),
		cmocka_unit_test(test_values_reach_their_fields),
		cmocka_unit_test(test_what_makes_no_sense_is_refused_in_words),
		cmocka_unit_test(test_further_options_of_a_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
