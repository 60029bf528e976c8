/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_meta.h"

#include "base/compiler.h"
#include "dataplane/command/kv.h"
#include "dataplane/command/kv_number.h"
#include "dataplane/proto/memcache/mc_base64.h"

/*
 * The meta commands' options (doc/protocol.txt of memcached). Pure: called by mc_text.c with one
 * line. What is checked in which order, and so which of several faults is reported, is that of
 * memcached 1.6.18 (proto_text.c), and the differential test holds us to it.
 */

#define WORDS_MAX  19 // verb and key included
#define OPAQUE_MAX 32 // bytes, with its letter

static void refuse(struct mc_line *line, struct slice text)
{
	line->op = MC_REPLY;
	line->text = text;
	line->malformed = true;
}

#define REFUSE(line, literal) refuse((line), SLICE_LITERAL("CLIENT_ERROR " literal))

size_t mc_meta_bytes(struct slice text)
{
	bool may_decode = text.len > 0 && memchr(text.ptr, 'b', text.len);

	return sizeof(struct mc_meta) + (may_decode ? MC_KEY_MAX : 0);
}

static uint32_t count_words(struct slice text)
{
	uint32_t count = 0;

	while (count <= WORDS_MAX && mc_token(&text).len > 0)
		count++;
	return count;
}

/* How the options of a line are read: the last error found counts, and some end the line. */
struct reading {
	struct mc_line *line;
	struct mc_meta *meta;
	bool failed;
};

static bool stop(struct reading *r, struct slice why)
{
	refuse(r->line, why);
	r->failed = true;
	return false;
}

static void fail(struct reading *r, struct slice why)
{
	(void)stop(r, why);
}

#define BAD_TOKEN SLICE_LITERAL("CLIENT_ERROR bad token in command line format")

static void read_ttl(struct reading *r, struct slice token, bool *given, int32_t *ttl)
{
	if (kv_number_i32(token, ttl))
		*given = true;
	else
		fail(r, BAD_TOKEN);
}

static void read_key(struct reading *r)
{
	struct mc_meta *m = r->meta;
	size_t len = mc_base64_decode(m->key, m->decoded);

	if (len == 0)
		fail(r, SLICE_LITERAL("CLIENT_ERROR error decoding key"));
	m->key = slice_of(m->decoded, len);
	m->base64 = true;
}

/* Of M: what ms and ma are to do, one letter, judged where it is used. */
static void read_mode(struct reading *r, struct slice token)
{
	if (token.len != 1)
		fail(r, SLICE_LITERAL("CLIENT_ERROR incorrect length for M token"));
	else
		r->meta->mode = token.ptr[0];
}

/* False: nothing behind this word is looked at. */
static bool read_option(struct reading *r, uint8_t letter, struct slice token)
{
	struct mc_meta *m = r->meta;

	switch (letter) {
	case 'b':
		read_key(r);
		break;
	case 'N':
		m->vivify_last = m->new_ttl;
		read_ttl(r, token, &m->vivifies, &m->vivify_ttl);
		break;
	case 'T':
		m->vivify_last = false;
		read_ttl(r, token, &m->new_ttl, &m->ttl);
		break;
	case 'R':
		read_ttl(r, token, &m->recaches, &m->recache_ttl);
		break;
	case 'v':
		m->wants_value = true;
		break;
	case 'u':
		m->no_update = true;
		break;
	case 'q':
		m->quiet = true;
		break;
	case 'I':
		m->invalidates = true;
		break;
	case 'F':
		if (!kv_number_u32(token, &m->client_flags))
			r->failed = true; // under whatever else is wrong
		break;
	case 'C':
		m->has_cas = kv_number_u64(token, &m->cas_unique);
		if (!m->has_cas)
			fail(r, BAD_TOKEN);
		break;
	case 'M':
		read_mode(r, token);
		break;
	case 'J':
		if (!kv_number_u64(token, &m->initial))
			fail(r, SLICE_LITERAL("CLIENT_ERROR invalid numeric initial value"));
		break;
	case 'D':
		if (!kv_number_u64(token, &m->delta))
			fail(r, SLICE_LITERAL("CLIENT_ERROR invalid numeric delta value"));
		break;
	case 'O':
	case 'P':
	case 'L':
	case 'k':
	case 's':
	case 't':
	case 'c':
	case 'f':
	case 'l':
	case 'h':
		break; // of the answer, or of nobody
	default:
		return stop(r, SLICE_LITERAL("CLIENT_ERROR invalid flag"));
	}
	return true;
}

/* False: refused, but for errors that only ms counts (an opaque that is too long). */
static bool read_options(struct mc_line *line, struct mc_meta *meta)
{
	struct reading r = {.line = line, .meta = meta};
	struct slice rest = meta->options;
	uint64_t seen[2] = {0};

	refuse(line, SLICE_LITERAL("CLIENT_ERROR bad command line format"));
	for (struct slice word = mc_token(&rest); word.len > 0; word = mc_token(&rest)) {
		uint8_t letter = word.ptr[0];

		if (letter >= 127 || seen[letter / 64] >> (letter % 64) & 1)
			return stop(&r, SLICE_LITERAL("CLIENT_ERROR duplicate flag"));
		seen[letter / 64] |= UINT64_C(1) << (letter % 64);
		if (!read_option(&r, letter, slice_of(word.ptr + 1, word.len - 1)))
			return false;
	}
	return !r.failed;
}

static bool opaque_fits(const struct mc_meta *meta)
{
	struct slice rest = meta->options;

	for (struct slice word = mc_token(&rest); word.len > 0; word = mc_token(&rest))
		if (word.ptr[0] == 'O' && word.len > OPAQUE_MAX)
			return false;
	return true;
}

static void accept(struct mc_line *line, struct mc_meta *meta, enum mc_op op)
{
	line->op = (uint8_t)op;
	line->malformed = false;
	line->meta = meta;
	line->keys = meta->key;
	line->key_count = 1;
}

/* E add, A append, P prepend, R replace, S set; a cas unique makes a comparison of most. */
static bool store_mode(const struct mc_meta *meta, uint8_t *mode)
{
	switch (meta->mode) {
	case 0:
	case 'S':
		*mode = meta->has_cas ? KV_CAS : KV_SET;
		return true;
	case 'R':
		*mode = meta->has_cas ? KV_CAS : KV_REPLACE;
		return true;
	case 'E':
		*mode = KV_ADD;
		return true;
	case 'A':
		*mode = KV_APPEND;
		return true;
	case 'P':
		*mode = KV_PREPEND;
		return true;
	default:
		return false;
	}
}

/* ms KEY LENGTH FLAG*: from the length on, what is refused is followed by a block to be dropped. */
static void parse_set(struct mc_line *line, struct mc_meta *meta)
{
	struct slice length = mc_token(&meta->options);
	int32_t value_len;

	if (length.len == 0 || !kv_number_i32(length, &value_len) || value_len < 0 ||
	    value_len > INT32_MAX - 2) {
		REFUSE(line, "bad command line format");
		return;
	}
	line->value_len = (uint32_t)value_len;
	line->swallows = true;
	if (!read_options(line, meta))
		return;
	if (!store_mode(meta, &line->mode)) {
		REFUSE(line, "invalid mode for ms M token");
		return;
	}
	if (!opaque_fits(meta)) {
		REFUSE(line, "opaque token too long");
		return;
	}
	line->swallows = false;
	line->flags = meta->client_flags;
	line->exptime = meta->ttl;
	line->number = meta->cas_unique;
	accept(line, meta, MC_STORE);
}

static bool arith_mode_known(const struct mc_meta *meta)
{
	return meta->mode == 0 || memchr("I+D-", meta->mode, 4);
}

/* mg md ma KEY FLAG* */
static void parse_others(struct mc_line *line, struct mc_meta *meta)
{
	bool good = read_options(line, meta);

	if (!good && meta->verb != 'g') {
		REFUSE(line, "invalid or duplicate flag");
	} else if (!good) {
		return;
	} else if (meta->verb == 'a' && !arith_mode_known(meta)) {
		REFUSE(line, "invalid mode for ma M token");
	} else if (!opaque_fits(meta)) {
		REFUSE(line, "opaque token too long");
	} else {
		accept(line, meta,
		       meta->verb == 'g'   ? MC_META_GET
		       : meta->verb == 'd' ? MC_META_DELETE
					   : MC_META_ARITH);
	}
}

/* me KEY [b] */
static void parse_debug(struct mc_line *line, struct mc_meta *meta)
{
	struct slice rest = meta->options;

	if (slice_equal(mc_token(&rest), SLICE_LITERAL("b"))) {
		size_t len = mc_base64_decode(meta->key, meta->decoded);

		if (len == 0) {
			REFUSE(line, "bad command line format");
			return;
		}
		meta->key = slice_of(meta->decoded, len);
		meta->base64 = true;
	}
	accept(line, meta, MC_META_DEBUG);
}

void mc_meta_parse(struct slice text, uint8_t verb, struct mc_line *line, struct mc_meta *meta)
{
	uint32_t words = 1 + count_words(text);

	*meta = (struct mc_meta){.verb = verb, .delta = 1};
	meta->key = mc_token(&text);
	meta->options = text;
	if (meta->key.len == 0 && verb != 'e')
		refuse(line, SLICE_LITERAL("ERROR"));
	else if (meta->key.len == 0 || meta->key.len > MC_KEY_MAX)
		REFUSE(line, "bad command line format");
	else if (verb == 'e')
		parse_debug(line, meta);
	else if (words > WORDS_MAX && verb == 'g')
		REFUSE(line, "options flags are too long");
	else if (words > WORDS_MAX)
		REFUSE(line, "options flags too long");
	else if (verb == 's')
		parse_set(line, meta);
	else
		parse_others(line, meta);
}
