/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_base64.h"
#include "dataplane/proto/memcache/mc_internal.h"

/*
 * Executes the meta commands and writes their answers: two letters, then the options that ask for
 * something, in the order in which they were sent. Called by mc_run.c; what they do to the table is
 * in kv.c and kv_fetch.c. Answers as of memcached 1.6.18, with these differences: a changed expiry
 * renews the cas unique, and `b` stands in an answer when it stood in the request.
 */

#define SLAB_CLASS "1" // we have none: everything is of one

// Code, value length, key, opaque, two numbers of 64 bits, three of 32, a digit, W X Z, line end.
#define ANSWER_MAX      (13 + 5 + MC_BASE64_MAX(MC_KEY_MAX) + 33 + 2 * 22 + 3 * 12 + 3 + 6 + 2)
#define BARE_ANSWER_MAX 24 // code, value length, W X Z, line end
#define NUMBER_MAX      (NUMBER_TEXT_MAX + 2)
#define DEBUG_MAX       (3 + MC_BASE64_MAX(MC_KEY_MAX) + 140)

_Static_assert(ANSWER_MAX + NUMBER_MAX <= OUT_RESERVE_MAX && DEBUG_MAX <= OUT_RESERVE_MAX,
	       "an answer's line is written in one piece");

/* What an answer can tell of an item. */
struct told {
	const char *letters; // of the options that this command answers
	uint64_t version, expire_ms, value_len;
	uint64_t ttl_expire_ms, vivify_expire_ms; // what T and N make of the expiry
	uint32_t client_flags, idle_s;
	bool fetched;
};

static uint8_t *put_number(uint8_t *p, uint8_t letter, uint64_t number)
{
	*p++ = ' ';
	*p++ = letter;
	return p + number_encode_u64(number, p);
}

static uint8_t *put_slice(uint8_t *p, struct slice bytes)
{
	memcpy(p, bytes.ptr, bytes.len);
	return p + bytes.len;
}

#define PUT(p, literal) put_slice((p), SLICE_LITERAL(literal))

static uint8_t *put_key(uint8_t *p, const struct mc_meta *meta)
{
	p = PUT(p, " k");
	if (!meta->base64)
		return put_slice(p, meta->key);
	p += mc_base64_encode(meta->key, p);
	return PUT(p, " b");
}

static uint8_t *put_seconds_left(uint8_t *p, uint64_t expire_ms, uint64_t now_ms)
{
	if (expire_ms == 0)
		return PUT(p, " t-1");
	return put_number(p, 't', kv_seconds_left(expire_ms, now_ms));
}

/* One option; T and N count from where they stand on, so `t` before them tells what was before. */
static uint8_t *put_option(const struct mc_call *c, uint8_t *p, struct slice word,
			   struct told *told)
{
	switch (word.ptr[0]) {
	case 'T':
		told->expire_ms = told->ttl_expire_ms;
		return p;
	case 'N':
		told->expire_ms = told->vivify_expire_ms;
		return p;
	case 'O':
		*p++ = ' ';
		return put_slice(p, word);
	case 'k':
		return put_key(p, c->line->meta);
	case 's':
		return put_number(p, 's', told->value_len);
	case 't':
		return put_seconds_left(p, told->expire_ms, c->now_ms);
	case 'c':
		return put_number(p, 'c', told->version);
	case 'f':
		return put_number(p, 'f', told->client_flags);
	case 'l':
		return put_number(p, 'l', told->idle_s);
	case 'h':
		return put_number(p, 'h', told->fetched);
	default:
		return p;
	}
}

static uint8_t *put_options(const struct mc_call *c, uint8_t *p, struct told *told)
{
	struct slice rest = c->line->meta->options;

	for (struct slice word = mc_token(&rest); word.len > 0; word = mc_token(&rest))
		if (strchr(told->letters, word.ptr[0]))
			p = put_option(c, p, word, told);
	return p;
}

/* An answer without a value. */
static void answer_code(const struct mc_call *c, struct slice code, struct told *told)
{
	uint8_t *p = out_reserve(c->out, ANSWER_MAX), *start = p;

	if (!p)
		return;
	p = put_slice(p, code);
	p = put_options(c, p, told);
	p = PUT(p, "\r\n");
	c->out->pos += p - start;
}

#define ANSWER_CODE(c, literal, told) answer_code((c), SLICE_LITERAL(literal), (told))

/* An error in words is sent to quiet clients, too. */
static void answer_error(const struct mc_call *c, struct slice text)
{
	out_append(c->out, text);
	OUT_LITERAL(c->out, "\r\n");
}

#define ANSWER_ERROR(c, literal) answer_error((c), SLICE_LITERAL(literal))

/* --- mg --- */

static void count_get(const struct mc_call *c, bool hit)
{
	struct cmd_counters *n = c->counters;

	if (c->line->meta->new_ttl) {
		counter_add(&n->mc_cmd_touch, 1);
		counter_add(hit ? &n->mc_touch_hits : &n->mc_touch_misses, 1);
	} else {
		counter_add(&n->mc_cmd_get, 1);
		counter_add(hit ? &n->mc_get_hits : &n->mc_get_misses, 1);
	}
	counter_add(hit ? &n->hits : &n->misses, 1);
}

static void answer_miss(const struct mc_call *c)
{
	struct told told = {.letters = "Ok"};

	if (!c->line->meta->quiet)
		ANSWER_CODE(c, "EN", &told);
}

/* `f` is NULL for a hit that is nobody's to renew. */
static void answer_hit(const struct mc_call *c, const struct item *item, struct told *told,
		       const struct kv_fetch *f)
{
	const struct mc_meta *m = c->line->meta;
	struct slice value = item_value(item);
	size_t line_max = m->answers ? ANSWER_MAX : BARE_ANSWER_MAX;
	bool in_one_piece = m->wants_value && line_max + value.len + 2 <= OUT_RESERVE_MAX;
	uint8_t *p = out_reserve(c->out, line_max + (in_one_piece ? value.len + 2 : 0));
	uint8_t *start = p;

	if (!p)
		return;
	if (m->wants_value) {
		p = PUT(p, "VA ");
		p += number_encode_u64(value.len, p);
	} else {
		p = PUT(p, "HD");
	}
	if (m->answers) {
		told->value_len = value.len;
		p = put_options(c, p, told);
	}
	if (f && f->awaited)
		p = PUT(p, " Z");
	if (f && f->stale)
		p = PUT(p, " X");
	if (f && f->won)
		p = PUT(p, " W");
	p = PUT(p, "\r\n");
	if (in_one_piece) {
		p = put_slice(p, value);
		p = PUT(p, "\r\n");
	}
	c->out->pos += p - start;
	if (m->wants_value && !in_one_piece)
		mc__write_block(c->out, item);
}

/* With what is left below this, in seconds, the reader is to renew the value; 0: never. */
static uint64_t renew_below_s(const struct mc_call *c)
{
	uint64_t until_ms = mc__expire_ms(c->line->meta->recache_ttl, c->now_ms);

	return until_ms <= c->now_ms ? 0 : kv_seconds_left(until_ms, c->now_ms);
}

/*
 * A hit that asks nothing of the item but what stands in it, and that nobody is to renew: as get.
 * False: it is not that simple.
 */
static bool get_plainly(const struct mc_call *c)
{
	struct item *item;
	struct told told; // what none of these options asks for stays as it is
	uint32_t marks;

	if (!c->line->meta->plain)
		return false;
	item = table_find(c->tt, &c->request->keys[0]);
	if (!item)
		return false;
	marks = item_marks(item);
	if (unlikely(marks & ITEM_WON || item_encoding(item) == ITEM_STALE))
		return false; // and is noted as one more access
	if (unlikely(!(marks & ITEM_FETCHED)))
		table_mark(c->tt, item, ITEM_FETCHED);
	count_get(c, true);
	if (mc__watched(c->host, MC_WATCH_FETCHERS))
		mc__log_get(c->request->session, c->line->meta->key, item);
	if (c->line->meta->answers) {
		told.letters = "Okstcf";
		told.version = item_version(item);
		told.expire_ms = item_expire_ms(item);
		told.client_flags = item_mc_flags(item);
	}
	answer_hit(c, item, &told, NULL);
	return true;
}

static NOINLINE void get_fully(const struct mc_call *c)
{
	const struct mc_meta *m = c->line->meta;
	struct kv_fetch f = {
		.quiet = m->no_update, .creates = m->vivifies, .new_expiry = m->new_ttl};
	struct told told = {.letters = "TNOkstcflh"};
	enum kv_result result;

	if (m->new_ttl)
		told.ttl_expire_ms = f.expire_ms = mc__expire_ms(m->ttl, c->now_ms);
	if (m->vivifies)
		told.vivify_expire_ms = mc__expire_ms(m->vivify_ttl, c->now_ms);
	f.initial_expire_ms =
		m->new_ttl && !m->vivify_last ? told.ttl_expire_ms : told.vivify_expire_ms;
	if (m->recaches) {
		f.renew_below_s = renew_below_s(c);
		f.renews = f.renew_below_s > 0;
	}
	result = kv_fetch(c->tt, &c->request->keys[0], c->now_ms, &f);
	count_get(c, result == KV_HIT);
	if (mc__watched(c->host, MC_WATCH_FETCHERS))
		mc__log_get(c->request->session, m->key, result == KV_HIT ? f.item : NULL);
	if (result != KV_HIT) {
		answer_miss(c);
		return;
	}
	told.version = f.version;
	told.expire_ms = f.before_expire_ms;
	if (!f.created)
		told.letters = "TOkstcflh";
	told.client_flags = item_mc_flags(f.item);
	told.idle_s = f.idle_s;
	told.fetched = f.fetched;
	answer_hit(c, f.item, &told, &f);
}

void mc__meta_get(const struct mc_call *c)
{
	if (!get_plainly(c))
		get_fully(c);
}

/* --- ms --- */

void mc__meta_stored(const struct mc_call *c, enum kv_result result, uint64_t version)
{
	struct told told = {.letters = "Okc", .version = result == KV_STORED ? version : 0};

	switch (result) {
	case KV_STORED:
		if (!c->line->meta->quiet)
			ANSWER_CODE(c, "HD", &told);
		break;
	case KV_EXISTS:
		ANSWER_CODE(c, "EX", &told);
		break;
	case KV_NOT_FOUND:
		ANSWER_CODE(c, "NF", &told);
		break;
	default:
		ANSWER_CODE(c, "NS", &told);
	}
}

/* --- md --- */

void mc__meta_delete(const struct mc_call *c)
{
	const struct mc_meta *m = c->line->meta;
	const struct kv_delete how = {
		.cas_unique = m->has_cas ? (m->cas_unique ? m->cas_unique : UINT64_MAX) : 0,
		.to_stale = m->invalidates,
		.new_expiry = m->new_ttl,
		.expire_ms = mc__expire_ms(m->ttl, c->now_ms),
	};
	struct told told = {.letters = "Ok"};

	switch (kv_delete(c->tt, &c->request->keys[0], &how)) {
	case KV_DELETED:
		if (!m->invalidates)
			counter_add(&c->counters->mc_delete_hits, 1);
		if (!m->quiet)
			ANSWER_CODE(c, "HD", &told);
		break;
	case KV_EXISTS:
		counter_add(&c->counters->mc_delete_misses, 1);
		ANSWER_CODE(c, "EX", &told);
		break;
	case KV_NO_MEMORY:
		ANSWER_ERROR(c, "SERVER_ERROR out of memory");
		break;
	default:
		counter_add(&c->counters->mc_delete_misses, 1);
		ANSWER_CODE(c, "NF", &told);
	}
}

/* --- ma --- */

static void answer_number(const struct mc_call *c, const struct kv_arith *a, struct told *told)
{
	uint8_t *p = out_reserve(c->out, ANSWER_MAX + NUMBER_MAX), *start = p;
	uint8_t text[NUMBER_TEXT_MAX];
	struct slice digits = slice_of(text, number_encode_u64(a->value, text));

	if (!p)
		return;
	p = PUT(p, "VA ");
	p += number_encode_u64(digits.len, p);
	p = put_options(c, p, told);
	p = PUT(p, "\r\n");
	p = put_slice(p, digits);
	p = PUT(p, "\r\n");
	c->out->pos += p - start;
}

static void answer_arith(const struct mc_call *c, const struct kv_arith *a)
{
	const struct mc_meta *m = c->line->meta;
	struct told told = {
		.letters = a->created ? "TNOktc" : "TOktc",
		.version = a->version,
		.expire_ms = a->before_expire_ms,
		.ttl_expire_ms = a->expire_ms,
		.vivify_expire_ms = mc__expire_ms(m->vivify_ttl, c->now_ms),
	};

	if (m->quiet && !a->created)
		return;
	if (m->wants_value)
		answer_number(c, a, &told);
	else
		ANSWER_CODE(c, "HD", &told);
}

void mc__meta_arith(const struct mc_call *c)
{
	const struct mc_meta *m = c->line->meta;
	bool increment = m->mode != 'D' && m->mode != '-';
	struct kv_arith a = {
		.increment = increment,
		.delta = m->delta,
		.cas_unique = m->cas_unique,
		.new_expiry = m->new_ttl,
		.expire_ms = mc__expire_ms(m->ttl, c->now_ms),
		.creates = m->vivifies,
		.initial = m->initial,
	};
	struct told told = {.letters = "Ok"};
	struct cmd_counters *n = c->counters;

	a.initial_expire_ms = m->new_ttl && !m->vivify_last
				      ? a.expire_ms
				      : mc__expire_ms(m->vivify_ttl, c->now_ms);
	switch (kv_arith(c->tt, &c->request->keys[0], &a)) {
	case KV_STORED:
		if (!a.created)
			counter_add(increment ? &n->mc_incr_hits : &n->mc_decr_hits, 1);
		answer_arith(c, &a);
		break;
	case KV_NON_NUMERIC:
		ANSWER_ERROR(c, "CLIENT_ERROR cannot increment or decrement non-numeric value");
		break;
	case KV_EXISTS:
		ANSWER_CODE(c, "EX", &told);
		break;
	case KV_NO_MEMORY:
		ANSWER_ERROR(c, "SERVER_ERROR out of memory");
		break;
	default:
		counter_add(increment ? &n->mc_incr_misses : &n->mc_decr_misses, 1);
		ANSWER_CODE(c, "NF", &told);
	}
}

/* --- me --- */

void mc__meta_debug(const struct mc_call *c)
{
	const struct item *item = table_peek(c->tt, &c->request->keys[0]);
	const struct mc_meta *m = c->line->meta;
	uint8_t *p = out_reserve(c->out, DEBUG_MAX), *start = p;
	uint64_t left_s;

	counter_add(&c->counters->mc_cmd_meta, 1);
	if (!p)
		return;
	if (!item) {
		OUT_LITERAL(c->out, "EN\r\n");
		return;
	}
	p = PUT(p, "ME ");
	if (m->base64)
		p += mc_base64_encode(m->key, p);
	else
		p = put_slice(p, m->key);
	left_s = kv_seconds_left(item_expire_ms(item), c->now_ms);
	// The time since it expires, below 0, which is what 1.6.18 says.
	p = PUT(p, " exp=-");
	p += number_encode_u64(left_s == UINT64_MAX ? 1 : left_s, p);
	p = PUT(p, " la=");
	p += number_encode_u64(item_idle_s(item, c->now_ms), p);
	p = PUT(p, " cas=");
	p += number_encode_u64(item_version(item), p);
	p = PUT(p, " fetch=");
	p = item_marks(item) & ITEM_FETCHED ? PUT(p, "yes") : PUT(p, "no");
	p = PUT(p, " cls=" SLAB_CLASS " size=");
	p += number_encode_u64(item_memory_bytes(item), p);
	p = PUT(p, "\r\n");
	c->out->pos += p - start;
}
