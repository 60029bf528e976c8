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
	uint64_t cas_unique; // KV_CAS; of append and prepend 0: whatever is there
	bool or_stale;       // KV_CAS: a unique older than the item's stores a stale value
	uint64_t value_max;  // longest result of append and prepend, bytes
	uint64_t version;    // out: the cas unique of what was stored
};

#define KV_EXPIRED 1 // expire_ms of an item that is stored and gone (memcached's negative exptime)

enum kv_result kv_store(struct table_thread *t, struct kv_store *store);

/* What a deletion wants to be so, and does instead (the meta command md). All zero: plain. */
struct kv_delete {
	uint64_t cas_unique; // 0: whatever is there
	bool to_stale;       // keep the value, outdated: the next reader is told to renew it
	bool new_expiry;     // of what is kept
	uint64_t expire_ms;
};

/* KV_DELETED, KV_NOT_FOUND, KV_EXISTS (another cas unique) or KV_NO_MEMORY. */
enum kv_result kv_delete(struct table_thread *t, const struct table_key *key,
			 const struct kv_delete *how);

/*
 * Adds or subtracts (never below 0); wraps at 2^64 upward. As in memcached a result that is shorter
 * than the value it replaces is padded with blanks to the old length.
 */
struct kv_arith {
	bool increment;
	uint64_t delta;
	uint64_t cas_unique; // 0: whatever is there
	bool new_expiry;     // of a counter that is there
	uint64_t expire_ms;
	bool creates; // with these, if it is not there
	uint64_t initial;
	uint64_t initial_expire_ms;
	// Out:
	bool created;
	uint64_t value, version;
	uint64_t before_expire_ms; // of a counter that was there
};

/* KV_STORED, KV_NOT_FOUND, KV_EXISTS, KV_NON_NUMERIC or KV_NO_MEMORY. */
enum kv_result kv_arith(struct table_thread *t, const struct table_key *key,
			struct kv_arith *arith);

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

/* A read with consequences (the meta command mg). Times are Unix ms; 0: never. */
struct kv_fetch {
	bool quiet; // not to be noted as an access
	bool creates;
	uint64_t initial_expire_ms; // of the empty item that a miss then leaves
	bool new_expiry;
	uint64_t expire_ms;
	bool renews; // whoever reads it with less left than this is told to
	uint64_t renew_below_s;
	// Out: the item as it was found, or the empty one.
	const struct item *item;
	uint64_t version;
	uint64_t before_expire_ms; // 0 if it was not there
	uint32_t idle_s;
	bool fetched; // before
	bool stale;
	bool won;     // the caller is the one to renew it
	bool awaited; // another client was told to
	bool created;
};

/*
 * KV_HIT, KV_NOT_FOUND or KV_NO_MEMORY. Of all who read a value that is stale or about to expire,
 * or is not there, exactly one has won: until it is stored anew, or made stale once more.
 */
enum kv_result kv_fetch(struct table_thread *t, const struct table_key *key, uint64_t now_ms,
			struct kv_fetch *fetch);

/* Whole seconds that are left, rounded up, as memcached's clock has them; UINT64_MAX: for ever. */
uint64_t kv_seconds_left(uint64_t expire_ms, uint64_t now_ms);

/*
 * The delayed flush of the process: one pending time (Unix ms), which the next call replaces; 0
 * cancels it. Whichever writer thread first calls kv_flush_tick() at or after that time hides all
 * items, once. Any thread.
 */
void kv_flush_schedule(uint64_t at_ms);
void kv_flush_tick(struct table_thread *t, uint64_t now_ms);
