/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config.h"
#include "ctrl/loop/loop.h"
#include "ctrl/stats/stats.h"
#include "dataplane/command/command.h"
#include "dataplane/worker/worker_mail.h"

/*
 * The process as the command engine sees it: INFO, CONFIG, CLIENT LIST and KILL, SHUTDOWN and the
 * like end here. To be put into the cmd_thread of the control thread (host_ops and host). Control
 * thread.
 */

/*
 * Shows every client of every thread; true from `visit` ends it. Returns when all have been seen.
 */
typedef void host_visit_clients(void *arg,
				bool (*visit)(void *visit_arg,
					      const struct worker_client_view *view),
				void *visit_arg);

struct pubsub;
struct repl;
struct snap_saver;
struct watch;

struct host {
	struct config_store *config;
	struct stats *stats;
	struct loop *loop;            // SHUTDOWN stops it
	const struct cmd_thread *cmd; // for the time
	host_visit_clients *visit_clients;
	void *visit_arg;
	struct watch *watch;      // NULL: nobody can watch
	struct snap_saver *saver; // NULL: nothing can be saved
	struct pubsub *pubsub;
	struct repl *repl;
	struct cmd_gate *gate; // closed while the last snapshot is written
};

extern const struct cmd_host_ops host_ops;

/*
 * Stops the loop; before that, as SHUTDOWN or by default the rules of `save` want it, writes a last
 * snapshot, while reads are served and writes refused. False: the snapshot failed, all goes on as
 * before, and the log says why.
 */
bool host_stop(struct host *host, const struct cmd_shutdown *how);
