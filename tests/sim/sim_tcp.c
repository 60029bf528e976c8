/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_world.h"

#include "nic/tcp/tcp_stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * sim_tcp [--seed N] [--count N] [--verbose]: runs the simulation with seeds N, N+1, ... A failing
 * run prints its seed; the same seed repeats it exactly.
 */

/* What the runs have covered, so that a simulation which tests nothing shows. */
struct coverage {
	uint64_t counts[TCP_COUNTERS];
	uint64_t sent, lost, corrupted;
	double virtual_s;
};

static void run_one(uint64_t seed, bool verbose, struct coverage *coverage)
{
	struct sim_world *w = malloc(sizeof(*w));
	uint64_t start_ns;

	if (!w)
		abort();
	sim_init(w, seed, verbose);
	start_ns = w->now_ns;
	sim_run(w);
	for (uint32_t i = 0; i < TCP_COUNTERS; i++)
		coverage->counts[i] += counter_read(&w->sides[0].counters.count[i]) +
				       counter_read(&w->sides[1].counters.count[i]);
	coverage->sent += w->channel.sent;
	coverage->lost += w->channel.lost;
	coverage->corrupted += w->channel.corrupted;
	coverage->virtual_s += (double)(w->now_ns - start_ns) / 1e9;
	sim_fini(w);
	free(w);
}

int main(int argc, char **argv)
{
	struct coverage coverage = {0};
	uint64_t seed = 1, count = 200;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			count = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else
			return fprintf(stderr,
				       "usage: sim_tcp [--seed N] [--count N] [--verbose]\n"),
			       2;
	}
	for (uint64_t i = 0; i < count; i++)
		run_one(seed + i, verbose, &coverage);
	printf("seeds %" PRIu64 "..%" PRIu64 " held: %" PRIu64 " segments, %" PRIu64
	       " lost, %" PRIu64 " corrupted, %.0f s of virtual time\n",
	       seed, seed + count - 1, coverage.sent, coverage.lost, coverage.corrupted,
	       coverage.virtual_s);
	for (uint32_t i = 0; i < TCP_COUNTERS; i++)
		printf("  %-20s %" PRIu64 "\n", tcp_counter_label((enum tcp_counter_id)i),
		       coverage.counts[i]);
	return 0;
}
