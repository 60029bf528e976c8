/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/replication/replication.h"
#include "nic/flow.h"

#include <stdatomic.h>

/*
 * Following a primary: a thread of its own speaks the protocol (PING, AUTH, REPLCONF, PSYNC), loads
 * the snapshot, and leaves the stream to the worker that has the connection
 * (dataplane/worker/worker_primary.h). When the connection ends it begins again, from where it was
 * if the primary lets it. Calls come from the control thread.
 */
struct primary_link;
struct repl_follow;

/* What the keyspace is meanwhile; the control thread sees to it. */
enum repl_phase {
	REPL_PHASE_STALE,   // the primary's, as of some time ago: read only
	REPL_PHASE_LOADING, // being replaced: nobody may look
	REPL_PHASE_FOLLOWS, // the primary's: read only
};

struct repl_follow_config {
	struct table *table;
	struct ip_addr primary, local;
	char host[64]; // the primary's address as text
	uint16_t port, listening_port;
	char user[256], password[256]; // "": none
	char announce[256];            // replica-announce-ip; "": none
	uint64_t timeout_ms;           // of silence
	char id[REPL_ID_LEN + 1];      // of a stream that we know already; "": none
	uint64_t offset;               // in it
};

/* NULL: no memory, or no thread. */
struct repl_follow *repl_follow_new(const struct repl_follow_config *config);

/*
 * Waits for the thread, which waits for the worker to let go: what it has run by then is in the
 * status. Offline (rcu_offline()) is not needed.
 */
void repl_follow_stop(struct repl_follow *follow);

/* Accepts NULL, and one that has been stopped. */
void repl_follow_free(struct repl_follow *follow);

/* A connection that is to be opened by a worker, or NULL. */
struct primary_link *repl_follow_take_dial(struct repl_follow *follow);

/*
 * The phase that the thread wants, and that it has been seen to: nothing else is done to the
 * keyspace than that allows until then.
 */
enum repl_phase repl_follow_wants(const struct repl_follow *follow);
void repl_follow_phase(struct repl_follow *follow, enum repl_phase phase);

/* Tells the primary at once how far we are (REPLCONF GETACK). */
void repl_follow_ack(struct repl_follow *follow);

void repl_follow_status(struct repl_follow *follow, struct repl_follow_status *status);
