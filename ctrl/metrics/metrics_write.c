/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/metrics/metrics.h"

#include "ctrl/replication/replication.h"
#include "ctrl/snapshot/snapshot.h"

#include <stdio.h>
#include <string.h>

/*
 * The metrics as text. What a thread counts comes from the .def table beside its owner, with the
 * label and the help that stand there; metric.def has what no thread counts. Every name begins with
 * wirecache_. Control thread, at most a few hundred lines.
 */

struct row {
	const char *label;
	const char *help;
};

static const struct row worker_rows[] = {
#define WORKER_COUNTER(symbol, label, help) {label, help},
#include "dataplane/worker/worker_counter.def"
#undef WORKER_COUNTER
};

static const char *const stage_labels[] = {
#define WORKER_STAGE(symbol, label) label,
#include "dataplane/worker/worker_stage.def"
#undef WORKER_STAGE
};

static const struct row tcp_rows[] = {
#define TCP_COUNTER(symbol, label, help) {label, help},
#include "nic/tcp/tcp_counter.def"
#undef TCP_COUNTER
};

static const struct row drop_rows[] = {
#define DROP_REASON(symbol, label, help) {label, help},
#include "nic/drop_reason.def"
#undef DROP_REASON
};

_Static_assert(ARRAY_COUNT(worker_rows) == WORKER_COUNTERS, "a row for each counter");
_Static_assert(ARRAY_COUNT(stage_labels) == WORKER_STAGES, "a label for each stage");
_Static_assert(ARRAY_COUNT(tcp_rows) == TCP_COUNTERS, "a row for each counter");
_Static_assert(ARRAY_COUNT(drop_rows) == DROP_REASON_COUNT, "a row for each reason");

/* "family" is the metric's name behind the prefix. */
static void head(struct text *text, const char *family, const char *type, const char *help)
{
	text_printf(text, "# HELP wirecache_%s %s\n", family, help);
	text_printf(text, "# TYPE wirecache_%s %s\n", family, type);
}

static void plain(struct text *text, const char *family, const char *type, const char *help,
		  double value)
{
	head(text, family, type, help);
	text_printf(text, "wirecache_%s %.17g\n", family, value);
}

static void write_workers(struct text *text, const struct stats_source *source)
{
	for (uint32_t row = 0; row < WORKER_COUNTERS; row++) {
		char family[128];

		snprintf(family, sizeof(family), "worker_%s_total", worker_rows[row].label);
		head(text, family, "counter", worker_rows[row].help);
		for (uint32_t i = 0; i < source->worker_count; i++)
			text_printf(
				text, "wirecache_%s{worker=\"%u\"} %llu\n", family, i,
				(unsigned long long)counter_read(&source->workers[i]->count[row]));
	}
	head(text, "worker_connections", "gauge", "open connections of a worker");
	for (uint32_t i = 0; i < source->worker_count; i++)
		text_printf(text, "wirecache_worker_connections{worker=\"%u\"} %llu\n", i,
			    (unsigned long long)counter_read(&source->workers[i]->connections));
}

static void write_stages(struct text *text, const struct stats_source *source)
{
	head(text, "worker_stage_cycles_total", "counter",
	     "TSC cycles by stage of the poll loop, in turns whose stages were timed");
	for (uint32_t i = 0; i < source->worker_count; i++)
		for (uint32_t stage = 0; stage < WORKER_STAGES; stage++)
			text_printf(
				text,
				"wirecache_worker_stage_cycles_total{worker=\"%u\",stage=\"%s\"} "
				"%llu\n",
				i, stage_labels[stage],
				(unsigned long long)counter_read(
					&source->workers[i]->stage_tsc[stage]));
}

static void write_tcp(struct text *text, const uint64_t *tcp)
{
	for (uint32_t row = 0; row < TCP_COUNTERS; row++) {
		char family[128];

		snprintf(family, sizeof(family), "tcp_%s_total", tcp_rows[row].label);
		plain(text, family, "counter", tcp_rows[row].help, (double)tcp[row]);
	}
}

static void write_drops(struct text *text, const uint64_t *drops)
{
	head(text, "drops_total", "counter", "frames and segments dropped, by reason");
	for (uint32_t row = 0; row < DROP_REASON_COUNT; row++)
		text_printf(text, "wirecache_drops_total{reason=\"%s\"} %llu\n",
			    drop_rows[row].label, (unsigned long long)drops[row]);
}

static void write_command_family(struct text *text, const struct stats *stats, const char *family,
				 const char *help, size_t member)
{
	head(text, family, "counter", help);
	for (uint32_t id = 0; id < cmd_count(); id++) {
		struct stats_command sum;
		uint64_t value;

		stats_of_command(stats, id, &sum);
		if (sum.calls == 0 && sum.failed == 0 && sum.rejected == 0)
			continue; // hundreds of zeros help nobody
		memcpy(&value, (const char *)&sum + member, sizeof(value));
		text_printf(text, "wirecache_%s{command=\"%s\"} %llu\n", family, cmd_at(id)->name,
			    (unsigned long long)value);
	}
}

static void write_commands(struct text *text, const struct stats *stats)
{
	write_command_family(text, stats, "command_calls_total", "commands run, by name",
			     offsetof(struct stats_command, calls));
	write_command_family(text, stats, "command_failed_total",
			     "commands that ran and answered an error, by name",
			     offsetof(struct stats_command, failed));
	write_command_family(text, stats, "command_rejected_total",
			     "commands refused before they ran, by name",
			     offsetof(struct stats_command, rejected));
	write_command_family(text, stats, "command_cycles_total",
			     "TSC cycles spent in commands, by name",
			     offsetof(struct stats_command, tsc));
}

static void write_process(struct text *text, const struct stats *stats,
			  const struct stats_snapshot *s)
{
	const struct stats_source *source = stats_source(stats);
	const struct stats_totals *t = &s->totals;
	struct stats_rates rates;

	stats_rates(stats, &rates);
	head(text, "build_info", "gauge", "always 1; the version is a label");
	text_printf(text, "wirecache_build_info{version=\"%s\"} 1\n", WIRECACHE_VERSION);
	head(text, "port_info", "gauge", "always 1; the port is in the labels");
	text_printf(text, "wirecache_port_info{name=\"%s\",driver=\"%s\"} 1\n", s->port.name,
		    s->port.driver);
#define METRIC(family, type, help, value) plain(text, family, type, help, (double)(value));
#include "ctrl/metrics/metric.def"
#undef METRIC
	head(text, "elasticache", "gauge", "figures under the names that ElastiCache gives them");
#define ELASTICACHE(name, value)                                                                   \
	text_printf(text, "wirecache_elasticache{metric=\"%s\"} %.17g\n", name, (double)(value));
#include "ctrl/metrics/elasticache.def"
#undef ELASTICACHE
}

struct snapshot_row {
	const char *family, *type, *help;
	uint64_t (*value)(const struct snap_file_status *file);
};

#define SNAPSHOT_VALUE(name, expression)                                                           \
	static uint64_t snapshot_##name(const struct snap_file_status *file)                       \
	{                                                                                          \
		return (expression);                                                               \
	}
SNAPSHOT_VALUE(saves, file->saves)
SNAPSHOT_VALUE(failures, file->failures)
SNAPSHOT_VALUE(good, !file->failed)
SNAPSHOT_VALUE(last, file->last_ms / 1000)
SNAPSHOT_VALUE(took, file->took_ns / 1000000000)
SNAPSHOT_VALUE(keys, file->keys)
SNAPSHOT_VALUE(bytes, file->bytes)
SNAPSHOT_VALUE(peak, file->peak_bytes)

static const struct snapshot_row snapshot_rows[] = {
	{"snapshots_total", "counter", "snapshots written", snapshot_saves},
	{"snapshot_failures_total", "counter", "snapshots that failed", snapshot_failures},
	{"snapshot_last_good", "gauge", "1 unless the last one failed", snapshot_good},
	{"snapshot_last_time_seconds", "gauge", "Unix time of the last one written", snapshot_last},
	{"snapshot_last_duration_seconds", "gauge", "how long the last one took", snapshot_took},
	{"snapshot_last_keys", "gauge", "keys in the last one written", snapshot_keys},
	{"snapshot_last_bytes", "gauge", "size of the last one written", snapshot_bytes},
	{"snapshot_buffer_peak_bytes", "gauge",
	 "the most copies of changed values that waited for the last one", snapshot_peak},
};

static double snapshot_progress(const struct snap_saver_status *status)
{
	if (!status->saving || status->buckets == 0)
		return 0;
	return (double)status->buckets_passed / (double)status->buckets;
}

/* By kind: "main" is dbfilename, "dated" snapshot-dir. */
static void write_snapshots(struct text *text, const struct stats_source *source, uint64_t changes)
{
	static const char *const kinds[SNAP_KINDS] = {"main", "dated"};
	const struct snap_saver_status *status;

	if (!source->saver)
		return;
	status = snap_saver_status(source->saver);
	plain(text, "snapshot_in_progress", "gauge", "1 while one is written", status->saving);
	plain(text, "snapshot_progress_ratio", "gauge", "part of the index that it has passed",
	      snapshot_progress(status));
	plain(text, "snapshot_changes", "gauge", "changes since dbfilename was written",
	      (double)(changes - status->changes_saved));
	for (size_t row = 0; row < ARRAY_COUNT(snapshot_rows); row++) {
		const struct snapshot_row *r = &snapshot_rows[row];

		head(text, r->family, r->type, r->help);
		for (uint32_t kind = 0; kind < SNAP_KINDS; kind++)
			text_printf(text, "wirecache_%s{kind=\"%s\"} %llu\n", r->family,
				    kinds[kind], (unsigned long long)r->value(&status->file[kind]));
	}
}

static void write_replication(struct text *text, const struct stats_source *source)
{
	struct repl_status s;

	if (!source->repl)
		return;
	repl_status(source->repl, &s);
#define REPLICATION_METRIC(family, type, help, value)                                              \
	plain(text, family, type, help, (double)(value));
#include "ctrl/metrics/replication_metric.def"
#undef REPLICATION_METRIC
	head(text, "replica_lag_bytes", "gauge", "bytes that a replica has yet to acknowledge");
	for (uint32_t i = 0; i < s.count; i++)
		text_printf(text, "wirecache_replica_lag_bytes{replica=\"%s:%u\"} %llu\n",
			    s.replicas[i].address, s.replicas[i].port,
			    (unsigned long long)(s.offset - s.replicas[i].offset));
	head(text, "replica_lag_seconds", "gauge", "seconds since a replica's last word");
	for (uint32_t i = 0; i < s.count; i++)
		text_printf(text, "wirecache_replica_lag_seconds{replica=\"%s:%u\"} %llu\n",
			    s.replicas[i].address, s.replicas[i].port,
			    (unsigned long long)s.replicas[i].lag_s);
}

void metrics_write(struct text *text, const struct stats *stats)
{
	struct stats_snapshot s;

	stats_collect(stats, &s);
	write_process(text, stats, &s);
	write_workers(text, stats_source(stats));
	write_stages(text, stats_source(stats));
	write_tcp(text, s.totals.tcp);
	write_drops(text, s.totals.drops);
	write_commands(text, stats);
	write_snapshots(text, stats_source(stats), s.table.changes);
	write_replication(text, stats_source(stats));
}
