/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

/*
 * Where the cycles of a turn go, by a sample of the turns that received something. worker_turn()
 * says when the turn and each of its stages end, and reads the cycle counter in sampled turns only.
 * Whether a turn receives something shows after its first stage, so a sample lies in wait: turns
 * that receive nothing are measured and forgotten until one comes that does. On the worker.
 */

/* A prime, so that a load with a beat of its own is not met at the same point of it each time. */
#define SAMPLE_PERIOD 61 // turns

void worker_sample_begin(struct worker *w, uint64_t tsc)
{
	struct worker_sample *s = &w->sample;

	*s = (struct worker_sample){
		.on = true,
		.begin_tsc = tsc,
		.lap_tsc = tsc,
		.device_tsc = w->device_tsc,
		.run_tsc = w->host.run_tsc,
		.commands = counter_read(&w->stats.commands.commands),
	};
}

void worker_sample_lap(struct worker *w, enum worker_stage stage, uint64_t tsc)
{
	struct worker_sample *s = &w->sample;
	uint64_t device_tsc = w->device_tsc - s->device_tsc;
	uint64_t run_tsc = w->host.run_tsc - s->run_tsc;

	s->stage_tsc[stage] += tsc - s->lap_tsc - device_tsc - run_tsc;
	s->stage_tsc[WORKER_STAGE_TRANSMIT] += device_tsc;
	s->stage_tsc[WORKER_STAGE_RUN] += run_tsc;
	s->lap_tsc = tsc;
	s->device_tsc = w->device_tsc;
	s->run_tsc = w->host.run_tsc;
}

uint64_t worker_sample_tsc(const struct worker *w)
{
	return w->sample.lap_tsc - w->sample.begin_tsc;
}

void worker_sample_end(struct worker *w)
{
	struct worker_sample *s = &w->sample;
	struct worker_stats *stats = &w->stats;

	for (uint32_t i = 0; i < WORKER_STAGES; i++)
		counter_add(&stats->stage_tsc[i], s->stage_tsc[i]);
	counter_add(&stats->count[WORKER_COUNT_STAGE_TURNS], 1);
	counter_add(&stats->count[WORKER_COUNT_STAGE_REQUESTS],
		    counter_read(&stats->commands.commands) - s->commands);
	s->on = false;
	s->turns_left = SAMPLE_PERIOD - 1;
}
