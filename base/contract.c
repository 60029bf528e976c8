/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * The end of the process for a bug of ours. Runs on any thread; prints where, then aborts for a
 * core.
 */

void contract_failed(const char *kind, const char *expression, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, kind, expression);
	abort();
}
