/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/slice.h"
#include "dataplane/proto/session.h"

/*
 * How a long argument reaches its final place with one copy. A parser that finds one incomplete
 * says so with landing_want() and answers PARSE_MORE. The session then receives the argument into a
 * blob of its exact size, without asking the parser again. When it is complete, the parser is shown
 * the request once more, with the bytes of that argument LEFT OUT: landing_find() tells where that
 * is, and what follows the argument on the wire stands right behind that offset.
 */
struct landing {
	size_t offset;     // in the request as the parser is shown it
	uint64_t len;      // bytes of the argument
	struct blob *blob; // NULL: no memory, the bytes have been skipped (request->refused)
};

/*
 * Progress in one incomplete request. Kept while it is long, so that no byte is looked at over and
 * over.
 */
struct parse_state {
	size_t scanned;     // bytes of the request that need no second look; the parser's to use
	uint32_t args_left; // behind them; likewise
	uint32_t landing_count, landing_capacity;
	struct landing *landings; // in order of offset
	struct landing wanted;    // len 0: nothing; its blob is filled while `receiving`
	bool receiving;
	uint64_t received; // bytes of `wanted`
};

/*
 * The argument at bytes[offset, offset + len) is not all there. Does nothing when it is short, or
 * when the host lands nothing. To be followed by PARSE_MORE.
 */
void landing_want(struct session *session, size_t offset, uint64_t len);

/*
 * The argument that has been landed at this offset, or NULL. Take a reference for request->blobs.
 */
const struct landing *landing_find(const struct session *session, size_t offset);

/* The rest is for session.c. */

/* Progress of the session's incomplete request; made when there is none. NULL: no memory. */
struct parse_state *landing_state(struct session *session);

/* Makes the blob that was wanted. On no memory the bytes will be skipped. */
void landing_begin(struct session *session);

/* Moves bytes from `data` into it, as many as it still lacks. */
void landing_receive(struct session *session, struct slice *data);

/* Forgets the incomplete request. */
void landing_end(struct session *session);

static inline bool landing_wanted(const struct session *session)
{
	return session->partial && session->partial->wanted.len > 0 && !session->partial->receiving;
}

static inline bool landing_receiving(const struct session *session)
{
	return session->partial && session->partial->receiving;
}
