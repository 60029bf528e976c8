/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/session.h"
#include "tests/fakes/fake_out.h"

/*
 * A host with one session over the real engine and table: bytes in, replies in an array. Each piece
 * of input is handed over in an allocation of its own that is freed after the run, so that a
 * sanitizer sees whoever keeps a slice of it.
 */
struct fake_session {
	struct table *table;
	struct table_thread *tt;
	struct cmd_thread cmd;
	struct cmd_counters counters;
	struct cmd_host_ops host_ops;
	struct session_limits limits;
	struct session_host host;
	struct session session;
	struct fake_out out;
	size_t full_bytes;       // out_full() says so from this many bytes on; 0: never
	bool refuse_forward;     // what forward() answers, negated
	struct forward *forward; // taken by forward(), to be run by fake_session_reply()
	uint8_t *pending[256];   // input of feeds that have not been run
	uint32_t pending_count;
};

void fake_session_init(struct fake_session *f, enum session_kind kind);
void fake_session_fini(struct fake_session *f);

/* A new client on the same table; what was written before is forgotten. */
void fake_session_renew(struct fake_session *f, enum session_kind kind);

/* Feeds, without or with a run behind it. */
void fake_session_feed(struct fake_session *f, struct slice data);
void fake_session_send(struct fake_session *f, struct slice data);

/* Runs the forwarded request, writes its reply and continues. */
void fake_session_reply(struct fake_session *f);

/* What has been replied so far, and forgets it. Good until the next call. */
struct slice fake_session_take(struct fake_session *f);
