/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/config/config.h"

#include "dataplane/table/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* memcached-parameter-file: ElastiCache's parameter groups. */

static struct config_store store;
static char said[4096];

/* Reads a file of that text; what is said about it is in `said`. */
static bool read_text(const char *text)
{
	FILE *err = fmemopen(said, sizeof(said), "w"), *file;
	char path[] = "/tmp/wirecache-parameters-XXXXXX";
	int fd = mkstemp(path);
	bool good;

	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_true(file && err && fputs(text, file) >= 0 && fclose(file) == 0);
	config_init(&store);
	snprintf(store.now.memcached_parameter_file, CONFIG_TEXT_MAX, "%s", path);
	memset(said, 0, sizeof(said));
	good = config_read_parameters(&store.now, err);
	fclose(err);
	unlink(path);
	return good;
}

static void assert_shown(const char *setting, const char *value)
{
	const char *found = config_parameter(&store.now, setting);

	if (!value)
		assert_null(found);
	else
		assert_string_equal(found, value);
}

static void test_directives(void **state)
{
	assert_true(read_text("# a group\n\nmax_item_size 2097152\ndisable_flush_all 1\n"
			      "error_on_memory_exhausted 0\nidle_timeout 60\n"
			      "max_simultaneous_connections 1000\nbinding_protocol ascii\n"));
	assert_int_equal(store.now.memcached_max_item_size, 2097152);
	assert_false(store.now.memcached_flush_enabled);
	assert_int_equal(store.now.maxmemory_policy, TABLE_ALLKEYS_LRU);
	assert_int_equal(store.now.memcached_idle_timeout, 60);
	assert_int_equal(store.now.maxclients, 1000);
	assert_true(store.now.memcached_text_only);
	assert_true(read_text("error_on_memory_exhausted 1\nbinding_protocol auto\n"));
	assert_int_equal(store.now.maxmemory_policy, TABLE_NOEVICTION);
	assert_false(store.now.memcached_text_only);
	assert_shown("binding_protocol", "auto-negotiate");
}

/* A policy that evicts already is not for a parameter to change. */
static void test_policy_stays(void **state)
{
	FILE *err = fmemopen(said, sizeof(said), "w");

	assert_true(read_text("error_on_memory_exhausted 0\n"));
	store.now.maxmemory_policy = TABLE_ALLKEYS_S3;
	store.now.memcached_parameter_file[0] = '\0';
	assert_true(config_read_parameters(&store.now, err));
	assert_int_equal(store.now.maxmemory_policy, TABLE_ALLKEYS_S3);
	fclose(err);
}

static void test_shown(void **state)
{
	assert_true(
		read_text("cas_disabled 1\nlru_crawler 0\nslab_automove 2\nhash_algorithm xxh3\n"
			  "chunk_size_growth_factor 1.25\n"));
	assert_shown("cas_enabled", "no");
	assert_shown("lru_crawler", "no");
	assert_shown("slab_automove", "2");
	assert_shown("hash_algorithm", "xxh3");
	assert_shown("growth_factor", "1.25");
	assert_shown("chunk_size", NULL);
	assert_shown("no such", NULL);
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *words; // behind the file's name
	} cases[] = {
		{"no_such 1\n", ":1: 'no_such' is no parameter"},
		{"\nmax_item_size 1023\n", ":2: max_item_size: it takes a number from 1024"},
		{"max_item_size 1073741825\n", ":1: max_item_size"},
		{"max_item_size x\n", ":1: max_item_size"},
		{"max_item_size\n", ":1: max_item_size"},
		{"max_item_size 2048 2\n", ":1: max_item_size"},
		{"lru_crawler 2\n", ":1: lru_crawler: it takes 0 or 1"},
		{"lru_crawler 10\n", ":1: lru_crawler"},
		{"hash_algorithm md5\n",
		 ":1: hash_algorithm: it takes one of jenkins|murmur3|xxh3"},
		{"hash_algorithm jenk\n", ":1: hash_algorithm"},
		{"hash_algorithm jenkins|murmur3\n", ":1: hash_algorithm"},
		{"chunk_size_growth_factor 0.5\n", ":1: chunk_size_growth_factor"},
		{"chunk_size_growth_factor 1.5x\n", ":1: chunk_size_growth_factor"},
		{"slab_automove 22222222222222222222222\n", ":1: slab_automove"},
		{"chunk_size 96\nbad\n", ":2: 'bad'"},
		{"\"chunk_size\n", ":1: "},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_false(read_text(cases[i].text));
		if (!strstr(said, cases[i].words))
			fail_msg("'%s': %s", cases[i].text, said);
	}
}

static void test_no_file(void **state)
{
	FILE *err = fmemopen(said, sizeof(said), "w");

	config_init(&store);
	snprintf(store.now.memcached_parameter_file, CONFIG_TEXT_MAX, "/nowhere/parameters");
	assert_false(config_read_parameters(&store.now, err));
	fclose(err);
	assert_non_null(strstr(said, "/nowhere/parameters: cannot be read"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directives), cmocka_unit_test(test_policy_stays),
		cmocka_unit_test(test_shown),      cmocka_unit_test(test_bad),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
