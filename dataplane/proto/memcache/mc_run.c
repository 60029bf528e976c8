/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_cluster.h"
#include "dataplane/proto/memcache/mc_internal.h"

#include "base/number.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_stats.h"

/*
 * Executes one parsed request of the text protocol and writes its answer. Called by session_run()
 * in the order of the requests, when the keys of the whole batch have been hashed and their
 * buckets and items prefetched; calls kv.c for everything that changes the table. Texts and their
 * order as of memcached 1.6.18.
 */

#define EXPTIME_RELATIVE_MAX_S (60 * 60 * 24 * 30) // a larger number is a Unix time

/*
 * What memcached adds to key and value: its header, cas and the ends of key and value. Flags only
 * when not 0.
 */
#define MC_ITEM_HEADER_BYTES 59
#define MC_ITEM_FLAGS_BYTES  4

static const struct kv_delete plainly;

uint64_t mc__value_max(uint64_t item_max_bytes, size_t key_len, uint32_t flags)
{
	uint64_t rest = MC_ITEM_HEADER_BYTES + key_len + (flags ? MC_ITEM_FLAGS_BYTES : 0);

	return item_max_bytes > rest ? item_max_bytes - rest : 0;
}

void mc__answer(const struct mc_call *c, struct slice text)
{
	if (c->line->noreply)
		return;
	out_append(c->out, text);
	OUT_LITERAL(c->out, "\r\n");
}

uint64_t mc__expire_ms(int64_t exptime, uint64_t now_ms)
{
	if (exptime == 0)
		return 0;
	if (exptime < 0)
		return KV_EXPIRED;
	if (exptime <= EXPTIME_RELATIVE_MAX_S)
		return now_ms + (uint64_t)exptime * 1000;
	return (uint64_t)exptime * 1000;
}

static uint64_t expire_ms(const struct mc_call *c)
{
	return mc__expire_ms(c->line->exptime, c->now_ms);
}

static size_t put(uint8_t *to, struct slice bytes)
{
	memcpy(to, bytes.ptr, bytes.len);
	return bytes.len;
}

#define PUT(to, literal) put((to), SLICE_LITERAL(literal))

/* "VALUE " key " 4294967295 18446744073709551615 18446744073709551615\r\n" */
#define VALUE_LINE_MAX (6 + MC_KEY_MAX + 1 + 10 + 1 + 20 + 1 + 20 + 2)
_Static_assert(VALUE_LINE_MAX <= OUT_RESERVE_MAX, "a VALUE line is written in one piece");

void mc__write_block(struct out *out, const struct item *item)
{
	struct blob *blob = item_blob(item);

	if (blob)
		out_append_blob(out, blob, 0, blob->len);
	else
		out_append(out, item_value(item));
	OUT_LITERAL(out, "\r\n");
}

/*
 * One hit of get: the VALUE line and the data block. The key has been checked against MC_KEY_MAX
 * by the parser.
 */
static void write_value(const struct mc_call *c, struct slice key, const struct item *item,
			uint64_t cas_unique)
{
	struct slice value = item_value(item);
	bool in_one_piece = VALUE_LINE_MAX + value.len + 2 <= OUT_RESERVE_MAX;
	uint8_t *start =
		out_reserve(c->out, in_one_piece ? VALUE_LINE_MAX + value.len + 2 : VALUE_LINE_MAX);
	uint8_t *p = start;

	HOT_ASSERT(key.len <= MC_KEY_MAX);
	if (!start)
		return;
	p += PUT(p, "VALUE ");
	p += put(p, key);
	*p++ = ' ';
	p += number_encode_u64(item_mc_flags(item), p);
	*p++ = ' ';
	p += number_encode_u64(value.len, p);
	if (c->line->want_cas) {
		*p++ = ' ';
		p += number_encode_u64(cas_unique, p);
	}
	p += PUT(p, "\r\n");
	if (in_one_piece) {
		p += put(p, value);
		p += PUT(p, "\r\n");
	}
	c->out->pos += p - start;
	if (!in_one_piece)
		mc__write_block(c->out, item);
}

/* The node list by its old name, when it is in nobody's hands but the configuration's. */
static bool write_configured(const struct mc_call *c, struct slice key)
{
	struct slice nodes = c->host->limits->mc_cluster;
	uint8_t text[NUMBER_TEXT_MAX];

	if (likely(nodes.len == 0) || !slice_equal(key, SLICE_LITERAL(MC_CLUSTER_KEY)))
		return false;
	OUT_LITERAL(c->out, "VALUE " MC_CLUSTER_KEY " 0 ");
	out_append(c->out, slice_of(text, number_encode_u64(nodes.len, text)));
	if (c->line->want_cas)
		OUT_LITERAL(c->out, " 0");
	OUT_LITERAL(c->out, "\r\n");
	out_append(c->out, nodes);
	OUT_LITERAL(c->out, "\r\n");
	return true;
}

static void run_get(const struct mc_call *c)
{
	const struct request *r = c->request;
	bool watched = mc__watched(c->host, MC_WATCH_FETCHERS);
	uint32_t hits = 0;

	for (uint32_t i = 0; i < r->key_count; i++) {
		struct item *item = table_find(c->tt, &r->keys[i]);

		if (watched)
			mc__log_get(r->session, r->keys[i].bytes, item);
		if (!item) {
			hits += write_configured(c, r->keys[i].bytes);
			continue;
		}
		hits++;
		if (unlikely(!(item_marks(item) & ITEM_FETCHED)))
			table_mark(c->tt, item, ITEM_FETCHED);
		write_value(c, r->keys[i].bytes, item, item_version(item));
	}
	OUT_LITERAL(c->out, "END\r\n");
	counter_add(&c->counters->mc_cmd_get, r->key_count);
	counter_add(&c->counters->mc_get_hits, hits);
	counter_add(&c->counters->mc_get_misses, r->key_count - hits);
	counter_add(&c->counters->hits, hits);
	counter_add(&c->counters->misses, r->key_count - hits);
}

/* A read that finds no memory for the renewed item still answers the value, with its old expiry. */
static void run_gat(const struct mc_call *c)
{
	const struct request *r = c->request;
	uint64_t until_ms = expire_ms(c);
	uint32_t hits = 0;

	for (uint32_t i = 0; i < r->key_count; i++) {
		struct kv_touched touched;
		bool hit = kv_touch(c->tt, &r->keys[i], until_ms, &touched) != KV_NOT_FOUND;

		if (mc__watched(c->host, MC_WATCH_FETCHERS))
			mc__log_get(r->session, r->keys[i].bytes, hit ? touched.item : NULL);
		if (!hit)
			continue;
		hits++;
		write_value(c, r->keys[i].bytes, touched.item, touched.version);
	}
	OUT_LITERAL(c->out, "END\r\n");
	counter_add(&c->counters->mc_cmd_touch, r->key_count);
	counter_add(&c->counters->mc_touch_hits, hits);
	counter_add(&c->counters->mc_touch_misses, r->key_count - hits);
	counter_add(&c->counters->hits, hits);
	counter_add(&c->counters->misses, r->key_count - hits);
}

static void run_touch(const struct mc_call *c)
{
	struct kv_touched touched;

	counter_add(&c->counters->mc_cmd_touch, 1);
	switch (kv_touch(c->tt, &c->request->keys[0], expire_ms(c), &touched)) {
	case KV_TOUCHED:
		counter_add(&c->counters->mc_touch_hits, 1);
		MC_ANSWER(c, "TOUCHED");
		break;
	case KV_NO_MEMORY:
		MC_ANSWER(c, "SERVER_ERROR out of memory");
		break;
	default:
		counter_add(&c->counters->mc_touch_misses, 1);
		MC_ANSWER(c, "NOT_FOUND");
	}
}

/* A set that fails leaves no value behind that the client believes replaced, if that can be had. */
static void drop_stale(const struct mc_call *c)
{
	if (c->line->mode == KV_SET || c->line->meta)
		(void)kv_delete(c->tt, &c->request->keys[0], &plainly);
}

static void count_cas(const struct mc_call *c, enum kv_result result)
{
	if (result == KV_STORED)
		counter_add(&c->counters->mc_cas_hits, 1);
	else if (result == KV_EXISTS)
		counter_add(&c->counters->mc_cas_badval, 1);
	else if (result == KV_NOT_FOUND)
		counter_add(&c->counters->mc_cas_misses, 1);
}

static void answer_stored(const struct mc_call *c, enum kv_result result)
{
	switch (result) {
	case KV_STORED:
		MC_ANSWER(c, "STORED");
		break;
	case KV_EXISTS:
		MC_ANSWER(c, "EXISTS");
		break;
	case KV_NOT_FOUND:
		MC_ANSWER(c, "NOT_FOUND");
		break;
	case KV_NO_MEMORY:
		drop_stale(c);
		mc__count_not_stored(c->counters, false);
		MC_ANSWER(c, "SERVER_ERROR out of memory storing object");
		break;
	default:
		MC_ANSWER(c, "NOT_STORED"); // an append that grows too long included
	}
}

static void run_store(const struct mc_call *c)
{
	const struct request *r = c->request;
	const struct mc_line *line = c->line;
	uint64_t item_max_bytes = c->host->limits->mc_item_max_bytes;

	if (line->too_large || r->refused) {
		drop_stale(c);
		mc__count_not_stored(c->counters, line->too_large);
		if (line->too_large)
			MC_ANSWER(c, "SERVER_ERROR object too large for cache");
		else
			MC_ANSWER(c, "SERVER_ERROR out of memory storing object");
		return;
	}
	counter_add(line->configures ? &c->counters->mc_cmd_config_set
				     : &c->counters->mc_cmd_set,
		    1);
	struct kv_store store = {
		.key = r->keys[0],
		.mode = line->mode,
		.value = r->argv[0],
		.blob = r->blobs ? r->blobs[0] : NULL,
		.flags = line->flags,
		.expire_ms = expire_ms(c),
		.cas_unique = line->number,
		.or_stale = line->meta && line->meta->invalidates,
		.value_max = mc__value_max(item_max_bytes, line->keys.len, 0),
	};
	enum kv_result result = kv_store(c->tt, &store);

	if (mc__watched(c->host, MC_WATCH_MUTATIONS))
		mc__log_store(r->session, &store, result);
	if (line->mode == KV_CAS)
		count_cas(c, result);
	if (line->meta && result != KV_NO_MEMORY)
		mc__meta_stored(c, result, store.version);
	else
		answer_stored(c, result);
}

static void run_delete(const struct mc_call *c)
{
	switch (kv_delete(c->tt, &c->request->keys[0], &plainly)) {
	case KV_DELETED:
		counter_add(&c->counters->mc_delete_hits, 1);
		MC_ANSWER(c, "DELETED");
		break;
	case KV_NO_MEMORY:
		MC_ANSWER(c, "SERVER_ERROR out of memory");
		break;
	default:
		counter_add(&c->counters->mc_delete_misses, 1);
		MC_ANSWER(c, "NOT_FOUND");
	}
}

static void run_arith(const struct mc_call *c)
{
	struct cmd_counters *n = c->counters;
	bool increment = c->line->op == MC_INCR;
	struct kv_arith arith = {.increment = increment, .delta = c->line->number};
	uint8_t text[NUMBER_TEXT_MAX];

	switch (kv_arith(c->tt, &c->request->keys[0], &arith)) {
	case KV_STORED:
		counter_add(increment ? &n->mc_incr_hits : &n->mc_decr_hits, 1);
		mc__answer(c, slice_of(text, number_encode_u64(arith.value, text)));
		break;
	case KV_NON_NUMERIC:
		MC_ANSWER(c, "CLIENT_ERROR cannot increment or decrement non-numeric value");
		break;
	case KV_NO_MEMORY:
		MC_ANSWER(c, "SERVER_ERROR out of memory");
		break;
	default:
		counter_add(increment ? &n->mc_incr_misses : &n->mc_decr_misses, 1);
		MC_ANSWER(c, "NOT_FOUND");
	}
}

void mc__flush(struct table_thread *tt, uint64_t at_ms, uint64_t now_ms)
{
	if (at_ms > now_ms) {
		kv_flush_schedule(at_ms);
		return;
	}
	kv_flush_schedule(0);
	table_flush(tt);
}

/* flush_all at once, or when the delay has passed. Each one replaces the pending one. */
static void run_flush_all(const struct mc_call *c)
{
	counter_add(&c->counters->mc_cmd_flush, 1);
	if (!c->host->limits->mc_flush_enabled) {
		MC_ANSWER(c, "CLIENT_ERROR flush_all not allowed");
		return;
	}
	uint64_t at_ms = c->line->exptime > 0 ? expire_ms(c) : 0;

	mc__flush(c->tt, at_ms, c->now_ms);
	MC_ANSWER(c, "OK");
}

bool mc__forward(struct session_host *host, struct request *request, struct out *out)
{
	struct session *session = request->session;
	const struct session_host_ops *ops = host->ops;
	struct reply reply = {.out = out};
	struct cmd_call call = {
		.thread = host->cmd,
		.client = &session->client,
		.cmd = request->cmd,
		.argc = request->argc,
		.argv = request->argv,
		.reply = &reply,
	};

	if (!ops->forward || !(request->cmd->flags & host->forward_flags)) {
		request->cmd->run(&call);
		return true;
	}
	if (!ops->forward(session, request))
		return false;
	session->blocked = true;
	session->forwarded = true;
	return true;
}

/* For the control thread, which sees the figures of all, or the background thread. */
static void run_elsewhere(const struct mc_call *c)
{
	if (mc__forward(c->host, c->request, c->out))
		return;
	if (c->request->session->datagram)
		MC_ANSWER(c, "SERVER_ERROR not by UDP");
	else
		MC_ANSWER(c, "SERVER_ERROR too many requests for the control thread");
}

/* A worker refuses it at once where it is not enabled. */
static void run_shutdown(const struct mc_call *c)
{
	const struct request *r = c->request;

	if (!c->host->limits->mc_shutdown_enabled)
		MC_ANSWER(c, "ERROR: shutdown not enabled");
	else if (r->argc > 2 ||
		 (r->argc == 2 && !slice_equal(r->argv[1], SLICE_LITERAL("graceful"))))
		MC_ANSWER(c, "CLIENT_ERROR invalid shutdown mode");
	else
		run_elsewhere(c);
}

static void run_reply(const struct mc_call *c)
{
	mc__answer(c, c->line->text);
	if (c->line->closes)
		c->request->session->closing = true;
}

static void run_quit(const struct mc_call *c)
{
	c->request->session->closing = true;
}

static void (*const runs[])(const struct mc_call *c) = {
	[MC_GET] = run_get,
	[MC_GAT] = run_gat,
	[MC_STORE] = run_store,
	[MC_DELETE] = run_delete,
	[MC_INCR] = run_arith,
	[MC_DECR] = run_arith,
	[MC_TOUCH] = run_touch,
	[MC_FLUSH_ALL] = run_flush_all,
	[MC_STATS] = run_elsewhere,
	[MC_DUMP] = run_elsewhere,
	[MC_WATCH] = run_elsewhere,
	[MC_MEMLIMIT] = run_elsewhere,
	[MC_SHUTDOWN] = run_shutdown,
	[MC_CLUSTER] = mc__cluster_get,
	[MC_AUTH] = mc__auth_run,
	[MC_REPLY] = run_reply,
	[MC_QUIT] = run_quit,
	[MC_META_GET] = mc__meta_get,
	[MC_META_DELETE] = mc__meta_delete,
	[MC_META_ARITH] = mc__meta_arith,
	[MC_META_DEBUG] = mc__meta_debug,
};

/* Whether the keyspace may be another one afterwards. */
static bool changes(const struct mc_line *line)
{
	switch (line->op) {
	case MC_GAT:
	case MC_STORE:
	case MC_DELETE:
	case MC_INCR:
	case MC_DECR:
	case MC_TOUCH:
	case MC_FLUSH_ALL:
	case MC_META_DELETE:
	case MC_META_ARITH:
		return true;
	case MC_META_GET:
		return line->meta->new_ttl || line->meta->vivifies || line->meta->recaches;
	default:
		return false;
	}
}

/* The gate is not open. True: it has been answered. */
static COLD bool stopped_at_gate(const struct mc_call *c)
{
	enum cmd_gate_state state = cmd_gate(c->host->cmd);

	if (state != CMD_GATE_LOADING && !changes(c->line))
		return false;
	if (state == CMD_GATE_NO_REPLICAS)
		MC_ANSWER(c, "SERVER_ERROR not enough good replicas to write");
	else if (state == CMD_GATE_READ_ONLY)
		MC_ANSWER(c, "SERVER_ERROR read only: this is a replica");
	else if (state == CMD_GATE_LOADING)
		MC_ANSWER(c, "SERVER_ERROR loading the dataset in memory");
	else
		MC_ANSWER(c, "SERVER_ERROR the server is shutting down");
	return true;
}

void mc__run(struct session_host *host, struct request *request)
{
	const struct mc_call call = {
		.host = host,
		.request = request,
		.line = request->detail,
		.tt = host->cmd->tt,
		.counters = host->cmd->counters,
		.now_ms = host->cmd->now_ms,
		.out = host->ops->out(request->session),
	};

	kv_flush_tick(call.tt, call.now_ms);
	counter_add(&call.counters->commands, 1);
	if (unlikely(call.line->malformed))
		counter_add(&call.counters->mc_protocol_errors, 1);
	request->session->client.commands++;
	request->session->client.active_ms = call.now_ms;
	if (likely(cmd_gate(host->cmd) == CMD_GATE_OPEN) || !stopped_at_gate(&call))
		runs[call.line->op](&call);
	if (unlikely(call.out->failed || request->session->client.killed))
		request->session->closing = true;
}
