/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#define NUMBER_TEXT_MAX 21 // "-9223372036854775808" and one to spare

/*
 * Strict decimal, as redis' string2ll: no blanks, no plus sign, no leading zeros but "0" itself,
 * the whole slice. False leaves *value alone. Any thread.
 */
bool number_parse_i64(struct slice text, int64_t *value);

/*
 * The same for unsigned numbers, but leading zeros are allowed, as memcached's strtoull callers do.
 */
bool number_parse_u64(struct slice text, uint64_t *value);

/* Writes decimal digits without a terminator; returns how many bytes (at most NUMBER_TEXT_MAX). */
size_t number_encode_u64(uint64_t value, uint8_t *to);
size_t number_encode_i64(int64_t value, uint8_t *to);
