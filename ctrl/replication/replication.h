/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "dataplane/command/reply.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Replication as its primary sees it: who follows, how far they are, and who waits for them. The
 * protocol is Redis' (PSYNC with full and partial synchronisation, REPLCONF, WAIT); the commands
 * come in by host.c. Control thread.
 */
struct cmd_gate;
struct config;
struct forward;
struct mail_feed;
struct primary_link;
struct repl;
struct table;

struct repl_config {
	struct config *config; // of the control thread
	struct table *table;
	struct cmd_gate *gate;
	// Gives a replica's connection to its worker. False: no memory.
	bool (*mail)(void *arg, uint32_t worker, const struct mail_feed *mail);
	// Has a worker connect to a primary. False: no memory.
	bool (*dial)(void *arg, struct primary_link *link);
	// A request that repl_wait() has put off can be run again.
	void (*resume)(void *arg, struct forward *forward);
	void *arg;
	void (*wake)(void *arg); // any thread: repl_turn() is due
	void *wake_arg;
};

/* NULL: no memory. */
struct repl *repl_new(const struct repl_config *config);

/* Ends the stream and what is being sent, before the workers end. Accepts NULL. */
void repl_stop(struct repl *repl);

/* After the workers have ended. Accepts NULL. */
void repl_free(struct repl *repl);

/* About once a millisecond. */
void repl_turn(struct repl *repl, uint64_t now_ms);

/* --- commands; `forward` is the request, of a client on the network card --- */

void repl_replconf(struct repl *repl, struct forward *forward, const struct slice *pairs,
		   uint32_t count, struct reply *r);
void repl_psync(struct repl *repl, struct forward *forward, struct slice id, int64_t offset,
		struct reply *r);

/*
 * True: *acked replicas have acknowledged what the client has changed. False: they have not yet;
 * the request is kept (forward->deferred), and will be resumed.
 */
bool repl_wait(struct repl *repl, struct forward *forward, int64_t wanted, int64_t timeout_ms,
	       int64_t *acked);

void repl_role(struct repl *repl, struct reply *r);

/*
 * Follows the primary at that address from now on; an empty host: nobody, the keyspace is ours. The
 * directive replicaof is changed with it. Answers as redis does.
 */
void repl_replicaof(struct repl *repl, struct slice host, struct slice port, struct reply *r);

/* As the directive replicaof says at the start. 0, or -EINVAL: it names no address. */
int repl_start(struct repl *repl, uint64_t now_ms);

/* --- figures --- */

#define REPL_ID_LEN 40 // hexadecimal digits

#define REPL_REPLICAS_MAX 16
#define REPL_ADDRESS_MAX  64

enum repl_state {
	REPL_KNOWN,  // has said something of itself
	REPL_WAITS,  // for a synchronisation to begin
	REPL_SYNCS,  // is being sent one, or has yet to acknowledge it
	REPL_ONLINE, // follows
};

struct repl_replica_status {
	enum repl_state state;
	char address[REPL_ADDRESS_MAX];
	uint16_t port;   // that it listens on
	uint64_t offset; // that it has acknowledged
	uint64_t lag_s;  // since its last word
	uint64_t client_id;
};

enum repl_link_state {
	REPL_LINK_CONNECT,
	REPL_LINK_CONNECTING,
	REPL_LINK_SYNC,
	REPL_LINK_CONNECTED,
};

#define REPL_FOLLOW_WHY_MAX 256

/* Of whom we follow. */
struct repl_follow_status {
	enum repl_link_state state;
	char host[64];
	uint16_t port;
	char id[REPL_ID_LEN + 1];
	uint64_t offset;
	uint64_t heard_ms;             // Unix time of the last bytes, 0: none yet
	uint64_t down_ms;              // Unix time since which there is no link
	uint64_t sync_bytes;           // of the snapshot that is being loaded
	uint64_t full, partial;        // synchronisations
	char why[REPL_FOLLOW_WHY_MAX]; // of the last failure
};

struct repl_status {
	const char *id, *id2; // id2: of the stream that this one goes on with, "": none
	uint64_t offset2;     // up to which
	bool follows;         // see repl_primary()
	bool loading;
	uint64_t offset; // of the stream
	bool active;     // there is a stream
	uint64_t backlog_start, backlog_bytes;
	uint64_t backlog_keep_bytes;              // that it may grow to at present
	uint64_t full, partial_good, partial_bad; // synchronisations
	uint64_t broken;                          // streams that had a hole
	uint64_t waiters;
	uint32_t good;  // replicas that count for min-replicas-to-write
	uint32_t count; // of those that have asked to follow
	struct repl_replica_status replicas[REPL_REPLICAS_MAX];
};

void repl_status(struct repl *repl, struct repl_status *status);

/* Of whom we follow. False: nobody. */
bool repl_primary(struct repl *repl, struct repl_follow_status *status);
