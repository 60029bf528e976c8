/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"

/*
 * A reply sink over a growing array, which copies blobs in. `limit` bounds its bytes (0: none);
 * `step` is how much room grow() adds at a time (0: plenty), so that a test can force every
 * boundary.
 */
struct fake_out {
	struct out out;
	uint8_t *bytes;
	size_t capacity;
	size_t limit;
	size_t step;
};

void fake_out_init(struct fake_out *f);
void fake_out_fini(struct fake_out *f);
struct slice fake_out_bytes(const struct fake_out *f);
void fake_out_clear(struct fake_out *f);
