/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/compiler.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdint.h>

/*
 * One key and its value. Whoever found it in the table may read it until the thread's next
 * table_set_time(), and nothing of it changes; of a short item, which may be overwritten in place,
 * it is a copy.
 *
 * Its layout belongs to this folder (item_layout.h); nobody else computes offsets.
 */
struct item;

#define ITEM_VALUE_INLINE_MAX 4096           // bytes; longer values live in a blob
#define ITEM_VALUE_MAX        ((1ULL << 30) - 1) // bytes (memcached -I 1024m)
#define ITEM_KEY_MAX          (512ULL << 20) // bytes; RESP keys may be as long as values

/* What OBJECT ENCODING is to say of a value beside what it sees; the bytes are always text. */
enum item_encoding {
	ITEM_PLAIN,  // by the value: a number, short, or long
	ITEM_TEXT,   // no number, even if it looks like one
	ITEM_EDITED, // as if it were long
	ITEM_STALE,  // like ITEM_PLAIN, and outdated: memcached's meta commands say so
};

/* What is noted of an item without changing it: its version stays. A new value has none of them. */
#define ITEM_FETCHED 1U // a memcached client has read it
#define ITEM_WON     2U // a client has been told to renew it (meta commands), others wait

/* What one needs to build an item. Expiry is in Unix milliseconds, 0: never. */
struct item_spec {
	struct slice key;
	struct slice value;      // copied in when it is short; ignored when blob is set
	struct slice value_tail; // copied in behind it (APPEND); may be empty
	struct blob *blob; // a long value; the item takes over the caller's reference on success
	uint64_t expire_ms;
	uint32_t mc_flags; // memcached client flags
	enum item_encoding encoding;
	uint32_t marks; // ITEM_FETCHED, ITEM_WON
};

struct slice item_key(const struct item *item);
struct slice item_value(const struct item *item); // contiguous, whether inline or in a blob
struct blob *item_blob(const struct item *item);  // NULL when the value is inline
uint64_t item_expire_ms(const struct item *item); // 0: never
uint32_t item_mc_flags(const struct item *item);
enum item_encoding item_encoding(const struct item *item);
uint32_t item_marks(const struct item *item);
uint64_t item_version(const struct item *item);
uint32_t item_idle_s(const struct item *item,
		     uint64_t now_ms);             // since the last access, in whole seconds
size_t item_memory_bytes(const struct item *item); // all of it, blob included
