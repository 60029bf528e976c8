/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/feed.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The replication stream of a primary: a thread merges what the workers have noted
 * (dataplane/table/effects.h) into one feed of commands, whose last part is the backlog. Calls come
 * from any thread but workers.
 */
struct repl_stream;
struct table;

struct repl_stream_config {
	struct table *table;
	uint64_t log_bytes;     // ring of a worker, a power of two
	uint64_t backlog_bytes; // kept of the stream
	uint64_t start_offset;
};

/* Begins to note and to merge. NULL: no memory, or no thread. Waits for a grace period. */
struct repl_stream *repl_stream_new(const struct repl_stream_config *config);

/* All places that were given out may live on. Accepts NULL. Waits for a grace period. */
void repl_stream_free(struct repl_stream *stream);

struct repl_stream_status {
	bool broken;            // a worker's ring was full, or there was no memory: it has a hole
	uint64_t start, end;    // offsets of the backlog's first byte, and of the next one
	uint64_t waiting_bytes; // in the workers' rings
};

void repl_stream_status(struct repl_stream *stream, struct repl_stream_status *status);

/* How much of the stream is to be kept, from now on. */
void repl_stream_keep(struct repl_stream *stream, uint64_t bytes);

/* Puts a command of `count` words in between. */
void repl_stream_append(struct repl_stream *stream, const struct slice *words, uint32_t count);

/* The place of an offset of the backlog, or of its end. False: it is not there. */
MUST_USE bool repl_stream_place(struct repl_stream *stream, uint64_t offset,
				struct feed_place *place);

/*
 * Where the stream stands between changes with versions below `version` and the others. Embedded in
 * its owner, who fills `version` in; the rest is the stream's until repl_stream_marked() has said
 * true, or repl_stream_unmark() was called.
 */
struct repl_mark {
	uint64_t version;
	bool selects; // the database is to be named there, for one who has no other
	bool set;     // once true: the following
	uint64_t offset;
	struct feed_place place; // the owner's to drop; nowhere: there is no memory
	struct repl_mark *next;
};

void repl_stream_mark(struct repl_stream *stream, struct repl_mark *mark);
bool repl_stream_marked(struct repl_stream *stream, const struct repl_mark *mark);
void repl_stream_unmark(struct repl_stream *stream, struct repl_mark *mark);
