/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/access.h"
#include "dataplane/table/slot_find.h"
#include "dataplane/table/stable.h"

#include "base/contract.h"

/*
 * Storing over an item of the same shape: no allocation, no garbage, no grace period, which is a
 * third of the cost of a replacement. Readers make copies (stable.h) and look again when the item's
 * version has changed meanwhile; for the sake of those that never need to, a key's first item is
 * replaced, and its second one may be overwritten. Writer threads.
 */

static void store_bytes(uint8_t *to, struct slice from)
{
	const uint8_t *at = from.ptr, *end = at ? at + from.len : at;

	// Never a byte of the key, which others compare without looking at the version.
	for (; at < end && (uintptr_t)to % 8; at++, to++)
		atomic_store_explicit((_Atomic uint8_t *)to, *at, memory_order_relaxed);
	for (; end - at >= 8; at += 8, to += 8)
		atomic_store_explicit((_Atomic uint64_t *)to, hash__load_u64(at),
				      memory_order_relaxed);
	for (; at < end; at++, to++)
		atomic_store_explicit((_Atomic uint8_t *)to, *at, memory_order_relaxed);
}

static void overwrite(struct item *item, const struct item_spec *spec, uint64_t version)
{
	uint32_t flags = item__flags_of_spec(spec, NULL) | ITEM_REWRITTEN;
	uint8_t *options = item->rest;
	struct slice before = item_value(item);
	uint8_t *value = (uint8_t *)(uintptr_t)before.ptr;

	atomic_store_explicit(&item->version_flags,
			      item__version(item) << HDR_VERSION_SHIFT | flags | ITEM_CHANGES,
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	TABLE_YIELD();
	if (flags & ITEM_HAS_EXPIRY) {
		atomic_store_explicit((_Atomic uint64_t *)options, spec->expire_ms,
				      memory_order_relaxed);
		options += 8;
	}
	if (flags & ITEM_HAS_MC_FLAGS)
		atomic_store_explicit((_Atomic uint32_t *)options, spec->mc_flags,
				      memory_order_relaxed);
	atomic_store_explicit(&item->marks_value_len,
			      spec->marks << VALUE_LEN_BITS | (uint32_t)before.len,
			      memory_order_relaxed);
	store_bytes(value, spec->value);
	TABLE_YIELD();
	store_bytes(value + spec->value.len, spec->value_tail);
	atomic_store_explicit(&item->version_flags, version << HDR_VERSION_SHIFT | flags,
			      memory_order_release);
}

/* Whether the spec's bytes would lie where the item's do. */
static bool same_shape(const struct item *item, const struct item_spec *spec)
{
	uint32_t flags = item__flags(item), differ = flags ^ item__flags_of_spec(spec, NULL);

	return flags & ITEM_REWRITTEN && (differ & ITEM_OPTIONS) == 0 &&
	       item__value_len(item) == spec->value.len + spec->value_tail.len;
}

/* A look without the lock, which most that do not fit are sent away by. */
static bool may_fit(const struct table_key *key, const struct item_spec *spec)
{
	uint64_t word;

	if (spec->blob || spec->value.len + spec->value_tail.len > ITEM_OVERWRITE_MAX)
		return false;
	return table__slot_find(key->home, key, &word) && same_shape(slot_item(word), spec);
}

static bool is_what_was_expected(const struct table_change *change, const struct item *item)
{
	return change->expected == TABLE_ANY ||
	       (change->expected != TABLE_ABSENT &&
		item__version(item) == item__version(change->expected)) ||
	       !TABLE_KEEPS(STEP_EXPECTATION);
}

/* Under the item's bucket's lock. */
static void store(struct table_thread *t, struct table_change *change, struct item *item,
		  const struct item_spec *spec)
{
	uint64_t before_ms = item__expire_ms(item);

	counter_add(&t->changes, 1);
	overwrite(item, spec, change->version);
	if (unlikely(t->log != NULL))
		effects__set(t, change->key.bytes, spec, change->version);
	// As for a value that takes another's place: a look-up before it has been noted already.
	if (change->expected == TABLE_ANY || !t->counts_accesses)
		access__note(t, item, change->key.hash);
	if (spec->expire_ms < before_ms)
		expire__note(t, change->key.hash, spec->expire_ms);
}

bool table_overwrite(struct table_thread *t, struct table_change *change,
		     const struct item_spec *spec, enum table_status *status)
{
	REQUIRE(t->may_write);
	uint64_t idx, hdr, word;

	if (!may_fit(&change->key, spec))
		return false;
	struct bucket *b = table__lock_home(t, change->key.hash, &idx, &hdr);
	slot_word *slot = table__slot_find(b, &change->key, &word);
	struct item *item = slot ? slot_item(word) : NULL;
	uint64_t version = hdr_version(hdr), flushed = table__flush_settled(t->table);
	bool fits = item && same_shape(item, spec) && table__item_live(t, item, flushed) &&
		    (atomic_load(&t->table->holders) == 0 || !TABLE_KEEPS(STEP_HOLD));

	if (fits && is_what_was_expected(change, item)) {
		version = change->version = table__version_next(t, version, flushed);
		table__displacing(t, hdr, version, item);
		store(t, change, item, spec);
		*status = TABLE_OK;
	} else {
		*status = TABLE_CONFLICT;
	}
	table__unlock(b, hdr, version);
	return fits;
}

/*
 * From here until the thread's next table_drop_found() no item changes that it finds in a bucket
 * which is unlocked then: a writer locks and then looks at `holders`, we count and then look at the
 * lock, and one of the two sees the other.
 */
COLD void stable__hold(struct table_thread *t)
{
	if (!t->holds)
		atomic_fetch_add(&t->table->holders, 1);
	t->holds = true;
	t->copies_used = COPIES_BYTES;
}

void table_drop_found(struct table_thread *t)
{
	t->copies_used = 0;
	if (likely(!t->holds))
		return;
	atomic_fetch_sub(&t->table->holders, 1);
	t->holds = false;
}
