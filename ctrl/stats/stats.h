/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/admin/admin.h"
#include "ctrl/config/config.h"
#include "dataplane/table/table.h"
#include "dataplane/worker/worker_stats.h"
#include "nic/port/port.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What the whole process has counted: the threads' own counters, summed. INFO, the metrics and
 * memcached's `stats` are three ways to write it down. Control thread.
 */

#define STATS_OTHERS_MAX 4
#define STATS_RUN_ID_LEN 40 // hexadecimal digits

/* A thread beside the workers that runs commands. */
struct stats_thread {
	const char *name; // "control", "background"
	const struct cmd_counters *counters;
	const struct cmd_stat *per_command;
};

/*
 * Where the figures come from; filled in by the composition root, or by a test. Everything outlives
 * the stats.
 */
struct stats_source {
	const struct worker_stats *workers[64];
	uint32_t worker_count;
	struct stats_thread others[STATS_OTHERS_MAX];
	uint32_t other_count;
	const struct admin_stats *admin; // NULL: no admin listener
	const struct config *config;
	void (*table)(void *arg, struct table_stats *stats);
	void (*port)(void *arg, struct port_info *info, struct port_counters *counters,
		     bool *link_up);
	void *arg;
	uint64_t tsc_hz;
	uint64_t start_ms;                 // Unix time
	uint64_t keys_loaded, keys_loaded_expired; // at start
	struct pubsub *pubsub;                     // NULL: nothing can be published
	struct repl *repl;                         // NULL: there is no replication
	struct snap_saver *saver;                  // NULL: nothing is ever saved
	char config_file[CONFIG_PATH_MAX]; // "" when there is none
};

#define STATS_COMMAND_COUNTERS (sizeof(struct cmd_counters) / sizeof(counter))

/*
 * Figures that only rise, so that a difference of two of these is one, too. All members are
 * uint64_t.
 */
struct stats_totals {
	uint64_t worker[WORKER_COUNTERS];
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t tcp[TCP_COUNTERS];
	uint64_t commands[STATS_COMMAND_COUNTERS]; // struct cmd_counters; see STATS_OF_COMMANDS
	uint64_t expired, evicted;
	uint64_t admin_accepted, admin_rejected, admin_bytes_in, admin_bytes_out;
};

#define STATS_OF_COMMANDS(totals, member)                                                          \
	((totals)->commands[offsetof(struct cmd_counters, member) / sizeof(counter)])

/* All figures at one time. */
struct stats_snapshot {
	struct stats_totals totals;
	uint64_t connections; // of clients on the network card
	uint64_t blocked;     // of those, waiting for the control side
	uint64_t admin_clients;
	struct table_stats table;
	struct port_info port;
	struct port_counters port_counters;
	bool link_up;
};

/* Of one command, over all threads. */
struct stats_command {
	uint64_t calls, failed, rejected, tsc;
};

/* Rates over about the last second and a half. */
struct stats_rates {
	uint64_t commands_per_s;
	double input_kib_per_s, output_kib_per_s;
	double busy_ratio; // of all workers' cycles, those spent on work; 0 to 1
};

struct stats;

/* NULL when there is no memory. The source is copied. */
struct stats *stats_new(const struct stats_source *source);
void stats_free(struct stats *stats);

const struct stats_source *stats_source(const struct stats *stats);
const char *stats_run_id(const struct stats *stats); // random, STATS_RUN_ID_LEN digits

/* Since the start. */
void stats_collect(const struct stats *stats, struct stats_snapshot *snapshot);
void stats_of_command(const struct stats *stats, uint32_t id, struct stats_command *sum);

/* Since CONFIG RESETSTAT; figures that may fall are as they are. */
void stats_collect_since_reset(const struct stats *stats, struct stats_snapshot *snapshot);
void stats_of_command_since_reset(const struct stats *stats, uint32_t id,
				  struct stats_command *sum);
void stats_reset(struct stats *stats);

/* Takes a sample for the rates; to be called about every STATS_SAMPLE_NS. */
#define STATS_SAMPLE_NS 100000000ULL
void stats_sample(struct stats *stats, uint64_t now_ns);
void stats_rates(const struct stats *stats, struct stats_rates *rates);
