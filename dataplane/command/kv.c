/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/kv.h"

#include "base/number.h"
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

/*
 * The item for two pieces of value, inline or in a blob by their length. NULL when there is no
 * memory.
 */
static struct item *item_build(struct table_thread *t, const struct table_key *key,
			       const struct item_spec *options, struct slice head,
			       struct slice tail)
{
	struct item_spec spec = *options;

	spec.key = key->bytes;
	if (!table_reserve(t, key->bytes.len + head.len + tail.len + KV_ITEM_OVERHEAD_BYTES))
		return NULL;
	if (head.len + tail.len <= ITEM_VALUE_INLINE_MAX) {
		spec.value = head;
		spec.value_tail = tail;
		return table_item_new(t, &spec);
	}
	spec.blob = table_blob_new(t, head.len + tail.len);
	if (!spec.blob)
		return NULL;
	memcpy(spec.blob->bytes, head.ptr, head.len);
	if (tail.len > 0)
		memcpy(spec.blob->bytes + head.len, tail.ptr, tail.len);
	spec.blob->len = head.len + tail.len;
	struct item *item = table_item_new(t, &spec);

	if (!item)
		blob_unref(spec.blob);
	return item;
}

/* The item for a value that lives in a blob already: shared, not copied. */
static struct item *item_build_shared(struct table_thread *t, const struct table_key *key,
				      const struct item_spec *options, struct blob *blob)
{
	struct item_spec spec = *options;

	if (!table_reserve(t, key->bytes.len + KV_ITEM_OVERHEAD_BYTES))
		return NULL;
	spec.key = key->bytes;
	spec.blob = blob_ref(blob);
	struct item *item = table_item_new(t, &spec);

	if (!item)
		blob_unref(blob);
	return item;
}

static struct slice store_value(const struct kv_store *s)
{
	return s->blob ? slice_of(s->blob->bytes, s->blob->len) : s->value;
}

static struct item *item_of_store(struct table_thread *t, const struct kv_store *s)
{
	const struct item_spec options = {.expire_ms = s->expire_ms, .mc_flags = s->flags};

	// A short value gains nothing from a blob of its own.
	if (s->blob && s->blob->len > ITEM_VALUE_INLINE_MAX)
		return item_build_shared(t, &s->key, &options, s->blob);
	return item_build(t, &s->key, &options, store_value(s), (struct slice){0});
}

static struct item *item_of_concat(struct table_thread *t, const struct kv_store *s,
				   const struct item *old)
{
	const struct item_spec options = {.expire_ms = item_expire_ms(old),
					  .mc_flags = item_mc_flags(old)};
	struct slice piece = store_value(s);

	if (s->mode == KV_APPEND)
		return item_build(t, &s->key, &options, item_value(old), piece);
	return item_build(t, &s->key, &options, piece, item_value(old));
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
		if (item_value(old).len + store_value(s).len > s->value_max)
			return KV_TOO_LARGE;
		return KV_STORED;
	case KV_CAS:
		if (!old)
			return KV_NOT_FOUND;
		return item_version(old) == s->cas_unique ? KV_STORED : KV_EXISTS;
	}
	return KV_NOT_STORED;
}

enum kv_result kv_store(struct table_thread *t, struct kv_store *s)
{
	bool concat = s->mode == KV_APPEND || s->mode == KV_PREPEND;
	struct table_change change = {.key = s->key, .expected = TABLE_ANY};
	enum kv_result result;

	do {
		if (s->mode != KV_SET) {
			const struct item *old = table_find(t, &s->key);

			result = store_allowed(s, old);
			if (result != KV_STORED)
				goto err_discard;
			change.expected = old;
			if (concat && change.item) {
				table_item_discard(t, change.item);
				change.item = NULL;
			}
			if (concat)
				change.item = item_of_concat(t, s, old);
		}
		if (!concat && !change.item)
			change.item = item_of_store(t, s);
		if (!change.item)
			return KV_NO_MEMORY;
		switch (table_commit_one(t, &change)) {
		case TABLE_OK:
			s->stored = change.item;
			return KV_STORED;
		case TABLE_NO_MEMORY:
			result = KV_NO_MEMORY;
			goto err_discard;
		case TABLE_CONFLICT:
			break;
		}
	} while (true);
err_discard:
	if (change.item)
		table_item_discard(t, change.item);
	return result;
}

enum kv_result kv_delete(struct table_thread *t, const struct table_key *key)
{
	struct table_change change = {.key = *key, .expected = TABLE_ANY};

	// It has no expectation that could fail, but what it unlinks needs a place to wait.
	if (table_commit_one(t, &change) != TABLE_OK)
		return KV_NO_MEMORY;
	return change.old ? KV_DELETED : KV_NOT_FOUND;
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

enum kv_result kv_arith(struct table_thread *t, const struct table_key *key, bool increment,
			uint64_t delta, uint64_t *value)
{
	for (;;) {
		const struct item *old = table_find(t, key);
		uint64_t n;

		if (!old)
			return KV_NOT_FOUND;
		if (!counter_parse(old, &n))
			return KV_NON_NUMERIC;
		if (increment)
			n += delta;
		else
			n = delta > n ? 0 : n - delta;

		uint8_t text[NUMBER_TEXT_MAX];
		struct slice digits = slice_of(text, number_encode_u64(n, text));
		size_t old_len = item_value(old).len;
		size_t pad = old_len > digits.len ? old_len - digits.len : 0;
		const struct item_spec options = {.expire_ms = item_expire_ms(old),
						  .mc_flags = item_mc_flags(old)};
		struct table_change change = {.key = *key, .expected = old};

		change.item = item_build(t, key, &options, digits, slice_of(blanks, pad));
		if (!change.item)
			return KV_NO_MEMORY;
		enum table_status status = table_commit_one(t, &change);

		if (status == TABLE_OK) {
			*value = n;
			return KV_STORED;
		}
		table_item_discard(t, change.item);
		if (status == TABLE_NO_MEMORY)
			return KV_NO_MEMORY;
	}
}

enum kv_result kv_touch(struct table_thread *t, const struct table_key *key, uint64_t expire_ms,
			struct item **item)
{
	for (;;) {
		struct item *old = table_find(t, key);

		if (!old)
			return KV_NOT_FOUND;
		if (item_expire_ms(old) == expire_ms) {
			*item = old;
			return KV_TOUCHED;
		}
		const struct item_spec options = {.expire_ms = expire_ms,
						  .mc_flags = item_mc_flags(old)};
		struct table_change change = {.key = *key, .expected = old};

		if (item_blob(old))
			change.item = item_build_shared(t, key, &options, item_blob(old));
		else
			change.item =
				item_build(t, key, &options, item_value(old), (struct slice){0});
		if (!change.item)
			return KV_NO_MEMORY;
		enum table_status status = table_commit_one(t, &change);

		if (status == TABLE_OK) {
			*item = change.item;
			return KV_TOUCHED;
		}
		table_item_discard(t, change.item);
		if (status == TABLE_NO_MEMORY)
			return KV_NO_MEMORY;
	}
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
