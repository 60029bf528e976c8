/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc.h"

#include "base/compiler.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/batch.h"
#include "dataplane/proto/landing.h"
#include "dataplane/proto/memcache/mc_admin.h"
#include "dataplane/proto/memcache/mc_binary.h"
#include "dataplane/proto/memcache/mc_control.h"
#include "dataplane/proto/memcache/mc_internal.h"
#include "dataplane/proto/memcache/mc_stats.h"

/*
 * The text protocol's way into the session engine: finds the end of a line, has it decoded
 * (mc_line.c), waits for the data block of a storage command, and lays keys and block out for the
 * batch; mc_run.c executes it afterwards. Called by session_feed() with the unparsed bytes of one
 * session. doc/protocol.txt of memcached, behaviour of 1.6.18.
 *
 * A block of SESSION_LANDING_MIN bytes or more is received into a blob of its own; one that
 * exceeds memcached-max-item-size is refused at once and dropped as it comes.
 */

#define MC_KEYS_LINE_MAX (8u << 20) // bytes of a line that lists keys to be read
#define WORDS_MAX        8

static const struct mc_line line_quit = {.op = MC_QUIT, .malformed = true};
static const struct mc_line line_no_memory = {
	.op = MC_REPLY,
	.text = SLICE_LITERAL("SERVER_ERROR out of memory reading request"),
	.closes = true,
};

/* Ends the connection, for a client that cannot be followed any more. */
static enum parse_status give_up(struct request *r, const struct mc_line *why)
{
	r->detail = (void *)(uintptr_t)why;
	return PARSE_BAD;
}

/*
 * Keeps the place up to which there is no line end, so that a long line is not searched over and
 * over.
 */
static enum parse_status line_incomplete(struct session *s, struct slice bytes, struct request *r)
{
	if (likely(bytes.len <= MC_LINE_MAX))
		return PARSE_MORE;
	if (bytes.len > MC_KEYS_LINE_MAX || !mc_line_may_grow(bytes))
		return give_up(r, &line_quit);
	struct parse_state *state = landing_state(s);

	if (!state)
		return give_up(r, &line_no_memory);
	state->scanned = bytes.len;
	return PARSE_MORE;
}

static bool lay_out_keys(struct batch *batch, struct request *r, const struct mc_line *line)
{
	struct slice rest = line->keys;

	r->key_count = line->key_count;
	if (line->key_count == 0)
		return true;
	r->keys = batch_alloc(batch, line->key_count * sizeof(*r->keys));
	if (!r->keys)
		return false;
	if (line->meta) { // decoded, it may hold blanks
		r->keys[0].bytes = slice_of(line->keys.ptr, line->keys.len);
		return true;
	}
	for (uint32_t i = 0; i < line->key_count; i++)
		r->keys[i].bytes = mc_token(&rest);
	return true;
}

static const struct cmd *const commands_elsewhere[] = {
	[MC_STATS] = &mc_stats_command,
	[MC_DUMP] = &mc_dump_command,
	[MC_WATCH] = &mc_watch_command,
	[MC_MEMLIMIT] = &mc_memlimit_command,
	[MC_SHUTDOWN] = &mc_shutdown_command,
};

static bool lay_out_words(struct batch *batch, struct request *r, const struct mc_line *line)
{
	struct slice rest = line->keys;
	struct slice *words = batch_alloc(batch, WORDS_MAX * sizeof(*words));

	if (!words)
		return false;
	while (r->argc < WORDS_MAX) {
		words[r->argc] = mc_token(&rest);
		if (words[r->argc].len == 0)
			break;
		r->argc++;
	}
	r->argv = words;
	r->cmd = commands_elsewhere[line->op];
	r->alone = true; // it may block the session
	return true;
}

enum parse_status mc__take_value(struct session *s, struct slice bytes, struct mc_span span,
				 struct request *r, size_t *consumed)
{
	const struct landing *landed = landing_find(s, span.at);
	size_t in_bytes = landed ? 0 : span.len;
	struct slice *value;
	struct blob **blob;

	if (bytes.len - span.at < in_bytes + span.end_len) {
		if (bytes.len - span.at < in_bytes)
			landing_want(s, span.at, span.len);
		return PARSE_MORE;
	}
	*consumed = span.at + in_bytes + span.end_len;
	value = batch_alloc(s->host->batch, sizeof(*value));
	blob = landed ? batch_alloc(s->host->batch, sizeof(struct blob *)) : NULL;
	if (!value || (landed && !blob))
		return PARSE_BAD;
	*value = slice_of(bytes.ptr + span.at, in_bytes);
	if (landed && landed->blob) {
		*blob = blob_ref(landed->blob);
		*value = slice_of(landed->blob->bytes, landed->blob->len);
		r->blobs = blob;
	}
	r->refused = landed && !landed->blob;
	r->argv = value;
	r->argc = 1;
	return PARSE_OK;
}

/*
 * The data block of a storage command. One without a line end behind it is an error that eats as
 * many bytes as a good one would have.
 */
static enum parse_status take_block(struct session *s, struct slice bytes, size_t at,
				    struct request *r, struct mc_line *line, size_t *consumed)
{
	enum parse_status status =
		mc__take_value(s, bytes, (struct mc_span){at, line->value_len, 2}, r, consumed);

	if (status == PARSE_BAD)
		return give_up(r, &line_no_memory);
	if (status == PARSE_MORE || memcmp(bytes.ptr + *consumed - 2, "\r\n", 2) == 0)
		return status;
	line->op = MC_REPLY;
	line->malformed = true;
	line->text = SLICE_LITERAL("CLIENT_ERROR bad data chunk");
	line->meta = NULL;
	r->key_count = 0;
	return PARSE_OK;
}

/* The options of a meta command, which may turn out to be no command. */
static bool decode_meta(struct batch *batch, struct mc_line *line)
{
	struct mc_meta *meta = batch_alloc(batch, sizeof(*meta));
	uint8_t decoded[MC_KEY_MAX];

	if (!meta)
		return false;
	mc_meta_parse(line->keys, line->mode, line, meta, decoded);
	if (likely(!meta->base64))
		return true;
	uint8_t *key = batch_alloc(batch, sizeof(decoded));

	if (!key)
		return false;
	memcpy(key, decoded, meta->key.len);
	meta->key.ptr = key;
	if (line->meta)
		line->keys = meta->key;
	return true;
}

/* What has to follow the line, and where its keys go. */
static enum parse_status complete(struct session *s, struct slice bytes, size_t at,
				  struct request *r, struct mc_line *line, size_t *consumed)
{
	struct batch *batch = s->host->batch;

	*consumed = at;
	if (line->op == MC_META && !decode_meta(batch, line))
		return give_up(r, &line_no_memory);
	if (line->swallows)
		s->skip_bytes = (uint64_t)line->value_len + 2;
	if (mc_runs_elsewhere(line))
		return lay_out_words(batch, r, line) ? PARSE_OK : give_up(r, &line_no_memory);
	if (line->op == MC_QUIT)
		r->alone = true; // nothing behind it is to be looked at
	if (!lay_out_keys(batch, r, line))
		return give_up(r, &line_no_memory);
	if (line->op != MC_STORE)
		return PARSE_OK;
	if (line->value_len >
	    mc__value_max(s->host->limits->mc_item_max_bytes, line->keys.len, line->flags)) {
		line->too_large = true;
		s->skip_bytes = (uint64_t)line->value_len + 2;
		return PARSE_OK;
	}
	return take_block(s, bytes, at, r, line, consumed);
}

static enum parse_status text_parse(struct session *s, struct slice bytes, struct request *r,
				    size_t *consumed)
{
	if (unlikely(s->skip_bytes > 0)) {
		*consumed = bytes.len < s->skip_bytes ? bytes.len : (size_t)s->skip_bytes;
		s->skip_bytes -= *consumed;
		return PARSE_OK;
	}
	if (unlikely(mc__must_authenticate(s)))
		return mc__auth_parse(s, bytes, r, consumed);
	size_t from = s->partial && s->partial->scanned < bytes.len ? s->partial->scanned : 0;
	const uint8_t *end = memchr(bytes.ptr + from, '\n', bytes.len - from);

	if (!end)
		return line_incomplete(s, bytes, r);
	struct slice text = slice_of(bytes.ptr, (size_t)(end - bytes.ptr));
	size_t at = text.len + 1;

	if (unlikely(text.len > MC_LINE_MAX) &&
	    (text.len > MC_KEYS_LINE_MAX || !mc_line_may_grow(text)))
		return give_up(r, &line_quit);
	if (text.len > 1 && text.ptr[text.len - 1] == '\r')
		text.len--;
	struct mc_line *line = batch_alloc(s->host->batch, sizeof(*line));

	if (!line)
		return give_up(r, &line_no_memory);
	mc_line_parse(text, line);
	r->detail = line;
	return complete(s, bytes, at, r, line, consumed);
}

static const struct proto text = {.name = "memcache", .parse = text_parse, .run = mc__run};
static const struct proto binary = {
	.name = "memcache-binary", .parse = mc__binary_parse, .run = mc__binary_run};

const struct proto *mc_detect(uint8_t first_byte, bool text_only)
{
	return first_byte == MC_BINARY_REQUEST && !text_only ? &binary : &text;
}
