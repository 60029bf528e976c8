/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config.h"
#include "ctrl/replication/repl_follow.h"
#include "ctrl/replication/repl_sync.h"
#include "ctrl/replication/replication.h"

/* What the files of this folder share: the primary's side, on the control thread. */

#define SECOND_MS 1000

struct replica {
	struct replica *next;
	uint64_t client_id;
	uint32_t worker;
	void *connection;
	enum repl_state state;
	struct feed_link *link; // NULL while it is only known
	struct feed words;      // places[0] of the link
	char address[REPL_ADDRESS_MAX];
	uint16_t port;
	bool takes_eof;
	bool chosen; // for the synchronisation that is being begun
	uint64_t offset, acked_ms, soft_since_ms;
};

/* A client in WAIT. */
struct waiter {
	struct waiter *next;
	struct forward *forward;
	struct repl_mark mark;
	bool marked; // the mark is with the stream, or has been
	bool asked;  // replicas were, to acknowledge
	int64_t wanted;
	uint64_t deadline_ms; // 0: none
};

struct repl {
	struct repl_config config;
	struct repl_stream *stream; // NULL: nobody follows
	struct repl_sync *sync;     // NULL: none goes on
	struct repl_follow *follow; // NULL: we are a primary
	enum repl_phase phase;      // while we follow
	struct replica *replicas;
	struct waiter *waiters;
	uint32_t waiter_count;
	char id[REPL_ID_LEN + 1];
	char id2[REPL_ID_LEN + 1]; // of whom we have followed
	uint64_t offset2;          // of its stream: up to there it is ours as well
	uint64_t offset;           // of the last stream, where the next one begins
	uint64_t now_ms, second_ms, ping_ms;
	uint64_t end_before;     // of the stream, a second ago
	uint64_t rate;           // bytes of it a second, of late at most
	uint64_t keep_bytes;     // of the backlog, at present
	uint64_t alone_since_ms; // 0: somebody follows
	uint64_t full, partial_good, partial_bad, broken;
};

static inline const struct config *repl__config(const struct repl *repl)
{
	return repl->config.config;
}

/* repl_primary.c: the stream is begun when somebody wants to follow. */
bool repl__start_stream(struct repl *repl);
void repl__stop_stream(struct repl *repl);
void repl__new_id(struct repl *repl);
void repl__start_over(struct repl *repl); // all replicas begin anew

/* repl_replicaof.c */
void repl__follow_turn(struct repl *repl);
void repl__end_following(struct repl *repl);

/* repl_replicas.c */
bool repl__is_gone(const struct repl *repl, const struct replica *r);
void repl__forget_gone(struct repl *repl);
void repl__free_replica(struct replica *r);
void repl__kill(struct replica *r, const char *why); // as soon as its worker looks
void repl__begin_sync(struct repl *repl);            // of all that wait for one
void repl__collect_sync(struct repl *repl);          // that has ended

/* repl_wait.c */
void repl__look_at_waiters(struct repl *repl);
void repl__leave_stream(struct repl *repl); // it ends: waiters will not be told by it
void repl__free_waiters(struct repl *repl);

/* repl_upkeep.c */
uint32_t repl__count_good(const struct repl *repl);
void repl__each_second(struct repl *repl);
void repl__set_gate(struct repl *repl);
