/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Decimal numbers as memcached reads them, which is C's strtoull family with a check of what
 * follows: white space and a sign may lead, and the number ends at white space, at a NUL or with
 * the slice; what stands behind that is ignored. False leaves *value alone. Any thread.
 */

/* A minus sign is refused only where the result would not fit a signed number, as in memcached. */
bool kv_number_u64(struct slice text, uint64_t *value);

/* The same, cut to its low 32 bits: memcached takes flags of 4294967296 and stores 0. */
bool kv_number_u32(struct slice text, uint32_t *value);

/* A signed 64-bit number cut to its low 32 bits. */
bool kv_number_i32(struct slice text, int32_t *value);
