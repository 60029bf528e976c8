/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

/* Removal of what has expired. */

void expire__note(struct table_thread *t, uint64_t hash, uint64_t expire_ms)
{
}

int64_t expire__slice(struct table_thread *t, int64_t budget)
{
	return budget;
}

void expire__thread_close(struct table_thread *t)
{
}
