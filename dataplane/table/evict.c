/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

/* Room under maxmemory: whether a write may take place. Writer threads. */

bool table_reserve(struct table_thread *t, uint64_t bytes)
{
	struct table *table = t->table;
	uint64_t max = atomic_load_explicit(&table->limits.maxmemory_bytes, memory_order_relaxed);

	return max == 0 || table__memory_sum(table) + bytes <= max;
}
