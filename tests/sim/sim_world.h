/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "tests/sim/sim_channel.h"
#include "tests/sim/sim_oracle.h"

/*
 * One simulated run: two stacks, a channel, some connections with an application at each end.
 * Everything in it follows from the seed.
 */
#define SIM_CONNS_MAX 8

/* How an application ends its part. */
enum sim_ending {
	SIM_END_ORDERLY, // when it has written everything and read everything
	SIM_END_EARLY,   // closes after a part, whatever the other side still says
	SIM_END_ABORT,
};

struct sim_app {
	struct sim_world *world;
	struct tcp_conn *conn; // NULL: not open yet, or over
	uint32_t id;
	int side;
	enum sim_ending ending;
	uint32_t to_write; // bytes; for EARLY and ABORT, when to end
	uint32_t written;
	uint32_t received;
	uint32_t held; // received and not given back to the window
	bool opened, fin, closed, over, paused;
	bool failed_output; // the sink refused: bytes are missing
	enum tcp_close_reason reason;
	uint64_t wake_ns;
};

#define SIM_ICMP_MAX 16

/* A router's complaint that is on its way back. */
struct sim_icmp {
	struct flow flow;
	tcp_seq seq;
};

struct sim_side {
	struct sim_world *world;
	struct tcp_stack *stack;
	struct tcp_counters counters;
	struct drop_counters drops;
	int index;
	uint64_t blocked_until_ns; // emit() refuses until then
	struct sim_icmp icmps[SIM_ICMP_MAX];
	uint32_t icmps_count;
	struct tcp_slab *refusing; // until refuse_until_ns
	uint64_t refuse_until_ns;
};

struct sim_world {
	uint64_t seed;
	uint64_t now_ns;
	struct rng rng;
	struct sim_channel channel;
	struct sim_side sides[2];
	uint32_t conns_count;
	struct sim_app apps[SIM_CONNS_MAX][2];
	struct oracle oracles[SIM_CONNS_MAX];
	uint32_t refuse_permille; // of emits
	uint32_t scarce_permille; // of steps, that a pool refuses for a while
	bool small_pools;         // connections may end by overload
	bool may_fail;            // so much is lost that time-outs are honest
	uint64_t blobs_live;
	bool verbose;
};

void sim_init(struct sim_world *w, uint64_t seed, bool verbose);
void sim_run(struct sim_world *w);
void sim_fini(struct sim_world *w);

/* Prints seed and reason, and ends the process with 1. */
__attribute__((noreturn)) void sim_fail(const struct sim_world *w, const char *what, uint32_t conn,
					int side);

/* sim_app.c */
void sim_app_init(struct sim_world *w, uint32_t id);
void sim_app_step(struct sim_app *app);
void sim_app_data(struct sim_app *app, struct slice data);
void sim_app_check_end(struct sim_world *w, uint32_t id);
struct sim_app *sim_app_of(struct sim_world *w, int side, const struct flow *flow);

#define SIM_PORT_FIRST 20000
