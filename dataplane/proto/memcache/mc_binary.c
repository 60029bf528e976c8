/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_binary.h"

#include "base/compiler.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/batch.h"
#include "dataplane/proto/memcache/mc_auth.h"
#include "dataplane/proto/memcache/mc_cluster.h"
#include "dataplane/proto/memcache/mc_internal.h"
#include "dataplane/proto/memcache/mc_stats.h"

/*
 * The binary protocol's way into the session engine: checks a packet's header against its command,
 * reads the extras and waits for the value of what stores; mc_binary_run.c executes. Called by
 * session_feed() with the unparsed bytes of one session. Behaviour of memcached 1.6.18
 * (proto_bin.c), but for its dropping more than the body of an unknown command.
 */

#define QUIET          1
#define EXTRAS_NONE    0
#define EXTRAS_SET     8
#define EXTRAS_EXPTIME 4
#define EXTRAS_FLAGS   4 // of what configures
#define EXTRAS_ARITH   20

/* What a command wants of its packet. */
struct rule {
	bool known;
	uint8_t command; // its form that answers
	bool quiet;
	uint8_t extras_len;
	bool extras_optional;
	bool has_key; // it must; without, it must not
	bool key_optional;
	bool has_value; // it may
};

#define READS(form, is_quiet, extras)                                                              \
	{                                                                                          \
		.known = true, .command = (form), .quiet = (is_quiet), .extras_len = (extras),     \
		.has_key = true                                                                    \
	}
#define STORES(form, is_quiet, extras)                                                             \
	{                                                                                          \
		.known = true, .command = (form), .quiet = (is_quiet), .extras_len = (extras),     \
		.has_key = true, .has_value = true                                                 \
	}
#define PLAIN(form, is_quiet)                                                                      \
	{                                                                                          \
		.known = true, .command = (form), .quiet = (is_quiet)                              \
	}
#define FLUSH(is_quiet)                                                                            \
	{                                                                                          \
		.known = true, .command = MC_BINARY_FLUSH, .quiet = (is_quiet),                    \
		.extras_len = EXTRAS_EXPTIME, .extras_optional = true                              \
	}

static const struct rule rules[MC_BINARY_OPCODES] = {
	[MC_BINARY_GET] = READS(MC_BINARY_GET, false, EXTRAS_NONE),
	[MC_BINARY_GETQ] = READS(MC_BINARY_GET, true, EXTRAS_NONE),
	[MC_BINARY_GETK] = READS(MC_BINARY_GETK, false, EXTRAS_NONE),
	[MC_BINARY_GETKQ] = READS(MC_BINARY_GETK, true, EXTRAS_NONE),
	[MC_BINARY_TOUCH] = STORES(MC_BINARY_TOUCH, false, EXTRAS_EXPTIME),
	[MC_BINARY_GAT] = STORES(MC_BINARY_GAT, false, EXTRAS_EXPTIME),
	[MC_BINARY_GATQ] = STORES(MC_BINARY_GAT, true, EXTRAS_EXPTIME),
	[MC_BINARY_GATK] = STORES(MC_BINARY_GATK, false, EXTRAS_EXPTIME),
	[MC_BINARY_GATKQ] = STORES(MC_BINARY_GATK, true, EXTRAS_EXPTIME),
	[MC_BINARY_DELETE] = READS(MC_BINARY_DELETE, false, EXTRAS_NONE),
	[MC_BINARY_DELETEQ] = READS(MC_BINARY_DELETE, true, EXTRAS_NONE),
	[MC_BINARY_INCREMENT] = READS(MC_BINARY_INCREMENT, false, EXTRAS_ARITH),
	[MC_BINARY_INCREMENTQ] = READS(MC_BINARY_INCREMENT, true, EXTRAS_ARITH),
	[MC_BINARY_DECREMENT] = READS(MC_BINARY_DECREMENT, false, EXTRAS_ARITH),
	[MC_BINARY_DECREMENTQ] = READS(MC_BINARY_DECREMENT, true, EXTRAS_ARITH),
	[MC_BINARY_SET] = STORES(MC_BINARY_SET, false, EXTRAS_SET),
	[MC_BINARY_SETQ] = STORES(MC_BINARY_SET, true, EXTRAS_SET),
	[MC_BINARY_ADD] = STORES(MC_BINARY_ADD, false, EXTRAS_SET),
	[MC_BINARY_ADDQ] = STORES(MC_BINARY_ADD, true, EXTRAS_SET),
	[MC_BINARY_REPLACE] = STORES(MC_BINARY_REPLACE, false, EXTRAS_SET),
	[MC_BINARY_REPLACEQ] = STORES(MC_BINARY_REPLACE, true, EXTRAS_SET),
	[MC_BINARY_APPEND] = STORES(MC_BINARY_APPEND, false, EXTRAS_NONE),
	[MC_BINARY_APPENDQ] = STORES(MC_BINARY_APPEND, true, EXTRAS_NONE),
	[MC_BINARY_PREPEND] = STORES(MC_BINARY_PREPEND, false, EXTRAS_NONE),
	[MC_BINARY_PREPENDQ] = STORES(MC_BINARY_PREPEND, true, EXTRAS_NONE),
	[MC_BINARY_SASL_LIST] = PLAIN(MC_BINARY_SASL_LIST, false),
	[MC_BINARY_SASL_AUTH] = STORES(MC_BINARY_SASL_AUTH, false, EXTRAS_NONE),
	[MC_BINARY_SASL_STEP] = STORES(MC_BINARY_SASL_STEP, false, EXTRAS_NONE),
	[MC_BINARY_CONFIG_GET] = READS(MC_BINARY_CONFIG_GET, false, EXTRAS_NONE),
	[MC_BINARY_CONFIG_SET] = STORES(MC_BINARY_CONFIG_SET, false, EXTRAS_FLAGS),
	[MC_BINARY_CONFIG_DELETE] = READS(MC_BINARY_CONFIG_DELETE, false, EXTRAS_NONE),
	[MC_BINARY_FLUSH] = FLUSH(false),
	[MC_BINARY_FLUSHQ] = FLUSH(true),
	[MC_BINARY_NOOP] = PLAIN(MC_BINARY_NOOP, false),
	[MC_BINARY_VERSION] = PLAIN(MC_BINARY_VERSION, false),
	[MC_BINARY_QUIT] = PLAIN(MC_BINARY_QUIT, false),
	[MC_BINARY_QUITQ] = PLAIN(MC_BINARY_QUIT, true),
	[MC_BINARY_STAT] = {.known = true,
			    .command = MC_BINARY_STAT,
			    .key_optional = true,
			    .has_value = true},
};

/* A packet as its header has it. */
struct packet {
	const struct mc_binary_header *header;
	uint32_t extras_len, key_len, body_len;
	const uint8_t *extras;
};

static uint64_t load_u64(const uint8_t *at)
{
	return (uint64_t)be32_load(at) << 32 | be32_load(at + 4);
}

static void refuse(struct mc_binary *b, enum mc_binary_status status, bool closes)
{
	b->status = (uint8_t)status;
	b->closes = closes;
}

static bool fits(const struct rule *rule, const struct packet *p)
{
	bool has_key = p->key_len > 0;

	if (p->extras_len != rule->extras_len && !(rule->extras_optional && p->extras_len == 0))
		return false;
	if (has_key != rule->has_key && !rule->key_optional)
		return false;
	return rule->has_value || p->body_len == p->extras_len + p->key_len;
}

static void read_extras(struct mc_binary *b, const struct packet *p)
{
	switch (p->extras_len) {
	case EXTRAS_EXPTIME:
		*(b->command == MC_BINARY_CONFIG_SET ? &b->flags : &b->exptime) =
			be32_load(p->extras);
		break;
	case EXTRAS_SET:
		b->flags = be32_load(p->extras);
		b->exptime = be32_load(p->extras + 4);
		break;
	case EXTRAS_ARITH:
		b->delta = load_u64(p->extras);
		b->initial = load_u64(p->extras + 8);
		b->exptime = be32_load(p->extras + 16);
		break;
	default:
		break;
	}
}

/* Whether a value follows, and how it is stored. */
static bool store_mode(struct mc_binary *b)
{
	switch (b->command) {
	case MC_BINARY_CONFIG_SET:
	case MC_BINARY_SET:
		b->mode = b->cas_unique ? KV_CAS : KV_SET;
		return true;
	case MC_BINARY_ADD:
		b->mode = b->cas_unique ? KV_CAS : KV_ADD;
		return true;
	case MC_BINARY_REPLACE:
		b->mode = b->cas_unique ? KV_CAS : KV_REPLACE;
		return true;
	case MC_BINARY_APPEND:
		b->mode = KV_APPEND;
		return true;
	case MC_BINARY_PREPEND:
		b->mode = KV_PREPEND;
		return true;
	default:
		return false;
	}
}

/* ElastiCache's commands name a kind of configuration, of which there is one (mc_cluster.h). */
static void name_config(struct mc_binary *b)
{
	if (b->command < MC_BINARY_CONFIG_GET || b->command > MC_BINARY_CONFIG_DELETE)
		return;
	if (slice_equal(b->key, SLICE_LITERAL(MC_CLUSTER_NAME)))
		b->key = SLICE_LITERAL(MC_CLUSTER_KEY);
	else
		refuse(b, MC_BINARY_KEY_ENOENT, false);
}

static bool is_sasl(const struct mc_binary *b)
{
	return b->opcode == MC_BINARY_SASL_LIST || b->opcode == MC_BINARY_SASL_AUTH ||
	       b->opcode == MC_BINARY_SASL_STEP;
}

/* Where clients have to say who they are, and only there, can they (RFC 4422). */
static enum mc_binary_status admit(const struct session *s, const struct mc_binary *b)
{
	if (mc__must_authenticate(s) && !is_sasl(b) && b->opcode != MC_BINARY_VERSION)
		return MC_BINARY_AUTH_ERROR;
	return is_sasl(b) && !mc__users(s->host) ? MC_BINARY_UNKNOWN_COMMAND : MC_BINARY_OK;
}

/* Everything but the value. False: there is nothing to run but the answer. */
static bool decode(const struct session *s, struct mc_binary *b, const struct packet *p)
{
	const struct rule *rule = b->opcode < MC_BINARY_OPCODES ? &rules[b->opcode] : &rules[0];
	enum mc_binary_status admitted = admit(s, b);

	if (p->key_len + p->extras_len > p->body_len) {
		refuse(b, MC_BINARY_UNKNOWN_COMMAND, true);
	} else if (admitted != MC_BINARY_OK) {
		refuse(b, admitted, admitted == MC_BINARY_AUTH_ERROR);
	} else if (p->key_len > MC_KEY_MAX) {
		refuse(b, MC_BINARY_EINVAL, true);
	} else if (b->opcode >= MC_BINARY_OPCODES || !rule->known) {
		refuse(b, MC_BINARY_UNKNOWN_COMMAND, false);
	} else if (!fits(rule, p)) {
		refuse(b, MC_BINARY_EINVAL, true);
	} else {
		b->command = rule->command;
		b->quiet = rule->quiet;
		b->key = slice_of(p->extras + p->extras_len, p->key_len);
		read_extras(b, p);
		name_config(b);
	}
	return b->status == MC_BINARY_OK;
}

/* stat [SUB]: runs on the control thread, which is handed words, and how to wrap the answer. */
static bool lay_out_stat(struct batch *batch, struct request *r, const struct mc_binary *b)
{
	struct slice *words = batch_alloc(batch, 4 * sizeof(*words));
	struct slice rest = b->key;

	if (!words)
		return false;
	words[0] = SLICE_LITERAL("stats");
	words[1] = mc_token(&rest);
	words[2] = mc_token(&rest);
	words[3] = slice_of(&b->opaque, sizeof(b->opaque));
	r->argv = words;
	r->argc = 4;
	r->cmd = &mc_binary_stats_command;
	r->alone = true; // it may block the session
	return true;
}

static bool lay_out_key(struct batch *batch, struct request *r, const struct mc_binary *b)
{
	if (b->key.len == 0)
		return true;
	r->keys = batch_alloc(batch, sizeof(*r->keys));
	if (!r->keys)
		return false;
	r->keys[0].bytes = b->key;
	r->key_count = 1;
	return true;
}

static const struct mc_binary hang_up = {
	.command = MC_BINARY_QUIT, .quiet = true, .closes = true, .malformed = true};

static enum parse_status give_up(struct request *r)
{
	r->detail = (void *)(uintptr_t)&hang_up;
	return PARSE_BAD;
}

static uint64_t value_max(const struct session *s, const struct mc_binary *b)
{
	if (is_sasl(b))
		return MC_AUTH_DATA_MAX;
	return mc__value_max(s->host->limits->mc_item_max_bytes, b->key.len, b->flags);
}

/* What follows the key. */
static enum parse_status take_rest(struct session *s, struct slice bytes, struct mc_span rest,
				   struct request *r, struct mc_binary *b, size_t *consumed)
{
	bool takes_value = b->status == MC_BINARY_OK && (store_mode(b) || is_sasl(b));

	*consumed = rest.at;
	if (takes_value) {
		b->too_large = rest.len > value_max(s, b);
		r->alone = is_sasl(b); // what comes behind it depends on the outcome
		if (!b->too_large) {
			enum parse_status status = mc__take_value(s, bytes, rest, r, consumed);

			return status == PARSE_BAD ? give_up(r) : status;
		}
	}
	s->skip_bytes = b->closes ? 0 : rest.len;
	return PARSE_OK;
}

enum parse_status mc__binary_parse(struct session *s, struct slice bytes, struct request *r,
				   size_t *consumed)
{
	const struct mc_binary_header *header = (const void *)bytes.ptr;
	struct packet p = {.header = header};
	enum parse_status status;
	struct mc_binary *b;
	struct mc_span rest = {0};

	if (unlikely(s->skip_bytes > 0)) {
		*consumed = bytes.len < s->skip_bytes ? bytes.len : (size_t)s->skip_bytes;
		s->skip_bytes -= *consumed;
		return PARSE_OK;
	}
	if (bytes.ptr[0] != MC_BINARY_REQUEST)
		return give_up(r);
	if (bytes.len < sizeof(*header))
		return PARSE_MORE;
	p.key_len = be16_to_host(header->key_len);
	p.extras_len = header->extras_len;
	p.body_len = be32_to_host(header->body_len);
	p.extras = bytes.ptr + sizeof(*header);
	rest.at = sizeof(*header) + p.extras_len + p.key_len;
	if (bytes.len < rest.at)
		return PARSE_MORE;
	b = batch_alloc(s->host->batch, sizeof(*b));
	if (!b)
		return give_up(r);
	*b = (struct mc_binary){
		.opcode = header->opcode,
		.opaque = header->opaque,
		.cas_unique = load_u64((const uint8_t *)&header->cas_high),
	};
	r->detail = b;
	if (decode(s, b, &p) && (b->command == MC_BINARY_STAT ? !lay_out_stat(s->host->batch, r, b)
							   : !lay_out_key(s->host->batch, r, b)))
		return give_up(r);
	if (!b->closes)
		rest.len = p.body_len - p.extras_len - p.key_len;
	status = take_rest(s, bytes, rest, r, b, consumed);
	return b->closes && status == PARSE_OK ? PARSE_BAD : status;
}
