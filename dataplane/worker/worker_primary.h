/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/client.h"
#include "dataplane/worker/worker_feed.h"
#include "nic/flow.h"

/*
 * A connection of our own, to the primary that we follow. Its worker opens it and is a pipe at
 * first: what arrives goes into a feed, which a thread of the control side reads (the handshake,
 * the snapshot), and what that thread says goes out. Then the worker runs what arrives itself, as
 * requests of a client that may write.
 *
 * Handshake: made by the control thread, the worker's from MAIL_DIAL until it is `gone` (release).
 * The feed is the worker's to write, `place` the other thread's to read. The latter sets
 * places[1] to where the stream begins and then `streams` (release); from when the worker has seen
 * that it writes no more into the feed, and `place` must not be read any more.
 */
enum primary_state {
	PRIMARY_DIALS,
	PRIMARY_OPEN,
	PRIMARY_GONE, // the worker's last word; `why` says why
};

#define PRIMARY_WHY_MAX 160

struct primary_link {
	struct ip_addr remote, local; // [const]
	uint16_t port;                // [const]
	uint16_t listening_port;      // [const] of ours
	struct feed_link out;         // what is said to the primary
	struct feed in;               // [worker]
	struct feed_place place;      // [thread]
	struct feed_place from;       // [thread, worker once it streams] where the stream begins
	_Atomic uint32_t state;       // [worker w, thread r] enum primary_state
	_Atomic bool streams;         // [thread w, worker r]
	_Atomic bool killed;          // [thread w, worker r] to be closed
	_Atomic uint64_t taken;       // [thread w, worker r] bytes of `in` that have been read
	_Atomic uint64_t applied;     // [worker w, thread r] bytes of the stream that have been run
	uint64_t fed;                 // [worker] bytes of the stream so far
	uint64_t held;                // [worker] bytes that the window has been closed by
	uint64_t dialled_ns;          // [worker] when it began
	bool failed;                  // [worker] before it is gone: something could not be run
	bool piped;                   // [worker] the feed goes to the session now
	struct client_primary client; // [worker] what the connection's client refers to
	char why[PRIMARY_WHY_MAX];    // [worker] before it is gone
};
