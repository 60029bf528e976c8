/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/item.h"

#include "base/contract.h"
#include "dataplane/table/table_internal.h"

#include <string.h>

/*
 * One key and its value in one piece of memory (item_layout.h). Built by a writer before it locks
 * anything, published by commit.c, read by everyone, freed by reclaim.c after a grace period.
 */

struct slice item_key(const struct item *item)
{
	return item__key(item);
}

struct blob *item_blob(const struct item *item)
{
	uint32_t flags = item__flags(item);

	if (!(flags & ITEM_HAS_BLOB))
		return NULL;
	return (struct blob *)(uintptr_t)item__option_u64(item, flags & ITEM_HAS_EXPIRY ? 8 : 0);
}

struct slice item_value(const struct item *item)
{
	const struct blob *blob = item_blob(item);

	if (blob)
		return slice_of(blob->bytes, item__value_len(item));

	struct slice key = item_key(item);

	return slice_of(key.ptr + key.len, item__value_len(item));
}

uint64_t item_expire_ms(const struct item *item)
{
	return item__expire_ms(item);
}

uint32_t item_mc_flags(const struct item *item)
{
	uint32_t flags = item__flags(item);

	if (!(flags & ITEM_HAS_MC_FLAGS))
		return 0;
	return item__option_u32(item,
				item__options_bytes(flags & (ITEM_HAS_EXPIRY | ITEM_HAS_BLOB)));
}

enum item_encoding item_encoding(const struct item *item)
{
	return (enum item_encoding)(item__flags(item) >> ITEM_ENCODING_BIT & 3);
}

uint32_t item_marks(const struct item *item)
{
	return item__marks_value_len(item) >> VALUE_LEN_BITS;
}

uint64_t item_version(const struct item *item)
{
	return item__version(item);
}

void item__set_version(struct item *item, uint64_t version)
{
	HOT_ASSERT(version > 0 && version <= VERSION_MAX);
	atomic_store_explicit(&item->version_flags,
			      version << HDR_VERSION_SHIFT | item__flags(item),
			      memory_order_relaxed);
}

void item__note_rewritten(struct item *item)
{
	uint64_t word = atomic_load_explicit(&item->version_flags, memory_order_relaxed);

	if (item__size_bytes(item) <= ITEM_OVERWRITE_MAX && !(word & ITEM_HAS_BLOB))
		atomic_store_explicit(&item->version_flags, word | ITEM_REWRITTEN,
				      memory_order_relaxed);
}

uint32_t item_idle_s(const struct item *item, uint64_t now_ms)
{
	return ((uint32_t)(now_ms / 1000) - item__lru_key_len(item)) & LRU_MASK;
}

static size_t blob_memory_bytes(const struct blob *blob)
{
	return sizeof(*blob) + blob->capacity;
}

size_t item_memory_bytes(const struct item *item)
{
	const struct blob *blob = item_blob(item);

	return table__usable_bytes(item__size_bytes(item)) + (blob ? blob_memory_bytes(blob) : 0);
}

/* What freeing the item will give back: of a shared blob, nothing. */
uint64_t item__retired_bytes(const struct item *item)
{
	struct blob *blob = item_blob(item);
	uint64_t bytes = table__usable_bytes(item__size_bytes(item));

	if (unlikely(blob) && atomic_load_explicit(&blob->refs, memory_order_relaxed) == 1)
		bytes += blob_memory_bytes(blob);
	return bytes;
}

uint32_t item__flags_of_spec(const struct item_spec *spec, const struct blob *blob)
{
	return (spec->expire_ms ? ITEM_HAS_EXPIRY : 0) | (spec->mc_flags ? ITEM_HAS_MC_FLAGS : 0) |
	       (spec->key.len > KEY_LEN_SHORT ? ITEM_HAS_LONG_KEY : 0) |
	       (blob ? ITEM_HAS_BLOB : 0) | (uint32_t)spec->encoding << ITEM_ENCODING_BIT;
}

/* Most keys and values have 8 to 32 bytes: two moves that may overlap, and no call. */
static inline void copy_slice(uint8_t *to, struct slice from)
{
	if (from.len - 16 <= 16) {
		memcpy(to, from.ptr, 16);
		memcpy(to + from.len - 16, from.ptr + from.len - 16, 16);
	} else if (from.len - 8 <= 8) {
		memcpy(to, from.ptr, 8);
		memcpy(to + from.len - 8, from.ptr + from.len - 8, 8);
	} else if (from.len) {
		memcpy(to, from.ptr, from.len);
	}
}

static void item_fill(struct item *item, const struct item_spec *spec, struct blob *blob,
		      uint32_t flags)
{
	uint32_t key_len = (uint32_t)spec->key.len;
	uint8_t *at = item->rest;

	if (flags & ITEM_HAS_EXPIRY) {
		memcpy(at, &spec->expire_ms, 8);
		at += 8;
	}
	if (flags & ITEM_HAS_BLOB) {
		memcpy(at, &blob, 8);
		at += 8;
	}
	if (flags & ITEM_HAS_MC_FLAGS) {
		memcpy(at, &spec->mc_flags, 4);
		at += 4;
	}
	if (flags & ITEM_HAS_LONG_KEY) {
		memcpy(at, &key_len, 4);
		at += 4;
	}
	copy_slice(at, spec->key);
	if (!blob) {
		copy_slice(at + key_len, spec->value);
		copy_slice(at + key_len + spec->value.len, spec->value_tail);
	}
}

/* The value of the spec as a blob of its own. */
static struct blob *blob_of_spec(struct table_thread *t, const struct item_spec *spec)
{
	struct blob *blob = table_blob_new(t, spec->value.len + spec->value_tail.len);

	if (!blob)
		return NULL;
	copy_slice(blob->bytes, spec->value);
	copy_slice(blob->bytes + spec->value.len, spec->value_tail);
	blob->len = spec->value.len + spec->value_tail.len;
	return blob;
}

struct item *table_item_new(struct table_thread *t, const struct item_spec *spec)
{
	REQUIRE(t->may_write);
	uint64_t value_len = spec->blob ? spec->blob->len : spec->value.len + spec->value_tail.len;
	struct blob *blob = spec->blob;

	if (value_len > ITEM_VALUE_MAX || spec->key.len > ITEM_KEY_MAX)
		return NULL;
	if (!blob && value_len > ITEM_VALUE_INLINE_MAX) {
		blob = blob_of_spec(t, spec);
		if (!blob)
			return NULL;
	}
	uint32_t flags = item__flags_of_spec(spec, blob);
	size_t bytes = sizeof(struct item) + item__options_bytes(flags) + spec->key.len +
		       (blob ? 0 : value_len);
	struct item *item = table__alloc(t, (bytes + 7) & ~(size_t)7); // copied by whole words

	if (!item) {
		if (blob != spec->blob)
			blob_unref(blob);
		return NULL;
	}
	uint32_t key_len = flags & ITEM_HAS_LONG_KEY ? 0 : (uint32_t)spec->key.len;

	atomic_init(&item->version_flags, flags);
	atomic_init(&item->lru_key_len, key_len << LRU_BITS | t->access_first);
	atomic_init(&item->marks_value_len, spec->marks << VALUE_LEN_BITS | (uint32_t)value_len);
	item_fill(item, spec, blob, flags);
	return item;
}

void item__free(struct table_thread *t, struct item *item)
{
	struct blob *blob = item_blob(item);

	table__dealloc(t, item, item__size_bytes(item));
	if (unlikely(blob))
		blob_unref(blob);
}

void table_item_discard(struct table_thread *t, struct item *item)
{
	if (item)
		item__free(t, item);
}
