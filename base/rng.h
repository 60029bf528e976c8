/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * A seeded generator (splitmix64) for sampling, jitter and simulation. Not for secrets: those come
 * from getrandom() at start.
 */
struct rng {
	uint64_t state;
};

static inline struct rng rng_seeded(uint64_t seed)
{
	return (struct rng){seed};
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Uniform in [0, bound), by multiplication instead of a division. */
static inline uint32_t rng_below(struct rng *r, uint32_t bound)
{
	return (uint32_t)(((rng_next(r) >> 32) * (uint64_t)bound) >> 32);
}
