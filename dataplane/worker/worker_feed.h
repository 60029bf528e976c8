/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/feed.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What a connection sends unasked: feeds, one after the other. A replica's are words, a snapshot
 * and the stream; a subscriber's is what is published. Made by the control thread, given to the
 * connection's worker by MAIL_FEED, and the control thread's again once it is `gone`.
 *
 * Handshake: places[0] is the worker's from the mail on. It looks at the next one when it has seen
 * the end of the feed before (feed_end(), release; feed_read(), acquire); until then that one is
 * the control side's to store. One that is nowhere then closes the connection. A worker that says
 * `gone` has dropped those up to the one that it was at.
 */
#define FEED_LINK_PLACES 3
#define FEED_LINK_LAST   2

struct feed_link {
	struct feed_place places[FEED_LINK_PLACES];
	bool seldom;            // [const] to be looked at after worker_nudge() only
	void *connection;       // [worker]
	struct feed_link *next; // [worker] of its list
	uint32_t at;            // [worker]
	uint64_t looked_ns;     // [worker] when
	bool left;              // [worker] TCP had no room for all there was
	_Atomic uint64_t sent;  // [worker w, ctrl r] bytes of all feeds handed to TCP
	// [ctrl w, worker r] the replica has the snapshot. Redis' looks for its end at the end of
	// what it has read, so nothing may follow before.
	_Atomic bool loaded;
	_Atomic bool killed; // [ctrl w, worker r] to be disconnected
	_Atomic bool gone;   // [worker w, ctrl r] the worker's last word, release
};
