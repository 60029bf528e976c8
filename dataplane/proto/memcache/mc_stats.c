/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_stats.h"

#include "dataplane/proto/memcache/mc_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * The `stats` command: figures of the whole process under memcached's names, which every exporter
 * and dashboard for it reads. Run by the control thread on behalf of a worker's connection
 * (CMD_CONTROL); the answer is raw text in the reply's sink, since only memcached's clients can
 * ask. Figures of mechanisms that we do not have are left out or 0.
 */

#define STAT_LINE_MAX 128 // bytes: names and values are ours, and short

static void PRINTF(2, 3) stat_line(struct out *out, const char *format, ...)
{
	char line[STAT_LINE_MAX];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);

	va_end(args);
	INVARIANT(len > 0 && (size_t)len < sizeof(line));
	OUT_LITERAL(out, "STAT ");
	out_append(out, slice_of(line, (size_t)len));
	OUT_LITERAL(out, "\r\n");
}

static void stat_u64(struct out *out, const char *name, uint64_t value)
{
	stat_line(out, "%s %" PRIu64, name, value);
}

static void stat_flag(struct out *out, const char *name, bool value)
{
	stat_line(out, "%s %s", name, value ? "yes" : "no");
}

static void encode_process(struct out *out, const struct mc_stats *s)
{
	stat_u64(out, "pid", s->pid);
	stat_u64(out, "uptime", s->uptime_s);
	stat_u64(out, "time", s->time_s);
	stat_line(out, "version %s", MC_VERSION);
	stat_u64(out, "pointer_size", 8 * sizeof(void *));
	stat_line(out, "rusage_user %" PRIu64 ".%06" PRIu64, s->user_us / 1000000,
		  s->user_us % 1000000);
	stat_line(out, "rusage_system %" PRIu64 ".%06" PRIu64, s->system_us / 1000000,
		  s->system_us % 1000000);
	stat_u64(out, "max_connections", s->max_connections);
	stat_u64(out, "curr_connections", s->curr_connections);
	stat_u64(out, "total_connections", s->total_connections);
	stat_u64(out, "rejected_connections", s->rejected_connections);
	stat_u64(out, "connection_structures", s->curr_connections);
}

static void encode_commands(struct out *out, const struct cmd_counters *c)
{
	const struct {
		const char *name;
		const counter *value;
	} rows[] = {
		{"cmd_get", &c->mc_cmd_get},
		{"cmd_set", &c->mc_cmd_set},
		{"cmd_flush", &c->mc_cmd_flush},
		{"cmd_touch", &c->mc_cmd_touch},
		{"get_hits", &c->mc_get_hits},
		{"get_misses", &c->mc_get_misses},
		{"get_expired", &c->mc_get_expired},
		{"get_flushed", &c->mc_get_flushed},
		{"delete_misses", &c->mc_delete_misses},
		{"delete_hits", &c->mc_delete_hits},
		{"incr_misses", &c->mc_incr_misses},
		{"incr_hits", &c->mc_incr_hits},
		{"decr_misses", &c->mc_decr_misses},
		{"decr_hits", &c->mc_decr_hits},
		{"cas_misses", &c->mc_cas_misses},
		{"cas_hits", &c->mc_cas_hits},
		{"cas_badval", &c->mc_cas_badval},
		{"touch_hits", &c->mc_touch_hits},
		{"touch_misses", &c->mc_touch_misses},
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		stat_u64(out, rows[i].name, counter_read(rows[i].value));
	stat_u64(out, "cmd_meta", counter_read(&c->mc_cmd_meta));
	stat_u64(out, "auth_cmds", 0);
	stat_u64(out, "auth_errors", 0);
}

static void encode_general(struct out *out, const struct mc_stats *s)
{
	encode_process(out, s);
	encode_commands(out, &s->commands);
	stat_u64(out, "bytes_read", s->bytes_read);
	stat_u64(out, "bytes_written", s->bytes_written);
	stat_u64(out, "limit_maxbytes", s->limit_bytes);
	stat_u64(out, "accepting_conns", 1);
	stat_u64(out, "listen_disabled_num", 0);
	stat_u64(out, "threads", s->threads);
	stat_u64(out, "conn_yields", 0);
	stat_u64(out, "hash_power_level",
		 s->table.buckets > 0 ? 63 - (uint64_t)__builtin_clzll(s->table.buckets) : 0);
	stat_u64(out, "hash_bytes", s->table.index_bytes);
	stat_u64(out, "hash_is_expanding", 0);
	stat_u64(out, "slabs_moved", 0);
	stat_u64(out, "bytes", s->table.memory_bytes);
	stat_u64(out, "curr_items", s->table.items);
	stat_u64(out, "total_items", counter_read(&s->commands.mc_cmd_set));
	stat_u64(out, "expired_unfetched", 0);
	stat_u64(out, "evicted_unfetched", 0);
	stat_u64(out, "evicted_active", 0);
	stat_u64(out, "evictions", s->table.evicted);
	stat_u64(out, "reclaimed", s->table.expired);
}

static void encode_settings(struct out *out, const struct mc_stats *s)
{
	stat_u64(out, "maxbytes", s->limit_bytes);
	stat_u64(out, "maxconns", s->max_connections);
	stat_u64(out, "tcpport", s->port);
	stat_u64(out, "udpport", 0);
	stat_u64(out, "verbosity", 0);
	stat_line(out, "evictions %s", s->evictions_enabled ? "on" : "off");
	stat_flag(out, "shutdown_command", false);
	stat_u64(out, "num_threads", s->threads);
	stat_flag(out, "detail_enabled", false);
	stat_flag(out, "cas_enabled", true);
	stat_line(out, "binding_protocol ascii");
	stat_flag(out, "auth_enabled_sasl", false);
	stat_flag(out, "auth_enabled_ascii", false);
	stat_u64(out, "item_size_max", s->item_max_bytes);
	stat_flag(out, "flush_enabled", s->flush_enabled);
	stat_flag(out, "dump_enabled", false);
	stat_line(out, "hash_algorithm siphash13");
	stat_u64(out, "idle_timeout", 0);
	stat_flag(out, "inline_ascii_response", false);
}

/*
 * We have no slab classes: everything is one class, so that dashboards which add classes up are
 * right.
 */
static void encode_items(struct out *out, const struct mc_stats *s)
{
	if (s->table.items == 0)
		return;
	stat_u64(out, "items:1:number", s->table.items);
	stat_u64(out, "items:1:mem_requested", s->table.memory_bytes);
	stat_u64(out, "items:1:evicted", s->table.evicted);
	stat_u64(out, "items:1:outofmemory", 0);
	stat_u64(out, "items:1:reclaimed", s->table.expired);
}

static void encode_slabs(struct out *out, const struct mc_stats *s)
{
	const struct cmd_counters *c = &s->commands;

	stat_u64(out, "1:used_chunks", s->table.items);
	stat_u64(out, "1:get_hits", counter_read(&c->mc_get_hits));
	stat_u64(out, "1:cmd_set", counter_read(&c->mc_cmd_set));
	stat_u64(out, "1:delete_hits", counter_read(&c->mc_delete_hits));
	stat_u64(out, "1:incr_hits", counter_read(&c->mc_incr_hits));
	stat_u64(out, "1:decr_hits", counter_read(&c->mc_decr_hits));
	stat_u64(out, "1:cas_hits", counter_read(&c->mc_cas_hits));
	stat_u64(out, "1:cas_badval", counter_read(&c->mc_cas_badval));
	stat_u64(out, "1:touch_hits", counter_read(&c->mc_touch_hits));
	stat_u64(out, "active_slabs", 1);
	stat_u64(out, "total_malloced", s->table.memory_bytes);
}

static void encode_sizes(struct out *out, const struct mc_stats *s)
{
	stat_line(out, "sizes_status disabled");
}

/* Our connections have no file descriptors to report; the group exists and is empty. */
static void encode_conns(struct out *out, const struct mc_stats *s)
{
}

struct group {
	struct slice name;
	void (*encode)(struct out *out, const struct mc_stats *s);
};

static const struct group groups[] = {
	{SLICE_LITERAL(""), encode_general},    {SLICE_LITERAL("settings"), encode_settings},
	{SLICE_LITERAL("items"), encode_items}, {SLICE_LITERAL("slabs"), encode_slabs},
	{SLICE_LITERAL("sizes"), encode_sizes}, {SLICE_LITERAL("conns"), encode_conns},
};

static const struct group *group_find(struct slice sub)
{
	for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
		if (slice_equal(groups[i].name, sub))
			return &groups[i];
	}
	return NULL;
}

bool mc_stats_encode(struct out *out, struct slice sub, const struct mc_stats *stats)
{
	const struct group *group = group_find(sub);

	if (group)
		group->encode(out, stats);
	return group != NULL;
}

/* Without a host that sees all threads: the table's figures and this thread's commands. */
static void encode_own(struct cmd_call *call, struct slice sub)
{
	struct mc_stats stats = {
		.time_s = call->thread->now_ms / 1000,
		.commands = *call->thread->counters,
	};

	table_stats(call->thread->table, &stats.table);
	(void)mc_stats_encode(call->reply->out, sub, &stats);
}

/* stats detail on|off|dump: counting per key prefix is not done, but asking for it does no harm. */
static void run_detail(struct out *out, struct slice what)
{
	if (slice_equal(what, SLICE_LITERAL("on")) || slice_equal(what, SLICE_LITERAL("off")))
		OUT_LITERAL(out, "OK\r\n");
	else if (slice_equal(what, SLICE_LITERAL("dump")))
		OUT_LITERAL(out, "END\r\n");
	else
		OUT_LITERAL(out, "CLIENT_ERROR usage: stats detail on|off|dump\r\n");
}

static void run_stats(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = call->thread->host_ops;
	struct out *out = call->reply->out;
	struct slice sub = call->argc > 1 ? call->argv[1] : (struct slice){0};

	if (slice_equal(sub, SLICE_LITERAL("reset"))) {
		if (ops && ops->reset_stats)
			ops->reset_stats(call->thread->host);
		OUT_LITERAL(out, "RESET\r\n");
		return;
	}
	if (slice_equal(sub, SLICE_LITERAL("detail"))) {
		run_detail(out, call->argc > 2 ? call->argv[2] : (struct slice){0});
		return;
	}
	if (!group_find(sub)) {
		OUT_LITERAL(out, "ERROR\r\n");
		return;
	}
	if (ops && ops->mc_stats)
		ops->mc_stats(call->thread->host, out, sub);
	else
		encode_own(call, sub);
	OUT_LITERAL(out, "END\r\n");
}

const struct cmd mc_stats_command = {
	.name = "stats",
	.run = run_stats,
	.arity = -1,
	.flags = CMD_CONTROL | CMD_LOADING | CMD_STALE,
	.group = "memcached",
	.summary = "Returns the figures of the process under memcached's names.",
	.id = CMD_UNLISTED,
};
