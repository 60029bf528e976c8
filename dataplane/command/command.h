/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/counter.h"
#include "base/slice.h"
#include "dataplane/command/client.h"
#include "dataplane/command/reply.h"
#include "dataplane/table/table.h"

#include <stdint.h>

/*
 * The command engine: what a request means, whichever protocol and thread it came by. command.def
 * lists every command once. The engine blocks nowhere, knows no socket and no NIC, and reads no
 * clock.
 */

/* The version whose behaviour the commands follow; what HELLO and INFO report as redis_version. */
#define CMD_REDIS_VERSION "7.0.15"

/* Flags of a command, as COMMAND INFO shows them (the first group) or as only we need them. */
enum cmd_flag {
	CMD_WRITE = 1 << 0,
	CMD_READONLY = 1 << 1,
	CMD_DENYOOM = 1 << 2, // refused when memory is full
	CMD_ADMIN = 1 << 3,
	CMD_NOSCRIPT = 1 << 4,
	CMD_LOADING = 1 << 5,
	CMD_STALE = 1 << 6,
	CMD_FAST = 1 << 7,
	CMD_NO_AUTH = 1 << 8,
	CMD_SKIP_SLOWLOG = 1 << 9,
	CMD_TOUCHES_ARBITRARY = 1 << 10, // "touches_arbitrary_keys"
	CMD_NO_MULTI = 1 << 11,
	CMD_ALLOW_BUSY = 1 << 12,
	CMD_NO_ASYNC_LOADING = 1 << 13,
	CMD_PUBSUB = 1 << 14,
	// From here on ours.
	CMD_CONTROL =
		1
		<< 16, // runs on the control thread: may take long or needs what only control knows
	CMD_BACKGROUND = 1 << 17,  // runs on a background thread: walks the whole keyspace
	CMD_ADMIN_ONLY = 1 << 18,  // only by the admin listener
	CMD_TRANSACTION = 1 << 19, // MULTI, EXEC, DISCARD: run by the protocol
	CMD_BLOCKS = 1 << 20,      // may answer later, or more than once
	CMD_SUBSCRIBED = 1 << 21,  // also from a client that has subscribed to channels
};

struct cmd;
struct cmd_call;
struct mc_log;

#define CMD_UNLISTED                                                                               \
	UINT32_MAX // id of a row outside the registry, a protocol's own: not counted per command

/* A registry row. Built from command.def; static and constant. */
struct cmd {
	const char *name; // lower case; a subcommand is "container|name"
	void (*run)(struct cmd_call *call);
	int arity; // as redis: the name counts, negative means at least
	uint32_t flags;
	int first_key, last_key, key_step; // as COMMAND INFO
	const char *key_flags;      // of the key specification: "RW access update"; NULL: no keys
	const char *key_notes;      // the specification's notes, or NULL
	const char *acl_categories; // "@read @string @fast"
	const char *tips;           // "nondeterministic_output", or ""
	const char *group;          // COMMAND DOCS
	const char *summary;
	const char *since;
	const char *complexity;
	uint32_t id; // index of its statistics, 0 .. cmd_count() - 1
};

/* Per thread and command; written by the thread, read by all. */
struct cmd_stat {
	counter calls;
	counter failed;   // ran and answered an error
	counter rejected; // refused before running
	counter tsc;      // cycles in commands, attributed per batch
};

/* What all protocols count in a thread. */
struct cmd_counters {
	counter hits, misses; // keyspace_hits, keyspace_misses
	counter commands;
	counter error_replies;
	counter mc_get_hits, mc_get_misses, mc_cmd_get, mc_cmd_set, mc_cmd_touch, mc_cmd_flush;
	counter mc_touch_hits, mc_touch_misses, mc_delete_hits, mc_delete_misses;
	counter mc_incr_hits, mc_incr_misses, mc_decr_hits, mc_decr_misses;
	counter mc_cas_hits, mc_cas_misses, mc_cas_badval;
	counter mc_cmd_meta;
	counter mc_auth_cmds, mc_auth_errors;
	counter mc_store_too_large, mc_store_no_memory;
	counter mc_cmd_config_get, mc_cmd_config_set;
	counter mc_get_expired, mc_get_flushed, mc_protocol_errors;
	counter resp_protocol_errors;
	counter mc_udp_requests, mc_udp_replies; // datagrams
	counter mc_udp_bad;                      // no frame, or an incomplete request in it
	counter mc_udp_amplifying, mc_udp_too_long, mc_udp_too_many; // not sent
};

/* How SHUTDOWN is to go about it; by default it saves if there are rules for that. */
struct cmd_shutdown {
	bool saves, skips_save;
	bool forces; // even if it cannot save
};

/*
 * What the engine asks of the process around it. Only CMD_CONTROL commands call these; NULL
 * answers an error.
 */
struct cmd_host_ops {
	void (*info)(void *host, struct reply *r, const struct slice *sections, uint32_t count);
	void (*memory_stats)(void *host, struct reply *r);
	void (*config_get)(void *host, struct reply *r, const struct slice *patterns,
			   uint32_t count);
	// count: slices, two per pair.
	void (*config_set)(void *host, struct reply *r, const struct slice *pairs, uint32_t count);
	void (*config_rewrite)(void *host, struct reply *r);
	void (*reset_stats)(void *host);
	// CLIENT LIST of all threads as one verbatim text. The arguments are those behind LIST
	// and KILL, already
	// found valid; cmd_client.h has the filter that they mean, the line's format and the
	// replies.
	void (*client_list)(void *host, struct reply *r, const struct slice *args, uint32_t count,
			    struct client *self);
	void (*client_kill)(void *host, struct reply *r, const struct slice *args, uint32_t count,
			    struct client *self);
	void (*shutdown)(void *host, struct reply *r, const struct cmd_shutdown *how);
	void (*save)(void *host, struct reply *r);   // SAVE: answers when it is done
	void (*bgsave)(void *host, struct reply *r); // answers when it has begun
	void (*last_save)(void *host, struct reply *r);
	void (*debug_sleep)(void *host, double seconds);
	void (*role)(void *host, struct reply *r);
	// An empty host: of nobody.
	void (*replicaof)(void *host, struct reply *r, struct slice address, struct slice port);
	// Pairs of an option and a value, already found even.
	void (*replconf)(void *host, struct reply *r, struct client *client,
			 const struct slice *pairs, uint32_t count);
	// Makes a replica of the client: what it is sent from then on is no reply.
	void (*psync)(void *host, struct reply *r, struct client *client, struct slice id,
		      int64_t offset);
	// count 0: from all.
	void (*subscribe)(void *host, struct reply *r, struct client *client, bool patterns,
			  const struct slice *names, uint32_t count);
	void (*unsubscribe)(void *host, struct reply *r, struct client *client, bool patterns,
			    const struct slice *names, uint32_t count);
	void (*publish)(void *host, struct reply *r, struct slice channel, struct slice message);
	void (*pubsub_channels)(void *host, struct reply *r, struct slice pattern);
	void (*pubsub_numsub)(void *host, struct reply *r, const struct slice *names,
			      uint32_t count);
	void (*pubsub_numpat)(void *host, struct reply *r);
	// How many replicas have all that the client has changed; false: it is asked again when
	// as many as wanted have, or the time is over.
	bool (*wait)(void *host, struct client *client, int64_t wanted, int64_t timeout_ms,
		     int64_t *acked);
	/*
	 * memcached's `stats SUB` of the whole process, without the END line; mc_stats_encode()
	 * knows the names. Asked only for groups that it knows; `sub` is empty for the general
	 * one.
	 */
	void (*mc_stats)(void *host, struct out *out, struct slice sub);
	// Sends that client, whose request was forwarded, what is noted from now on. False: full.
	bool (*mc_watch)(void *host, struct client *client, uint32_t bits);
	// maxmemory in bytes. False: it is refused.
	bool (*memory_limit)(void *host, uint64_t bytes);
};

/*
 * What clients may do at present. Set by the control thread; whoever runs commands reads it for
 * each one, relaxed: after a grace period all do as it says.
 */
enum cmd_gate_state {
	CMD_GATE_OPEN,
	CMD_GATE_NO_REPLICAS, // read: there are fewer than min-replicas-to-write
	CMD_GATE_READ_ONLY,   // read: the keyspace is a primary's
	CMD_GATE_STOPPING,    // read: the last snapshot is being written
	CMD_GATE_LOADING,     // neither: the keyspace is being replaced
};

struct cmd_gate {
	_Atomic uint32_t state; // enum cmd_gate_state
};

/* The surroundings of a call: one per thread that runs commands. */
struct cmd_thread {
	struct table *table;
	struct table_thread *tt;
	struct cmd_stat *stats; // cmd_count() of them
	struct cmd_counters *counters;
	struct mc_log *log;                  // what memcached's watchers see; NULL but on workers
	const struct cmd_host_ops *host_ops; // NULL on workers
	const struct cmd_gate *gate;         // NULL: open
	void *host;
	uint64_t now_ms; // Unix time of the burst
	uint64_t now_us; // the same in microseconds, for TIME
	uint64_t now_ns; // monotonic, as given to table_set_time()
	struct rng rng;
};

/* One request. The slices live until the call returns. */
struct cmd_call {
	struct cmd_thread *thread;
	struct client *client;
	const struct cmd *cmd;
	uint32_t argc;
	const struct slice *argv;     // argv[0] is the command's name
	const struct table_key *keys; // the arguments at cmd->first_key .. last_key, hashed already
	uint32_t key_count;
	struct blob *const
		*blobs; // NULL, or per argument NULL or the blob that is it: blob_ref() to keep
	struct reply *reply;
};

static inline enum cmd_gate_state cmd_gate(const struct cmd_thread *thread)
{
	if (!thread->gate)
		return CMD_GATE_OPEN;
	return (enum cmd_gate_state)atomic_load_explicit(
		(_Atomic uint32_t *)(uintptr_t)&thread->gate->state, memory_order_relaxed);
}

/* Builds the lookup structure. Main thread, once, before any other call. */
void cmd_init(void);

uint32_t cmd_count(void);
const struct cmd *cmd_at(uint32_t id);

/*
 * Finds a command by its words: argv[0], and argv[1] for a container like CLIENT. NULL when there
 * is none; an unknown subcommand gives the container's own row, which cmd_admit() refuses. Case
 * does not matter. Any thread.
 */
const struct cmd *cmd_lookup(const struct slice *argv, uint32_t argc);

/*
 * Whether a request may run at all: unknown command, arity, admin only, memory full. True, or
 * false after the error has been written. `cmd` may be NULL. To be asked on the thread that
 * received the request, and for a CMD_WRITE on one that may write.
 */
bool cmd_admit(struct cmd_thread *thread, struct client *client, const struct cmd *cmd,
	       uint32_t argc, const struct slice *argv, struct reply *reply);

/* Runs an admitted request and counts it. */
void cmd_run(struct cmd_call *call);

/*
 * Runs what a primary has sent to its replica; call->cmd may be NULL. client->failed says what
 * cannot be run here: then this keyspace is not the primary's any more.
 */
void cmd_run_of_primary(struct cmd_call *call);

/* What a PING says before the SET of a key with memcached's flags; the number follows. */
#define CMD_FLAGS_MARK "wirecache-flags:"

/*
 * Redis' glob: * ? [a-z] [^a] and backslash. Never more than pattern times text steps. Any
 * thread.
 */
bool cmd_glob_match(struct slice pattern, struct slice text, bool nocase);
