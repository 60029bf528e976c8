/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/kv.h"

#include "base/number.h"
#include "dataplane/command/kv_internal.h"
#include "dataplane/command/kv_number.h"

#include <stdatomic.h>

/*
 * memcached's semantics as loops around table_commit_one(): look, decide, build an item, commit
 * it on the condition that what was seen is still there, or look again. Called by the memcached
 * protocols on whichever thread carries the session. Rules as of memcached 1.6.18 (proto_text.c,
 * memcached.c).
 */

/* What an item costs beside its bytes, roughly; for the check against maxmemory. */
#define KV_ITEM_OVERHEAD_BYTES 64

/*
 * Behind a counter that got shorter. memcached rewrites such a value in place and blanks what is
 * left.
 */
static const uint8_t blanks[ITEM_VALUE_INLINE_MAX] = {[0 ... ITEM_VALUE_INLINE_MAX - 1] = ' '};

/*
 * Unix ms of the pending flush, 0: none. The exchange in kv_flush_tick() decides which thread
 * runs it.
 */
static _Atomic uint64_t flush_at_ms;

/* Two pieces of value in a blob. NULL when there is no memory. */
static struct blob *blob_of(struct table_thread *t, struct slice head, struct slice tail)
{
	struct blob *blob = table_blob_new(t, head.len + tail.len);

	if (!blob)
		return NULL;
	memcpy(blob->bytes, head.ptr, head.len);
	if (tail.len > 0)
		memcpy(blob->bytes + head.len, tail.ptr, tail.len);
	blob->len = head.len + tail.len;
	return blob;
}

/* Commits an item by this spec, and takes over the caller's reference to its blob. */
static enum table_status put_new(struct table_thread *t, struct table_change *change,
				 const struct item_spec *spec)
{
	enum table_status status;

	change->item = table_item_new(t, spec);
	if (!change->item) {
		if (spec->blob)
			blob_unref(spec->blob);
		return TABLE_NO_MEMORY;
	}
	status = table_commit_one(t, change);
	if (status != TABLE_OK)
		table_item_discard(t, change->item);
	return status;
}

enum table_status kv__put(struct table_thread *t, struct table_change *change,
			  const struct item_spec *options, struct slice head, struct slice tail)
{
	struct item_spec spec = *options;
	enum table_status status;

	spec.key = change->key.bytes;
	if (!table_reserve(t, spec.key.len + head.len + tail.len + KV_ITEM_OVERHEAD_BYTES))
		return TABLE_NO_MEMORY;
	if (head.len + tail.len <= ITEM_VALUE_INLINE_MAX) {
		spec.value = head;
		spec.value_tail = tail;
		if (table_overwrite(t, change, &spec, &status))
			return status;
	} else {
		spec.blob = blob_of(t, head, tail);
		if (!spec.blob)
			return TABLE_NO_MEMORY;
	}
	return put_new(t, change, &spec);
}

/* The same of a value that lives in a blob already: shared, not copied. */
static enum table_status put_shared(struct table_thread *t, struct table_change *change,
				    const struct item_spec *options, struct blob *blob)
{
	struct item_spec spec = *options;

	if (!table_reserve(t, change->key.bytes.len + KV_ITEM_OVERHEAD_BYTES))
		return TABLE_NO_MEMORY;
	spec.key = change->key.bytes;
	spec.blob = blob_ref(blob);
	return put_new(t, change, &spec);
}

static struct slice store_value(const struct kv_store *s)
{
	return s->blob ? slice_of(s->blob->bytes, s->blob->len) : s->value;
}

enum table_status kv__put_again(struct table_thread *t, struct table_change *change,
				const struct item_spec *options, const struct item *old)
{
	if (item_blob(old))
		return put_shared(t, change, options, item_blob(old));
	return kv__put(t, change, options, item_value(old), (struct slice){0});
}

static enum table_status put_store(struct table_thread *t, struct table_change *change,
				   const struct kv_store *s, const struct item *old, bool stale)
{
	struct item_spec options = {.expire_ms = s->expire_ms, .mc_flags = s->flags};

	if (unlikely(stale)) {
		options.expire_ms = item_expire_ms(old);
		options.encoding = ITEM_STALE;
		options.marks = item_marks(old) & ITEM_WON;
	}
	// A short value gains nothing from a blob of its own.
	if (s->blob && s->blob->len > ITEM_VALUE_INLINE_MAX)
		return put_shared(t, change, &options, s->blob);
	return kv__put(t, change, &options, store_value(s), (struct slice){0});
}

static enum table_status put_concat(struct table_thread *t, struct table_change *change,
				    const struct kv_store *s, const struct item *old)
{
	const struct item_spec options = {.expire_ms = item_expire_ms(old),
					  .mc_flags = item_mc_flags(old)};
	struct slice piece = store_value(s);

	if (s->mode == KV_APPEND)
		return kv__put(t, change, &options, item_value(old), piece);
	return kv__put(t, change, &options, piece, item_value(old));
}

/* A late answer for a value that was made stale meanwhile: better than none, and stale as well. */
static bool stores_stale(const struct kv_store *s, const struct item *old)
{
	return s->mode == KV_CAS && s->or_stale && s->cas_unique != 0 &&
	       s->cas_unique < item_version(old);
}

/* Whether the mode lets the store go on, given what is there. KV_STORED: it does. */
static enum kv_result store_allowed(const struct kv_store *s, const struct item *old)
{
	switch (s->mode) {
	case KV_SET:
		return KV_STORED;
	case KV_ADD:
		return old ? KV_NOT_STORED : KV_STORED;
	case KV_REPLACE:
		return old ? KV_STORED : KV_NOT_STORED;
	case KV_APPEND:
	case KV_PREPEND:
		if (!old)
			return KV_NOT_STORED;
		if (s->cas_unique != 0 && s->cas_unique != item_version(old))
			return KV_EXISTS;
		if (item_value(old).len + store_value(s).len > s->value_max)
			return KV_TOO_LARGE;
		return KV_STORED;
	case KV_CAS:
		if (!old)
			return KV_NOT_FOUND;
		return item_version(old) == s->cas_unique || stores_stale(s, old) ? KV_STORED
										  : KV_EXISTS;
	}
	return KV_NOT_STORED;
}

enum kv_result kv_store(struct table_thread *t, struct kv_store *s)
{
	struct table_change change = {.key = s->key, .expected = TABLE_ANY};
	enum table_status status;

	do {
		const struct item *old = NULL;

		if (s->mode != KV_SET) {
			old = table_find(t, &s->key);
			enum kv_result result = store_allowed(s, old);

			if (result != KV_STORED)
				return result;
			change.expected = old;
		}
		if (s->mode == KV_APPEND || s->mode == KV_PREPEND)
			status = put_concat(t, &change, s, old);
		else
			status = put_store(t, &change, s, old, old && stores_stale(s, old));
	} while (status == TABLE_CONFLICT);
	s->version = change.version;
	return status == TABLE_OK ? KV_STORED : KV_NO_MEMORY;
}

/* The same value under a new version, which is what tells it from the one before. */
static enum table_status put_stale(struct table_thread *t, struct table_change *change,
				   const struct item *old, const struct kv_delete *how)
{
	const struct item_spec options = {
		.expire_ms = how->new_expiry ? how->expire_ms : item_expire_ms(old),
		.mc_flags = item_mc_flags(old),
		.encoding = ITEM_STALE,
		.marks = item_marks(old) & ITEM_FETCHED,
	};

	return kv__put_again(t, change, &options, old);
}

enum kv_result kv_delete(struct table_thread *t, const struct table_key *key,
			 const struct kv_delete *how)
{
	struct table_change change = {.key = *key, .expected = TABLE_ANY};
	bool looks = how->cas_unique != 0 || how->to_stale;
	enum table_status status;

	do {
		const struct item *old = looks ? table_peek(t, key) : NULL;

		if (looks && !old)
			return KV_NOT_FOUND;
		if (how->cas_unique != 0 && item_version(old) != how->cas_unique)
			return KV_EXISTS;
		change.expected = looks ? old : TABLE_ANY;
		status = how->to_stale ? put_stale(t, &change, old, how)
				       : table_commit_one(t, &change);
	} while (status == TABLE_CONFLICT);
	// What is unlinked needs a place to wait, and what is kept is made anew.
	if (status != TABLE_OK)
		return KV_NO_MEMORY;
	return looks || change.old ? KV_DELETED : KV_NOT_FOUND;
}

/*
 * The counter in a value, read as memcached does, by strtoull: blanks and a sign may lead, and a
 * blank ends the number, so that the padding of a shortened counter does no harm.
 */
static bool counter_parse(const struct item *item, uint64_t *value)
{
	if (item_blob(item))
		return false;
	return kv_number_u64(item_value(item), value);
}

static enum table_status create_counter(struct table_thread *t, const struct table_key *key,
					struct kv_arith *a)
{
	struct table_change change = {.key = *key, .expected = TABLE_ABSENT};
	const struct item_spec options = {.expire_ms = a->initial_expire_ms};
	uint8_t text[NUMBER_TEXT_MAX];
	struct slice digits = slice_of(text, number_encode_u64(a->initial, text));
	enum table_status status = kv__put(t, &change, &options, digits, (struct slice){0});

	a->created = status == TABLE_OK;
	a->value = a->initial;
	a->version = change.version;
	return status;
}

static enum table_status change_counter(struct table_thread *t, const struct table_key *key,
					const struct item *old, uint64_t n, struct kv_arith *a)
{
	uint8_t text[NUMBER_TEXT_MAX];
	struct slice digits = slice_of(text, number_encode_u64(n, text));
	size_t old_len = item_value(old).len;
	bool fits = digits.len <= old_len; // memcached then writes into the item that is there
	const struct item_spec options = {
		.expire_ms = a->new_expiry ? a->expire_ms : item_expire_ms(old),
		.mc_flags = item_mc_flags(old),
		.encoding = fits ? item_encoding(old) : ITEM_PLAIN,
		.marks = fits ? item_marks(old) : 0,
	};
	struct table_change change = {.key = *key, .expected = old};
	enum table_status status = kv__put(t, &change, &options, digits,
					   slice_of(blanks, fits ? old_len - digits.len : 0));

	a->value = n;
	a->version = change.version;
	a->before_expire_ms = item_expire_ms(old);
	return status;
}

enum kv_result kv_arith(struct table_thread *t, const struct table_key *key, struct kv_arith *a)
{
	enum table_status status;

	do {
		const struct item *old = table_find(t, key);
		uint64_t n;

		if (!old && !a->creates)
			return KV_NOT_FOUND;
		if (!old) {
			status = create_counter(t, key, a);
			continue;
		}
		if (item_value(old).len == 0)
			return KV_NON_NUMERIC;
		if (a->cas_unique != 0 && item_version(old) != a->cas_unique)
			return KV_EXISTS;
		if (!counter_parse(old, &n))
			return KV_NON_NUMERIC;
		if (a->increment)
			n += a->delta;
		else
			n = a->delta > n ? 0 : n - a->delta;
		status = change_counter(t, key, old, n, a);
	} while (status == TABLE_CONFLICT);
	return status == TABLE_OK ? KV_STORED : KV_NO_MEMORY;
}

void kv_flush_schedule(uint64_t at_ms)
{
	atomic_store_explicit(&flush_at_ms, at_ms, memory_order_relaxed);
}

void kv_flush_tick(struct table_thread *t, uint64_t now_ms)
{
	uint64_t due = atomic_load_explicit(&flush_at_ms, memory_order_relaxed);

	// Relaxed: the time is all that is handed over, and the flush orders itself (T7).
	if (likely(due == 0) || due > now_ms)
		return;
	if (atomic_compare_exchange_strong_explicit(&flush_at_ms, &due, 0, memory_order_relaxed,
						    memory_order_relaxed))
		table_flush(t);
}
