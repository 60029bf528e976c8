/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/client.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct blob;
struct forward;
struct mail;
struct primary_link;
struct feed_link;

/*
 * The only way between the control thread and a worker beside counters: small messages over two
 * single-producer rings per worker. Whoever receives a mail owns it and what it points to.
 */
enum mail_kind {
	MAIL_FORWARD, // worker -> control: run this request elsewhere
	MAIL_REPLY,   // control -> worker: its reply
	MAIL_RUN,     // control -> worker: run this write for the admin listener
	MAIL_RAN,     // worker -> control: it has run
	MAIL_VISIT,   // control -> worker: show all connections to a visitor, whose `left` answers
	MAIL_LINES,   // control -> worker: write these to a watcher's connection
	MAIL_WRITTEN, // worker -> control: done, or it is gone
	MAIL_DIAL,    // control -> worker: connect to a primary
	MAIL_FEED,    // control -> worker: that connection sends a feed from now on
};

/* Lines for a watcher (ctrl/watch). The mail holds a reference of the blob. */
struct mail_lines {
	void *connection;   // of the worker
	uint64_t client_id; // to recognise that the connection is still the same
	struct blob *blob;  // NULL: only to see whether it is there
	uint32_t watcher;
	bool alive; // of MAIL_WRITTEN
};

/* Of MAIL_FEED. The link is the worker's until it says that it is gone. */
struct mail_feed {
	void *connection;
	uint64_t client_id;
	struct feed_link *link;
};

struct mail {
	enum mail_kind kind;
	struct forward *forward;
	struct worker_visit *visit;
	struct mail_lines lines;
	struct mail_feed feed;
	struct primary_link *primary; // of MAIL_DIAL: the worker's until it is gone
};

/* What a visitor sees of a connection. Valid during the call. */
struct worker_client_view {
	const struct client *client;
	uint32_t worker;
	uint32_t query_bytes; // received, not parsed
	uint32_t out_bytes;   // queued, not acknowledged
	bool blocked;
};

/*
 * Shows every connection of every worker to `visit`, on the worker's own thread, a slice per turn.
 * True from visit closes the connection. `left` counts the workers that have not finished; the
 * control thread waits for 0.
 *
 * Handshake: the worker's last act on the visit is to subtract from `left` with release; the
 * control thread loads it with acquire before it reads what the visitor gathered, and frees the
 * visit.
 */
struct worker_visit {
	bool (*visit)(void *arg, const struct worker_client_view *view);
	void *arg;
	_Atomic uint32_t left;
};

/* NULL when there is no memory. */
struct mail *worker_mail_new(enum mail_kind kind, struct forward *forward,
			     struct worker_visit *visit);
void worker_mail_free(struct mail *mail);
