/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/counter.h"
#include "dataplane/command/command.h"
#include "nic/drop_reason.h"
#include "nic/tcp/tcp.h"

/*
 * What a worker counts of itself: WORKER_COUNTER(symbol, "metric label", "help"), see
 * worker_counter.def.
 */
enum worker_counter_id {
#define WORKER_COUNTER(symbol, label, help) WORKER_COUNT_##symbol,
#include "dataplane/worker/worker_counter.def"
#undef WORKER_COUNTER
	WORKER_COUNTERS
};

enum worker_stage {
#define WORKER_STAGE(symbol, label) WORKER_STAGE_##symbol,
#include "dataplane/worker/worker_stage.def"
#undef WORKER_STAGE
	WORKER_STAGES
};

/* Everything one worker counts. Written by it alone, read by the control thread. */
struct worker_stats {
	counter count[WORKER_COUNTERS];
	counter stage_tsc[WORKER_STAGES]; // cycles, in sampled turns
	counter connections;              // open now
	counter blocked;                  // of those, how many wait for a forwarded request
	struct drop_counters drops;
	struct tcp_counters tcp;
	struct cmd_counters commands;
	struct cmd_stat *per_command; // cmd_count() of them
};

const char *worker_counter_label(enum worker_counter_id id);
const char *worker_counter_help(enum worker_counter_id id);
