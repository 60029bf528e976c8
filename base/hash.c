/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/hash.h"

/*
 * SipHash-1-3: one round per 8 bytes, three to finish. Called for every key of a burst before any
 * bucket is touched. Specification: "SipHash: a fast short-input PRF", Aumasson and Bernstein,
 * 2012.
 */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t v, int bits)
{
	return (v << bits) | (v >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline uint64_t load_u64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return v;
}

/* The last 0 to 7 bytes, with the length in the top byte. */
static inline uint64_t load_tail(const uint8_t *from, size_t tail_bytes, size_t total_bytes)
{
	uint64_t v = (uint64_t)total_bytes << 56;

	for (size_t i = 0; i < tail_bytes; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

static inline void sip_absorb(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t hash_siphash13(const struct hash_key *key, struct slice data)
{
	struct sip s = {
		.v0 = key->k0 ^ 0x736f6d6570736575ULL,
		.v1 = key->k1 ^ 0x646f72616e646f6dULL,
		.v2 = key->k0 ^ 0x6c7967656e657261ULL,
		.v3 = key->k1 ^ 0x7465646279746573ULL,
	};
	const uint8_t *at = data.ptr;
	size_t words = data.len / 8;

	for (size_t i = 0; i < words; i++, at += 8)
		sip_absorb(&s, load_u64(at));
	sip_absorb(&s, load_tail(at, data.len & 7, data.len));
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
