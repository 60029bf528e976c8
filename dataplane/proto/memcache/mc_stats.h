/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"
#include "dataplane/command/command.h"
#include "dataplane/table/table.h"

#include <stdint.h>

/*
 * What memcached's `stats` reports of the whole process. Whoever can see all threads fills it in.
 */
struct mc_stats {
	uint64_t pid;
	uint64_t uptime_s, time_s;   // time_s: Unix time
	uint64_t user_us, system_us; // CPU time of the process
	uint64_t threads;            // workers
	uint64_t max_connections, curr_connections, total_connections, rejected_connections;
	uint64_t bytes_read, bytes_written;
	uint64_t limit_bytes; // maxmemory
	uint64_t item_max_bytes;
	uint64_t port, udp_port;
	uint64_t idle_timeout_s;
	bool flush_enabled, shutdown_enabled, auth_enabled, evictions_enabled;
	const char *address; // ours; NULL: none
	// Parameters of a memcached without effect here (memcached-parameter-file), by name; NULL:
	// no such. NULL: all as memcached has them.
	const char *(*parameter)(const void *parameters, const char *name);
	const void *parameters;
	uint64_t log_written, log_dropped; // records for watchers
	uint64_t log_sent, log_skipped;    // lines to watchers
	uint64_t log_watchers;
	struct cmd_counters commands; // sums over all threads
	struct table_stats table;
};

/*
 * The answer to `stats SUB`, without the END line. False when there is no such group of figures.
 * `sub` is empty for the general ones.
 */
bool mc_stats_encode(struct out *out, struct slice sub, const struct mc_stats *stats);

/*
 * The command `stats`, which a worker forwards to the control thread. argv: stats [SUB [ARGUMENT
 * ...]].
 */
extern const struct cmd mc_stats_command;

/*
 * The same as packets of the binary protocol. argv: stats SUB ARGUMENT OPAQUE, where the first two
 * may be empty.
 */
extern const struct cmd mc_binary_stats_command;
