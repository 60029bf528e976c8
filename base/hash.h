/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* The secret of a keyed hash. Filled once from getrandom() at start, or from a seed in a test. */
struct hash_key {
	uint64_t k0;
	uint64_t k1;
};

/*
 * SipHash-1-3 (Aumasson and Bernstein): a client that cannot see the key cannot choose what
 * collides. About 20 cycles for 16 bytes. Any thread.
 */
uint64_t hash_siphash13(const struct hash_key *key, struct slice data);
