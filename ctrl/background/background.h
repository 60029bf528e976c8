/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "dataplane/command/command.h"

#include <stdbool.h>

/*
 * The background thread: commands that walk the whole keyspace (CMD_BACKGROUND) run here, one after
 * another, so that neither a worker nor the control thread is held up. It reads the table and never
 * writes to it.
 *
 *   control thread     background_submit()
 *   background thread  forward_run(), wake()
 *   control thread     background_turn(), complete()
 *
 * All calls come from the control thread.
 */
struct background;
struct forward;

#define BACKGROUND_JOBS_MAX 1024 // waiting, running or done and not yet collected

struct background_config {
	struct table *table;
	const struct cmd_thread
		*clock;          // of the control thread: a job runs at the time of its submission
	void (*wake)(void *arg); // on the background thread, when a job is done
	void *wake_arg;
	void (*complete)(void *arg, struct forward *forward); // takes a job over that has run
	void *complete_arg;
};

/* 0 or a negative errno, with nothing left behind. */
int background_start(const struct background_config *config, struct background **background);

/* Waits for the job that is running; frees those that wait and those that nobody has collected. */
void background_stop(struct background *background);

/* False: too many jobs; the forward stays the caller's. */
MUST_USE bool background_submit(struct background *background, struct forward *forward);

/* Completes what is done. Returns how many. */
uint32_t background_turn(struct background *background);

/* What its commands have counted; cmd_count() statistics. Readable until background_stop(). */
const struct cmd_counters *background_counters(const struct background *background);
const struct cmd_stat *background_stats(const struct background *background);
