/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/worker/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct admin;
struct background;
struct watch;
struct out;

/*
 * Writes of the admin listener that are with the workers at a time. A client whose connection has
 * ended no longer counts for ADMIN_CLIENTS_MAX, but its write may still be out; without a limit of
 * their own, clients that come and go would fill the ring of a worker that is busy.
 */
#define MAILROOM_RUNS_MAX 256

/*
 * The control thread's side of the mail: takes requests from workers, has them run here or in the
 * background, and sends the replies back; hands writes of the admin listener to a worker; shows all
 * clients to a visitor. Control thread only.
 */
struct mailroom {
	struct worker *const *workers;
	uint32_t workers_count;
	uint32_t next_worker;   // takes the next write of the admin listener
	uint32_t runs_out;      // writes that have not come back, at most MAILROOM_RUNS_MAX
	struct cmd_thread *cmd; // of the control thread
	struct background *background;
	struct admin *admin;
	struct watch *watch;
};

/*
 * A share of what has arrived, so that clients who ask without end keep neither signals nor grace
 * periods waiting. True if there may be more.
 */
bool mailroom_turn(struct mailroom *m);

/* For the hooks of ctrl/admin and ctrl/background; `arg` is the mailroom. */
bool mailroom_run_on_worker(void *arg, struct forward *forward);
bool mailroom_run_in_background(void *arg, struct forward *forward);
void mailroom_complete(void *arg, struct forward *forward);

/* For ctrl/watch. */
bool mailroom_send_lines(void *arg, uint32_t worker, const struct mail_lines *lines);

/* For ctrl/replication: gives a connection its link, and runs a request that was put off again. */
bool mailroom_send_feed(void *arg, uint32_t worker, const struct mail_feed *replica);
void mailroom_nudge(void *arg, uint32_t worker);
bool mailroom_dial(void *arg, struct primary_link *link);
void mailroom_resume(void *arg, struct forward *forward);

/* Shows every client of every worker and of the admin listener; true from `visit` ends it. */
void mailroom_visit(struct mailroom *m,
		    bool (*visit)(void *arg, const struct worker_client_view *view), void *arg);
