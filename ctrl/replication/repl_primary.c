/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_internal.h"

#include "base/number.h"
#include "base/rcu.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * host.c -> repl_replconf(), repl_psync() (repl_replicas.c): who wants to follow. From there on
 * each has a link, which its worker sends (worker_feed.c): from the backlog at once, or after a
 * synchronisation (repl_sync.c) that all who wait share. repl_turn() looks after them.
 */

void repl__new_id(struct repl *repl)
{
	uint8_t bytes[REPL_ID_LEN / 2];

	secret_fill(bytes, sizeof(bytes));
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		snprintf(repl->id + 2 * i, 3, "%02x", bytes[i]);
}

struct repl *repl_new(const struct repl_config *config)
{
	struct repl *repl = calloc(1, sizeof(*repl));

	if (!repl)
		return NULL;
	repl->config = *config;
	repl__new_id(repl);
	return repl;
}

/* --- the stream --- */

static uint64_t power_of_two(uint64_t at_least)
{
	return 1ULL << (64 - __builtin_clzll(at_least - 1));
}

bool repl__start_stream(struct repl *repl)
{
	const struct config *config = repl__config(repl);
	const struct repl_stream_config stream = {
		.table = repl->config.table,
		.log_bytes = power_of_two(config->repl_log_size),
		.backlog_bytes = config->repl_backlog_size,
		.start_offset = repl->offset,
	};

	if (!repl->stream) {
		repl->stream = repl_stream_new(&stream);
		repl->end_before = repl->offset;
		repl->keep_bytes = config->repl_backlog_size;
		repl->rate = 0;
	}
	return repl->stream != NULL;
}

void repl__stop_stream(struct repl *repl)
{
	struct repl_stream_status status;

	repl_stream_status(repl->stream, &status);
	repl->offset = status.end;
	repl__leave_stream(repl);
	repl_stream_free(repl->stream);
	repl->stream = NULL;
	repl__new_id(repl); // whoever comes back has not seen what happens now
}

static bool stream_is_broken(struct repl *repl)
{
	struct repl_stream_status status;

	repl_stream_status(repl->stream, &status);
	return status.broken;
}

/* The stream has a hole: all begin anew. */
void repl__start_over(struct repl *repl)
{
	for (struct replica *r = repl->replicas; r; r = r->next)
		repl__kill(r, "the stream has a hole");
	if (repl->sync)
		return; // it sees so itself
	repl->broken++;
	repl__stop_stream(repl);
}

void repl_turn(struct repl *repl, uint64_t now_ms)
{
	repl->now_ms = now_ms;
	repl__collect_sync(repl);
	repl__forget_gone(repl);
	if (repl->stream && stream_is_broken(repl))
		repl__start_over(repl);
	if (repl->stream && !repl->sync)
		repl__begin_sync(repl);
	if (repl->follow)
		repl__follow_turn(repl);
	repl__look_at_waiters(repl);
	if (now_ms < repl->second_ms + SECOND_MS && now_ms >= repl->second_ms)
		return;
	repl->second_ms = now_ms;
	repl__each_second(repl);
}

void repl_stop(struct repl *repl)
{
	if (!repl)
		return;
	repl__end_following(repl);
	rcu_offline();
	repl_sync_free(repl->sync);
	repl_stream_free(repl->stream);
	rcu_online();
	repl->sync = NULL;
	repl->stream = NULL;
}

void repl_free(struct repl *repl)
{
	if (!repl)
		return;
	repl__free_waiters(repl);
	while (repl->replicas) {
		struct replica *r = repl->replicas;

		repl->replicas = r->next;
		repl__free_replica(r);
	}
	free(repl);
}

/* --- figures --- */

static void status_of(const struct repl *repl, const struct replica *r,
		      struct repl_replica_status *status)
{
	*status = (struct repl_replica_status){
		.state = r->state,
		.port = r->port,
		.offset = r->offset,
		.lag_s = (repl->now_ms - r->acked_ms) / SECOND_MS,
		.client_id = r->client_id,
	};
	snprintf(status->address, sizeof(status->address), "%s", r->address);
}

void repl_status(struct repl *repl, struct repl_status *status)
{
	struct repl_stream_status stream = {.start = repl->offset, .end = repl->offset};

	if (repl->stream)
		repl_stream_status(repl->stream, &stream);
	*status = (struct repl_status){
		.id = repl->id,
		.id2 = repl->id2,
		.offset2 = repl->offset2,
		.follows = repl->follow != NULL,
		.loading = repl->follow && repl->phase == REPL_PHASE_LOADING,
		.offset = stream.end,
		.active = repl->stream != NULL,
		.backlog_start = stream.start,
		.backlog_bytes = stream.end - stream.start,
		.backlog_keep_bytes = repl->keep_bytes,
		.full = repl->full,
		.partial_good = repl->partial_good,
		.partial_bad = repl->partial_bad,
		.broken = repl->broken,
		.waiters = repl->waiter_count,
		.good = repl__count_good(repl),
	};
	for (const struct replica *r = repl->replicas; r; r = r->next)
		if (r->state != REPL_KNOWN)
			status_of(repl, r, &status->replicas[status->count++]);
}

static void role_of_replica(struct repl *repl, struct reply *r)
{
	static const char *const states[] = {
		[REPL_LINK_CONNECT] = "connect",
		[REPL_LINK_CONNECTING] = "connecting",
		[REPL_LINK_SYNC] = "sync",
		[REPL_LINK_CONNECTED] = "connected",
	};
	struct repl_follow_status status;

	repl_follow_status(repl->follow, &status);
	reply_array(r, 5);
	reply_bulk_text(r, "slave");
	reply_bulk_text(r, status.host);
	reply_integer(r, status.port);
	reply_bulk_text(r, states[status.state]);
	reply_integer(r, status.state == REPL_LINK_CONNECTED ? (int64_t)status.offset : -1);
}

void repl_role(struct repl *repl, struct reply *r)
{
	struct repl_status status;
	uint32_t online = 0;

	if (repl->follow) {
		role_of_replica(repl, r);
		return;
	}
	repl_status(repl, &status);
	for (uint32_t i = 0; i < status.count; i++)
		online += status.replicas[i].state == REPL_ONLINE;
	reply_array(r, 3);
	reply_bulk_text(r, "master");
	reply_integer(r, (int64_t)status.offset);
	reply_array(r, online);
	for (uint32_t i = 0; i < status.count; i++) {
		const struct repl_replica_status *replica = &status.replicas[i];
		uint8_t text[NUMBER_TEXT_MAX];

		if (replica->state != REPL_ONLINE)
			continue;
		reply_array(r, 3);
		reply_bulk_text(r, replica->address);
		reply_bulk(r, slice_of(text, number_encode_u64(replica->port, text)));
		reply_bulk(r, slice_of(text, number_encode_u64(replica->offset, text)));
	}
}

bool repl_primary(struct repl *repl, struct repl_follow_status *status)
{
	if (repl->follow)
		repl_follow_status(repl->follow, status);
	return repl->follow != NULL;
}
