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
	uint8_t *decoded; // where a key in base64 goes
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
	size_t len = mc_base64_decode(m->key, r->decoded);

	if (len == 0)
		fail(r, SLICE_LITERAL("CLIENT_ERROR error decoding key"));
	m->key = slice_of(r->decoded, len);
	m->base64 = true;
}

static void read_unique(struct reading *r, struct slice token)
{
	r->meta->has_cas = kv_number_u64(token, &r->meta->cas_unique);
	if (!r->meta->has_cas)
		fail(r, BAD_TOKEN);
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

	if (letter != 'v' && letter != 'q') {
		m->answers = true;
		m->plain = m->plain && !memchr("NTRulh", letter, 6);
	}
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
		read_unique(r, token);
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
		m->opaque_long = token.len >= OPAQUE_MAX;
		break;
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

static bool read_each(struct reading *r, uint32_t words_max)
{
	struct slice rest = r->meta->options;
	uint64_t seen[2] = {0};

	for (struct slice word = mc_token(&rest); word.len > 0; word = mc_token(&rest)) {
		uint8_t letter = word.ptr[0];

		if (words_max-- == 0)
			return false;
		if (letter >= 127 || seen[letter / 64] >> (letter % 64) & 1)
			return stop(r, SLICE_LITERAL("CLIENT_ERROR duplicate flag"));
		seen[letter / 64] |= UINT64_C(1) << (letter % 64);
		if (!read_option(r, letter, slice_of(word.ptr + 1, word.len - 1)))
			return false;
	}
	return !r->failed;
}

/* False: refused, but for errors that only ms counts (an opaque that is too long). */
static bool read_options(struct reading *r, uint32_t words_before)
{
	refuse(r->line, SLICE_LITERAL("CLIENT_ERROR bad command line format"));
	return read_each(r, WORDS_MAX - words_before);
}

static void accept(struct mc_line *line, struct mc_meta *meta, enum mc_op op)
{
	line->op = (uint8_t)op;
	line->malformed = false;
	line->meta = meta;
	// Field by field: a copy in one piece would wait for the two stores that have just made it.
	line->keys.ptr = meta->key.ptr;
	line->keys.len = meta->key.len;
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
static void parse_set(struct reading *r)
{
	struct mc_line *line = r->line;
	struct mc_meta *meta = r->meta;
	struct slice length = mc_token(&meta->options);
	int32_t value_len;

	if (length.len == 0 || !kv_number_i32(length, &value_len) || value_len < 0 ||
	    value_len > INT32_MAX - 2) {
		REFUSE(line, "bad command line format");
		return;
	}
	line->value_len = (uint32_t)value_len;
	line->swallows = true;
	if (!read_options(r, 3)) // ms, key and length
		return;
	if (!store_mode(meta, &line->mode)) {
		REFUSE(line, "invalid mode for ms M token");
		return;
	}
	if (meta->opaque_long) {
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
static void parse_others(struct reading *r)
{
	struct mc_line *line = r->line;
	struct mc_meta *meta = r->meta;
	bool good = read_options(r, 2); // command and key

	if (!good && meta->verb != 'g') {
		REFUSE(line, "invalid or duplicate flag");
	} else if (!good) {
		return;
	} else if (meta->verb == 'a' && !arith_mode_known(meta)) {
		REFUSE(line, "invalid mode for ma M token");
	} else if (meta->opaque_long) {
		REFUSE(line, "opaque token too long");
	} else {
		accept(line, meta,
		       meta->verb == 'g'   ? MC_META_GET
		       : meta->verb == 'd' ? MC_META_DELETE
					   : MC_META_ARITH);
	}
}

/* me KEY [b] */
static void parse_debug(struct reading *r)
{
	struct mc_line *line = r->line;
	struct mc_meta *meta = r->meta;
	struct slice rest = meta->options;

	if (slice_equal(mc_token(&rest), SLICE_LITERAL("b"))) {
		size_t len = mc_base64_decode(meta->key, r->decoded);

		if (len == 0) {
			REFUSE(line, "bad command line format");
			return;
		}
		meta->key = slice_of(r->decoded, len);
		meta->base64 = true;
	}
	accept(line, meta, MC_META_DEBUG);
}

static void parse_options(struct reading *r)
{
	if (r->meta->verb == 'e')
		parse_debug(r);
	else if (r->meta->verb == 's')
		parse_set(r);
	else
		parse_others(r);
}

/* "mg KEY v", as most are: what parse_others() makes of it, without a look at each option. */
static bool is_bare_get(uint8_t verb, struct slice key, struct slice options)
{
	return verb == 'g' && options.len == 2 && memcmp(options.ptr, " v", 2) == 0 &&
	       key.len > 0 && key.len <= MC_KEY_MAX;
}

/* A line with too many words is refused for that, whatever else is wrong with it. */
static void refuse_crowd(struct slice text, struct mc_line *line, uint8_t verb)
{
	if (1 + count_words(text) <= WORDS_MAX)
		return;
	line->swallows = false;
	if (verb == 'g')
		REFUSE(line, "options flags are too long");
	else
		REFUSE(line, "options flags too long");
}

void mc_meta_parse(struct slice text, uint8_t verb, struct mc_line *line, struct mc_meta *meta,
		   uint8_t *decoded)
{
	struct slice rest = text;

	*meta = (struct mc_meta){.verb = verb, .plain = true, .delta = 1};
	meta->key = mc_token(&rest);
	meta->options = rest;
	if (likely(is_bare_get(verb, meta->key, rest))) {
		meta->wants_value = true;
		accept(line, meta, MC_META_GET);
	} else if (meta->key.len == 0 && verb != 'e') {
		refuse(line, SLICE_LITERAL("ERROR"));
	} else if (meta->key.len == 0 || meta->key.len > MC_KEY_MAX) {
		REFUSE(line, "bad command line format");
	} else {
		parse_options(&(struct reading){.line = line, .meta = meta, .decoded = decoded});
		if (unlikely(line->op == MC_REPLY && verb != 'e'))
			refuse_crowd(text, line, verb);
	}
}
