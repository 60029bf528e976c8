/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_line.h"
#include "dataplane/proto/memcache/mc_log.h"
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
uint64_t mc__expire_ms(int64_t exptime, uint64_t now_ms);

/* The value of an item and the line end behind it; `item` from this burst. */
void mc__write_block(struct out *out, const struct item *item);

/* flush_all at that time, now or when it comes; it replaces the pending one. */
void mc__flush(struct table_thread *tt, uint64_t at_ms, uint64_t now_ms);

/*
 * Has the request's command run by the thread that it is for. False: it cannot be now, and that is
 * to be answered.
 */
bool mc__forward(struct session_host *host, struct request *request, struct out *out);

/* mc_cluster.c: the node list, empty when there is none. */
struct slice mc__cluster(const struct session_host *host, const struct table_key *key,
			 uint32_t *flags);
void mc__cluster_get(const struct mc_call *c);

/* Where a value lies behind what has been parsed, and what follows it. */
struct mc_span {
	size_t at;
	size_t len;
	size_t end_len; // bytes behind the value, of which its end consists
};

/*
 * The value of a storage command becomes the only argument, from the bytes themselves or from the
 * blob that it was landed in. PARSE_BAD: no memory for its place in the batch.
 */
enum parse_status mc__take_value(struct session *s, struct slice bytes, struct mc_span span,
				 struct request *r, size_t *consumed);

/* Who may come in; NULL: everybody. Good until the thread's next quiescent state. */
static inline const struct mc_users *mc__users(const struct session_host *host)
{
	return atomic_load_explicit(&host->limits->mc_users, memory_order_acquire);
}

/* Whether the client has to say first who it is. */
static inline bool mc__must_authenticate(const struct session *s)
{
	return unlikely(mc__users(s->host) != NULL) && !s->client.authenticated;
}

static inline void mc__count_not_stored(struct cmd_counters *counters, bool too_large)
{
	counter_add(too_large ? &counters->mc_store_too_large : &counters->mc_store_no_memory, 1);
}

static inline void mc__count_auth(struct cmd_counters *counters, bool good)
{
	counter_add(&counters->mc_auth_cmds, 1);
	if (!good)
		counter_add(&counters->mc_auth_errors, 1);
}

/* Whether somebody watches this; only workers have a log. */
static inline bool mc__watched(const struct session_host *host, enum mc_watch what)
{
	return unlikely(atomic_load_explicit(&host->limits->mc_watched, memory_order_relaxed) &
			(uint32_t)what) &&
	       host->cmd->log;
}

/* mc_watch.c; mc_log_eviction() is in mc.h */
void mc__log_get(const struct session *session, struct slice key, const struct item *item);
void mc__log_store(const struct session *session, const struct kv_store *store,
		   enum kv_result result);

/* mc_text_auth.c */
enum parse_status mc__auth_parse(struct session *s, struct slice bytes, struct request *r,
				 size_t *consumed);
void mc__auth_run(const struct mc_call *c);

/* mc_binary.c, mc_binary_run.c */
enum parse_status mc__binary_parse(struct session *s, struct slice bytes, struct request *r,
				   size_t *consumed);
void mc__binary_run(struct session_host *host, struct request *request);

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
