/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/bucket.h"
#include "dataplane/table/item.h"

#include <string.h>

/*
 * The bytes of an item, for the files of this folder: lookups compare keys, judge and touch items
 * without a call.
 *
 *   +0   version 56 | flags 8        the version is written once, just before the item is published
 *   +8   access 24 | key_len 8       changes later, see access.c
 *   +12  marks 2 | value_len 30      as the item's marks do, see mark.c
 *   +16  [expire_ms 8] [blob 8] [mc_flags 4] [key_len 4, when it does not fit above]
 *        key, then the value unless a blob holds it
 */
struct item {
	_Atomic uint64_t version_flags;
	_Atomic uint32_t lru_key_len;
	_Atomic uint32_t marks_value_len;
	uint8_t rest[];
};

_Static_assert(sizeof(struct item) == 16, "the header that the memory figures rely on");

#define VALUE_LEN_BITS 30
#define VALUE_LEN_MASK ((1U << VALUE_LEN_BITS) - 1)

_Static_assert(ITEM_VALUE_MAX <= VALUE_LEN_MASK, "value_len holds it");

#define ITEM_HAS_EXPIRY   1U
#define ITEM_HAS_MC_FLAGS 2U
#define ITEM_HAS_LONG_KEY 4U
#define ITEM_HAS_BLOB     8U
#define ITEM_OPTIONS      15U
#define ITEM_ENCODING_BIT 4    // where the two bits of the encoding are
#define ITEM_REWRITTEN    64U  // has taken another's place, and may be overwritten: stable.h
#define ITEM_CHANGES      128U // is just being overwritten

#define ITEM_OVERWRITE_MAX 128 // bytes, all in: longer ones are always replaced

#define LRU_BITS      24
#define LRU_MASK      ((1U << LRU_BITS) - 1)
#define KEY_LEN_SHORT 255U // longest that fits beside the lru clock

static inline uint32_t item__flags(const struct item *item)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&item->version_flags,
				    memory_order_relaxed) &
	       0xff;
}

static inline uint64_t item__version(const struct item *item)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&item->version_flags,
				    memory_order_relaxed) >>
	       HDR_VERSION_SHIFT;
}

static inline uint32_t item__lru_key_len(const struct item *item)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&item->lru_key_len,
				    memory_order_relaxed);
}

static inline uint32_t item__marks_value_len(const struct item *item)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&item->marks_value_len,
				    memory_order_relaxed);
}

static inline size_t item__value_len(const struct item *item)
{
	return item__marks_value_len(item) & VALUE_LEN_MASK;
}

static inline size_t item__options_bytes(uint32_t flags)
{
#define OPTIONS_BYTES(f)                                                                           \
	(((f)&ITEM_HAS_EXPIRY ? 8 : 0) + ((f)&ITEM_HAS_BLOB ? 8 : 0) +                             \
	 ((f)&ITEM_HAS_MC_FLAGS ? 4 : 0) + ((f)&ITEM_HAS_LONG_KEY ? 4 : 0))
	static const uint8_t bytes[ITEM_OPTIONS + 1] = {
		OPTIONS_BYTES(0),  OPTIONS_BYTES(1),  OPTIONS_BYTES(2),  OPTIONS_BYTES(3),
		OPTIONS_BYTES(4),  OPTIONS_BYTES(5),  OPTIONS_BYTES(6),  OPTIONS_BYTES(7),
		OPTIONS_BYTES(8),  OPTIONS_BYTES(9),  OPTIONS_BYTES(10), OPTIONS_BYTES(11),
		OPTIONS_BYTES(12), OPTIONS_BYTES(13), OPTIONS_BYTES(14), OPTIONS_BYTES(15),
	};
#undef OPTIONS_BYTES

	return bytes[flags & ITEM_OPTIONS];
}

static inline uint64_t item__option_u64(const struct item *item, size_t offset)
{
	uint64_t v;

	memcpy(&v, item->rest + offset, sizeof(v));
	return v;
}

static inline uint32_t item__option_u32(const struct item *item, size_t offset)
{
	uint32_t v;

	memcpy(&v, item->rest + offset, sizeof(v));
	return v;
}

static inline struct slice item__key(const struct item *item)
{
	uint32_t flags = item__flags(item);
	size_t at = item__options_bytes(flags);
	size_t len = item__lru_key_len(item) >> LRU_BITS;

	if (unlikely(flags & ITEM_HAS_LONG_KEY))
		len = item__option_u32(item, at - 4);
	return slice_of(item->rest + at, len);
}

static inline uint64_t item__expire_ms(const struct item *item)
{
	if (!(item__flags(item) & ITEM_HAS_EXPIRY))
		return 0;
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)item->rest,
				    memory_order_relaxed);
}

static inline uint32_t item__access(const struct item *item)
{
	return item__lru_key_len(item) & LRU_MASK;
}

/* Stores when there is something to, into a line that the key comparison has loaded anyway. */
static inline void item__set_access(struct item *item, uint32_t access)
{
	uint32_t word = item__lru_key_len(item);

	if ((word & LRU_MASK) != access)
		atomic_store_explicit(&item->lru_key_len, (word & ~LRU_MASK) | access,
				      memory_order_relaxed);
}

/* Without a blob, which is a piece of memory of its own. */
static inline size_t item__size_bytes(const struct item *item)
{
	uint32_t flags = item__flags(item);

	return sizeof(struct item) + item__options_bytes(flags) + item__key(item).len +
	       (flags & ITEM_HAS_BLOB ? 0 : item__value_len(item));
}

/* Keys of 8 to 16 bytes, which most are, without a call: two words that may overlap. */
static inline bool item__key_equal(const struct item *item, struct slice key)
{
	struct slice own = item__key(item);
	uint64_t a[2], b[2];

	if (own.len != key.len)
		return false;
	if (key.len < 8 || key.len > 16)
		return key.len == 0 || memcmp(own.ptr, key.ptr, key.len) == 0;
	memcpy(&a[0], own.ptr, 8);
	memcpy(&a[1], own.ptr + own.len - 8, 8);
	memcpy(&b[0], key.ptr, 8);
	memcpy(&b[1], key.ptr + key.len - 8, 8);
	return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}
