/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/hash_many.h"

#include "base/compiler.h"

/*
 * SipHash of several keys side by side: one key alone is a chain of additions and rotations that
 * leaves most of a core idle. Keys take a lane each, as long as they have the same number of words;
 * where four in a row differ in that, each is hashed by itself.
 */

#define LANES 4

typedef uint64_t lanes __attribute__((vector_size(LANES * sizeof(uint64_t))));

struct sip_lanes {
	lanes v0, v1, v2, v3;
};

#define ALL(v) ((lanes){(v), (v), (v), (v)})
#define EACH(load, of)                                                                             \
	((lanes){load(data[0] of), load(data[1] of), load(data[2] of), load(data[3] of)})
#define ROTL(v, bits) ((v) << (bits) | (v) >> (64 - (bits)))

static ALWAYS_INLINE void round_lanes(struct sip_lanes *s)
{
	s->v0 += s->v1;
	s->v1 = ROTL(s->v1, 13) ^ s->v0;
	s->v0 = ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTL(s->v1, 17) ^ s->v2;
	s->v2 = ROTL(s->v2, 32);
}

static ALWAYS_INLINE void absorb_lanes(struct sip_lanes *s, const lanes *word)
{
	s->v3 ^= *word;
	round_lanes(s);
	s->v0 ^= *word;
}

static ALWAYS_INLINE uint64_t load_last(struct slice data)
{
	return hash__load_u64(data.ptr + data.len - 8);
}

/* The last 0 to 7 bytes of each, with the length in the top byte. */
static ALWAYS_INLINE void load_tails(const struct slice *data, lanes *tails)
{
	const lanes len = EACH(, .len);

	if (likely(data[0].len >= 8)) { // so all are
		*tails = EACH(load_last, ) >> (56 - 8 * (len & 7)) >> 8;
		*tails |= len << 56;
	} else {
		*tails = EACH(hash__load_tail, );
	}
}

static ALWAYS_INLINE void hash_lanes(const struct hash_key *key, const struct slice *data,
				     uint64_t *hashes)
{
	struct sip_lanes s = {
		.v0 = ALL(key->k0 ^ 0x736f6d6570736575ULL),
		.v1 = ALL(key->k1 ^ 0x646f72616e646f6dULL),
		.v2 = ALL(key->k0 ^ 0x6c7967656e657261ULL),
		.v3 = ALL(key->k1 ^ 0x7465646279746573ULL),
	};
	const size_t whole = data[0].len & ~(size_t)7;
	lanes tails;

	// Lane by lane: a wide load from memory would wait for the narrow stores before it.
	for (size_t at = 0; at < whole; at += 8)
		absorb_lanes(&s, &EACH(hash__load_u64, .ptr + at));
	load_tails(data, &tails);
	absorb_lanes(&s, &tails);
	s.v2 ^= ALL(0xffULL);
	round_lanes(&s);
	round_lanes(&s);
	round_lanes(&s);
	s.v0 ^= s.v1 ^ s.v2 ^ s.v3;
	memcpy(hashes, &s.v0, sizeof(s.v0));
}

static ALWAYS_INLINE bool same_words(const struct slice *data)
{
	size_t differ = 0;

	for (uint32_t i = 1; i < LANES; i++)
		differ |= data[i].len ^ data[0].len;
	return differ < 8;
}

static void hash_each(const struct hash_key *key, const struct slice *data, uint64_t *hashes,
		      uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		hashes[i] = hash_siphash13(key, data[i]);
}

static ALWAYS_INLINE void hash_many(const struct hash_key *key, const struct slice *data,
				    uint64_t *hashes, uint32_t count)
{
	uint32_t i = 0;

	for (; i + LANES <= count; i += LANES) {
		if (likely(same_words(data + i)))
			hash_lanes(key, data + i, hashes + i);
		else
			hash_each(key, data + i, hashes + i, LANES);
	}
	hash_each(key, data + i, hashes + i, count - i);
}

static bool runs_anywhere(void)
{
	return true;
}

#if defined(__x86_64__)

/* Has rotations, which count most. */
__attribute__((target("avx2,avx512f,avx512vl"))) static void hash_avx512(const struct hash_key *key,
									 const struct slice *data,
									 uint64_t *hashes,
									 uint32_t count)
{
	hash_many(key, data, hashes, count);
}

__attribute__((target("avx2"))) static void hash_avx2(const struct hash_key *key,
						      const struct slice *data, uint64_t *hashes,
						      uint32_t count)
{
	hash_many(key, data, hashes, count);
}

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

#endif

const struct hash_many_variant hash_many_variants[] = {
#if defined(__x86_64__)
	{"avx512", has_avx512, hash_avx512},
	{"avx2", has_avx2, hash_avx2},
#endif
	{"one by one", runs_anywhere, hash_each},
	{NULL, NULL, NULL},
};

hash_many_fn *hash_many_best(void)
{
	const struct hash_many_variant *variant = hash_many_variants;

	while (!variant->runs_here())
		variant++;
	return variant->hash;
}
