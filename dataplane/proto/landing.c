/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/landing.h"

#include "dataplane/table/table.h"

#include <stdlib.h>

/*
 * Long arguments on their way into blobs of their own. The parsers ask (landing_want), session.c
 * moves the bytes, and the command keeps the blob: a value of 512 MB is copied once. The memory is
 * the table's and under its limit, so announcing long arguments takes no more than maxmemory. Runs
 * on the host's thread.
 */

struct parse_state *landing_state(struct session *session)
{
	if (!session->partial)
		session->partial = calloc(1, sizeof(*session->partial));
	return session->partial;
}

void landing_want(struct session *session, size_t offset, uint64_t len)
{
	struct session_host *host = session->host;
	struct parse_state *state;

	if (len < SESSION_LANDING_MIN || session->datagram || !host->cmd->tt ||
	    (host->forward_flags & CMD_WRITE))
		return;
	state = landing_state(session);
	// Without it the argument is kept with the rest of the request, within query_max_bytes.
	if (state)
		state->wanted = (struct landing){.offset = offset, .len = len};
}

const struct landing *landing_find(const struct session *session, size_t offset)
{
	const struct parse_state *state = session->partial;
	uint32_t low = 0, high = state ? state->landing_count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (state->landings[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!state || low == state->landing_count || state->landings[low].offset != offset)
		return NULL;
	return &state->landings[low];
}

static bool make_room(struct parse_state *state)
{
	uint32_t capacity = state->landing_capacity ? 2 * state->landing_capacity : 4;
	struct landing *landings;

	if (state->landing_count < state->landing_capacity)
		return true;
	landings = realloc(state->landings, capacity * sizeof(*landings));
	if (!landings)
		return false;
	state->landings = landings;
	state->landing_capacity = capacity;
	return true;
}

void landing_begin(struct session *session)
{
	struct parse_state *state = session->partial;
	struct table_thread *tt = session->host->cmd->tt;

	if (!make_room(state)) {
		session->closing = true;
		return;
	}
	state->receiving = true;
	state->received = 0;
	state->wanted.blob = NULL;
	if (table_reserve(tt, state->wanted.len))
		state->wanted.blob = table_blob_new(tt, state->wanted.len);
}

void landing_receive(struct session *session, struct slice *data)
{
	struct parse_state *state = session->partial;
	struct landing *wanted = &state->wanted;
	uint64_t left = wanted->len - state->received;
	size_t part = data->len < left ? data->len : (size_t)left;

	if (wanted->blob && part > 0)
		memcpy(wanted->blob->bytes + state->received, data->ptr, part);
	state->received += part;
	data->ptr += part;
	data->len -= part;
	if (state->received < wanted->len)
		return;
	if (wanted->blob)
		wanted->blob->len = wanted->len;
	state->landings[state->landing_count++] = *wanted;
	*wanted = (struct landing){0};
	state->receiving = false;
}

void landing_end(struct session *session)
{
	struct parse_state *state = session->partial;

	if (!state)
		return;
	for (uint32_t i = 0; i < state->landing_count; i++)
		blob_unref(state->landings[i].blob);
	blob_unref(state->wanted.blob);
	free(state->landings);
	free(state);
	session->partial = NULL;
}
