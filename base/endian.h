/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>
#include <string.h>

/* Integers in network order are types of their own, so that a missing swap does not compile. */
struct be16 {
	uint16_t raw;
};

struct be32 {
	uint32_t raw;
};

static inline uint16_t be16_to_host(struct be16 v)
{
	return __builtin_bswap16(v.raw);
}

static inline uint32_t be32_to_host(struct be32 v)
{
	return __builtin_bswap32(v.raw);
}

static inline struct be16 be16_from_host(uint16_t v)
{
	return (struct be16){__builtin_bswap16(v)};
}

static inline struct be32 be32_from_host(uint32_t v)
{
	return (struct be32){__builtin_bswap32(v)};
}

/* Unaligned loads and stores at a place in a packet; the result of a load is in host order. */
static inline uint16_t be16_load(const void *from)
{
	uint16_t v;

	memcpy(&v, from, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t be32_load(const void *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return __builtin_bswap32(v);
}

static inline void be16_store(void *to, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(to, &v, sizeof(v));
}

static inline void be32_store(void *to, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(to, &v, sizeof(v));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the swaps above assume little endian");
