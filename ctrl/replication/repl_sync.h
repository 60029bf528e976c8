/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/replication/repl_stream.h"
#include "dataplane/worker/worker_feed.h"

/*
 * A full synchronisation: one snapshot, straight from the table to all replicas that wait for one,
 * and their places in the stream right behind it. A thread of its own makes it. All calls come from
 * the control thread.
 */
struct repl_sync;

#define REPL_SYNC_LINKS_MAX 16

struct repl_sync_config {
	struct table *table;
	struct repl_stream *stream;
	const char *id;        // of the stream; outlives the synchronisation
	uint64_t buffer_bytes; // snapshot-buffer
	uint64_t queue_bytes;  // of the snapshot that the slowest replica may lag behind
	bool compress;
	void (*wake)(void *arg); // on its thread, at its end
	void *wake_arg;
	struct feed_link *links[REPL_SYNC_LINKS_MAX]; // their places[1] and [2] are set
	uint32_t count;
};

/* NULL: no memory, or no thread. The links are left alone then. */
struct repl_sync *repl_sync_begin(const struct repl_sync_config *config);

struct repl_sync_result {
	int error;            // 0 or a negative errno
	uint64_t keys, bytes; // of the snapshot
	uint64_t took_ns;
	uint64_t offset; // of the stream, behind it
};

/* Whether it has ended; then it is freed, and *result is set. */
bool repl_sync_ended(struct repl_sync *sync, struct repl_sync_result *result);

/* Has it give up, and waits. Offline (rcu_offline()). Accepts NULL. */
void repl_sync_free(struct repl_sync *sync);
