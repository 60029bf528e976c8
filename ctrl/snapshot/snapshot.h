/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/counter.h"
#include "ctrl/snapshot/rdb_read.h"
#include "ctrl/snapshot/rdb_write.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
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
 * From a file, with the key in key_file if it is sealed (snap_seal.h; "": there is no key). 0 or a
 * negative errno (-EINVAL: what stands in it; -ENOMEM: it does not fit under
 * maxmemory), and why in words. Logs how far it is about once a second. The main thread, before
 * there are workers.
 */
int snap_load_file(const char *path, const char *key_file, struct table *table,
		   struct snap_load_result *result, char why[SNAP_WHY_MAX]);

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

/* [saver w, any r] */
struct snap_progress {
	counter passed, buckets; // of the table
};

struct snap_save_config {
	const char *path;
	const char *key_file; // to seal it with (snap_seal.h); "": it is not sealed
	struct table *table;
	uint64_t buffer_bytes; // for such copies
	bool compress;
	bool memcached;                 // with uniques and flags
	const _Atomic bool *stop;       // set: give up
	struct snap_progress *progress; // NULL: nobody asks
};

/*
 * The table as of one version (T8), encoded, into a sink that may wait: for a disk, or for a
 * replica. It is called offline (rcu_offline()).
 */
struct snap_stream_config {
	struct table *table;
	uint64_t buffer_bytes; // as below
	bool compress, memcached;
	const _Atomic bool *stop;
	struct snap_progress *progress;
	// Once, before the first byte: which version; offline. Not 0: it is given up. NULL: nobody
	// asks.
	int (*on_cut)(void *arg, uint64_t cut);
	rdb_sink_fn *sink;
	void *arg;
};

int snap_stream(const struct snap_stream_config *config, struct snap_save_result *result);

/* The error of snap_stream() in words, unless there are some already. */
void snap_say_why(int error, char why[SNAP_WHY_MAX]);

/*
 * 0 or a negative errno, and why in words: -EAGAIN when the table was flushed meanwhile, -ENOBUFS
 * when the buffer did not suffice, -ECANCELED. A thread that is registered nowhere.
 */
int snap_save(const struct snap_save_config *config, struct snap_save_result *result,
	      char why[SNAP_WHY_MAX]);

/*
 * Saves on a thread of its own, one after the other, when asked to and when it is due by the rules
 * of `save` and snapshot-window. All calls come from the control thread.
 */
struct snap_saver;

enum snap_kind {
	SNAP_MAIN,  // dbfilename, which is loaded at the next start
	SNAP_DATED, // one more file in snapshot-dir
	SNAP_KINDS,
};

struct snap_saver_config {
	const struct config *config; // of the control thread: read when a snapshot is begun
	struct table *table;
	uint64_t start_ms;       // Unix time: until something is saved, the "last save"
	void (*wake)(void *arg); // on the saving thread, at its end: snap_saver_turn() is due
	void *wake_arg;
};

/* Of the snapshots of one kind. */
struct snap_file_status {
	bool failed;            // the last one that has ended
	uint64_t saves;         // that succeeded since the start
	uint64_t failures;      // since the start
	uint64_t last_ms;       // Unix time at which the last one that succeeded had ended
	uint64_t tried_ms;      // Unix time at which the last one was begun
	uint64_t took_ns;       // the last one that has ended
	uint64_t keys, bytes;   // of the last one that succeeded
	uint64_t peak_bytes;    // as in struct snap_save_result
	char why[SNAP_WHY_MAX]; // of the last failure
};

struct snap_saver_status {
	bool saving;
	enum snap_kind kind;     // that goes on, or went on last
	uint64_t changes_saved;  // of table_stats.changes, those in dbfilename
	uint64_t buckets_passed; // of the one that goes on: how far it is
	uint64_t buckets;
	struct snap_file_status file[SNAP_KINDS];
};

/* NULL: no memory. */
struct snap_saver *snap_saver_new(const struct snap_saver_config *config);

/* 0, -EINPROGRESS while one goes on, or a negative errno: no thread. */
int snap_saver_begin(struct snap_saver *saver, enum snap_kind kind, uint64_t now_ms);

/* Collects a thread that has ended: the status changes. */
void snap_saver_turn(struct snap_saver *saver, uint64_t now_ms);

/* Begins what is due; about once a second. */
void snap_saver_tick(struct snap_saver *saver, uint64_t now_ms);

/*
 * Waits for the one that goes on, if there is one; a pending signal has it give up. The caller is
 * offline (rcu_offline()).
 */
void snap_saver_wait(struct snap_saver *saver, uint64_t now_ms);

const struct snap_saver_status *snap_saver_status(struct snap_saver *saver);

/* Has the one that goes on give up, and waits for that, offline as above. Accepts NULL. */
void snap_saver_free(struct snap_saver *saver);
