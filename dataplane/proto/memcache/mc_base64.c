/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_base64.h"

/* Keys with bytes that the text protocol could not carry. Called by mc_meta.c and mc_meta_run.c. */

#define NO_DIGIT 64
#define PADDING  '='

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t digit_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	return c == '+' ? 62 : c == '/' ? 63 : NO_DIGIT;
}

size_t mc_base64_encode(struct slice from, uint8_t *to)
{
	uint8_t *at = to;

	for (size_t i = 0; i < from.len; i += 3) {
		size_t left = from.len - i;
		uint32_t word = (uint32_t)from.ptr[i] << 16 |
				(left > 1 ? (uint32_t)from.ptr[i + 1] << 8 : 0) |
				(left > 2 ? from.ptr[i + 2] : 0);

		*at++ = (uint8_t)digits[word >> 18];
		*at++ = (uint8_t)digits[word >> 12 & 63];
		*at++ = left > 1 ? (uint8_t)digits[word >> 6 & 63] : PADDING;
		*at++ = left > 2 ? (uint8_t)digits[word & 63] : PADDING;
	}
	return (size_t)(at - to);
}

/* Only whole groups of four make sense. */
static bool is_whole(struct slice from)
{
	size_t count = 0;

	for (size_t i = 0; i < from.len; i++)
		count += digit_value(from.ptr[i]) != NO_DIGIT || from.ptr[i] == PADDING;
	return count > 0 && count % 4 == 0;
}

size_t mc_base64_decode(struct slice from, uint8_t *to)
{
	uint32_t word = 0, count = 0, padding = 0;
	uint8_t *at = to;

	if (!is_whole(from))
		return 0;
	for (size_t i = 0; i < from.len && padding == 0; i++) {
		uint8_t value = digit_value(from.ptr[i]);

		if (value == NO_DIGIT && from.ptr[i] != PADDING)
			continue;
		// Within a group padding counts as a zero, and the group is the last.
		for (; i < from.len && count < 4; i++) {
			value = digit_value(from.ptr[i]);
			if (value == NO_DIGIT && from.ptr[i] != PADDING)
				continue;
			padding += from.ptr[i] == PADDING;
			word = word << 6 | (value == NO_DIGIT ? 0 : value);
			count++;
		}
		i--;
		*at++ = (uint8_t)(word >> 16);
		*at++ = (uint8_t)(word >> 8);
		*at++ = (uint8_t)word;
		word = count = 0;
	}
	return padding > 2 ? 0 : (size_t)(at - to) - padding;
}
