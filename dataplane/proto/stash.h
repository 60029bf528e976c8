/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/session.h"

/*
 * Bytes that a session keeps beyond the burst they came in: the start of a request, or input of a
 * blocked session. Requests in the batch may point into it, so it moves only when that batch has
 * run. Small ones come from a list of the host; an idle session has none.
 */
#define STASH_SMALL_BYTES 2048

static inline struct slice stash_kept(const struct session *session)
{
	if (!session->stash)
		return slice_of(NULL, 0);
	return slice_of(session->stash + session->stash_from,
			session->stash_len - session->stash_from);
}

/*
 * Appends. May run the batch to be allowed to move. False, and closing, when that would exceed
 * query_max_bytes or there is no memory.
 */
bool stash_append(struct session *session, struct slice data);

/* Gives back what is no longer needed. No request in the batch may point into it. */
void stash_trim(struct session *session);
void stash_drop(struct session *session);

/* The end of a host's list of small buffers. */
struct batch;
void stash_free_list_drop(struct batch *batch);
