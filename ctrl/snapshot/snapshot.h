/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "ctrl/snapshot/rdb_read.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct table;
struct table_thread;

/*
 * Fills the table from an RDB file before anybody is served. All or nothing: on failure the caller
 * does not start, as half a keyspace is worse than none.
 */

struct snap_load_result {
	uint64_t loaded;    // keys
	uint64_t expired;   // keys left out, as their time was over
	uint32_t libraries; // of functions, left out
	uint64_t bytes;     // of the file
};

#define SNAP_WHY_MAX 384

/*
 * From a file. 0 or a negative errno (-EINVAL: what stands in it; -ENOMEM: it does not fit under
 * maxmemory), and why in words. Logs how far it is about once a second. The main thread, before
 * there are workers.
 */
int snap_load_file(const char *path, struct table *table, struct snap_load_result *result,
		   char why[SNAP_WHY_MAX]);

/* Sets the time of the thread that loads (table_set_time()), every some keys. */
typedef void snap_tick_fn(void *arg, const struct rdb_reader *reader,
			  const struct snap_load_result *result);

struct snap_load_config {
	struct table *table;
	struct table_thread *t; // may write
	uint64_t wall_ms;       // what has expired by then is left out
	snap_tick_fn *tick;
	void *tick_arg;
};

/* All pairs of a reader, by the calling thread. Returns as above. */
int snap_load(struct rdb_reader *reader, const struct snap_load_config *config,
	      struct snap_load_result *result, char why[SNAP_WHY_MAX]);

/*
 * Writes the table as of one version (T8) to a file: beside it under another name, synced, renamed,
 * so that at any moment the file is the earlier one or the new one, whole. One at a time.
 */
struct snap_save_result {
	uint64_t keys, bytes;
	uint64_t took_ns;
	uint64_t peak_bytes; // of copies of what was displaced meanwhile
};

struct snap_save_config {
	const char *path;
	struct table *table;
	uint64_t buffer_bytes; // for such copies
	bool compress;
	bool memcached;           // with uniques and flags
	const _Atomic bool *stop; // set: give up
};

/*
 * 0 or a negative errno, and why in words: -EAGAIN when the table was flushed meanwhile, -ENOBUFS
 * when the buffer did not suffice, -ECANCELED. A thread that is registered nowhere.
 */
int snap_save(const struct snap_save_config *config, struct snap_save_result *result,
	      char why[SNAP_WHY_MAX]);

/*
 * Saves on a thread of its own, one after the other. All calls come from the control thread.
 */
struct snap_saver;

struct snap_saver_config {
	struct snap_save_config save; // but `stop`; path lives as long as the saver
	uint64_t start_ms;            // Unix time: until something is saved, the "last save"
	void (*wake)(void *arg);      // on the saving thread, at its end: snap_saver_turn() is due
	void *wake_arg;
};

struct snap_saver_status {
	bool saving;
	bool failed;            // the last one that has ended
	uint64_t saves;         // that succeeded
	uint64_t last_ms;       // Unix time of the last one that succeeded
	uint64_t begun_ms;      // Unix time of the last one that was begun
	uint64_t took_ns;       // the last one that has ended
	uint64_t keys, bytes;   // of the last one that succeeded
	uint64_t peak_bytes;    // as in struct snap_save_result
	char why[SNAP_WHY_MAX]; // of the last failure
};

/* NULL: no memory. */
struct snap_saver *snap_saver_new(const struct snap_saver_config *config);

/* 0, -EINPROGRESS while one goes on, or a negative errno: no thread. */
int snap_saver_begin(struct snap_saver *saver, uint64_t now_ms);

/* Collects a thread that has ended: the status changes. */
void snap_saver_turn(struct snap_saver *saver, uint64_t now_ms);

/* Waits for the one that goes on, if there is one. The caller is offline (rcu_offline()). */
void snap_saver_wait(struct snap_saver *saver, uint64_t now_ms);

const struct snap_saver_status *snap_saver_status(const struct snap_saver *saver);

/* Has the one that goes on give up, and waits for that, offline as above. Accepts NULL. */
void snap_saver_free(struct snap_saver *saver);
