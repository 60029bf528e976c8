/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_binary.h"

#include "base/number.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_auth.h"
#include "dataplane/proto/memcache/mc_internal.h"
#include "dataplane/proto/memcache/mc_stats.h"

/*
 * Executes one request of the binary protocol and writes its answer, as of memcached 1.6.18. Called
 * by session_run() in the order of the requests; what they do to the table is in kv.c and
 * kv_fetch.c.
 */

struct call {
	struct session_host *host;
	struct request *request;
	const struct mc_binary *b;
	struct table_thread *tt;
	struct cmd_counters *counters;
	uint64_t now_ms;
	struct out *out;
};

/* The parts of an answer; its body is extras, key and value. */
struct answer {
	enum mc_binary_status status;
	struct slice extras, key;
	uint64_t value_len, cas_unique;
};

/* The header, extras and key; a value of value_len bytes has to follow. */
static void begin(const struct call *c, const struct answer *a)
{
	size_t len = sizeof(struct mc_binary_header) + a->extras.len + a->key.len;
	uint8_t *p = out_reserve(c->out, len);

	if (!p)
		return;
	*(struct mc_binary_header *)p = (struct mc_binary_header){
		.magic = MC_BINARY_RESPONSE,
		.opcode = c->b->opcode,
		.key_len = be16_from_host((uint16_t)a->key.len),
		.extras_len = (uint8_t)a->extras.len,
		.status = be16_from_host((uint16_t)a->status),
		.body_len = be32_from_host((uint32_t)(a->extras.len + a->key.len + a->value_len)),
		.opaque = c->b->opaque,
		.cas_high = be32_from_host((uint32_t)(a->cas_unique >> 32)),
		.cas_low = be32_from_host((uint32_t)a->cas_unique),
	};
	p += sizeof(struct mc_binary_header);
	if (a->extras.len > 0)
		memcpy(p, a->extras.ptr, a->extras.len);
	if (a->key.len > 0)
		memcpy(p + a->extras.len, a->key.ptr, a->key.len);
	c->out->pos += len;
}

static void answer_text(const struct call *c, enum mc_binary_status status, struct slice text,
			uint64_t cas_unique)
{
	begin(c,
	      &(struct answer){.status = status, .value_len = text.len, .cas_unique = cas_unique});
	out_append(c->out, text);
}

/* What went well; quiet requests are not told. */
static void answer_done(const struct call *c, uint64_t cas_unique)
{
	if (!c->b->quiet)
		answer_text(c, MC_BINARY_OK, SLICE_LITERAL(""), cas_unique);
}

static struct slice text_of(enum mc_binary_status status)
{
	switch (status) {
	case MC_BINARY_KEY_ENOENT:
		return SLICE_LITERAL("Not found");
	case MC_BINARY_KEY_EEXISTS:
		return SLICE_LITERAL("Data exists for key.");
	case MC_BINARY_E2BIG:
		return SLICE_LITERAL("Too large.");
	case MC_BINARY_EINVAL:
		return SLICE_LITERAL("Invalid arguments");
	case MC_BINARY_NOT_STORED:
		return SLICE_LITERAL("Not stored.");
	case MC_BINARY_DELTA_BADVAL:
		return SLICE_LITERAL("Non-numeric server-side value for incr or decr");
	case MC_BINARY_AUTH_ERROR:
		return SLICE_LITERAL("Auth failure.");
	case MC_BINARY_UNKNOWN_COMMAND:
		return SLICE_LITERAL("Unknown command");
	case MC_BINARY_ETMPFAIL:
		return SLICE_LITERAL("Refused for now");
	default:
		return SLICE_LITERAL("Out of memory");
	}
}

static void answer_error(const struct call *c, enum mc_binary_status status)
{
	answer_text(c, status, text_of(status), 0);
}

#define ANSWER_NO_MEMORY(c, literal)                                                               \
	answer_text((c), MC_BINARY_ENOMEM, SLICE_LITERAL("Out of memory " literal), 0)

/* --- reads --- */

static void answer_hit(const struct call *c, const struct item *item, uint64_t cas_unique)
{
	struct be32 flags = be32_from_host(item_mc_flags(item));
	bool wants_key = c->b->command == MC_BINARY_GETK || c->b->command == MC_BINARY_GATK;
	bool wants_value = c->b->command != MC_BINARY_TOUCH;
	struct slice value = item_value(item);
	struct blob *blob = item_blob(item);

	begin(c, &(struct answer){
			 .extras = slice_of(&flags, sizeof(flags)),
			 .key = wants_key ? c->b->key : (struct slice){0},
			 .value_len = wants_value ? value.len : 0,
			 .cas_unique = cas_unique,
		 });
	if (!wants_value)
		return;
	if (blob)
		out_append_blob(c->out, blob, 0, blob->len);
	else
		out_append(c->out, value);
}

static void answer_miss(const struct call *c)
{
	bool wants_key = c->b->command == MC_BINARY_GETK || c->b->command == MC_BINARY_GATK;

	if (c->b->quiet)
		return;
	if (wants_key)
		begin(c, &(struct answer){.status = MC_BINARY_KEY_ENOENT, .key = c->b->key});
	else
		answer_error(c, MC_BINARY_KEY_ENOENT);
}

static void run_get(const struct call *c)
{
	struct item *item = table_find(c->tt, &c->request->keys[0]);

	if (mc__watched(c->host, MC_WATCH_FETCHERS))
		mc__log_get(c->request->session, c->b->key, item);
	counter_add(&c->counters->mc_cmd_get, 1);
	counter_add(item ? &c->counters->mc_get_hits : &c->counters->mc_get_misses, 1);
	counter_add(item ? &c->counters->hits : &c->counters->misses, 1);
	if (!item) {
		answer_miss(c);
		return;
	}
	if (unlikely(!(item_marks(item) & ITEM_FETCHED)))
		table_mark(c->tt, item, ITEM_FETCHED);
	answer_hit(c, item, item_version(item));
}

static void run_touch(const struct call *c)
{
	uint64_t until_ms = mc__expire_ms(c->b->exptime, c->now_ms);
	struct kv_touched touched;
	enum kv_result result = kv_touch(c->tt, &c->request->keys[0], until_ms, &touched);
	bool hit = result != KV_NOT_FOUND;

	if (mc__watched(c->host, MC_WATCH_FETCHERS))
		mc__log_get(c->request->session, c->b->key, hit ? touched.item : NULL);
	counter_add(&c->counters->mc_cmd_touch, 1);
	counter_add(hit ? &c->counters->mc_touch_hits : &c->counters->mc_touch_misses, 1);
	if (!hit)
		answer_miss(c);
	else if (result == KV_NO_MEMORY && c->b->command == MC_BINARY_TOUCH)
		ANSWER_NO_MEMORY(c, "allocating item");
	else
		answer_hit(c, touched.item, touched.version);
}

/* --- changes --- */

/* A set that fails leaves no value behind that the client believes replaced. */
static void drop_stale(const struct call *c)
{
	static const struct kv_delete plainly;

	if (c->b->command == MC_BINARY_SET)
		(void)kv_delete(c->tt, &c->request->keys[0], &plainly);
}

static void answer_store(const struct call *c, enum kv_result result, uint64_t cas_unique)
{
	switch (result) {
	case KV_STORED:
		answer_done(c, cas_unique);
		break;
	case KV_EXISTS:
		answer_error(c, MC_BINARY_KEY_EEXISTS);
		break;
	case KV_NOT_FOUND:
		answer_error(c, MC_BINARY_KEY_ENOENT);
		break;
	case KV_NO_MEMORY:
		drop_stale(c);
		mc__count_not_stored(c->counters, false);
		ANSWER_NO_MEMORY(c, "allocating item");
		break;
	default:
		answer_error(c, c->b->mode == KV_ADD       ? MC_BINARY_KEY_EEXISTS
				: c->b->mode == KV_REPLACE ? MC_BINARY_KEY_ENOENT
							   : MC_BINARY_NOT_STORED);
	}
}

static void count_cas(const struct call *c, enum kv_result result)
{
	if (c->b->mode != KV_CAS)
		return;
	if (result == KV_STORED)
		counter_add(&c->counters->mc_cas_hits, 1);
	else if (result == KV_EXISTS)
		counter_add(&c->counters->mc_cas_badval, 1);
	else if (result == KV_NOT_FOUND)
		counter_add(&c->counters->mc_cas_misses, 1);
}

static void run_store(const struct call *c)
{
	const struct request *r = c->request;
	struct kv_store store = {
		.key = r->keys[0],
		.mode = c->b->mode,
		.value = r->argc > 0 ? r->argv[0] : (struct slice){0},
		.blob = r->blobs ? r->blobs[0] : NULL,
		.flags = c->b->flags,
		.expire_ms = mc__expire_ms(c->b->exptime, c->now_ms),
		.cas_unique = c->b->cas_unique,
		.value_max = mc__value_max(c->host->limits->mc_item_max_bytes, c->b->key.len, 0),
	};
	enum kv_result result;

	if (c->b->too_large || r->refused) {
		drop_stale(c);
		mc__count_not_stored(c->counters, c->b->too_large);
		if (c->b->too_large)
			answer_error(c, MC_BINARY_E2BIG);
		else
			ANSWER_NO_MEMORY(c, "allocating item");
		return;
	}
	counter_add(c->b->command == MC_BINARY_CONFIG_SET ? &c->counters->mc_cmd_config_set
							  : &c->counters->mc_cmd_set,
		    1);
	result = kv_store(c->tt, &store);
	if (mc__watched(c->host, MC_WATCH_MUTATIONS))
		mc__log_store(r->session, &store, result);
	count_cas(c, result);
	answer_store(c, result, store.version);
}

static void run_delete(const struct call *c)
{
	const struct kv_delete how = {.cas_unique = c->b->cas_unique};

	switch (kv_delete(c->tt, &c->request->keys[0], &how)) {
	case KV_DELETED:
		counter_add(&c->counters->mc_delete_hits, 1);
		answer_done(c, 0);
		break;
	case KV_EXISTS:
		answer_error(c, MC_BINARY_KEY_EEXISTS);
		break;
	case KV_NO_MEMORY:
		answer_error(c, MC_BINARY_ENOMEM);
		break;
	default:
		counter_add(&c->counters->mc_delete_misses, 1);
		answer_error(c, MC_BINARY_KEY_ENOENT);
	}
}

static void answer_number(const struct call *c, const struct kv_arith *a)
{
	struct be32 value[2] = {be32_from_host((uint32_t)(a->value >> 32)),
				be32_from_host((uint32_t)a->value)};

	if (!c->b->quiet)
		answer_text(c, MC_BINARY_OK, slice_of(value, sizeof(value)), a->version);
}

static void run_arith(const struct call *c)
{
	bool increment = c->b->command == MC_BINARY_INCREMENT;
	struct cmd_counters *n = c->counters;
	struct kv_arith a = {
		.increment = increment,
		.delta = c->b->delta,
		.cas_unique = c->b->cas_unique,
		.creates = c->b->exptime != MC_BINARY_NO_INITIAL,
		.initial = c->b->initial,
		.initial_expire_ms = mc__expire_ms(c->b->exptime, c->now_ms),
	};

	switch (kv_arith(c->tt, &c->request->keys[0], &a)) {
	case KV_STORED:
		if (!a.created)
			counter_add(increment ? &n->mc_incr_hits : &n->mc_decr_hits, 1);
		answer_number(c, &a);
		break;
	case KV_NON_NUMERIC:
		answer_error(c, MC_BINARY_DELTA_BADVAL);
		break;
	case KV_EXISTS:
		answer_error(c, MC_BINARY_KEY_EEXISTS);
		break;
	case KV_NO_MEMORY:
		ANSWER_NO_MEMORY(c, "incrementing value");
		break;
	default:
		counter_add(increment ? &n->mc_incr_misses : &n->mc_decr_misses, 1);
		answer_error(c, MC_BINARY_KEY_ENOENT);
	}
}

/* --- the rest --- */

static void run_flush(const struct call *c)
{
	uint64_t at_ms = mc__expire_ms(c->b->exptime, c->now_ms);

	counter_add(&c->counters->mc_cmd_flush, 1);
	if (!c->host->limits->mc_flush_enabled) {
		answer_error(c, MC_BINARY_AUTH_ERROR);
		return;
	}
	mc__flush(c->tt, at_ms, c->now_ms);
	answer_done(c, 0);
}

static void run_version(const struct call *c)
{
	answer_text(c, MC_BINARY_OK, SLICE_LITERAL(MC_VERSION), 0);
}

static void run_quit(const struct call *c)
{
	answer_done(c, 0);
	c->request->session->closing = true;
}

static void run_noop(const struct call *c)
{
	answer_done(c, 0);
}

static void run_config_get(const struct call *c)
{
	uint32_t flags;
	struct slice nodes = mc__cluster(c->host, &c->request->keys[0], &flags);
	struct be32 extras = be32_from_host(flags);

	if (nodes.len == 0) {
		answer_error(c, MC_BINARY_KEY_ENOENT);
		return;
	}
	begin(c, &(struct answer){.extras = slice_of(&extras, sizeof(extras)),
				  .value_len = nodes.len});
	out_append(c->out, nodes);
}

static void run_sasl_list(const struct call *c)
{
	answer_text(c, MC_BINARY_OK, SLICE_LITERAL("PLAIN"), 0);
}

/* SASL PLAIN (RFC 4616), in one message or, when the first is empty, in two. */
static void run_sasl(const struct call *c)
{
	struct client *client = &c->request->session->client;
	const struct mc_users *users = mc__users(c->host);
	struct slice data = c->request->argc > 0 ? c->request->argv[0] : (struct slice){0};
	bool begins = c->b->command == MC_BINARY_SASL_AUTH;
	bool good = !c->b->too_large &&
		    (begins ? slice_equal(c->b->key, SLICE_LITERAL("PLAIN"))
			    : client->sasl_started);

	client->sasl_started = begins && good && data.len == 0;
	if (client->sasl_started) {
		answer_text(c, MC_BINARY_AUTH_CONTINUE, SLICE_LITERAL(""), 0);
		return;
	}
	good = good && users && mc_auth_plain(users, data) == MC_AUTH_GOOD;
	mc__count_auth(c->counters, good);
	if (good) {
		client->authenticated = true;
		answer_text(c, MC_BINARY_OK, SLICE_LITERAL("Authenticated"), 0);
	} else {
		answer_error(c, MC_BINARY_AUTH_ERROR);
	}
}

static void run_stat(const struct call *c)
{
	if (!mc__forward(c->host, c->request, c->out))
		answer_error(c, MC_BINARY_ENOMEM);
}

static void (*const runs[MC_BINARY_OPCODES])(const struct call *c) = {
	[MC_BINARY_SASL_LIST] = run_sasl_list,
	[MC_BINARY_SASL_AUTH] = run_sasl,
	[MC_BINARY_SASL_STEP] = run_sasl,
	[MC_BINARY_CONFIG_GET] = run_config_get,
	[MC_BINARY_CONFIG_SET] = run_store,
	[MC_BINARY_CONFIG_DELETE] = run_delete,
	[MC_BINARY_GET] = run_get,
	[MC_BINARY_GETK] = run_get,
	[MC_BINARY_TOUCH] = run_touch,
	[MC_BINARY_GAT] = run_touch,
	[MC_BINARY_GATK] = run_touch,
	[MC_BINARY_SET] = run_store,
	[MC_BINARY_ADD] = run_store,
	[MC_BINARY_REPLACE] = run_store,
	[MC_BINARY_APPEND] = run_store,
	[MC_BINARY_PREPEND] = run_store,
	[MC_BINARY_DELETE] = run_delete,
	[MC_BINARY_INCREMENT] = run_arith,
	[MC_BINARY_DECREMENT] = run_arith,
	[MC_BINARY_FLUSH] = run_flush,
	[MC_BINARY_VERSION] = run_version,
	[MC_BINARY_QUIT] = run_quit,
	[MC_BINARY_NOOP] = run_noop,
	[MC_BINARY_STAT] = run_stat,
};

static bool changes(enum mc_binary_opcode command)
{
	switch (command) {
	case MC_BINARY_CONFIG_SET:
	case MC_BINARY_CONFIG_DELETE:
	case MC_BINARY_TOUCH:
	case MC_BINARY_GAT:
	case MC_BINARY_GATK:
	case MC_BINARY_SET:
	case MC_BINARY_ADD:
	case MC_BINARY_REPLACE:
	case MC_BINARY_APPEND:
	case MC_BINARY_PREPEND:
	case MC_BINARY_DELETE:
	case MC_BINARY_INCREMENT:
	case MC_BINARY_DECREMENT:
	case MC_BINARY_FLUSH:
		return true;
	default:
		return false;
	}
}

void mc__binary_run(struct session_host *host, struct request *request)
{
	const struct call call = {
		.host = host,
		.request = request,
		.b = request->detail,
		.tt = host->cmd->tt,
		.counters = host->cmd->counters,
		.now_ms = host->cmd->now_ms,
		.out = host->ops->out(request->session),
	};

	kv_flush_tick(call.tt, call.now_ms);
	counter_add(&call.counters->commands, 1);
	request->session->client.commands++;
	request->session->client.active_ms = call.now_ms;
	if (unlikely(call.b->malformed || call.b->status != MC_BINARY_OK))
		counter_add(&call.counters->mc_protocol_errors, 1);
	if (unlikely(call.b->status != MC_BINARY_OK)) {
		answer_error(&call, call.b->status);
	} else if (unlikely(cmd_gate(host->cmd) != CMD_GATE_OPEN) &&
		   (cmd_gate(host->cmd) == CMD_GATE_LOADING ||
		    changes((enum mc_binary_opcode)call.b->command))) {
		answer_error(&call, MC_BINARY_ETMPFAIL);
	} else {
		runs[call.b->command](&call);
	}
	if (unlikely(call.b->closes || call.out->failed || request->session->client.killed))
		request->session->closing = true;
}
