/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/host/host.h"

#include "base/log.h"
#include "base/rcu.h"
#include "ctrl/snapshot/snapshot.h"

#include <stdatomic.h>
#include <string.h>

/*
 * The end of the process, by SHUTDOWN or by a signal. Every change that a client was told of is in
 * the last snapshot: the gate is closed, a grace period later no worker is in the midst of a
 * change, and only then is it begun. Control thread, which waits; a further signal ends the wait.
 */

static bool save_last(struct host *host)
{
	uint64_t now_ms = host->cmd->now_ms;
	int error;

	atomic_store_explicit(&host->gate->state, CMD_GATE_STOPPING, memory_order_relaxed);
	rcu_wait();
	rcu_offline();
	snap_saver_wait(host->saver, now_ms); // what goes on is of an earlier moment
	error = snap_saver_begin(host->saver, SNAP_MAIN, now_ms);
	if (error == 0)
		snap_saver_wait(host->saver, now_ms);
	else
		log_warning("snapshot: cannot be begun: %s", strerror(-error));
	rcu_online();
	return error == 0 && !snap_saver_status(host->saver)->file[SNAP_MAIN].failed;
}

bool host_stop(struct host *host, const struct cmd_shutdown *how)
{
	bool saves = how->saves || (!how->skips_save && host->config->now.save[0] != '\0');

	if (saves && host->saver) {
		uint32_t gate_before = atomic_load(&host->gate->state);

		log_notice("stopping: writing the last snapshot");
		if (!save_last(host) && !how->forces) {
			log_warning("not stopping, as the last snapshot failed: SHUTDOWN NOSAVE, "
				    "or SHUTDOWN FORCE, stops without one");
			atomic_store(&host->gate->state, gate_before);
			return false;
		}
	}
	log_notice("closing connections and stopping");
	loop_stop(host->loop);
	return true;
}
