/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/stash.h"

#include "dataplane/proto/batch.h"

#include <stdlib.h>

/*
 * The bytes that sessions keep. Most are the start of a request whose end is in the next segment:
 * small, short-lived, and from the host's list of small buffers. Grown geometrically up to
 * query_max_bytes. Called by session.c on the host's thread.
 */

#define STASH_FREE_MAX 64 // small buffers on a host's list

struct stash_buffer {
	struct stash_buffer *next;
};

static uint8_t *buffer_take(struct batch *batch, size_t capacity)
{
	struct stash_buffer *buffer = batch->stash_free;

	if (capacity > STASH_SMALL_BYTES || !buffer)
		return malloc(capacity);
	batch->stash_free = buffer->next;
	batch->stash_free_count--;
	return (uint8_t *)buffer;
}

static void buffer_give(struct batch *batch, uint8_t *bytes, size_t capacity)
{
	struct stash_buffer *buffer = (struct stash_buffer *)(void *)bytes;

	if (!bytes)
		return;
	if (capacity != STASH_SMALL_BYTES || batch->stash_free_count == STASH_FREE_MAX) {
		free(bytes);
		return;
	}
	buffer->next = batch->stash_free;
	batch->stash_free = buffer;
	batch->stash_free_count++;
}

void stash_free_list_drop(struct batch *batch)
{
	while (batch->stash_free) {
		struct stash_buffer *buffer = batch->stash_free;

		batch->stash_free = buffer->next;
		free(buffer);
	}
	batch->stash_free_count = 0;
}

/* Moves what is kept to the start of a buffer of another capacity. */
static bool move(struct session *session, size_t capacity)
{
	struct batch *batch = session->host->batch;
	struct slice kept = stash_kept(session);
	uint8_t *bytes = buffer_take(batch, capacity);

	if (!bytes)
		return false;
	if (kept.len > 0)
		memcpy(bytes, kept.ptr, kept.len);
	buffer_give(batch, session->stash, session->stash_capacity);
	session->stash = bytes;
	session->stash_capacity = capacity;
	session->stash_len = kept.len;
	session->stash_from = 0;
	return true;
}

static bool make_room(struct session *session, size_t len)
{
	size_t kept = session->stash_len - session->stash_from;
	size_t max = session->host->limits->query_max_bytes;
	size_t capacity = session->stash_capacity;

	if (len > max || kept > max - len)
		return false;
	if (kept + len <= capacity / 2) {
		// At least half is free, so the bytes moved here were paid for by those that left.
		memmove(session->stash, session->stash + session->stash_from, kept);
		session->stash_len = kept;
		session->stash_from = 0;
		return true;
	}
	if (capacity < STASH_SMALL_BYTES)
		capacity = STASH_SMALL_BYTES;
	while (capacity < kept + len)
		capacity *= 2;
	return move(session, capacity);
}

/* Redis closes such a client without a word. */
static void count_overflow(struct session *session)
{
	struct cmd_counters *counters = session->host->cmd->counters;

	counter_add(session->kind == SESSION_RESP ? &counters->resp_protocol_errors
						  : &counters->mc_protocol_errors,
		    1);
}

bool stash_append(struct session *session, struct slice data)
{
	struct batch *batch = session->host->batch;

	if (data.len > session->stash_capacity - session->stash_len) {
		if (session->stash_batch == batch->number && batch->count > 0)
			session_run(session->host);
		if (session->closing)
			return false;
		if (!make_room(session, data.len)) {
			count_overflow(session);
			session->closing = true;
			return false;
		}
	}
	memcpy(session->stash + session->stash_len, data.ptr, data.len);
	session->stash_len += data.len;
	return true;
}

void stash_trim(struct session *session)
{
	size_t kept = session->stash_len - session->stash_from;

	if (kept == 0)
		stash_drop(session);
	else if (session->stash_capacity > STASH_SMALL_BYTES && kept <= STASH_SMALL_BYTES / 2)
		move(session, STASH_SMALL_BYTES);
}

void stash_drop(struct session *session)
{
	buffer_give(session->host->batch, session->stash, session->stash_capacity);
	session->stash = NULL;
	session->stash_len = 0;
	session->stash_capacity = 0;
	session->stash_from = 0;
}
