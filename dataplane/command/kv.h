/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/slice.h"
#include "dataplane/table/table.h"

#include <stdint.h>

/*
 * memcached's operations on the shared keyspace, without its syntax: storage with conditions,
 * unsigned counters, touch, the delayed flush. The text, meta and binary protocols all end here.
 * Results are enums; item pointers are good until the next table_set_time(). All calls come
 * from a thread whose table_thread may write.
 */
enum kv_mode {
	KV_SET,
	KV_ADD,
	KV_REPLACE,
	KV_APPEND,
	KV_PREPEND,
	KV_CAS,
};

enum kv_result {
	KV_STORED,
	KV_NOT_STORED,
	KV_EXISTS, // cas unique differs
	KV_NOT_FOUND,
	KV_NO_MEMORY,
	KV_TOO_LARGE, // append or prepend beyond value_max
	KV_NON_NUMERIC,
	KV_DELETED,
	KV_TOUCHED,
	KV_HIT,
};

struct kv_store {
	struct table_key key;
	enum kv_mode mode;
	struct slice value;  // ignored when there is a blob
	struct blob *blob;   // a long value, or NULL; the item takes a reference of its own
	uint32_t flags;      // append and prepend keep those of the item
	uint64_t expire_ms;  // Unix ms; 0 never; KV_EXPIRED at once; append and prepend keep it
	uint64_t cas_unique; // KV_CAS
	uint64_t value_max;  // longest result of append and prepend, bytes
};

#define KV_EXPIRED 1 // expire_ms of an item that is stored and gone (memcached's negative exptime)

enum kv_result kv_store(struct table_thread *t, struct kv_store *store);

/* KV_DELETED, KV_NOT_FOUND or KV_NO_MEMORY. */
enum kv_result kv_delete(struct table_thread *t, const struct table_key *key);

/*
 * Adds or subtracts (never below 0); wraps at 2^64 upward. *value is the result. As in memcached
 * a result that is shorter than the value it replaces is padded with blanks to the old length.
 */
enum kv_result kv_arith(struct table_thread *t, const struct table_key *key, bool increment,
			uint64_t delta, uint64_t *value);

/* An item as it was found, and the version (cas unique) that it has since. */
struct kv_touched {
	const struct item *item;
	uint64_t version;
};

/*
 * Sets a new expiry (touch, gat). KV_TOUCHED, KV_NOT_FOUND or KV_NO_MEMORY; but for KV_NOT_FOUND
 * *touched is what was there. A changed expiry is a change of the key, so it renews the cas unique.
 */
enum kv_result kv_touch(struct table_thread *t, const struct table_key *key, uint64_t expire_ms,
			struct kv_touched *touched);

/*
 * The delayed flush of the process: one pending time (Unix ms), which the next call replaces; 0
 * cancels it. Whichever writer thread first calls kv_flush_tick() at or after that time hides all
 * items, once. Any thread.
 */
void kv_flush_schedule(uint64_t at_ms);
void kv_flush_tick(struct table_thread *t, uint64_t now_ms);
