/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_hist.h"

#include <math.h>
#include <string.h>

/*
 * Log-linear buckets. Up to 2^(BITS + 1) each value has its own; above that, the highest BITS bits
 * below the leading one choose the step. Filled by load_engine.c, read by load_report.c.
 */

#define STEPS          (1u << LOAD_HIST_BITS)
#define TICKS_PER_HALF 5 // lines of the printed distribution per halving of the rest

void load_hist_init(struct load_hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min_ns = UINT64_MAX;
}

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t shift;

	if (ns < 2 * STEPS)
		return (uint32_t)ns;
	if (ns >= 1ULL << LOAD_HIST_TOP)
		return LOAD_HIST_BUCKETS - 1;
	shift = 63 - (uint32_t)__builtin_clzll(ns) - LOAD_HIST_BITS;
	return shift * STEPS + (uint32_t)(ns >> shift);
}

/* The highest value of a bucket. */
static uint64_t bucket_top(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < 2 * STEPS)
		return bucket;
	shift = bucket / STEPS - 1;
	return ((uint64_t)(bucket - shift * STEPS + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t ns)
{
	double value = (double)ns;

	h->count++;
	h->sum_ns += value;
	h->sum_squares += value * value;
	if (ns < h->min_ns)
		h->min_ns = ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->buckets[bucket_of(ns)]++;
}

static uint64_t value_at(const struct load_hist *h, uint32_t bucket)
{
	uint64_t top = bucket_top(bucket);

	return top < h->max_ns ? top : h->max_ns;
}

uint64_t load_hist_quantile(const struct load_hist *h, double quantile)
{
	uint64_t rank = (uint64_t)ceil(quantile * (double)h->count), seen = 0;

	if (h->count == 0)
		return 0;
	if (rank == 0)
		rank = 1;
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			return value_at(h, i);
	}
	return h->max_ns;
}

double load_hist_mean_ns(const struct load_hist *h)
{
	return h->count ? h->sum_ns / (double)h->count : 0;
}

/* Each printed quantile is a fifth of the way from the last power of 1/2 to the next. */
void load_hist_print(const struct load_hist *h, FILE *to)
{
	double mean = load_hist_mean_ns(h);
	double variance = h->count ? h->sum_squares / (double)h->count - mean * mean : 0;
	double quantile = 0;
	uint64_t seen = 0;

	fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS && seen < h->count; i++) {
		double reached;

		seen += h->buckets[i];
		reached = (double)seen / (double)h->count;
		if (h->buckets[i] == 0 || (reached < quantile && seen < h->count))
			continue;
		fprintf(to, "%12.3f %14.12f %10llu", (double)value_at(h, i) / 1e3, reached,
			(unsigned long long)seen);
		if (seen < h->count)
			fprintf(to, " %14.2f\n", 1 / (1 - reached));
		else
			fprintf(to, "\n");
		while (quantile <= reached && seen < h->count) {
			double half = exp2(floor(log2(1 / (1 - quantile))) + 1);

			quantile += 1 / (TICKS_PER_HALF * half);
		}
	}
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean / 1e3,
		sqrt(variance > 0 ? variance : 0) / 1e3);
	fprintf(to, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max_ns / 1e3,
		(unsigned long long)h->count);
	fprintf(to, "#[Buckets = %12d, SubBuckets     = %12d]\n", LOAD_HIST_TOP - LOAD_HIST_BITS,
		2 * (int)STEPS);
}
