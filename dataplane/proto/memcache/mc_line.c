/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_line.h"

#include "base/compiler.h"
#include "dataplane/command/kv.h"
#include "dataplane/command/kv_number.h"
#include "dataplane/proto/memcache/mc_admin.h"
#include "dataplane/proto/memcache/mc_cluster.h"

/*
 * A line of the memcached text protocol to a struct. Pure: called by mc_text.c with one line of a
 * client, which then waits for the data block, if any, and executes. The order in which a line is
 * checked, and so which of several faults is reported and whether `noreply` silences it, is that
 * of memcached 1.6.18 (proto_text.c), and the differential test holds us to it.
 */

#define BLANKS_MAX 100 // before a line that lists keys and is long, as memcached
#define WORDS_MAX  8   // one more than the longest command has (cas ... noreply)

/*
 * A line cut at its blanks. `count` stops at WORDS_MAX; no command that counts its words has as
 * many.
 */
struct words {
	struct slice word[WORDS_MAX];
	uint32_t count;
};

/*
 * One row per command word. Words are counted with the command itself, as in WANT_TOKENS less
 * one.
 */
struct verb {
	struct slice name;
	void (*parse)(const struct words *w, const struct verb *verb, struct mc_line *out);
	uint8_t words_min, words_max; // words_max 0: any number
	uint8_t op, mode;
	bool want_cas;
};

static void answer(struct mc_line *out, struct slice text)
{
	out->op = MC_REPLY;
	out->text = text;
}

static void refuse(struct mc_line *out, struct slice text)
{
	answer(out, text);
	out->malformed = true;
}

#define REFUSE(out, literal) refuse((out), SLICE_LITERAL(literal))
#define BAD_FORMAT           "CLIENT_ERROR bad command line format"
#define BAD_EXPTIME          "CLIENT_ERROR invalid exptime argument"
#define BAD_DELTA            "CLIENT_ERROR invalid numeric delta argument"
#define BAD_DELETE           "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"

/* Only the last word counts; the same word elsewhere is an argument. */
static bool ends_in_noreply(const struct words *w)
{
	return slice_equal(w->word[w->count - 1], SLICE_LITERAL("noreply"));
}

/* The one key of a command, word 1. False when it is too long and the line has been refused. */
static bool take_key(const struct words *w, struct mc_line *out)
{
	if (w->word[1].len > MC_KEY_MAX) {
		REFUSE(out, BAD_FORMAT);
		return false;
	}
	out->keys = w->word[1];
	out->key_count = 1;
	return true;
}

/*
 * set add replace append prepend KEY FLAGS EXPTIME BYTES [noreply], cas ... BYTES UNIQUE
 * [noreply]
 */
static void parse_store(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	int32_t value_len;

	out->noreply = ends_in_noreply(w);
	if (!take_key(w, out))
		return;
	if (!kv_number_u32(w->word[2], &out->flags) || !kv_number_i32(w->word[3], &out->exptime) ||
	    !kv_number_i32(w->word[4], &value_len) ||
	    (verb->mode == KV_CAS && !kv_number_u64(w->word[5], &out->number)) || value_len < 0 ||
	    value_len > INT32_MAX - 2) {
		REFUSE(out, BAD_FORMAT);
		return;
	}
	out->value_len = (uint32_t)value_len;
}

/* delete KEY [0] [noreply]: the zero is a relic, a time for which the key was to stay blocked. */
static void parse_delete(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	if (w->count > 2) {
		bool zero = slice_equal(w->word[2], SLICE_LITERAL("0"));

		out->noreply = ends_in_noreply(w);
		if (w->count == 3 ? !zero && !out->noreply : !zero || !out->noreply) {
			REFUSE(out, BAD_DELETE);
			return;
		}
	}
	(void)take_key(w, out);
}

/* incr decr KEY DELTA [noreply] */
static void parse_arith(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	out->noreply = ends_in_noreply(w);
	if (take_key(w, out) && !kv_number_u64(w->word[2], &out->number))
		REFUSE(out, BAD_DELTA);
}

/* touch KEY EXPTIME [noreply] */
static void parse_touch(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	out->noreply = ends_in_noreply(w);
	if (take_key(w, out) && !kv_number_i32(w->word[2], &out->exptime))
		REFUSE(out, BAD_EXPTIME);
}

/* flush_all [DELAY] [noreply] */
static void parse_flush_all(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	out->noreply = ends_in_noreply(w);
	if (w->count != (out->noreply ? 2 : 1) && !kv_number_i32(w->word[1], &out->exptime))
		REFUSE(out, BAD_EXPTIME);
}

/* verbosity LEVEL [noreply]: there is nothing that it would make us print. */
static void parse_verbosity(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	uint32_t level;

	out->noreply = ends_in_noreply(w);
	if (kv_number_u32(w->word[1], &level))
		answer(out, SLICE_LITERAL("OK"));
	else
		REFUSE(out, BAD_FORMAT);
}

static void parse_version(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	answer(out, SLICE_LITERAL("VERSION " MC_VERSION));
}

static void parse_admin(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	mc_admin_parse(w->word, w->count, out);
}

static void parse_config(const struct words *w, const struct verb *verb, struct mc_line *out)
{
	mc_cluster_parse(w->word, w->count, out);
}

static void parse_nothing(const struct words *w, const struct verb *verb, struct mc_line *out)
{
}

/*
 * The frequent ones first. Command words are lower case only. Those that read are in
 * parse_read().
 */
static const struct verb verbs[] = {
	{SLICE_LITERAL("set"), parse_store, 5, 6, MC_STORE, KV_SET},
	{SLICE_LITERAL("cas"), parse_store, 6, 7, MC_STORE, KV_CAS},
	{SLICE_LITERAL("add"), parse_store, 5, 6, MC_STORE, KV_ADD},
	{SLICE_LITERAL("delete"), parse_delete, 2, 4, MC_DELETE},
	{SLICE_LITERAL("incr"), parse_arith, 3, 4, MC_INCR},
	{SLICE_LITERAL("decr"), parse_arith, 3, 4, MC_DECR},
	{SLICE_LITERAL("touch"), parse_touch, 3, 4, MC_TOUCH},
	{SLICE_LITERAL("replace"), parse_store, 5, 6, MC_STORE, KV_REPLACE},
	{SLICE_LITERAL("append"), parse_store, 5, 6, MC_STORE, KV_APPEND},
	{SLICE_LITERAL("prepend"), parse_store, 5, 6, MC_STORE, KV_PREPEND},
	{SLICE_LITERAL("version"), parse_version, 1, 0, MC_REPLY},
	{SLICE_LITERAL("stats"), parse_nothing, 1, 0, MC_STATS},
	{SLICE_LITERAL("quit"), parse_nothing, 1, 0, MC_QUIT},
	{SLICE_LITERAL("flush_all"), parse_flush_all, 1, 3, MC_FLUSH_ALL},
	{SLICE_LITERAL("verbosity"), parse_verbosity, 2, 3, MC_REPLY},
	{SLICE_LITERAL("config"), parse_config, 1, 6, MC_REPLY},
	{SLICE_LITERAL("lru_crawler"), parse_admin, 1, 0, MC_REPLY},
	{SLICE_LITERAL("slabs"), parse_admin, 1, 0, MC_REPLY},
	{SLICE_LITERAL("lru"), parse_admin, 2, 0, MC_REPLY},
	{SLICE_LITERAL("watch"), parse_nothing, 1, 0, MC_WATCH},
	{SLICE_LITERAL("cache_memlimit"), parse_nothing, 2, 3, MC_MEMLIMIT},
	{SLICE_LITERAL("shutdown"), parse_nothing, 1, 0, MC_SHUTDOWN},
};

/* get gets gat gats, and bget, an old name of get. */
static bool is_read(struct slice name)
{
	if (name.len == 3)
		return memcmp(name.ptr, "get", 3) == 0 || memcmp(name.ptr, "gat", 3) == 0;
	return name.len == 4 &&
	       (memcmp(name.ptr, "gets", 4) == 0 || memcmp(name.ptr, "gats", 4) == 0 ||
		memcmp(name.ptr, "bget", 4) == 0);
}

/*
 * get gets KEY..., gat gats EXPTIME KEY...: the only commands without a bound on their words. One
 * key too long refuses the whole line. True when the line is one of them.
 */
static bool parse_read(struct slice name, struct slice rest, struct mc_line *out)
{
	if (!is_read(name))
		return false;
	bool touches = name.ptr[1] == 'a';

	out->op = touches ? MC_GAT : MC_GET;
	out->want_cas = name.len == 4 && name.ptr[3] == 's';
	out->keys = rest;
	struct slice first = mc_token(&rest);

	if (first.len == 0) {
		REFUSE(out, "ERROR");
		return true;
	}
	if (touches) {
		if (!kv_number_i32(first, &out->exptime)) {
			REFUSE(out, BAD_EXPTIME);
			return true;
		}
		out->keys = rest;
		first = mc_token(&rest);
	}
	for (; first.len > 0; first = mc_token(&rest)) {
		if (first.len > MC_KEY_MAX) {
			REFUSE(out, BAD_FORMAT);
			return true;
		}
		out->key_count++;
	}
	return true;
}

/* mn, and the rest of a meta command for mc_meta.c. True when the line is one of them. */
static bool parse_meta(struct slice name, struct slice rest, struct mc_line *out)
{
	if (name.len != 2 || name.ptr[0] != 'm')
		return false;
	if (name.ptr[1] == 'n')
		answer(out, SLICE_LITERAL("MN"));
	else if (!memchr("gsdae", name.ptr[1], 5))
		return false;
	else
		out->op = MC_META;
	out->mode = name.ptr[1];
	out->keys = rest;
	return true;
}

static const struct verb *verb_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
		if (slice_equal(verbs[i].name, name))
			return &verbs[i];
	}
	return NULL;
}

/*
 * No command of ours: ERROR, but a browser or a forged request to a web server is cut off at
 * once.
 */
static void parse_unknown(struct slice line, struct mc_line *out)
{
	struct slice last = {0};

	for (struct slice word = mc_token(&line); word.len > 0; word = mc_token(&line))
		last = word;
	REFUSE(out, "ERROR");
	if (last.len >= 5 && memcmp(last.ptr, "HTTP/", 5) == 0)
		out->op = MC_QUIT;
}

void mc_line_parse(struct slice line, struct mc_line *out)
{
	// memcached works on a terminated string: a NUL ends the line.
	const uint8_t *nul = line.len > 0 ? memchr(line.ptr, 0, line.len) : NULL;

	if (unlikely(nul != NULL))
		line.len = (size_t)(nul - line.ptr);
	struct slice rest = line;
	struct words w = {.word[0] = mc_token(&rest), .count = 1};

	*out = (struct mc_line){.op = MC_REPLY};
	if (parse_meta(w.word[0], rest, out) || parse_read(w.word[0], rest, out))
		return;
	const struct verb *verb = verb_find(w.word[0]);

	if (!verb) {
		parse_unknown(line, out);
		return;
	}
	while (w.count < WORDS_MAX) {
		w.word[w.count] = mc_token(&rest);
		if (w.word[w.count].len == 0)
			break;
		w.count++;
	}
	if (w.count < verb->words_min || (verb->words_max > 0 && w.count > verb->words_max)) {
		REFUSE(out, "ERROR");
		return;
	}
	out->op = verb->op;
	out->mode = verb->mode;
	verb->parse(&w, verb, out);
	if (mc_runs_elsewhere(out))
		out->keys = slice_of(w.word[0].ptr, line.len - (size_t)(w.word[0].ptr - line.ptr));
}

bool mc_line_may_grow(struct slice start)
{
	size_t blanks = 0;

	while (blanks < start.len && start.ptr[blanks] == ' ')
		blanks++;
	start = slice_of(start.ptr + blanks, start.len - blanks);
	struct slice name = mc_token(&start);

	return blanks <= BLANKS_MAX && start.len > 0 && is_read(name);
}
