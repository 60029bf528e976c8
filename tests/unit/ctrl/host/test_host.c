/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/host/host.h"

#include "base/clock.h"
#include "dataplane/proto/resp/resp.h"
#include "tests/fakes/fake_out.h"
#include "tests/unit/ctrl/stats_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The commands about the process, as bytes of RESP, with clients that only the test knows. */

#define CLIENTS 3

struct fixture {
	struct stats_fixture figures;
	struct host host;
	struct cmd_thread cmd;
	struct client clients[CLIENTS];
	uint32_t ended; // bits of the clients that a visitor has ended
	struct fake_out out;
};

static struct fixture f;

static void visit_clients(void *arg,
			  bool (*visit)(void *visit_arg, const struct worker_client_view *view),
			  void *visit_arg)
{
	for (uint32_t i = 0; i < CLIENTS; i++) {
		const struct worker_client_view view = {.client = &f.clients[i],
							.worker = i,
							.query_bytes = 10 * i,
							.out_bytes = i};

		if (visit(visit_arg, &view))
			f.ended |= 1u << i;
	}
}

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	stats_fixture_init(&f.figures);
	strcpy(f.figures.config.now.nic_device, "net_null0");
	strcpy(f.figures.config.now.nic_address, "10.0.0.1/8");
	fake_out_init(&f.out);
	f.cmd.now_ms = FIXTURE_START_MS + 5000;
	f.cmd.now_us = f.cmd.now_ms * 1000;
	for (uint32_t i = 0; i < CLIENTS; i++) {
		f.clients[i] = (struct client){
			.id = i + 1,
			.resp = 2,
			.remote = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)(i + 1)},
			.remote_port = (uint16_t)(1000 + i),
			.created_ms = FIXTURE_START_MS,
			.active_ms = FIXTURE_START_MS,
		};
	}
	f.host = (struct host){
		.config = &f.figures.config,
		.stats = f.figures.stats,
		.cmd = &f.cmd,
		.visit_clients = visit_clients,
	};
	return loop_new(&f.host.loop);
}

static int teardown(void **state)
{
	loop_free(f.host.loop);
	fake_out_fini(&f.out);
	stats_fixture_fini(&f.figures);
	return 0;
}

/* The reply so far as text, which is then forgotten. */
static const char *said(void)
{
	static char text[1 << 16];
	struct slice bytes = fake_out_bytes(&f.out);

	assert_false(f.out.out.failed);
	assert_true(bytes.len < sizeof(text));
	if (bytes.len > 0)
		memcpy(text, bytes.ptr, bytes.len);
	text[bytes.len] = '\0';
	fake_out_clear(&f.out);
	return text;
}

/* Splits a line of words into slices. */
static uint32_t split(char *words, struct slice *slices)
{
	uint32_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		slices[count++] = slice_of_text(strcmp(word, "''") == 0 ? "" : word);
	return count;
}

static void test_config_set_answers_as_redis(void **state)
{
	static const struct {
		const char *words, *reply;
	} cases[] = {
		{"timeout 5", "+OK\r\n"},
		{"TIMEOUT 6 maxclients 100", "+OK\r\n"},
		{"foo 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
		{"timeout 7 foo 1",
		 "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
		{"maxmemory x",
		 "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - "
		 "argument must be a memory value\r\n"},
		{"timeout -1", "-ERR CONFIG SET failed (possibly related to argument 'timeout') - "
			       "argument must be between 0 and 2147483647 inclusive\r\n"},
		{"timeout abc", "-ERR CONFIG SET failed (possibly related to argument 'timeout') - "
				"argument couldn't be parsed into an integer\r\n"},
		{"timeout 1 timeout 2",
		 "-ERR CONFIG SET failed (possibly related to argument 'timeout') "
		 "- duplicate parameter\r\n"},
		{"port 1",
		 "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set "
		 "immutable config\r\n"},
		{"save ''", "+OK\r\n"},
	};
	struct reply reply = resp_reply(&f.out.out, 2);

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct slice slices[8];
		char words[64];

		strcpy(words, cases[i].words);
		host_ops.config_set(&f.host, &reply, slices, split(words, slices));
		assert_string_equal(said(), cases[i].reply);
	}
	assert_int_equal(f.figures.config.now.timeout, 6);
	assert_int_equal(f.figures.config.now.maxclients, 100);
}

static void test_config_set_of_too_many_pairs_is_refused(void **state)
{
	static struct slice slices[1024];
	struct reply reply = resp_reply(&f.out.out, 2);

	for (size_t i = 0; i < ARRAY_COUNT(slices); i++)
		slices[i] = slice_of_text("timeout");
	host_ops.config_set(&f.host, &reply, slices, ARRAY_COUNT(slices));
	assert_int_equal(strncmp(said(), "-ERR CONFIG SET failed", 22), 0);
}

static void test_config_get_answers_array_or_map(void **state)
{
	const struct slice patterns[] = {SLICE_LITERAL("port"), SLICE_LITERAL("appendonl?")};
	struct reply two = resp_reply(&f.out.out, 2), three = resp_reply(&f.out.out, 3);
	static const char pairs[] = "$4\r\nport\r\n$4\r\n6379\r\n$10\r\nappendonly\r\n$2\r\nno\r\n";
	char want[128];

	host_ops.config_get(&f.host, &two, patterns, 2);
	snprintf(want, sizeof(want), "*4\r\n%s", pairs);
	assert_string_equal(said(), want);
	host_ops.config_get(&f.host, &three, patterns, 2);
	snprintf(want, sizeof(want), "%%2\r\n%s", pairs);
	assert_string_equal(said(), want);
	host_ops.config_get(&f.host, &two, &SLICE_LITERAL("nosuch"), 1);
	assert_string_equal(said(), "*0\r\n");
}

static void test_config_rewrite_without_file_is_refused(void **state)
{
	struct reply reply = resp_reply(&f.out.out, 2);

	host_ops.config_rewrite(&f.host, &reply);
	assert_string_equal(said(), "-ERR The server is running without a config file\r\n");
	strcpy(f.figures.config.path, "/nowhere/at/all.conf");
	host_ops.config_rewrite(&f.host, &reply);
	assert_string_equal(said(), "-ERR Rewriting config file: No such file or directory\r\n");
}

static void test_info_is_one_text(void **state)
{
	struct reply reply = resp_reply(&f.out.out, 2);
	const char *text;

	host_ops.info(&f.host, &reply, &SLICE_LITERAL("clients"), 1);
	text = said();
	assert_int_equal(text[0], '$');
	assert_non_null(strstr(text, "\r\n# Clients\r\nconnected_clients:0\r\n"));
	assert_int_equal(atoi(text + 1), strlen(strchr(text, '\n') + 1) - 2);
}

/* The names and their order are what redis-server 7.0.15 answered. */
static void test_memory_stats_is_a_map(void **state)
{
	static const char *const names[] = {
		"peak.allocated",
		"total.allocated",
		"startup.allocated",
		"replication.backlog",
		"clients.slaves",
		"clients.normal",
		"cluster.links",
		"aof.buffer",
		"lua.caches",
		"functions.caches",
		"db.0",
		"overhead.hashtable.main",
		"overhead.hashtable.expires",
		"overhead.hashtable.slot-to-keys",
		"overhead.total",
		"keys.count",
		"keys.bytes-per-key",
		"dataset.bytes",
		"dataset.percentage",
		"peak.percentage",
		"allocator.allocated",
		"allocator.active",
		"allocator.resident",
		"allocator-fragmentation.ratio",
		"allocator-fragmentation.bytes",
		"allocator-rss.ratio",
		"allocator-rss.bytes",
		"rss-overhead.ratio",
		"rss-overhead.bytes",
		"fragmentation",
		"fragmentation.bytes",
	};
	struct reply reply = resp_reply(&f.out.out, 2);

	host_ops.memory_stats(&f.host, &reply);
	assert_memory_equal(said(), "*54\r\n$14\r\npeak.allocated\r\n", 26);
	f.figures.table = (struct table_stats){.items = 4,
					       .memory_bytes = 1000,
					       .memory_peak_bytes = 2000,
					       .index_bytes = 300,
					       .limbo_bytes = 100,
					       .ghost_bytes = 100};
	host_ops.memory_stats(&f.host, &reply);
	const char *at = said();

	assert_memory_equal(at, "*56\r\n", 5);
	assert_non_null(strstr(at, "overhead.hashtable.main\r\n:300\r\n"));
	assert_non_null(strstr(at, "overhead.total\r\n:500\r\n"));
	assert_non_null(strstr(at, "keys.bytes-per-key\r\n:250\r\n"));
	assert_non_null(strstr(at, "dataset.bytes\r\n:500\r\n"));
	assert_non_null(strstr(at, "dataset.percentage\r\n$2\r\n50\r\n"));
	assert_non_null(strstr(at, "peak.percentage\r\n$2\r\n50\r\n"));
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		char line[64];

		snprintf(line, sizeof(line), "\r\n%s\r\n", names[i]);
		at = strstr(at, line);
		if (!at)
			fail_msg("no %s, or not in its place", names[i]);
	}
}

static void test_reset_stats_starts_from_zero(void **state)
{
	struct reply reply = resp_reply(&f.out.out, 2);

	counter_set(&f.figures.workers[0].commands.hits, 5);
	host_ops.reset_stats(&f.host);
	host_ops.info(&f.host, &reply, &SLICE_LITERAL("stats"), 1);
	assert_non_null(strstr(said(), "\r\nkeyspace_hits:0\r\n"));
}

static void test_client_list_shows_who_matches(void **state)
{
	struct reply reply = resp_reply(&f.out.out, 2);
	const struct slice ids[] = {SLICE_LITERAL("ID"), SLICE_LITERAL("3"), SLICE_LITERAL("1")};
	const char *text;

	host_ops.client_list(&f.host, &reply, NULL, 0, &f.clients[0]);
	text = said();
	assert_non_null(strstr(text, "\r\nid=1 addr=10.0.0.1:1000 "));
	assert_non_null(strstr(text, "\nid=2 addr=10.0.0.2:1001 "));
	assert_non_null(strstr(text, "\nid=3 addr=10.0.0.3:1002 "));
	assert_non_null(strstr(text, " age=5 idle=5 "));
	assert_non_null(strstr(text, " qbuf=20 "));
	host_ops.client_list(&f.host, &reply, ids, 3, &f.clients[0]);
	text = said();
	assert_non_null(strstr(text, "id=1 "));
	assert_null(strstr(text, "id=2 "));
	assert_non_null(strstr(text, "id=3 "));
}

static void test_client_kill_ends_who_matches(void **state)
{
	static const struct {
		const char *words, *reply;
		uint32_t ended;
	} cases[] = {
		{"10.0.0.2:1001", "+OK\r\n", 2},
		{"10.0.0.2:9", "-ERR No such client\r\n", 0},
		{"ID 3", ":1\r\n", 4},
		{"ID 99", ":0\r\n", 0},
		{"TYPE normal", ":2\r\n", 6}, // not the one that asks
		{"TYPE normal SKIPME no", ":3\r\n", 7},
		{"TYPE pubsub", ":0\r\n", 0},
	};
	struct reply reply = resp_reply(&f.out.out, 2);

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct slice slices[8];
		char words[64];

		print_message("%s\n", cases[i].words);
		strcpy(words, cases[i].words);
		f.ended = 0;
		host_ops.client_kill(&f.host, &reply, slices, split(words, slices), &f.clients[0]);
		assert_string_equal(said(), cases[i].reply);
		assert_int_equal(f.ended, cases[i].ended);
	}
}

static void test_shutdown_stops_the_loop_without_a_reply(void **state)
{
	struct reply reply = resp_reply(&f.out.out, 2);

	assert_false(loop_stopped(f.host.loop));
	host_ops.shutdown(&f.host, &reply, &(struct cmd_shutdown){0});
	assert_true(loop_stopped(f.host.loop));
	assert_string_equal(said(), "");
}

static void test_mc_stats_show_the_process(void **state)
{
	const char *text;

	counter_set(&f.figures.workers[0].commands.mc_get_hits, 7);
	counter_set(&f.figures.workers[1].connections, 3);
	f.figures.table.items = 12;
	host_ops.mc_stats(&f.host, &f.out.out, SLICE_LITERAL(""));
	text = said();
	assert_non_null(strstr(text, "STAT uptime 5\r\n"));
	assert_non_null(strstr(text, "STAT get_hits 7\r\n"));
	assert_non_null(strstr(text, "STAT curr_connections 3\r\n"));
	assert_non_null(strstr(text, "STAT curr_items 12\r\n"));
	assert_non_null(strstr(text, "STAT limit_maxbytes 1073741824\r\n"));
	host_ops.mc_stats(&f.host, &f.out.out, SLICE_LITERAL("settings"));
	assert_non_null(strstr(said(), "STAT tcpport 11211\r\n"));
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HOST(test_config_set_answers_as_redis),
		WITH_HOST(test_config_set_of_too_many_pairs_is_refused),
		WITH_HOST(test_config_get_answers_array_or_map),
		WITH_HOST(test_config_rewrite_without_file_is_refused),
		WITH_HOST(test_info_is_one_text),
		WITH_HOST(test_memory_stats_is_a_map),
		WITH_HOST(test_reset_stats_starts_from_zero),
		WITH_HOST(test_client_list_shows_who_matches),
		WITH_HOST(test_client_kill_ends_who_matches),
		WITH_HOST(test_shutdown_stops_the_loop_without_a_reply),
		WITH_HOST(test_mc_stats_show_the_process),
	};

	clock_init();
	cmd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
