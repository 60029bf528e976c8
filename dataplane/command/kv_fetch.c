/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/kv_internal.h"

/*
 * Reads that leave something behind: a new expiry (touch, gat), and all that memcached's mg can ask
 * for. Loops like those of kv.c, around one commit or one mark. Called by the memcached protocols
 * on whichever thread carries the session.
 */

/* The options of an item whose expiry alone is to change. */
static struct item_spec options_of(const struct item *old, uint64_t expire_ms)
{
	return (struct item_spec){
		.expire_ms = expire_ms,
		.mc_flags = item_mc_flags(old),
		.encoding = item_encoding(old),
		.marks = item_marks(old),
	};
}

enum kv_result kv_touch(struct table_thread *t, const struct table_key *key, uint64_t expire_ms,
			struct kv_touched *touched)
{
	enum table_status status;

	do {
		struct item *old = table_find(t, key);

		if (!old)
			return KV_NOT_FOUND;
		*touched = (struct kv_touched){old, item_version(old)};
		if (item_expire_ms(old) == expire_ms) {
			table_mark(t, old, ITEM_FETCHED);
			return KV_TOUCHED;
		}
		struct table_change change = {.key = *key, .expected = old};
		struct item_spec options = options_of(old, expire_ms);

		options.marks |= ITEM_FETCHED;
		status = kv__put_again(t, &change, &options, old);
		if (status == TABLE_OK)
			touched->version = change.version;
	} while (status == TABLE_CONFLICT);
	return status == TABLE_OK ? KV_TOUCHED : KV_NO_MEMORY;
}

uint64_t kv_seconds_left(uint64_t expire_ms, uint64_t now_ms)
{
	if (expire_ms == 0)
		return UINT64_MAX;
	return expire_ms > now_ms ? (expire_ms - now_ms + 999) / 1000 : 0;
}

/* A miss that leaves an empty item: whoever creates it is the one to fill it. */
static enum table_status create(struct table_thread *t, const struct table_key *key,
				struct kv_fetch *f)
{
	struct table_change change = {.key = *key, .expected = TABLE_ABSENT};
	const struct item_spec options = {
		.expire_ms = f->initial_expire_ms,
		.marks = ITEM_WON | (f->quiet ? 0 : ITEM_FETCHED),
	};
	enum table_status status =
		kv__put(t, &change, &options, SLICE_LITERAL(""), SLICE_LITERAL(""));

	if (status != TABLE_OK)
		return status;
	f->item = change.item;
	f->version = change.version;
	f->created = f->won = true;
	return status;
}

static void describe(struct kv_fetch *f, struct item *item, uint64_t now_ms)
{
	uint64_t left_s = kv_seconds_left(item_expire_ms(item), now_ms);
	uint32_t marks = item_marks(item);

	f->item = item;
	f->version = item_version(item);
	f->before_expire_ms = item_expire_ms(item);
	f->idle_s = item_idle_s(item, now_ms);
	f->fetched = marks & ITEM_FETCHED;
	f->awaited = marks & ITEM_WON;
	f->stale = item_encoding(item) == ITEM_STALE;
	f->won = !f->awaited && (f->stale || (f->renews && left_s < f->renew_below_s));
}

/* What the read does to an item that is there. */
static enum table_status affect(struct table_thread *t, const struct table_key *key,
				struct kv_fetch *f)
{
	struct table_change change = {.key = *key, .expected = f->item};
	struct item_spec options;
	enum table_status status;

	if (!f->new_expiry || f->expire_ms == f->before_expire_ms)
		return !f->won || table_mark_first(t, key, f->item, ITEM_WON) ? TABLE_OK
									      : TABLE_CONFLICT;
	options = options_of(f->item, f->expire_ms);
	options.marks |= (f->won ? ITEM_WON : 0) | (f->quiet ? 0 : ITEM_FETCHED);
	status = kv__put_again(t, &change, &options, f->item);
	if (status == TABLE_OK)
		f->version = change.version;
	return status;
}

/* After what the read reports of the accesses before it. */
static void note_read(struct table_thread *t, const struct table_key *key, struct item *item,
		      const struct kv_fetch *f)
{
	table_note_access(t, key, item);
	if (!f->fetched)
		table_mark(t, item, ITEM_FETCHED);
}

enum kv_result kv_fetch(struct table_thread *t, const struct table_key *key, uint64_t now_ms,
			struct kv_fetch *f)
{
	enum table_status status;

	do {
		struct item *item = table_peek(t, key);

		if (!item && !f->creates)
			return KV_NOT_FOUND;
		if (!item) {
			status = create(t, key, f);
			continue;
		}
		describe(f, item, now_ms);
		status = affect(t, key, f);
		if (status == TABLE_OK && !f->quiet)
			note_read(t, key, item, f);
	} while (status == TABLE_CONFLICT);
	return status == TABLE_OK ? KV_HIT : KV_NO_MEMORY;
}
