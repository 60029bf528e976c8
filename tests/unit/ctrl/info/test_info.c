/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/info/info.h"

#include "tests/unit/ctrl/stats_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* INFO: its sections, the names that readers look for, and the figures behind them. */

#define NOW_US ((FIXTURE_START_MS + 90061000) * 1000) // a day, an hour, a minute and a second later

static struct stats_fixture f;
static char shown[1 << 16];

static int setup(void **state)
{
	stats_fixture_init(&f);
	return 0;
}

static int teardown(void **state)
{
	stats_fixture_fini(&f);
	return 0;
}

static const char *info(const char *first, const char *second)
{
	const struct slice names[] = {slice_of_text(first ? first : ""),
				      slice_of_text(second ? second : "")};
	struct slice bytes;
	struct text text;

	text_init(&text, sizeof(shown) - 1);
	info_write(&text, f.stats, NOW_US, names, first ? (second ? 2 : 1) : 0);
	assert_false(text.out.failed);
	bytes = text_bytes(&text);
	if (bytes.len > 0)
		memcpy(shown, bytes.ptr, bytes.len);
	shown[bytes.len] = '\0';
	text_fini(&text);
	return shown;
}

/* Whether the text has the line "name:value", or any value when that is NULL. */
static void assert_field(const char *text, const char *name, const char *value)
{
	char line[256];

	snprintf(line, sizeof(line), "\r\n%s:%s%s", name, value ? value : "", value ? "\r\n" : "");
	if (!strstr(text, line))
		fail_msg("no %s:%s", name, value ? value : "...");
}

/* A section's title, as often as it stands at the start of a line. */
static int titles(const char *text, const char *title)
{
	char line[64];
	int count = 0;

	snprintf(line, sizeof(line), "# %s\r\n", title);
	for (const char *at = text; (at = strstr(at, line)); at++)
		count++;
	return count;
}

static void test_sections_are_chosen_by_name(void **state)
{
	static const struct {
		const char *first, *second;
		const char *titles; // in order
	} cases[] = {
		{"server", NULL, "Server"},
		{"KeySpace", "server", "Server Keyspace"},
		{"server", "SERVER", "Server"},
		{"nosuch", NULL, ""},
		{"commandstats", "latencystats", "Commandstats Latencystats"},
		{NULL, NULL,
		 "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats "
		 "Cluster Keyspace"},
		{"default", NULL,
		 "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats "
		 "Cluster Keyspace"},
		{"all", NULL,
		 "Server Clients Memory Persistence Stats Replication CPU Commandstats Errorstats "
		 "Latencystats Cluster Keyspace"},
		{"everything", NULL,
		 "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats "
		 "Errorstats Latencystats Cluster Keyspace"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *text = info(cases[i].first, cases[i].second);
		char seen[512] = "";

		print_message("%s\n", cases[i].first ? cases[i].first : "(none)");
		for (const char *at = text; (at = strstr(at, "# ")); at++) {
			if (seen[0])
				strcat(seen, " ");
			strncat(seen, at + 2, strcspn(at + 2, "\r"));
		}
		assert_string_equal(seen, cases[i].titles);
	}
}

/* What clients, exporters, redis-cli and Sentinel branch on or plot. */
static const char *const needed[] = {
	"redis_version", "redis_mode", "run_id", "tcp_port", "uptime_in_seconds", "process_id",
	"io_threads_active", "maxclients", "tracking_clients", "clients_in_timeout_table",
	"client_recent_max_input_buffer", "used_memory", "used_memory_rss", "used_memory_peak",
	"used_memory_lua", "used_memory_overhead", "used_memory_startup",
	"used_memory_dataset", "allocator_active", "allocator_allocated", "allocator_resident",
	"allocator_frag_ratio", "allocator_rss_ratio", "mem_fragmentation_ratio",
	"mem_clients_normal", "mem_not_counted_for_evict", "lazyfree_pending_objects",
	"maxmemory", "maxmemory_policy", "active_defrag_running", "loading", "async_loading",
	"rdb_changes_since_last_save", "rdb_saves", "rdb_bgsave_in_progress",
	"rdb_last_save_time", "rdb_last_bgsave_status", "aof_enabled",
	"aof_rewrite_in_progress", "aof_last_write_status", "total_connections_received",
	"total_commands_processed", "rejected_connections", "instantaneous_ops_per_sec",
	"total_net_input_bytes", "total_net_output_bytes", "expired_keys", "evicted_keys",
	"keyspace_hits", "keyspace_misses", "pubsub_channels", "latest_fork_usec",
	"total_error_replies", "unexpected_error_replies", "total_reads_processed",
	"total_writes_processed", "role", "connected_slaves", "master_replid",
	"master_repl_offset", "repl_backlog_size", "repl_backlog_histlen",
	"second_repl_offset", "used_cpu_sys", "used_cpu_user", "used_cpu_sys_main_thread",
	"cluster_enabled",
};

static void test_fields_that_readers_need_are_there(void **state)
{
	const char *text = info("everything", NULL);

	for (size_t i = 0; i < ARRAY_COUNT(needed); i++)
		assert_field(text, needed[i], NULL);
	assert_int_equal(titles(text, "Server"), 1);
}

/* "name:value" on every line that is neither a title nor blank, each name once. */
static void test_every_line_is_well_formed_and_unique(void **state)
{
	char *text = strdup(info("everything", NULL));
	const char *names[512];
	size_t count = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\r\n", &save); line;
	     line = strtok_r(NULL, "\r\n", &save)) {
		char *colon = strchr(line, ':');

		if (line[0] == '#')
			continue;
		assert_non_null(colon);
		*colon = '\0';
		for (size_t i = 0; i < count; i++)
			assert_string_not_equal(names[i], line);
		assert_true(count < ARRAY_COUNT(names));
		names[count++] = line;
	}
	assert_true(count > 150);
	free(text);
}

static void test_figures_come_from_the_threads(void **state)
{
	const char *text;

	counter_set(&f.workers[0].connections, 4);
	counter_set(&f.workers[0].blocked, 2);
	counter_set(&f.admin.clients, 1);
	counter_set(&f.workers[1].commands.hits, 21);
	counter_set(&f.workers[1].commands.commands, 22);
	counter_set(&f.workers[0].tcp.count[TCP_COUNT_BYTES_IN], 1000);
	counter_set(&f.admin.bytes_in, 24);
	counter_set(&f.workers[0].count[WORKER_COUNT_REJECTED], 3);
	counter_set(&f.workers[0].count[WORKER_COUNT_BUSY_TSC], FIXTURE_TSC_HZ * 1000);
	f.table = (struct table_stats){
		.items = 5,
		.items_with_expiry = 2,
		.expire_sum_ms = 777,
		.memory_bytes = 3u << 20,
		.memory_peak_bytes = 6u << 20,
		.index_bytes = 1u << 20,
		.expired = 8,
	};
	f.config.now.maxmemory = 4u << 20;
	f.config.now.maxmemory_policy = TABLE_ALLKEYS_LRU;
	f.config.now.port = 7000;
	text = info("everything", NULL);
	assert_field(text, "redis_version", "7.0.15");
	assert_field(text, "tcp_port", "7000");
	assert_field(text, "uptime_in_seconds", "90061");
	assert_field(text, "uptime_in_days", "1");
	assert_field(text, "config_file", "/etc/wire.conf");
	assert_field(text, "connected_clients", "5");
	assert_field(text, "blocked_clients", "0");
	assert_field(text, "forwarded_clients", "2");
	assert_field(text, "used_memory", "3145728");
	assert_field(text, "used_memory_human", "3.00M");
	assert_field(text, "used_memory_peak_perc", "50.00%");
	assert_field(text, "used_memory_dataset", "2097152");
	assert_field(text, "maxmemory", "4194304");
	assert_field(text, "maxmemory_policy", "allkeys-lru");
	assert_field(text, "total_commands_processed", "22");
	assert_field(text, "total_net_input_bytes", "1024");
	assert_field(text, "rejected_connections", "3");
	assert_field(text, "keyspace_hits", "21");
	assert_field(text, "expired_keys", "8");
	assert_field(text, "db0", "keys=5,expires=2,avg_ttl=777");
	// A thousand seconds of busy cycles, and the little that this test has taken.
	assert_non_null(strstr(text, "\r\nused_cpu_user:100"));
	stats_reset(f.stats);
	text = info("stats", NULL);
	assert_field(text, "keyspace_hits", "0");
	assert_field(text, "expired_keys", "0");
}

static void test_empty_keyspace_has_no_database(void **state)
{
	assert_null(strstr(info("keyspace", NULL), "db0"));
}

static void test_commandstats_show_what_was_called(void **state)
{
	struct cmd_stat *get = stats_fixture_command(&f, 0, "get");
	const char *text;

	counter_set(&get->calls, 4);
	counter_set(&get->tsc, 2000 * 10); // at 2 GHz
	counter_set(&get->failed, 1);
	counter_set(&stats_fixture_command(&f, 1, "set")->rejected, 2);
	text = info("commandstats", NULL);
	assert_field(text, "cmdstat_get",
		     "calls=4,usec=10,usec_per_call=2.50,rejected_calls=0,failed_calls=1");
	assert_field(text, "cmdstat_set",
		     "calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0");
	assert_null(strstr(text, "cmdstat_del"));
}

#define WITH_STATS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STATS(test_sections_are_chosen_by_name),
		WITH_STATS(test_fields_that_readers_need_are_there),
		WITH_STATS(test_every_line_is_well_formed_and_unique),
		WITH_STATS(test_figures_come_from_the_threads),
		WITH_STATS(test_empty_keyspace_has_no_database),
		WITH_STATS(test_commandstats_show_what_was_called),
	};

	cmd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
