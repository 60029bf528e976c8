/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_space.h"

#include <math.h>

/*
 * Which key is next. Called by the engine for each request, so each draw is a few operations and
 * keeps no table of the keys. Zipf's law follows W. Hörmann and G. Derflinger, "Rejection-inversion
 * to generate variates from monotone discrete distributions" (1996): draw from the integral H of
 * x^-e, round, and reject what the rounding has favoured.
 */

#define SCATTER 2654435761u // prime: ranks that follow each other are keys far apart

static double zipf_h(const struct load_draw *d, double x)
{
	double log_x = log(x), power = (1 - d->zipf_exponent) * log_x;

	// (x^(1-e) - 1) / (1 - e), and log(x) where e is 1
	return fabs(power) > 1e-8 ? expm1(power) / (1 - d->zipf_exponent) : log_x;
}

static double zipf_h_inverse(const struct load_draw *d, double y)
{
	double t = y * (1 - d->zipf_exponent);

	if (t < -1)
		t = -1;
	return exp(fabs(t) > 1e-8 ? log1p(t) / (1 - d->zipf_exponent) : y);
}

static double uniform(struct rng *rng)
{
	return (double)(rng_next(rng) >> 11) / 9007199254740992.0;
}

void load_draw_init(struct load_draw *d, const struct load_options *o, enum load_pattern pattern,
		    uint32_t client)
{
	uint64_t count = o->key_max - o->key_min + 1;

	*d = (struct load_draw){
		.pattern = pattern,
		.from = o->key_min,
		.count = count,
		.zipf_exponent = o->zipf_exponent,
	};
	if (pattern == LOAD_PARALLEL) {
		uint64_t begin = count * client / o->clients;

		d->from += begin;
		d->count = count * (client + 1) / o->clients - begin;
	}
	d->zipf_high = zipf_h(d, (double)count + 0.5);
	d->zipf_low = zipf_h(d, 1.5) - 1;
	d->zipf_cut = 2 - zipf_h_inverse(d, zipf_h(d, 2.5) - pow(2, -d->zipf_exponent));
}

/* A rank from 1 to count. */
static uint64_t draw_zipf(const struct load_draw *d, struct rng *rng)
{
	for (;;) {
		double u = d->zipf_high + uniform(rng) * (d->zipf_low - d->zipf_high);
		double x = zipf_h_inverse(d, u), rank = floor(x + 0.5);

		if (rank < 1)
			rank = 1;
		else if (rank > (double)d->count)
			rank = (double)d->count;
		if (rank - x <= d->zipf_cut ||
		    u >= zipf_h(d, rank + 0.5) - exp(-log(rank) * d->zipf_exponent))
			return (uint64_t)rank;
	}
}

/* Mean in the middle, three standard deviations to each end; what lies beyond is drawn again. */
static uint64_t draw_gauss(const struct load_draw *d, struct rng *rng)
{
	double count = (double)d->count;

	for (;;) {
		double radius = sqrt(-2 * log(1 - uniform(rng)));
		double at = count / 2 + count / 6 * radius * cos(2 * M_PI * uniform(rng));

		if (at >= 0 && at < count)
			return (uint64_t)at;
	}
}

uint64_t load_draw_next(struct load_draw *d, struct rng *rng)
{
	uint64_t at = 0;

	if (d->count == 0) // more clients than keys: some have no share
		return d->from;
	switch (d->pattern) {
	case LOAD_UNIFORM:
		at = rng_below(rng, (uint32_t)d->count);
		break;
	case LOAD_ZIPF:
		at = draw_zipf(d, rng) % d->count * SCATTER % d->count;
		break;
	case LOAD_GAUSS:
		at = draw_gauss(d, rng);
		break;
	case LOAD_SEQUENTIAL:
	case LOAD_PARALLEL:
		at = d->at;
		d->at = at + 1 == d->count ? 0 : at + 1;
		break;
	}
	return d->from + at;
}
