/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/load/load_link.h"

/*
 * What the files of the engine share: load_engine.c (phases), load_send.c (what goes out),
 * load_receive.c (what comes back).
 */

enum client_state {
	CLIENT_CLOSED,
	CLIENT_OPENING,
	CLIENT_OPEN,
};

struct load_client {
	struct load *load;
	void *handle;             // of the link
	uint8_t state;            // enum client_state
	bool big, ready, big_set; // big_set: its value is there
	struct load_client *ready_next;
	struct load_request *ring; // outstanding: [tail, head), by & mask
	uint32_t head, tail, mask;
	uint64_t left;      // requests still to begin
	uint32_t conn_left; // of this connection
	uint64_t opened_at_ns;
	struct load_draw draw[2]; // by enum load_op
	struct load_reader reader;
	uint16_t udp_id, udp_next; // reply in progress and its next datagram
	bool udp_partial;
};

struct load {
	const struct load_options *options;
	const struct load_proto *proto;
	struct load_link *link;
	load_phase_fn *on_phase;
	void *phase_arg;
	struct load_space space;
	struct rng rng;
	struct load_client *clients;
	uint32_t clients_count;  // big ones behind the others
	uint32_t clients_wanted; // those that have requests to send at all
	struct load_client *ready_head, *ready_tail;
	uint32_t opening, open, opened_once, next_to_open;
	uint64_t outstanding; // requests
	uint32_t expire_at;
	uint32_t op_at; // in the cycle of ratio_set + ratio_get
	double test_s, next_due_ns;
	uint64_t now_ns, last_reply_ns, phase_ns, measured_from_ns, measured_to_ns;
	uint64_t requests_left; // over all clients, when counted
	enum load_phase phase;
	bool failed, progress; // progress: something came in since the last turn
	uint64_t *keys;        // of all rings
	struct load_results results;
};

COLD void load__fail(struct load *load, const char *what, const char *detail);
COLD void load__give_up(struct load *load, const char *what, const char *detail); // no way on

/* load_send.c */
void load__make_ready(struct load_client *c); // it may have room: look at it in the next turn
void load__open_clients(struct load *load);   // those that are not open, a few at a time
void load__fill_pipeline(struct load *load, struct load_client *c);
void load__fill_pipelines(struct load *load);  // closed loop
void load__follow_schedule(struct load *load); // open loop

/* load_receive.c */
void load__client_gone(struct load *load, struct load_client *c);
void load__expire_datagrams(struct load *load); // lost ones, a few clients per turn
