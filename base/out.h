/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/compiler.h"
#include "base/slice.h"

/*
 * Where a reply's bytes go: the tail of a connection's send queue on a worker, a growing buffer on
 * the control thread, an array in a test. The common case is a bounds check and a memcpy; the ops
 * are called only when the room at `pos` runs out. Owned by one thread.
 *
 * When the sink refuses (its limit is reached, no memory), `failed` is set and stays set;
 * everything written after that is dropped. The host of the connection looks at it once per command
 * and closes.
 */
struct out;

struct out_ops {
	// Makes room for `min` (<= OUT_RESERVE_MAX) contiguous bytes at pos, or returns false.
	bool (*grow)(struct out *out, size_t min);
	// Appends blob->bytes[offset, offset + len) by reference; takes a reference of its own.
	bool (*append_blob)(struct out *out, struct blob *blob, size_t offset, size_t len);
};

struct out {
	uint8_t *pos;
	uint8_t *end;
	const struct out_ops *ops;
	bool failed;
};

#define OUT_RESERVE_MAX 512 // bytes one out_reserve() may ask for

/*
 * Returns a place for `len` contiguous bytes, or NULL when the sink has failed. Commit with
 * out->pos += n.
 */
static inline uint8_t *out_reserve(struct out *out, size_t len)
{
	HOT_ASSERT(len <= OUT_RESERVE_MAX);
	if (likely((size_t)(out->end - out->pos) >= len))
		return out->pos;
	if (out->failed || !out->ops->grow(out, len)) {
		out->failed = true;
		return NULL;
	}
	return out->pos;
}

/* Copies any number of bytes. */
void out_append_slow(struct out *out, struct slice data);

static inline void out_append(struct out *out, struct slice data)
{
	if (data.len == 0)
		return;
	if (likely((size_t)(out->end - out->pos) >= data.len)) {
		memcpy(out->pos, data.ptr, data.len);
		out->pos += data.len;
		return;
	}
	out_append_slow(out, data);
}

static inline void out_append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	if (out->failed || !out->ops->append_blob(out, blob, offset, len))
		out->failed = true;
}

#define OUT_LITERAL(out, text) out_append((out), SLICE_LITERAL(text))

/* Decimal, without leading zeros. */
void out_append_u64(struct out *out, uint64_t value);
void out_append_i64(struct out *out, int64_t value);
