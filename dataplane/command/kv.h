/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/slice.h"
#include "dataplane/table/table.h"

#include <stdint.h>

/*
 * memcached's operations on the shared keyspace, without its syntax: storage with conditions, unsigned counters, touch. The text, meta
 * and binary protocols all end here. Results are enums; the item pointers are good until the next quiescent state.
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
	KV_EXISTS,     // cas unique differs
	KV_NOT_FOUND,
	KV_NO_MEMORY,
	KV_TOO_LARGE,
	KV_NON_NUMERIC,
	KV_DELETED,
	KV_TOUCHED,
	KV_HIT,
};

struct kv_store {
	struct table_key key;
	enum kv_mode mode;
	struct slice value;
	struct blob *blob;      // a long value; taken over when stored
	uint32_t flags;
	uint64_t expire_ms;     // Unix ms; 0 never; 1 means at once (memcached's negative exptime)
	uint64_t cas_unique;    // KV_CAS
	uint64_t value_max;     // memcached-max-item-size, for append and prepend
	struct item *stored;    // out
};

enum kv_result kv_store(struct table_thread *t, struct kv_store *store);
enum kv_result kv_delete(struct table_thread *t, const struct table_key *key);

/* Adds or subtracts (never below 0); wraps at 2^64 upward. *value is the result. */
enum kv_result kv_arith(struct table_thread *t, const struct table_key *key, bool increment,
			uint64_t delta, uint64_t *value);

/* Sets a new expiry and returns the item as it is then (touch, gat). */
enum kv_result kv_touch(struct table_thread *t, const struct table_key *key, uint64_t expire_ms,
			struct item **item);
