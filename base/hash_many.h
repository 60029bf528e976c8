/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/hash.h"

#include <stdbool.h>

/* hash_siphash13() of each: the same values, for less than half the time. Any thread. */
typedef void hash_many_fn(const struct hash_key *key, const struct slice *data, uint64_t *hashes,
			  uint32_t count);

/* The ways there are to compute it, the best first; the last one does on any processor. */
struct hash_many_variant {
	const char *name;
	bool (*runs_here)(void);
	hash_many_fn *hash;
};

extern const struct hash_many_variant hash_many_variants[];

/* The first that runs on this processor. To be asked for once. */
hash_many_fn *hash_many_best(void);
