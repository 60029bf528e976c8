/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>
#include <stdio.h>

/*
 * A histogram of times with a relative error below 0.4 % over the whole range, as HdrHistogram has
 * it: exact up to 512 ns, then 256 steps per power of two, up to about an hour. Counts are exact;
 * what lies above the range counts as the highest. One thread.
 */
#define LOAD_HIST_BITS    8  // steps per power of two, as a power of two
#define LOAD_HIST_TOP     42 // values below 2^42 ns
#define LOAD_HIST_BUCKETS ((LOAD_HIST_TOP - LOAD_HIST_BITS + 1) << LOAD_HIST_BITS)

struct load_hist {
	uint64_t count;
	uint64_t min_ns, max_ns;
	double sum_ns, sum_squares;
	uint64_t buckets[LOAD_HIST_BUCKETS];
};

void load_hist_init(struct load_hist *h);
void load_hist_add(struct load_hist *h, uint64_t ns);

/* The value that `quantile` (0 to 1) of all are at or below; 0 when there are none. */
uint64_t load_hist_quantile(const struct load_hist *h, double quantile);

double load_hist_mean_ns(const struct load_hist *h);

/* The distribution in the text form that HdrHistogram's plotting tools read, in microseconds. */
void load_hist_print(const struct load_hist *h, FILE *to);
