/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Whether a recorded history of operations on a small map is linearizable.
 *
 * An order of all operations is searched in which each takes effect at one point between its call
 * and its return, and reports what a map in the hands of one thread would have reported (Wing and
 * Gong's search; what has been tried is remembered, after Lowe). An operation may touch several
 * keys; then this is strict serialisability. A history of operations on one key each can be taken
 * apart by key, which makes the search short.
 *
 * What the map may do beside what it is told:
 *   expiry    A key with an expiry is absent for an operation whose thread's clock is past it, and
 *             may be gone for any operation that returns when the clock of all is past it: another
 *             thread has removed it. Before that it may not be gone.
 *   eviction  A key may vanish at any moment, but no more often than evictions were counted.
 */

#define LINEAR_KEYS_MAX 8
#define LINEAR_OPS_MAX  64 // one bit each

/* Of one key or of several at one instant. A value is a number above 0; 0 stands for "absent". */
enum linear_kind {
	LINEAR_GET,    // seen
	LINEAR_SET,    // stores `stored`, seen: before
	LINEAR_DELETE, // seen: before
	LINEAR_CAS,    // stores if all keys hold `wanted` (absence is 0); `done` says whether
	LINEAR_INCR,   // adds one to keys that are there, seen: after
	LINEAR_FLUSH,  // removes; sees nothing
};

struct linear_op {
	enum linear_kind kind;
	uint32_t thread;
	uint64_t called, returned;   // stamps, each different from all others
	uint32_t clock, clock_after; // the thread's own, and the one of all when it returned
	uint32_t key_count;
	uint32_t keys[LINEAR_KEYS_MAX];
	uint32_t wanted[LINEAR_KEYS_MAX], stored[LINEAR_KEYS_MAX], seen[LINEAR_KEYS_MAX];
	uint32_t expires; // of what is stored, by the same clock; 0: never
	bool done;
};

struct linear_history {
	struct linear_op ops[LINEAR_OPS_MAX];
	uint32_t count;
};

enum linear_verdict {
	LINEAR_HOLDS,
	LINEAR_VIOLATED,
	LINEAR_UNDECIDED, // the search was given up: too many orders
};

/* The map is empty before. At most `evictions_max` keys may have been evicted. */
enum linear_verdict linear_check(const struct linear_history *h, uint32_t evictions_max);

/*
 * For a history whose operations have one key each: every key by itself, and the evictions that
 * they need together are no more than were counted.
 */
enum linear_verdict linear_check_keys(const struct linear_history *h, uint32_t evictions_max);

void linear_print(FILE *file, const struct linear_history *h);
