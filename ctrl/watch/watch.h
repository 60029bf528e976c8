/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/counter.h"
#include "dataplane/proto/session.h"
#include "dataplane/worker/worker.h"

#include <stdint.h>

/*
 * memcached's watchers (`watch fetchers mutations evictions`): takes what the workers have noted
 * out of their rings, makes lines of it, and mails each watcher its share. A watcher has one mail
 * under way at a time; what comes meanwhile is kept up to a limit and then skipped, and counted. A
 * watcher that has gone is found out by the next mail, of which there is one a second at least.
 * Control thread only.
 */
struct watch;

#define WATCH_MAX        20           // watchers, as memcached
#define WATCH_BUFFER_MAX (256u << 10) // bytes of lines of one that wait (watcher_logbuf_size)
#define WATCH_LINES_TURN 2000         // records taken from all rings at a time

struct watch_config {
	struct mc_log *logs[WORKERS_MAX]; // of the workers
	uint32_t log_count;
	struct session_limits *limits; // whose mc_watched says what is to be noted
	// Sends lines to a connection of that worker; they come back by watch_delivered(). False:
	// no memory, and nothing was taken.
	bool (*mail)(void *arg, uint32_t worker, const struct mail_lines *lines);
	void *arg;
};

struct watch_stats {
	uint64_t written, dropped; // records by the workers, and those that found no room
	uint64_t sent, skipped;    // lines
	uint32_t watchers;
};

struct watch *watch_new(const struct watch_config *config); // NULL: no memory
void watch_free(struct watch *watch);

/* The client of a forwarded request, for bits of enum mc_watch. False: there are WATCH_MAX. */
bool watch_add(struct watch *watch, const struct forward *forward, uint32_t bits);

/* Takes records and mails lines. True if there may be more. To be called every WATCH_TURN_MS. */
#define WATCH_TURN_MS 1
bool watch_turn(struct watch *watch);

/* Lines have come back; unless `alive`, the connection is gone, and its watcher with it. */
void watch_delivered(struct watch *watch, const struct mail_lines *lines);

void watch_stats(const struct watch *watch, struct watch_stats *stats);
