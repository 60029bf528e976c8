/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/table.h"

/*
 * All items as of one version, the cut, while writers go on. One at a time.
 *
 *   T8  A snapshot that ends with TABLE_SNAPSHOT_DONE has shown each item that was live at the cut
 *       exactly once, as it was, and no other; of a table_commit() all changes or none. Items whose
 *       time has come since the cut may be left out.
 *
 *   begin, confirm, step until it says DONE or FAILED, end
 *
 * A thread opened without may_write does for all of it. Memory beyond the items: what is displaced
 * before its bucket has been visited is copied, up to a limit; beyond that the snapshot fails, and
 * writers never wait for it. There is room for the threads that were open when it began: one that
 * comes later and displaces an item fails it likewise.
 */
struct table_snapshot;

enum table_snapshot_state {
	TABLE_SNAPSHOT_WAITS,   // for the cut to be in the past; nothing to do for a millisecond
	TABLE_SNAPSHOT_GOES_ON, // call again
	TABLE_SNAPSHOT_DONE,
	TABLE_SNAPSHOT_FAILED, // see table_snapshot_failure()
};

enum table_snapshot_failure {
	TABLE_SNAPSHOT_GOOD,
	TABLE_SNAPSHOT_FLUSHED,   // table_flush() came between, as in redis
	TABLE_SNAPSHOT_OVERFLOW,  // more was displaced than the buffer holds
	TABLE_SNAPSHOT_CANCELLED, // table_snapshot_cancel()
	TABLE_SNAPSHOT_LATE,      // table_snapshot_confirm() came too late
};

/*
 * Chooses a cut a few milliseconds ahead of now_ns (the clock of table_set_time()) and shows it to
 * writers, which copy up to buffer_bytes. NULL: no memory, or another one is under way.
 */
struct table_snapshot *table_snapshot_begin(struct table_thread *t, uint64_t now_ns,
					    uint64_t buffer_bytes);

/* Whether one is under way. Any thread. */
bool table_snapshot_goes_on(const struct table *table);

/*
 * To be called right after it with a fresh time: whether the cut was still ahead of every clock
 * when it became visible. If not, the snapshot fails, and another one may be begun.
 */
bool table_snapshot_confirm(struct table_snapshot *s, uint64_t now_ns);

/* The version below which it shows everything. */
uint64_t table_snapshot_cut(const struct table_snapshot *s);

/*
 * Shows some of the items, for some 100 us, or fewer if `visit` returns false: that it has enough
 * for now. They are good for the call. The caller sets the time (table_set_time()) and announces a
 * quiescent state between calls. After a failure nothing more is shown, and it goes on until all
 * buckets have been passed.
 */
enum table_snapshot_state table_snapshot_step(struct table_snapshot *s, struct table_thread *t,
					      bool (*visit)(void *arg, const struct item *item),
					      void *arg);

/* Has it fail; table_snapshot_step() is to be called on. */
void table_snapshot_cancel(struct table_snapshot *s);

enum table_snapshot_failure table_snapshot_failure(const struct table_snapshot *s);

/* Of the buckets there are, those that have been passed. By the caller of step. */
void table_snapshot_progress(const struct table_snapshot *s, uint64_t *passed, uint64_t *buckets);

/* The most bytes that copies have taken so far. */
uint64_t table_snapshot_peak_bytes(const struct table_snapshot *s);

/* After DONE or FAILED. Waits for a grace period. */
void table_snapshot_end(struct table_snapshot *s, struct table_thread *t);
