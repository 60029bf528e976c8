/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config.h"
#include "ctrl/snapshot/snapshot.h"
#include "dataplane/worker/worker.h"

#include <sched.h>
#include <stdint.h>

/*
 * The data side as one thing: port, table, neighbours, rings and workers, built from a
 * configuration and taken down in reverse. The fields are for the composition root (main.c), which
 * hands them to those who need them. Main thread.
 */
struct appliance {
	const struct config *config;
	bool system_started;
	bool port_started;
	bool rcu_started;
	struct port *port;
	struct port_info info;
	struct table *table;
	struct neigh_table *neighbours;
	struct worker_fabric *fabric;
	struct worker *workers[WORKERS_MAX];
	uint32_t workers_count; // that have been started
	uint32_t workers_wanted;
	int worker_cores[WORKERS_MAX]; // -1: any_core
	cpu_set_t any_core;            // what the process may use
	struct snap_load_result loaded;
	struct worker_live live;
	struct session_limits limits;
	struct cmd_gate gate;
	char *cluster_nodes;    // limits.mc_cluster
	struct mc_users *users; // limits.mc_users
	struct mc_users *users_retired;
	uint64_t users_retired_tag; // of RCU
};

#define APPLIANCE_WHY_MAX 512

/*
 * Starts everything; workers serve when it returns 0. On failure nothing is left running and `why`
 * says, in words for a user, what is missing and what to do. `program` is argv[0].
 */
int appliance_start(struct appliance *a, const struct config *config, const char *program,
		    const struct config_command_line *line, char why[APPLIANCE_WHY_MAX]);

/* Closes connections, stops workers, gives port and memory back. Accepts one that never started. */
void appliance_stop(struct appliance *a);

/* Takes the live directives into use; to be registered with config_on_set(). */
bool appliance_apply(void *arg, const struct config *config, char *why);

/* Reads memcached-auth-file and lets its users in; likewise, for that directive. */
bool appliance_apply_users(void *arg, const struct config *config, char *why);
