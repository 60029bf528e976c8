/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/counter.h"
#include "ctrl/loop/loop.h"
#include "dataplane/proto/session.h"
#include "dataplane/worker/worker_mail.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The admin listener: RESP over kernel sockets, served by the control thread, for those who may run
 * everything. Commands that read run in place on the control thread's cmd_thread; those that write
 * go to a worker, those that walk the keyspace to the background thread, because the control thread
 * may not hold a bucket's lock and should not be held up itself.
 *
 * All calls come from the control thread. Whoever calls loop_dispatch() keeps cmd->now_ms and the
 * table's time current and announces RCU quiescence afterwards.
 */
struct admin;

#define ADMIN_CLIENTS_MAX 64
#define ADMIN_WORKER      UINT32_MAX // forward.worker of requests that came in here

/*
 * Where requests go that this thread must not run. The hook owns the forward from then on and gives
 * it back, having run, by admin_complete(); false refuses it (the forward stays the caller's) and
 * the client gets an error.
 */
struct admin_hooks {
	bool (*run_on_worker)(void *arg, struct forward *forward);
	bool (*run_in_background)(void *arg, struct forward *forward);
	void *arg;
};

struct admin_config {
	const char *bind;        // IPv4 address of this host
	uint16_t port;           // 0: any free one, for tests; see admin_port()
	uint32_t clients_max;    // <= ADMIN_CLIENTS_MAX
	uint64_t idle_ns;        // 0: never
	uint64_t client_id_step; // ids are its multiples; workers leave those out
	struct loop *loop;
	struct cmd_thread *cmd; // of the control thread
	const struct session_limits *limits;
	struct admin_hooks hooks;
};

/* Written by the control thread. */
struct admin_stats {
	counter clients; // connected now
	counter accepted;
	counter rejected; // because clients_max was reached
	counter bytes_in;
	counter bytes_out;
};

/* Listens. 0 or a negative errno. */
int admin_start(const struct admin_config *config, struct admin **admin);

/*
 * Closes all connections. Forwards that are out may still come back, to be dropped by
 * admin_complete() before this.
 */
void admin_stop(struct admin *admin);

uint16_t admin_port(const struct admin *admin);
const struct admin_stats *admin_stats(const struct admin *admin);

/* A forward has run: its reply goes out, if the client is still there. Frees the forward. */
void admin_complete(struct admin *admin, struct forward *forward);

/*
 * Shows every client; true from `visit` ends it, after its replies are out. May be called while a
 * command of one runs.
 */
void admin_visit(struct admin *admin,
		 bool (*visit)(void *arg, const struct worker_client_view *view), void *arg);
