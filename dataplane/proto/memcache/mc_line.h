/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* One command line of memcached's text protocol, decoded. */
enum mc_op {
	MC_GET,   // get gets: keys
	MC_GAT,   // gat gats: keys, exptime
	MC_STORE, // set add replace append prepend cas: a data block of value_len follows
	MC_DELETE,
	MC_INCR,
	MC_DECR,
	MC_TOUCH,
	MC_FLUSH_ALL,
	MC_STATS,
	MC_DUMP, // lru_crawler metadump, mgdump
	MC_WATCH,
	MC_MEMLIMIT, // cache_memlimit
	MC_SHUTDOWN,
	MC_CLUSTER,  // config get cluster
	MC_META_GET, // of a meta command, with `meta`; ms is an MC_STORE
	MC_META_DELETE,
	MC_META_ARITH,
	MC_META_DEBUG,
	MC_AUTH,  // who the client is: `text`
	MC_META,  // not decoded yet: `mode` is the verb's letter, `keys` all that stands behind it
	MC_REPLY, // only to answer `text`: version, verbosity, mn, every error of syntax
	MC_QUIT,  // close without a word; so does a line that looks like HTTP
};

struct mc_line {
	uint8_t op;      // enum mc_op
	uint8_t mode;    // enum kv_mode, of MC_STORE
	bool noreply;    // say nothing, not even an error
	bool want_cas;   // gets, gats
	bool configures; // of MC_STORE: config set
	bool malformed;  // of MC_REPLY and MC_QUIT: the line broke the protocol
	bool too_large;  // of MC_STORE: refused, its data block is being dropped
	bool closes;     // of MC_REPLY: the last answer of this connection
	bool swallows;   // of MC_REPLY: a data block of value_len follows and is to be dropped
	uint32_t flags;
	int32_t exptime;    // as sent; of MC_FLUSH_ALL the delay
	uint32_t value_len; // bytes, without the line end behind it
	uint64_t number;    // cas unique or delta
	uint32_t key_count;
	struct slice keys; // from the first key on: mc_token() takes them off one by one
	struct slice text;
	struct mc_meta *meta; // NULL but for meta commands
};

#define MC_KEY_MAX  250      // bytes
#define MC_LINE_MAX 2048     // bytes before the LF of a line that is not a list of keys
#define MC_VERSION  "1.6.18" // whose behaviour this is; clients and exporters test it

/*
 * Decodes a line without its line end. Never fails: what is wrong with it is an MC_REPLY. The
 * slices point into the line or at static text.
 */
void mc_line_parse(struct slice line, struct mc_line *out);

/* Whether another thread runs it, which is handed its words: all of the line, as `keys`. */
static inline bool mc_runs_elsewhere(const struct mc_line *line)
{
	return line->op >= MC_STATS && line->op <= MC_SHUTDOWN;
}

/* Takes the next word off the text, skipping blanks; an empty slice when there is none. */
static inline struct slice mc_token(struct slice *text)
{
	const uint8_t *at = text->ptr, *limit = at + text->len, *end;

	while (at < limit && *at == ' ')
		at++;
	if (at == limit) {
		text->len = 0;
		return *text;
	}
	end = memchr(at, ' ', (size_t)(limit - at));
	if (!end)
		end = limit;
	*text = slice_of(end, (size_t)(limit - end));
	return slice_of(at, (size_t)(end - at));
}

/* Whether a line that is not complete yet may grow beyond MC_LINE_MAX: it lists keys to be read. */
bool mc_line_may_grow(struct slice start);
