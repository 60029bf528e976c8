/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"
#include "base/slice.h"
#include "dataplane/command/command.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One client's conversation, from ordered bytes to replies, whatever the protocol and whatever
 * carries it: a TCP connection of a worker, a kernel socket of the admin listener, an array in a
 * test.
 *
 * The host feeds the bytes of many sessions into one batch, then runs it:
 *
 *   session_feed() ...   parse complete requests in place; remember or land what is incomplete
 *   session_run()        execute in order, with the lines of the next requests on their way
 *
 * A request never waits in the batch beyond session_run(). All calls for a host come from its
 * thread. What a parser needs beside this header is in batch.h (memory of a request) and landing.h
 * (long arguments).
 */
struct session;
struct session_host;
struct request;
struct mc_users;

/*
 * What every parser answers. On PARSE_MORE no request is consumed: the same bytes are shown again
 * with more behind them.
 */
enum parse_status {
	PARSE_OK, // a request without arguments and detail is nothing to run: an empty line
	PARSE_MORE,
	PARSE_BAD, // the request's detail says what to reply; it is run at once, and may close
};

#define SESSION_BATCH_MAX   64          // requests in flight between feed and run
#define SESSION_LANDING_MIN (32u << 10) // bytes; from here on an argument is received into a blob
#define SESSION_ARGS_MAX    1048576     // arguments of one request
#define SESSION_INLINE_MAX  (64u << 10) // bytes of a line (redis' PROTO_INLINE_MAX_SIZE)

enum session_kind {
	SESSION_RESP,
	SESSION_MEMCACHE, // text, meta or binary, by the first byte
};

/* Chosen by configuration. [ctrl w, worker r] plain numbers: nothing is ordered by them. */
struct session_limits {
	_Atomic uint64_t bulk_max_bytes;  // proto-max-bulk-len
	_Atomic uint64_t query_max_bytes; // client-query-buffer-limit: a request that is not landed
	_Atomic uint64_t mc_item_max_bytes; // memcached-max-item-size
	_Atomic bool mc_flush_enabled;
	_Atomic bool mc_shutdown_enabled;
	_Atomic bool mc_text_only;   // memcached's binary protocol is not spoken
	_Atomic uint32_t mc_watched; // bits of enum mc_watch: what workers note for watchers
	// NULL: memcached's clients need not say who they are. Published with release; the one that
	// it takes the place of is freed after a grace period.
	_Atomic(const struct mc_users *) mc_users;
	struct slice mc_cluster; // node list that `config get cluster` begins with; constant
};

/* What a session needs from whoever carries it. */
struct session_host_ops {
	// The reply sink of a session, good until the next call into the transport.
	struct out *(*out)(struct session *session);
	// Enough is queued: do not parse more of this session until session_continue().
	bool (*out_full)(struct session *session);
	/*
	 * A request that host->forward_flags selects, to be run by another thread. The host copies
	 * what it needs. The session is blocked (input is kept, not parsed) until
	 * session_continue(). Returns false when it cannot: an error is replied. NULL: such
	 * requests run in place.
	 */
	bool (*forward)(struct session *session, const struct request *request);
	// The cycle counter, read twice per batch: what a batch took is shared out evenly among
	// the statistics of its commands. NULL: they keep no time.
	uint64_t (*cycles)(void);
};

struct session {
	struct session_host *host;
	struct client client;
	enum session_kind kind;
	const struct proto *proto;   // NULL until the first byte has chosen
	uint64_t skip_bytes;         // of the protocol: input to drop before its next request
	void *user;                  // of the host: its connection
	bool blocked;                // a forwarded request is out, or the sink was full
	bool forwarded;              // the former; only session_continue() ends it
	bool closing;                // no further input is parsed; close when the replies are out
	bool datagram;               // no input follows the first: what is incomplete is dropped
	bool cut;                    // and was
	bool multi, spoiled;         // of RESP: after MULTI, and something went wrong since
	struct forward *queue;       // what is to be run by EXEC
	struct parse_state *partial; // NULL, or progress in an incomplete request that is long
	uint8_t *stash;              // bytes kept: a request's start, or input of a blocked session
	size_t stash_len, stash_capacity, stash_from; // bytes; parsing goes on at stash_from
	uint64_t stash_batch; // the batch whose requests point into the stash
};

/* One parsed request, waiting in the batch. */
struct request {
	struct session *session;
	const struct proto *proto;
	const struct cmd *cmd; // RESP: NULL for an unknown command
	uint32_t argc;
	const struct slice *argv;
	struct blob *const *blobs; // NULL, or argc of them: NULL or a reference to drop
	struct table_key *keys;    // `bytes` set by the parser, hashed by session_run()
	uint32_t key_count;
	bool alone;   // may block the session: to be run before the next is parsed
	bool refused; // a long argument was skipped for want of memory: answer so
	void *detail; // of the protocol: memcached's parsed line, or a protocol error
};

/* A protocol: how bytes become a request, and how a request is answered. */
struct proto {
	const char *name;
	// `bytes` is never empty. The request comes with session and proto set, the rest zero.
	enum parse_status (*parse)(struct session *session, struct slice bytes,
				   struct request *request, size_t *consumed);
	// Reads `refused` and `detail` first. Sets session->closing when the connection is to end.
	void (*run)(struct session_host *host, struct request *request);
};

/* How many keys a request of that many arguments has by its command's row, and where they are. */
static inline uint32_t session_key_count(const struct cmd *cmd, uint32_t argc)
{
	int64_t last = cmd->last_key < 0 ? (int64_t)argc + cmd->last_key : cmd->last_key;
	uint32_t span;

	if (last >= argc)
		last = (int64_t)argc - 1;
	if (cmd->first_key <= 0 || cmd->key_step <= 0 || last < cmd->first_key)
		return 0;
	span = (uint32_t)(last - cmd->first_key);
	// Nearly every command has one key or keys in a row: no division for those.
	return (span == 0 || cmd->key_step == 1 ? span : span / (uint32_t)cmd->key_step) + 1;
}

static inline uint32_t session_key_index(const struct cmd *cmd, uint32_t key)
{
	return (uint32_t)cmd->first_key + key * (uint32_t)cmd->key_step;
}

/* One per thread that carries sessions. */
struct session_host {
	struct cmd_thread *cmd;
	const struct session_host_ops *ops;
	const struct session_limits *limits;
	/*
	 * Requests whose command has one of these flags go to ops->forward(). session_host_init()
	 * sets CMD_CONTROL | CMD_BACKGROUND, as a worker wants it; a host whose thread may not
	 * write (the admin listener) sets its own afterwards. With CMD_WRITE among them nothing is
	 * landed.
	 */
	uint32_t forward_flags;
	struct batch *batch;
	uint64_t run_tsc; // cycles that batches have taken, 0 without ops->cycles
};

/* 0 or -ENOMEM. */
int session_host_init(struct session_host *host, struct cmd_thread *cmd,
		      const struct session_host_ops *ops, const struct session_limits *limits);
void session_host_fini(struct session_host *host);

/* The client's id, addresses and times are the caller's to fill in afterwards. */
void session_init(struct session *session, struct session_host *host, enum session_kind kind);

/* Drops what is kept. The session must have no request in the batch. */
void session_fini(struct session *session);

/*
 * Takes bytes of one session. They must stay readable until session_run() returns; what is not
 * parsed by then has been copied. May itself run the batch when that is full.
 */
void session_feed(struct session *session, struct slice data);

/* Executes everything parsed so far. */
void session_run(struct session_host *host);

/*
 * Goes on with what was kept, and runs the batch: after the host has written the reply of a
 * forwarded request (session_continue), or when the sink has drained (session_drained, which does
 * nothing while a forwarded request is out, so that replies keep their order).
 */
void session_continue(struct session *session);
void session_drained(struct session *session);

/* Bytes that a blocked session keeps unparsed: the host closes its receive window by as much. */
size_t session_held(const struct session *session);

/*
 * A forwarded request: a copy that lives on its own, is run by a control or background thread, and
 * comes back with its reply as a blob.
 */
struct forward {
	struct client client; // a copy; changes are not carried back
	const struct cmd *cmd;
	uint32_t argc;
	struct slice *argv;
	struct blob **blobs;   // NULL, or per argument NULL or a reference
	struct forward *next;  // in a queue
	struct forward *queue; // of EXEC: to be run in a row, each with a reply in its array
	struct blob *reply;    // after forward_run(); NULL: none
	bool failed;           // there was no memory for it
	void *connection;      // of the host
	uint64_t client_id;    // to recognise that the connection is still the same
	uint32_t worker;       // where it goes back to
	uint64_t version;      // of the table, up to which the client's changes are
	bool deferred;         // by whoever runs it: it is not done yet, and will be run again
};

/* NULL when there is no memory, or the arguments are longer than query_max_bytes together. */
struct forward *forward_new(const struct session *session, const struct request *request);

/* Once, on the thread that the cmd_thread belongs to. A reply beyond the limit becomes an error. */
#define FORWARD_REPLY_MAX_BYTES (512u << 20)
void forward_run(struct forward *forward, struct cmd_thread *thread);
void forward_free(struct forward *forward);
