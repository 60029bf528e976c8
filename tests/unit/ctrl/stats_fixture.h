/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config.h"
#include "ctrl/stats/stats.h"

#define FIXTURE_WORKERS 2

/* A process of two workers and a control thread whose figures a test sets. */
struct stats_fixture {
	struct worker_stats workers[FIXTURE_WORKERS];
	struct cmd_counters control_counters;
	struct cmd_stat *control_stats;
	struct admin_stats admin;
	struct config_store config;
	struct table_stats table;
	struct port_counters port;
	bool link_up;
	struct stats *stats;
};

#define FIXTURE_TSC_HZ   2000000000ULL
#define FIXTURE_START_MS 1700000000000ULL

/* cmd_init() must have been called. */
void stats_fixture_init(struct stats_fixture *f);
void stats_fixture_fini(struct stats_fixture *f);

/* The statistics of a command in a thread; worker FIXTURE_WORKERS is the control thread. */
struct cmd_stat *stats_fixture_command(struct stats_fixture *f, uint32_t worker, const char *name);
