/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/table.h"

/* Bytes of used memory that are neither keys nor values. */
static inline uint64_t info__overhead_bytes(const struct table_stats *table)
{
	return table->index_bytes + table->ghost_bytes + table->limbo_bytes;
}
