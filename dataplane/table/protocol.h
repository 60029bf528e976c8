/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>

/*
 * Two switches for the checker of tests/linear, set in no build that serves anybody.
 *
 * TABLE_WITHOUT leaves a step of the protocol out: the checker must be seen to find each such table
 * out. TABLE_YIELDS lets threads give way where the order of their steps matters, so that they meet
 * there more often than chance has it.
 */
enum table_step {
	STEP_TXN = 1 << 0,         // lookup.c: readers wait while a commit publishes
	STEP_MISS = 1 << 1,        // lookup.c: a miss is not believed at once
	STEP_SECOND_PASS = 1 << 2, // lookup.c: many keys are looked at again
	STEP_GRACE = 1 << 3,       // reclaim.c: what was unlinked stays until readers have gone
	STEP_EXPECTATION = 1 << 4, // commit.c: what a change expects is compared under the lock
	STEP_FLUSH = 1 << 5,       // commit.c: writers wait while a flush chooses its version
	STEP_COPY = 1 << 6,        // stable.h: what changed while it was copied is copied again
	STEP_HOLD = 1 << 7,        // overwrite.c: nothing is overwritten while somebody has no room
};

#ifdef TABLE_WITHOUT
#define TABLE_KEEPS(step) ((TABLE_WITHOUT & (step)) == 0)
#else
#define TABLE_KEEPS(step) true
#endif

#ifdef TABLE_YIELDS
void table__yield(void);
#define TABLE_YIELD() table__yield()
#else
#define TABLE_YIELD() ((void)0)
#endif
