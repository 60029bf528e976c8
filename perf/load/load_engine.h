/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/load/load_hist.h"
#include "perf/load/load_reply.h"

/*
 * The load itself: which client sends which request when, and what the replies say about the
 * server. It knows no socket and no clock: links (load_link.h) carry its bytes and the caller hands
 * it the time, so a test can play server and clock.
 *
 *   while (!load_turn(load, now_ns)) {
 *           link->ops->send(link, now_ns);
 *           now_ns = link->ops->receive(link, load_may_wait(load));
 *   }
 *
 * Closed loop: every client keeps its pipeline full. Open loop (rate > 0): requests become due by a
 * schedule that does not wait for the server, go to the next client with room, and are timed from
 * when they were due, so that a pause of the server costs every request that fell into it.
 */
struct load;
struct load_client;
struct load_link;

/* What happened in the measured time, but where it says otherwise. */
struct load_counts {
	uint64_t requests, gets, sets, hits, misses; // an MGET is one request
	uint64_t requests_all;                       // in all phases
	uint64_t connects;
	uint64_t wrong, refused;   // of all time: replies that are wrong, error replies
	uint64_t lost_connections; // of all time
	uint64_t lost_datagrams;
	uint64_t unsent; // open loop: due, and never sent for want of room
	uint64_t bytes_received;
	uint64_t big_requests, big_bytes;
	uint64_t turns, empty_turns;
};

struct load_results {
	struct load_counts counts;
	double seconds;           // measured
	uint64_t turn_ns_max;     // the longest turn: how late the load itself was at worst
	struct load_hist latency; // closed loop: from sent to answered; open loop: from due
	struct load_hist service; // open loop: from sent to answered
	struct load_hist connect; // from open to established
	struct load_hist big;
	char why[256]; // about the first failure, or empty
};

enum load_phase {
	LOAD_CONNECTING,
	LOAD_WARMUP,
	LOAD_MEASURING,
	LOAD_DRAINING,
	LOAD_PAUSED, // on demand: all are connected, and wait for load_measure()
	LOAD_DONE,
};

/* Called when a phase begins. */
typedef void load_phase_fn(void *arg, enum load_phase phase);

/* NULL: no memory. options and link must outlive it. */
struct load *load_new(const struct load_options *options, struct load_link *link,
		      load_phase_fn *on_phase, void *arg);
void load_free(struct load *load);

/* Opens, writes, times out, moves on to the next phase. True: the load is over, or paused. */
bool load_turn(struct load *load, uint64_t now_ns);

/* Ends a pause: results begin anew, and the next pause is `seconds` away. */
void load_measure(struct load *load, double seconds, uint64_t now_ns);

/*
 * Ends up to `max` connections, for the link to say goodbye. True: there are more. All at once
 * would be more than a device's ring holds, and what it drops is said again much later.
 */
bool load_close_some(struct load *load, uint32_t max);

/* Nothing is due before the next reply: the link need not hurry. */
bool load_may_wait(const struct load *load);

const struct load_results *load_results(const struct load *load);
enum load_phase load_phase(const struct load *load);

/* Something happened that makes the exit status 1. */
bool load_failed(const struct load *load);

/* From the link, within its receive(). */
void load_opened(struct load_client *client, uint64_t now_ns);
void load_received(struct load_client *client, struct slice data, uint64_t now_ns);
void load_datagram(struct load_client *client, struct slice data, uint64_t now_ns);
void load_closed(struct load_client *client, const char *why, uint64_t now_ns);

/* The link's own handle of a client, NULL at first. */
void load_client_set_handle(struct load_client *client, void *handle);
void *load_client_handle(const struct load_client *client);
uint32_t load_client_index(const struct load_client *client);
