/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* The secret of a keyed hash. Filled once from getrandom() at start, or from a seed in a test. */
struct hash_key {
	uint64_t k0;
	uint64_t k1;
};

struct hash_sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t hash__rotl(uint64_t v, int bits)
{
	return (v << bits) | (v >> (64 - bits));
}

static inline void hash__sip_round(struct hash_sip *s)
{
	s->v0 += s->v1;
	s->v1 = hash__rotl(s->v1, 13) ^ s->v0;
	s->v0 = hash__rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = hash__rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = hash__rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = hash__rotl(s->v1, 17) ^ s->v2;
	s->v2 = hash__rotl(s->v2, 32);
}

static inline uint64_t hash__load_u64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

/* The last 0 to 7 bytes, with the length in the top byte. */
static inline uint64_t hash__load_tail(struct slice data)
{
	uint64_t v = (uint64_t)data.len << 56;
	size_t tail = data.len & 7;
	const uint8_t *from = data.ptr + data.len - tail;

	if (data.len >= 8) // two shifts, as one by 64 is none
		return v | hash__load_u64(from + tail - 8) >> 8 >> (56 - 8 * tail);
	for (size_t i = 0; i < tail; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

static inline void hash__sip_absorb(struct hash_sip *s, uint64_t word)
{
	s->v3 ^= word;
	hash__sip_round(s);
	s->v0 ^= word;
}

/*
 * SipHash-1-3, one round per 8 bytes and three to finish ("SipHash: a fast short-input PRF",
 * Aumasson and Bernstein, 2012): a client that cannot see the key cannot choose what collides.
 * About 20 cycles for 16 bytes, and so here rather than behind a call. Any thread.
 */
static inline uint64_t hash_siphash13(const struct hash_key *key, struct slice data)
{
	struct hash_sip s = {
		.v0 = key->k0 ^ 0x736f6d6570736575ULL,
		.v1 = key->k1 ^ 0x646f72616e646f6dULL,
		.v2 = key->k0 ^ 0x6c7967656e657261ULL,
		.v3 = key->k1 ^ 0x7465646279746573ULL,
	};
	const uint8_t *at = data.ptr;
	size_t words = data.len / 8;

	for (size_t i = 0; i < words; i++, at += 8)
		hash__sip_absorb(&s, hash__load_u64(at));
	hash__sip_absorb(&s, hash__load_tail(data));
	s.v2 ^= 0xff;
	hash__sip_round(&s);
	hash__sip_round(&s);
	hash__sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
