/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/stats/stats.h"

#include "base/clock.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Sums over the counters of all threads. Nothing is ever set to zero: CONFIG RESETSTAT notes what
 * the sums are, and INFO shows the difference, so that the owners of counters stay their only
 * writers. Control thread.
 */

#define SAMPLES 16 // redis averages over as many

struct sample {
	uint64_t now_ns;
	uint64_t commands, bytes_in, bytes_out;
	uint64_t busy_tsc, total_tsc;
};

struct stats {
	struct stats_source source;
	char run_id[STATS_RUN_ID_LEN + 1];
	struct stats_totals at_reset;
	struct stats_command *commands_at_reset; // cmd_count() of them
	struct sample samples[SAMPLES];          // a ring
	uint32_t sample_count;                   // taken so far
};

struct stats *stats_new(const struct stats_source *source)
{
	struct stats *stats = calloc(1, sizeof(*stats));
	uint8_t random[STATS_RUN_ID_LEN / 2];

	REQUIRE(source->worker_count <= ARRAY_COUNT(source->workers));
	REQUIRE(source->other_count <= STATS_OTHERS_MAX);
	if (!stats)
		return NULL;
	stats->source = *source;
	stats->commands_at_reset = calloc(cmd_count(), sizeof(*stats->commands_at_reset));
	if (!stats->commands_at_reset) {
		free(stats);
		return NULL;
	}
	secret_fill(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(&stats->run_id[2 * i], 3, "%02x", random[i]);
	return stats;
}

void stats_free(struct stats *stats)
{
	if (!stats)
		return;
	free(stats->commands_at_reset);
	free(stats);
}

const struct stats_source *stats_source(const struct stats *stats)
{
	return &stats->source;
}

const char *stats_run_id(const struct stats *stats)
{
	return stats->run_id;
}

static void add_counters(uint64_t *sums, const counter *counters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sums[i] += counter_read(&counters[i]);
}

static void add_commands(struct stats_totals *totals, const struct cmd_counters *counters)
{
	_Static_assert(sizeof(struct cmd_counters) % sizeof(counter) == 0, "nothing but counters");
	add_counters(totals->commands, (const counter *)counters, STATS_COMMAND_COUNTERS);
}

void stats_collect(const struct stats *stats, struct stats_snapshot *s)
{
	const struct stats_source *source = &stats->source;

	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < source->worker_count; i++) {
		const struct worker_stats *worker = source->workers[i];

		add_counters(s->totals.worker, worker->count, WORKER_COUNTERS);
		add_counters(s->totals.drops, worker->drops.count, DROP_REASON_COUNT);
		add_counters(s->totals.tcp, worker->tcp.count, TCP_COUNTERS);
		add_commands(&s->totals, &worker->commands);
		s->connections += counter_read(&worker->connections);
		s->blocked += counter_read(&worker->blocked);
	}
	for (uint32_t i = 0; i < source->other_count; i++)
		add_commands(&s->totals, source->others[i].counters);
	if (source->admin) {
		s->admin_clients = counter_read(&source->admin->clients);
		s->totals.admin_accepted = counter_read(&source->admin->accepted);
		s->totals.admin_rejected = counter_read(&source->admin->rejected);
		s->totals.admin_bytes_in = counter_read(&source->admin->bytes_in);
		s->totals.admin_bytes_out = counter_read(&source->admin->bytes_out);
	}
	source->table(source->arg, &s->table);
	s->totals.expired = s->table.expired;
	s->totals.evicted = s->table.evicted;
	source->port(source->arg, &s->port, &s->port_counters, &s->link_up);
}

static void add_command(struct stats_command *sum, const struct cmd_stat *stat)
{
	sum->calls += counter_read(&stat->calls);
	sum->failed += counter_read(&stat->failed);
	sum->rejected += counter_read(&stat->rejected);
	sum->tsc += counter_read(&stat->tsc);
}

void stats_of_command(const struct stats *stats, uint32_t id, struct stats_command *sum)
{
	const struct stats_source *source = &stats->source;

	REQUIRE(id < cmd_count());
	*sum = (struct stats_command){0};
	for (uint32_t i = 0; i < source->worker_count; i++)
		add_command(sum, &source->workers[i]->per_command[id]);
	for (uint32_t i = 0; i < source->other_count; i++)
		add_command(sum, &source->others[i].per_command[id]);
}

void stats_collect_since_reset(const struct stats *stats, struct stats_snapshot *s)
{
	uint64_t *now = (uint64_t *)&s->totals;
	const uint64_t *before = (const uint64_t *)&stats->at_reset;

	_Static_assert(sizeof(s->totals) % sizeof(uint64_t) == 0, "nothing but figures that rise");
	stats_collect(stats, s);
	for (size_t i = 0; i < sizeof(s->totals) / sizeof(uint64_t); i++)
		now[i] -= before[i];
}

void stats_of_command_since_reset(const struct stats *stats, uint32_t id, struct stats_command *sum)
{
	const struct stats_command *before = &stats->commands_at_reset[id];

	stats_of_command(stats, id, sum);
	sum->calls -= before->calls;
	sum->failed -= before->failed;
	sum->rejected -= before->rejected;
	sum->tsc -= before->tsc;
}

void stats_reset(struct stats *stats)
{
	struct stats_snapshot s;

	stats_collect(stats, &s);
	stats->at_reset = s.totals;
	for (uint32_t id = 0; id < cmd_count(); id++)
		stats_of_command(stats, id, &stats->commands_at_reset[id]);
}

void stats_sample(struct stats *stats, uint64_t now_ns)
{
	struct sample *sample = &stats->samples[stats->sample_count++ % SAMPLES];
	struct stats_snapshot s;

	stats_collect(stats, &s);
	*sample = (struct sample){
		.now_ns = now_ns,
		.commands = STATS_OF_COMMANDS(&s.totals, commands),
		.bytes_in = s.totals.tcp[TCP_COUNT_BYTES_IN] + s.totals.admin_bytes_in,
		.bytes_out = s.totals.tcp[TCP_COUNT_BYTES_OUT] + s.totals.admin_bytes_out,
		.busy_tsc = s.totals.worker[WORKER_COUNT_BUSY_TSC] +
			    s.totals.worker[WORKER_COUNT_UPKEEP_TSC],
		.total_tsc = s.totals.worker[WORKER_COUNT_TOTAL_TSC],
	};
}

void stats_rates(const struct stats *stats, struct stats_rates *rates)
{
	uint32_t count = stats->sample_count;
	const struct sample *last = &stats->samples[(count - 1) % SAMPLES];
	const struct sample *first = &stats->samples[count > SAMPLES ? count % SAMPLES : 0];
	double seconds;

	*rates = (struct stats_rates){0};
	if (count < 2 || last->now_ns <= first->now_ns)
		return;
	seconds = (double)(last->now_ns - first->now_ns) / (double)NS_PER_S;
	rates->commands_per_s = (uint64_t)((double)(last->commands - first->commands) / seconds);
	rates->input_kib_per_s = (double)(last->bytes_in - first->bytes_in) / 1024 / seconds;
	rates->output_kib_per_s = (double)(last->bytes_out - first->bytes_out) / 1024 / seconds;
	if (last->total_tsc > first->total_tsc)
		rates->busy_ratio = (double)(last->busy_tsc - first->busy_tsc) /
				    (double)(last->total_tsc - first->total_tsc);
}
