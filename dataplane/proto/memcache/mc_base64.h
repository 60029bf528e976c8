/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

/* Base64 (RFC 4648 4) of keys, as memcached's meta commands have them. Any thread. */

#define MC_BASE64_MAX(bytes) (((bytes) + 2) / 3 * 4)

/*
 * Writes MC_BASE64_MAX(from.len) bytes at most, and returns how many. `to` may not overlap.
 */
size_t mc_base64_encode(struct slice from, uint8_t *to);

/*
 * Writes from.len bytes at most. As memcached reads it: bytes of no meaning are passed over, and
 * what follows the padding is not looked at. 0: it is none.
 */
size_t mc_base64_decode(struct slice from, uint8_t *to);
