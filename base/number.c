/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

/*
 * Numbers as text, both ways. Every reply with a length and every request with a count comes
 * through here, so there is no printf and no strtoll. Pure; any thread.
 */

bool number_parse_u64(struct slice text, uint64_t *value)
{
	uint64_t v = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t digit = (uint8_t)(text.ptr[i] - '0');

		if (digit > 9)
			return false;
		if (v > UINT64_MAX / 10 || (v == UINT64_MAX / 10 && digit > UINT64_MAX % 10))
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return true;
}

bool number_parse_i64(struct slice text, int64_t *value)
{
	bool negative = text.len > 0 && text.ptr[0] == '-';
	struct slice digits = slice_of(text.ptr + negative, text.len - negative);
	uint64_t v;

	if (digits.len == 0 || (digits.ptr[0] == '0' && (digits.len > 1 || negative)))
		return false;
	if (!number_parse_u64(digits, &v))
		return false;
	if (v > (uint64_t)INT64_MAX + negative)
		return false;
	*value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
				  "25262728293031323334353637383940414243444546474849"
				  "50515253545556575859606162636465666768697071727374"
				  "75767778798081828384858687888990919293949596979899";

size_t number_encode_u64(uint64_t value, uint8_t *to)
{
	uint8_t text[NUMBER_TEXT_MAX];
	size_t at = sizeof(text);

	while (value >= 100) {
		at -= 2;
		memcpy(&text[at], &digit_pairs[2 * (value % 100)], 2);
		value /= 100;
	}
	if (value >= 10) {
		at -= 2;
		memcpy(&text[at], &digit_pairs[2 * value], 2);
	} else {
		text[--at] = (uint8_t)('0' + value);
	}
	memcpy(to, &text[at], sizeof(text) - at);
	return sizeof(text) - at;
}

size_t number_encode_i64(int64_t value, uint8_t *to)
{
	if (value >= 0)
		return number_encode_u64((uint64_t)value, to);
	to[0] = '-';
	return 1 + number_encode_u64(0 - (uint64_t)value, to + 1);
}
