/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/blob.h"
#include "base/out.h"
#include "base/rng.h"
#include "perf/load/load_options.h"

/*
 * The keys of a load and their values. A value is a function of its key alone, so that every reply
 * can be checked without remembering what was set: its bytes begin in one random text at a place
 * that the key chooses, so the value of another key is almost certainly another one.
 */

#define LOAD_KEY_BIG UINT64_MAX // the key of --big-clients

struct load_space {
	const struct load_options *options;
	uint64_t count; // of keys
	uint32_t prefix_len;
	struct blob *text; // where all values are parts of
};

/* False: no memory. The options must outlive it. */
bool load_space_init(struct load_space *space, const struct load_options *options);
void load_space_fini(struct load_space *space);

/* Writes the key's text to `to`, which has LOAD_KEY_BYTES_MAX. Returns its length. */
uint32_t load_space_key(const struct load_space *space, uint64_t key, uint8_t *to);

uint32_t load_space_value_len(const struct load_space *space, uint64_t key);
struct slice load_space_value(const struct load_space *space, uint64_t key);

/* Appends the value: a copy if it is short, else by reference. */
void load_space_append_value(const struct load_space *space, uint64_t key, struct out *out);

/* Where a client is in its choice of keys. */
struct load_draw {
	enum load_pattern pattern;
	uint64_t from, count;                                // keys from + 0 .. count - 1
	uint64_t at;                                         // sequential
	double zipf_exponent, zipf_high, zipf_low, zipf_cut; // see load_draw.c
};

/* For client `client` of options->clients. */
void load_draw_init(struct load_draw *draw, const struct load_options *options,
		    enum load_pattern pattern, uint32_t client);
uint64_t load_draw_next(struct load_draw *draw, struct rng *rng);
