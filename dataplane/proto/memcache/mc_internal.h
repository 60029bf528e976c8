/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_line.h"
#include "dataplane/proto/memcache/mc_meta.h"
#include "dataplane/proto/session.h"

/*
 * Between the parser (mc_text.c) and the execution (mc_run.c). A request of ours has
 *   detail  its struct mc_line
 *   keys    the keys of the line, hashed
 *   argv    MC_STORE: the data block, alone, without its line end; MC_STATS: the words of the line
 */
void mc__run(struct session_host *host, struct request *request);

/* A request under way. */
struct mc_call {
	struct session_host *host;
	struct request *request;
	const struct mc_line *line;
	struct table_thread *tt;
	struct cmd_counters *counters;
	uint64_t now_ms;
	struct out *out;
};

/* A line of its own, unless the client wants none. */
void mc__answer(const struct mc_call *c, struct slice text);

#define MC_ANSWER(c, literal) mc__answer((c), SLICE_LITERAL(literal))

/* An exptime as it is sent: 0 never, negative KV_EXPIRED, up to 30 days relative, else absolute. */
uint64_t mc__expire_ms(int32_t exptime, uint64_t now_ms);

/* The value of an item and the line end behind it; `item` from this burst. */
void mc__write_block(struct out *out, const struct item *item);

/* mc_meta_run.c */
void mc__meta_get(const struct mc_call *c);
void mc__meta_delete(const struct mc_call *c);
void mc__meta_arith(const struct mc_call *c);
void mc__meta_debug(const struct mc_call *c);
void mc__meta_stored(const struct mc_call *c, enum kv_result result, uint64_t version);

/*
 * The longest value that fits memcached's limit for an item, whose header counts too; 0 for none.
 */
uint64_t mc__value_max(uint64_t item_max_bytes, size_t key_len, uint32_t flags);
