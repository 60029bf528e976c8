/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/session.h"
#include "dataplane/worker/worker_mail.h"
#include "dataplane/worker/worker_stats.h"
#include "nic/ip/ip.h"
#include "nic/port/port.h"
#include "nic/tcp/tcp.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A worker: one pinned thread with one queue pair, its own IP and TCP stack, its connections and
 * its door to the shared table. Workers share the table, the neighbour table, the port's buffers
 * and the steering rings, nothing else.
 */
struct worker;
struct worker_fabric;

#define WORKERS_MAX 64

/* What the control side may change while workers run; read relaxed, once per turn. */
struct worker_live {
	_Atomic uint32_t idle_timeout_s;     // close clients that are idle for so long; 0: never
	_Atomic uint32_t mc_idle_timeout_s;  // the same for memcached's clients
	_Atomic uint32_t clients_max_worker; // maxclients divided among the workers
};

enum worker_idle_policy {
	WORKER_IDLE_BUSY,     // poll for ever
	WORKER_IDLE_ADAPTIVE, // short sleeps after a run of empty polls
};

struct worker_config {
	uint32_t id, count;        // this one, of how many
	int core;                  // CPU to be pinned to; -1: any_core
	const cpu_set_t *any_core; // NULL: where the starting thread may run
	enum worker_idle_policy idle;
	uint16_t resp_port, mc_port; // 0: not listened on
	uint16_t mc_udp_port;        // 0: no memcached over UDP
	uint32_t udp_rate;           // datagrams of one host per second; 0: no limit
	struct table *table;
	struct port *port;
	struct port_queue *queue; // NULL: receives and sends through another worker's queue
	bool hash_proven;         // frame.hash of the port may be trusted for steering
	struct neigh_table *neighbours;
	struct worker_fabric *fabric;
	const struct session_limits *limits;
	const struct cmd_gate *gate;
	const struct worker_live *live;
	struct ip_config ip;
	struct tcp_config tcp;
};

/*
 * The rings between `count` workers, `queues` of which have a queue of the port. Main thread; NULL:
 * no memory.
 */
struct worker_fabric *worker_fabric_new(uint32_t count, uint32_t queues);

/* Frees the rings and every frame still in them. After all workers have stopped. */
void worker_fabric_free(struct worker_fabric *fabric);

/*
 * Starts the thread and waits until it polls. Returns 0 or a negative errno, with nothing left
 * behind. Main thread.
 */
int worker_start(const struct worker_config *config, struct worker **worker);

/*
 * Asks it to close its connections (FIN, then RST to those that linger) and to end. Does not wait.
 */
void worker_ask_stop(struct worker *worker);

/* Waits for the thread. Its statistics stay readable until worker_free(). Main thread. */
void worker_join(struct worker *worker);
void worker_free(struct worker *worker);

const struct worker_stats *worker_stats(const struct worker *worker);

/* What it notes for memcached's watchers: for the control thread to read (mc_log.h). */
struct mc_log *worker_log(const struct worker *worker);

/* Connections that are open now, for the accounting of tests and INFO. Any thread. */
uint32_t worker_connections(const struct worker *worker);

/* Control thread: sends mail. There is always room: see WORKER_FORWARDS_MAX. */
void worker_post(struct worker *worker, struct mail *mail);

/* Control thread: there is something in feeds that are looked at seldom (worker_feed.h). */
void worker_nudge(struct worker *worker);

/* Control thread: takes the next mail from a worker, NULL when there is none. */
struct mail *worker_collect(struct worker *worker);
