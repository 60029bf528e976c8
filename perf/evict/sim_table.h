/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/table.h"
#include "perf/evict/sim_trace.h"

/* How a trace is fed to the server's table. */
struct sim_table_options {
	enum table_policy policy;
	uint32_t items;         // that maxmemory is to have room for
	uint64_t requests_rate; // per second of the table's clock
	bool expiring;          // most keys get an expiry: sim_table_expire_s()
};

struct sim_table_result {
	double hit_ratio;  // over the whole trace, from an empty table
	double items_mean; // once it was full
	uint64_t refused;  // writes, for want of memory
	uint64_t ghost_bytes, maxmemory_bytes;
};

/* Seconds after which a key expires in an expiring trace, long after its end; 0: never. */
uint64_t sim_table_expire_s(uint32_t key);

/* False: no memory; the reason has been printed. */
bool sim_table_run(const struct sim_trace *trace, const struct sim_table_options *options,
		   struct sim_table_result *result);
