/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"

#include <sys/types.h>

/*
 * The reply sink of an admin connection: a list of chunks that own their bytes or refer to a
 * blob's, written to a kernel socket as it takes them. Inside ctrl/admin only. Control thread.
 */

#define ADMIN_OUT_COPIED_MAX                                                                       \
	(64u << 20)               // bytes copied and not yet written, at which the sink refuses
#define ADMIN_OUT_FULL (1u << 20) // bytes queued above which no further request is read

struct admin_chunk;

struct admin_out {
	struct out out;
	struct admin_chunk *first, *last;
	size_t copied_bytes;   // room of all own chunks
	size_t referred_bytes; // of blobs, not yet written
};

void admin_out_init(struct admin_out *out);
void admin_out_fini(struct admin_out *out);

/* Bytes not yet written. */
size_t admin_out_queued(const struct admin_out *out);

/* Writes what the socket takes. 0 (there may be more queued) or a negative errno. */
MUST_USE int admin_out_flush(struct admin_out *out, int fd);
