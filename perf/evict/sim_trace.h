/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sequence of requests for keys, which are numbers from 0 to `footprint` - 1. */
struct sim_trace {
	const char *name;
	uint32_t *keys;
	size_t count;
	uint32_t footprint; // different keys
};

/* What the generated traces are made of. */
struct sim_trace_size {
	size_t requests;
	uint32_t base_keys; // that the Zipf distribution is over
	uint64_t seed;
};

/*
 * "zipf", "churn" or "scan", or the name of a file with one key per line. False when it cannot be
 * read or there is no memory; the reason has been printed.
 */
bool sim_trace_make(struct sim_trace *trace, const char *name, const struct sim_trace_size *size);
void sim_trace_free(struct sim_trace *trace);
