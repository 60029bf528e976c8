/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/info/info.h"

#include "ctrl/info/info_internal.h"
#include "ctrl/pubsub/pubsub.h"
#include "ctrl/replication/replication.h"
#include "ctrl/snapshot/snapshot.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/*
 * One function per section of INFO. Fields that have a meaning here are computed; those of features
 * that are not there say so with the value that redis shows while such a feature is not in use,
 * because readers take a missing field for an error. Control thread.
 */

#define REDIS_VERSION "7.0.15" // frameworks branch on it; ours is wirecache_version

struct info {
	struct text *text;
	const struct stats *stats;
	const struct stats_source *source;
	struct stats_snapshot s;
	uint64_t now_us;
};

static void line_u64(struct info *info, const char *name, uint64_t value)
{
	text_printf(info->text, "%s:%llu\r\n", name, (unsigned long long)value);
}

static void line_i64(struct info *info, const char *name, int64_t value)
{
	text_printf(info->text, "%s:%lld\r\n", name, (long long)value);
}

static void line_text(struct info *info, const char *name, const char *value)
{
	text_printf(info->text, "%s:%s\r\n", name, value);
}

static void line_double(struct info *info, const char *name, int digits, double value)
{
	text_printf(info->text, "%s:%.*f\r\n", name, digits, value);
}

/* "1.50M", as redis' bytesToHuman(). */
static void line_human(struct info *info, const char *name, uint64_t bytes)
{
	static const char units[] = "BKMGTP";
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		text_printf(info->text, "%s:%lluB\r\n", name, (unsigned long long)bytes);
	else
		text_printf(info->text, "%s:%.2f%c\r\n", name, value, units[unit]);
}

static void line_bytes(struct info *info, const char *name, uint64_t bytes)
{
	char human[64];

	snprintf(human, sizeof(human), "%s_human", name);
	line_u64(info, name, bytes);
	line_human(info, human, bytes);
}

static uint64_t uptime_s(const struct info *info)
{
	uint64_t now_ms = info->now_us / 1000;

	return now_ms > info->source->start_ms ? (now_ms - info->source->start_ms) / 1000 : 0;
}

static void write_server(struct info *info)
{
	const struct config *config = info->source->config;
	struct utsname os;
	char path[512];
	ssize_t path_len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (uname(&os) != 0)
		memset(&os, 0, sizeof(os));
	path[path_len < 0 ? 0 : path_len] = '\0';
	line_text(info, "redis_version", REDIS_VERSION);
	line_text(info, "wirecache_version", WIRECACHE_VERSION);
	OUT_LITERAL(&info->text->out,
		    "redis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\n"
		    "redis_mode:standalone\r\n");
	text_printf(info->text, "os:%s %s %s\r\n", os.sysname, os.release, os.machine);
	OUT_LITERAL(&info->text->out, "arch_bits:64\r\nmonotonic_clock:X86 TSC\r\n"
				      "multiplexing_api:dpdk\r\natomicvar_api:c11-builtin\r\n");
	line_text(info, "gcc_version", __VERSION__);
	line_u64(info, "process_id", (uint64_t)getpid());
	OUT_LITERAL(&info->text->out, "process_supervised:no\r\n");
	line_text(info, "run_id", stats_run_id(info->stats));
	line_u64(info, "tcp_port", (uint64_t)config->port);
	line_u64(info, "server_time_usec", info->now_us);
	line_u64(info, "uptime_in_seconds", uptime_s(info));
	line_u64(info, "uptime_in_days", uptime_s(info) / 86400);
	OUT_LITERAL(&info->text->out, "hz:10\r\nconfigured_hz:10\r\n");
	line_u64(info, "lru_clock", (info->now_us / 1000000) & 0xffffff);
	line_text(info, "executable", path);
	line_text(info, "config_file", info->source->config_file);
	OUT_LITERAL(&info->text->out, "io_threads_active:0\r\n");
	line_u64(info, "memcached_port", (uint64_t)config->memcached_port);
	line_u64(info, "worker_threads", info->source->worker_count);
	line_text(info, "nic_driver", info->s.port.driver);
	line_text(info, "nic_link", info->s.link_up ? "up" : "down");
}

static void write_clients(struct info *info)
{
	line_u64(info, "connected_clients", info->s.connections + info->s.admin_clients);
	line_u64(info, "cluster_connections", 0);
	line_u64(info, "maxclients", (uint64_t)info->source->config->maxclients);
	OUT_LITERAL(&info->text->out,
		    "client_recent_max_input_buffer:0\r\nclient_recent_max_output_buffer:0\r\n");
	// Redis counts clients in BLPOP and the like here, and no command of ours is one of them. A
	// client waiting for the control side is something else: whoever asks for this is one.
	OUT_LITERAL(&info->text->out,
		    "blocked_clients:0\r\ntracking_clients:0\r\nclients_in_timeout_table:0\r\n");
	line_u64(info, "forwarded_clients", info->s.blocked);
	line_u64(info, "admin_clients", info->s.admin_clients);
}

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double ratio(uint64_t a, uint64_t b)
{
	return b > 0 ? (double)a / (double)b : 0;
}

static void write_memory_use(struct info *info)
{
	const struct table_stats *table = &info->s.table;
	uint64_t resident = resident_bytes();
	uint64_t overhead = info__overhead_bytes(table);
	uint64_t dataset = table->memory_bytes > overhead ? table->memory_bytes - overhead : 0;

	line_bytes(info, "used_memory", table->memory_bytes);
	line_bytes(info, "used_memory_rss", resident);
	line_bytes(info, "used_memory_peak", table->memory_peak_bytes);
	text_printf(info->text, "used_memory_peak_perc:%.2f%%\r\n",
		    100 * ratio(table->memory_bytes, table->memory_peak_bytes));
	line_u64(info, "used_memory_overhead", overhead);
	line_u64(info, "used_memory_startup", 0);
	line_u64(info, "used_memory_dataset", dataset);
	text_printf(info->text, "used_memory_dataset_perc:%.2f%%\r\n",
		    100 * ratio(dataset, table->memory_bytes));
	line_u64(info, "allocator_allocated", table->memory_bytes);
	line_u64(info, "allocator_active", table->memory_bytes);
	line_u64(info, "allocator_resident", table->region_bytes);
	line_bytes(info, "total_system_memory",
		   (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void write_memory(struct info *info)
{
#define POLICY_WORD(name, word) word,
	static const char *const policies[] = {TABLE_POLICIES(POLICY_WORD)};
#undef POLICY_WORD
	const struct config *config = info->source->config;

	write_memory_use(info);
	OUT_LITERAL(
		&info->text->out,
		"used_memory_lua:0\r\nused_memory_vm_eval:0\r\nused_memory_lua_human:0B\r\n"
		"used_memory_scripts_eval:0\r\nnumber_of_cached_scripts:0\r\n"
		"number_of_functions:0\r\nnumber_of_libraries:0\r\nused_memory_vm_functions:0\r\n"
		"used_memory_vm_total:0\r\nused_memory_vm_total_human:0B\r\n"
		"used_memory_functions:0\r\nused_memory_scripts:0\r\n"
		"used_memory_scripts_human:0B\r\n");
	line_bytes(info, "maxmemory", config->maxmemory);
	line_text(info, "maxmemory_policy", policies[config->maxmemory_policy]);
	OUT_LITERAL(&info->text->out,
		    "allocator_frag_ratio:1.00\r\nallocator_frag_bytes:0\r\n"
		    "allocator_rss_ratio:1.00\r\nallocator_rss_bytes:0\r\n"
		    "rss_overhead_ratio:1.00\r\nrss_overhead_bytes:0\r\n"
		    "mem_fragmentation_ratio:1.00\r\nmem_fragmentation_bytes:0\r\n"
		    "mem_not_counted_for_evict:0\r\nmem_replication_backlog:0\r\n"
		    "mem_total_replication_buffers:0\r\nmem_clients_slaves:0\r\n"
		    "mem_clients_normal:0\r\nmem_cluster_links:0\r\nmem_aof_buffer:0\r\n"
		    "mem_allocator:jemalloc\r\nactive_defrag_running:0\r\n");
	line_u64(info, "lazyfree_pending_objects", info->s.table.limbo_items);
	OUT_LITERAL(&info->text->out, "lazyfreed_objects:0\r\n");
	line_u64(info, "index_bytes", info->s.table.index_bytes);
	line_u64(info, "ghost_bytes", info->s.table.ghost_bytes);
	line_u64(info, "limbo_bytes", info->s.table.limbo_bytes);
	line_u64(info, "region_bytes", info->s.table.region_bytes);
}

/* Times are in seconds, -1 where there is none. */
static void write_snapshots(struct info *info)
{
	static const struct snap_saver_status none;
	const struct snap_saver_status *s =
		info->source->saver ? snap_saver_status(info->source->saver) : &none;
	const struct snap_file_status *file = &s->file[SNAP_MAIN], *dated = &s->file[SNAP_DATED];
	uint64_t last_ms = info->source->saver ? file->last_ms : info->source->start_ms;
	bool ended = file->saves > 0 || file->failed;
	uint64_t begun_ms = s->file[s->kind].tried_ms;

	line_u64(info, "rdb_changes_since_last_save", info->s.table.changes - s->changes_saved);
	line_u64(info, "rdb_bgsave_in_progress", s->saving);
	line_u64(info, "rdb_last_save_time", last_ms / 1000);
	line_text(info, "rdb_last_bgsave_status", file->failed ? "err" : "ok");
	line_i64(info, "rdb_last_bgsave_time_sec",
		 ended ? (int64_t)(file->took_ns / 1000000000) : -1);
	line_i64(info, "rdb_current_bgsave_time_sec",
		 s->saving ? (int64_t)(info->now_us / 1000 - begun_ms) / 1000 : -1);
	line_u64(info, "rdb_saves", file->saves);
	line_u64(info, "rdb_last_cow_size", file->peak_bytes);
	line_u64(info, "dated_snapshots", dated->saves);
	line_u64(info, "dated_snapshot_last_time", dated->last_ms / 1000);
	line_text(info, "dated_snapshot_last_status", dated->failed ? "err" : "ok");
}

static void write_persistence(struct info *info)
{
	OUT_LITERAL(&info->text->out,
		    "loading:0\r\nasync_loading:0\r\ncurrent_cow_peak:0\r\ncurrent_cow_size:0\r\n"
		    "current_cow_size_age:0\r\ncurrent_fork_perc:0.00\r\n"
		    "current_save_keys_processed:0\r\ncurrent_save_keys_total:0\r\n");
	write_snapshots(info);
	line_u64(info, "rdb_last_load_keys_expired", info->source->keys_loaded_expired);
	line_u64(info, "rdb_last_load_keys_loaded", info->source->keys_loaded);
	OUT_LITERAL(&info->text->out,
		    "aof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
		    "aof_last_rewrite_time_sec:-1\r\naof_current_rewrite_time_sec:-1\r\n"
		    "aof_last_bgrewrite_status:ok\r\naof_rewrites:0\r\n"
		    "aof_rewrites_consecutive_failures:0\r\naof_last_write_status:ok\r\n"
		    "aof_last_cow_size:0\r\nmodule_fork_in_progress:0\r\n"
		    "module_fork_last_cow_size:0\r\n");
}

static void write_traffic(struct info *info)
{
	const struct stats_totals *t = &info->s.totals;
	struct stats_rates rates;

	stats_rates(info->stats, &rates);
	line_u64(info, "total_connections_received",
		 t->worker[WORKER_COUNT_ACCEPTED] + t->admin_accepted);
	line_u64(info, "total_commands_processed", STATS_OF_COMMANDS(t, commands));
	line_u64(info, "instantaneous_ops_per_sec", rates.commands_per_s);
	line_u64(info, "total_net_input_bytes", t->tcp[TCP_COUNT_BYTES_IN] + t->admin_bytes_in);
	line_u64(info, "total_net_output_bytes", t->tcp[TCP_COUNT_BYTES_OUT] + t->admin_bytes_out);
	OUT_LITERAL(&info->text->out,
		    "total_net_repl_input_bytes:0\r\ntotal_net_repl_output_bytes:0\r\n");
	line_double(info, "instantaneous_input_kbps", 2, rates.input_kib_per_s);
	line_double(info, "instantaneous_output_kbps", 2, rates.output_kib_per_s);
	OUT_LITERAL(&info->text->out, "instantaneous_input_repl_kbps:0.00\r\n"
				      "instantaneous_output_repl_kbps:0.00\r\n");
	line_u64(info, "rejected_connections",
		 t->worker[WORKER_COUNT_REJECTED] + t->admin_rejected);
	struct repl_status replication = {0};

	if (info->source->repl)
		repl_status(info->source->repl, &replication);
	line_u64(info, "sync_full", replication.full);
	line_u64(info, "sync_partial_ok", replication.partial_good);
	line_u64(info, "sync_partial_err", replication.partial_bad);
}

static void write_stats(struct info *info)
{
	const struct stats_totals *t = &info->s.totals;

	write_traffic(info);
	line_u64(info, "expired_keys", t->expired);
	OUT_LITERAL(&info->text->out,
		    "expired_stale_perc:0.00\r\nexpired_time_cap_reached_count:0\r\n"
		    "expire_cycle_cpu_milliseconds:0\r\n");
	line_u64(info, "evicted_keys", t->evicted);
	OUT_LITERAL(&info->text->out, "evicted_clients:0\r\ntotal_eviction_exceeded_time:0\r\n"
				      "current_eviction_exceeded_time:0\r\n");
	line_u64(info, "keyspace_hits", STATS_OF_COMMANDS(t, hits));
	line_u64(info, "keyspace_misses", STATS_OF_COMMANDS(t, misses));
	struct pubsub_stats published = {0};

	if (info->source->pubsub)
		pubsub_stats(info->source->pubsub, &published);
	line_u64(info, "pubsub_channels", published.channels);
	line_u64(info, "pubsub_patterns", published.patterns);
	OUT_LITERAL(&info->text->out,
		    "pubsubshard_channels:0\r\n"
		    "latest_fork_usec:0\r\ntotal_forks:0\r\nmigrate_cached_sockets:0\r\n"
		    "slave_expires_tracked_keys:0\r\nactive_defrag_hits:0\r\n"
		    "active_defrag_misses:0\r\nactive_defrag_key_hits:0\r\n"
		    "active_defrag_key_misses:0\r\ntotal_active_defrag_time:0\r\n"
		    "current_active_defrag_time:0\r\ntracking_total_keys:0\r\n"
		    "tracking_total_items:0\r\ntracking_total_prefixes:0\r\n"
		    "unexpected_error_replies:0\r\n");
	line_u64(info, "total_error_replies", STATS_OF_COMMANDS(t, error_replies));
	OUT_LITERAL(&info->text->out, "dump_payload_sanitizations:0\r\n");
	line_u64(info, "total_reads_processed", t->tcp[TCP_COUNT_SEGMENTS_IN]);
	line_u64(info, "total_writes_processed", t->tcp[TCP_COUNT_SEGMENTS_OUT]);
	OUT_LITERAL(&info->text->out,
		    "io_threaded_reads_processed:0\r\nio_threaded_writes_processed:0\r\n"
		    "reply_buffer_shrinks:0\r\nreply_buffer_expands:0\r\n");
}

static void write_replica(struct info *info, uint32_t number,
			  const struct repl_replica_status *replica)
{
	static const char *const states[] = {
		[REPL_KNOWN] = "wait_bgsave",
		[REPL_WAITS] = "wait_bgsave",
		[REPL_SYNCS] = "send_bulk",
		[REPL_ONLINE] = "online",
	};

	text_printf(info->text, "slave%u:ip=%s,port=%u,state=%s,offset=%llu,lag=%llu\r\n", number,
		    replica->address, replica->port, states[replica->state],
		    (unsigned long long)replica->offset, (unsigned long long)replica->lag_s);
}

/* The part, and of a replica whom it follows. */
static void write_primary(struct info *info)
{
	struct repl_follow_status s;
	uint64_t now_ms = info->now_us / 1000;
	bool up;

	if (!info->source->repl || !repl_primary(info->source->repl, &s)) {
		OUT_LITERAL(&info->text->out, "role:master\r\n");
		return;
	}
	up = s.state == REPL_LINK_CONNECTED;
	OUT_LITERAL(&info->text->out, "role:slave\r\n");
	line_text(info, "master_host", s.host);
	line_u64(info, "master_port", s.port);
	line_text(info, "master_link_status", up ? "up" : "down");
	line_i64(info, "master_last_io_seconds_ago",
		 up && now_ms >= s.heard_ms ? (int64_t)(now_ms - s.heard_ms) / 1000 : -1);
	line_u64(info, "master_sync_in_progress", s.state == REPL_LINK_SYNC);
	line_u64(info, "slave_read_repl_offset", s.offset);
	line_u64(info, "slave_repl_offset", s.offset);
	if (s.state == REPL_LINK_SYNC)
		line_u64(info, "master_sync_read_bytes", s.sync_bytes);
	if (!up)
		line_u64(info, "master_link_down_since_seconds",
			 now_ms > s.down_ms ? (now_ms - s.down_ms) / 1000 : 0);
	line_u64(info, "slave_priority", (uint64_t)info->source->config->replica_priority);
	OUT_LITERAL(&info->text->out, "slave_read_only:1\r\nreplica_announced:1\r\n");
}

static void write_replication(struct info *info)
{
	const struct config *config = info->source->config;
	struct repl_status status = {.id = stats_run_id(info->stats)};

	if (info->source->repl)
		repl_status(info->source->repl, &status);
	write_primary(info);
	line_u64(info, "connected_slaves", status.count);
	if (config->min_replicas_to_write > 0 && config->min_replicas_max_lag > 0)
		line_u64(info, "min_slaves_good_slaves", status.good);
	for (uint32_t i = 0; i < status.count; i++)
		write_replica(info, i, &status.replicas[i]);
	OUT_LITERAL(&info->text->out, "master_failover_state:no-failover\r\n");
	line_text(info, "master_replid", status.id);
	line_text(info, "master_replid2",
		  status.id2 && status.id2[0] != '\0' ? status.id2
						      : "0000000000000000000000000000000000000000");
	line_u64(info, "master_repl_offset", status.offset);
	line_i64(info, "second_repl_offset",
		 status.id2 && status.id2[0] != '\0' ? (int64_t)status.offset2 + 1 : -1);
	line_u64(info, "repl_backlog_active", status.active);
	line_u64(info, "repl_backlog_size",
		 status.active ? status.backlog_keep_bytes : config->repl_backlog_size);
	line_u64(info, "repl_backlog_first_byte_offset",
		 status.active ? status.backlog_start + 1 : 0);
	line_u64(info, "repl_backlog_histlen", status.backlog_bytes);
}

static double seconds_of(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

/*
 * A polling core is always busy to the kernel, so that used_cpu_user would say nothing. It counts
 * the workers' cycles that did work, as if the others had been slept.
 */
static void write_cpu(struct info *info)
{
	const uint64_t *worker = info->s.totals.worker;
	struct rusage process, thread;
	struct stats_rates rates;
	double busy_s = 0;

	getrusage(RUSAGE_SELF, &process);
	getrusage(RUSAGE_THREAD, &thread);
	stats_rates(info->stats, &rates);
	if (info->source->tsc_hz > 0)
		busy_s = (double)(worker[WORKER_COUNT_BUSY_TSC] + worker[WORKER_COUNT_UPKEEP_TSC]) /
			 (double)info->source->tsc_hz;
	line_double(info, "used_cpu_sys", 6, seconds_of(&process.ru_stime));
	line_double(info, "used_cpu_user", 6, busy_s + seconds_of(&thread.ru_utime));
	OUT_LITERAL(&info->text->out, "used_cpu_sys_children:0.000000\r\n"
				      "used_cpu_user_children:0.000000\r\n");
	line_double(info, "used_cpu_sys_main_thread", 6, seconds_of(&thread.ru_stime));
	line_double(info, "used_cpu_user_main_thread", 6, seconds_of(&thread.ru_utime));
	line_double(info, "busy_ratio", 4, rates.busy_ratio);
}

static void write_nothing(struct info *info)
{
}

static void write_commandstats(struct info *info)
{
	double tsc_per_us = (double)info->source->tsc_hz / 1e6;

	for (uint32_t id = 0; id < cmd_count(); id++) {
		struct stats_command sum;
		double us;

		stats_of_command_since_reset(info->stats, id, &sum);
		if (sum.calls == 0 && sum.failed == 0 && sum.rejected == 0)
			continue;
		us = tsc_per_us > 0 ? (double)sum.tsc / tsc_per_us : 0;
		text_printf(info->text,
			    "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,"
			    "rejected_calls=%llu,failed_calls=%llu\r\n",
			    cmd_at(id)->name, (unsigned long long)sum.calls, (unsigned long long)us,
			    sum.calls > 0 ? us / (double)sum.calls : 0.0,
			    (unsigned long long)sum.rejected, (unsigned long long)sum.failed);
	}
}

static void write_cluster(struct info *info)
{
	OUT_LITERAL(&info->text->out, "cluster_enabled:0\r\n");
}

static void write_keyspace(struct info *info)
{
	const struct table_stats *table = &info->s.table;

	if (table->items > 0)
		text_printf(info->text, "db0:keys=%llu,expires=%llu,avg_ttl=%llu\r\n",
			    (unsigned long long)table->items,
			    (unsigned long long)table->items_with_expiry,
			    (unsigned long long)table->expire_sum_ms);
}

/* In redis' order. */
static const struct section {
	const char *name; // as it is asked for
	const char *title;
	void (*write)(struct info *info);
	bool by_default; // "default", and no name at all
	bool by_all;     // "all"
} sections_table[] = {
	{"server", "Server", write_server, true, true},
	{"clients", "Clients", write_clients, true, true},
	{"memory", "Memory", write_memory, true, true},
	{"persistence", "Persistence", write_persistence, true, true},
	{"stats", "Stats", write_stats, true, true},
	{"replication", "Replication", write_replication, true, true},
	{"cpu", "CPU", write_cpu, true, true},
	{"modules", "Modules", write_nothing, true, false},
	{"commandstats", "Commandstats", write_commandstats, false, true},
	{"errorstats", "Errorstats", write_nothing, true, true},
	{"latencystats", "Latencystats", write_nothing, false, true},
	{"cluster", "Cluster", write_cluster, true, true},
	{"keyspace", "Keyspace", write_keyspace, true, true},
};

static bool is_wanted(const struct section *section, const struct slice *names, uint32_t count)
{
	if (count == 0)
		return section->by_default;
	for (uint32_t i = 0; i < count; i++) {
		if (slice_equal_nocase(names[i], "everything") ||
		    slice_equal_nocase(names[i], section->name) ||
		    (section->by_all && slice_equal_nocase(names[i], "all")) ||
		    (section->by_default && slice_equal_nocase(names[i], "default")))
			return true;
	}
	return false;
}

void info_write(struct text *text, const struct stats *stats, uint64_t now_us,
		const struct slice *sections, uint32_t count)
{
	struct info info = {
		.text = text, .stats = stats, .source = stats_source(stats), .now_us = now_us};
	bool first = true;

	stats_collect_since_reset(stats, &info.s);
	for (size_t i = 0; i < ARRAY_COUNT(sections_table); i++) {
		if (!is_wanted(&sections_table[i], sections, count))
			continue;
		text_printf(text, "%s# %s\r\n", first ? "" : "\r\n", sections_table[i].title);
		sections_table[i].write(&info);
		first = false;
	}
}
