/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/contract.h"

#include <stdatomic.h>
#include <stdint.h>

/*
 * A large immutable value, shared by reference between the item that holds it and the connections
 * that are sending it. The owner of each reference drops it with blob_unref(); the last one frees,
 * on whichever thread that is. While it is being filled it has one owner, which alone may write
 * `bytes`.
 */
struct blob {
	_Atomic uint32_t refs;
	uint32_t reserved;
	void (*release)(struct blob *blob); // [const] called once, by the last unref
	uint64_t len;                       // bytes of value
	uint64_t capacity;                  // bytes that `bytes` has room for
	uint8_t bytes[];
};

static inline struct blob *blob_ref(struct blob *blob)
{
	uint32_t before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);

	INVARIANT(before > 0 && before < UINT32_MAX / 2);
	return blob;
}

static inline void blob_unref(struct blob *blob)
{
	// Release: our reads of the bytes come first. Acquire: so do all others' before the free.
	if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1)
		blob->release(blob);
}
