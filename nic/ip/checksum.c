/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/checksum.h"

/*
 * RFC 1071 sums over packets: called for headers always, for payloads when the port has not looked
 * at them. Pure functions of their bytes; any thread.
 */

#define BLOCK_BYTES 32

static inline uint64_t load64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

/* Adds modulo 2^64 - 1. That is a multiple of 2^16 - 1, so the 16-bit sum survives it. */
static inline uint64_t add_carry_around(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;

	return sum + (sum < a);
}

/* Fewer than eight bytes, padded with zeros behind. */
static inline uint64_t load_tail(const uint8_t *from, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, from, len);
	return v;
}

uint64_t ip_checksum_add(uint64_t sum, struct slice data)
{
	const uint8_t *at = data.ptr;
	size_t left = data.len;
	unsigned __int128 a = sum, b = 0;

	// Two chains of add-with-carry, whose carries collect in the upper halves.
	for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES) {
		a += load64(at);
		b += load64(at + 8);
		a += load64(at + 16);
		b += load64(at + 24);
	}
	for (; left >= 8; left -= 8, at += 8)
		a += load64(at);
	if (left > 0)
		b += load_tail(at, left);
	a += b;
	return add_carry_around((uint64_t)a, (uint64_t)(a >> 64));
}

uint64_t ip_checksum_add_plain(uint64_t sum, struct slice data)
{
	size_t i = 0;

	for (; i + 1 < data.len; i += 2)
		sum = add_carry_around(sum, (uint64_t)data.ptr[i] | (uint64_t)data.ptr[i + 1] << 8);
	if (i < data.len)
		sum = add_carry_around(sum, data.ptr[i]);
	return sum;
}
