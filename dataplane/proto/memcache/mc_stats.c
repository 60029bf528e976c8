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

#define ADDRESS_SHOWN_MAX 64 // bytes; the longest one that makes sense has 43
#define STAT_LINE_MAX     128 // bytes: names and values are ours, and short

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

static void stat_seconds(struct out *out, const char *name, uint64_t us)
{
	stat_line(out, "%s %" PRIu64 ".%06" PRIu64, name, us / 1000000, us % 1000000);
}

static void encode_general(struct out *out, const struct mc_stats *s)
{
	const struct cmd_counters *c = &s->commands;

	stat_u64(out, "pid", s->pid);
	stat_u64(out, "uptime", s->uptime_s);
	stat_u64(out, "time", s->time_s);
	stat_line(out, "version %s", MC_VERSION);
	stat_u64(out, "pointer_size", 8 * sizeof(void *));
	stat_seconds(out, "rusage_user", s->user_us);
	stat_seconds(out, "rusage_system", s->system_us);
#define MC_STAT(name, value)    stat_u64(out, name, (uint64_t)(value));
#define MC_STAT_COUNTER(name, member) stat_u64(out, name, counter_read(&c->member));
#include "dataplane/proto/memcache/mc_stat.def"
#undef MC_STAT
#undef MC_STAT_COUNTER
}

/* What it is in memcached when nothing has been set, or what memcached-parameter-file says. */
static void stat_parameter(struct out *out, const struct mc_stats *s, const char *name,
			   const char *initial)
{
	const char *value = s->parameter ? s->parameter(s->parameters, name) : NULL;

	stat_line(out, "%s %s", name, value ? value : initial);
}

static void encode_settings(struct out *out, const struct mc_stats *s)
{
	stat_u64(out, "maxbytes", s->limit_bytes);
	stat_u64(out, "maxconns", s->max_connections);
	stat_u64(out, "tcpport", s->port);
	stat_u64(out, "udpport", s->udp_port);
	stat_line(out, "inter %.*s", ADDRESS_SHOWN_MAX, s->address ? s->address : "NULL");
	stat_u64(out, "verbosity", 0);
	stat_u64(out, "oldest", 0);
	stat_line(out, "evictions %s", s->evictions_enabled ? "on" : "off");
	stat_line(out, "domain_socket NULL");
	stat_flag(out, "shutdown_command", s->shutdown_enabled);
	stat_parameter(out, s, "growth_factor", "1.25");
	stat_parameter(out, s, "chunk_size", "48");
	stat_u64(out, "num_threads", s->threads);
	stat_u64(out, "num_threads_per_udp", s->udp_port ? s->threads : 0);
	stat_line(out, "stat_key_prefix :");
	stat_flag(out, "detail_enabled", false);
	stat_parameter(out, s, "reqs_per_event", "20");
	stat_parameter(out, s, "cas_enabled", "yes");
	stat_parameter(out, s, "tcp_backlog", "1024");
	stat_parameter(out, s, "binding_protocol", "auto-negotiate");
	stat_flag(out, "auth_enabled_sasl", s->auth_enabled);
	stat_flag(out, "auth_enabled_ascii", s->auth_enabled);
	stat_u64(out, "item_size_max", s->item_max_bytes);
	stat_parameter(out, s, "maxconns_fast", "yes");
	stat_parameter(out, s, "hashpower_init", "0");
	stat_parameter(out, s, "slab_reassign", "yes");
	stat_parameter(out, s, "slab_automove", "1");
	stat_parameter(out, s, "slab_chunk_max", "524288");
	stat_parameter(out, s, "lru_crawler", "yes");
	stat_flag(out, "flush_enabled", s->flush_enabled);
	stat_flag(out, "dump_enabled", true);
	stat_parameter(out, s, "hash_algorithm", "siphash13");
	stat_parameter(out, s, "lru_maintainer_thread", "yes");
	stat_u64(out, "idle_timeout", s->idle_timeout_s);
	stat_u64(out, "watcher_logbuf_size", 262144);
	stat_parameter(out, s, "inline_ascii_response", "no");
	stat_flag(out, "ssl_enabled", false);
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
	stat_u64(out, "items:1:evicted_unfetched", s->table.evicted_unfetched);
	stat_u64(out, "items:1:outofmemory", counter_read(&s->commands.mc_store_no_memory));
	stat_u64(out, "items:1:reclaimed", s->table.expired);
	stat_u64(out, "items:1:expired_unfetched", s->table.expired_unfetched);
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
