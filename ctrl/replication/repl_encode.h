/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/feed.h"
#include "dataplane/command/command.h"
#include "dataplane/table/effects.h"

/*
 * Effects as the commands of Redis' replication stream: SET with PXAT, DEL, FLUSHALL, those of one
 * commit between MULTI and EXEC. memcached's flags go before a SET in the message of a PING, which
 * redis-server runs without effect on its keys. One thread.
 */

struct repl_encoder {
	bool in_transaction;
};

void repl_encode(struct repl_encoder *encoder, struct feed *feed,
		 const struct table_effect *effect);

/* Any command; `count` words. */
void repl_encode_words(struct feed *feed, const struct slice *words, uint32_t count);
