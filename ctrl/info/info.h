/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"
#include "ctrl/stats/stats.h"
#include "ctrl/text/text.h"
#include "dataplane/command/reply.h"
#include "dataplane/table/table.h"

#include <stdint.h>

/*
 * INFO with the names of redis 7.0, which exporters, clients and frameworks read. Sections that are
 * asked for more than once are written once; unknown ones are left out. No section means "default".
 */
void info_write(struct text *text, const struct stats *stats, uint64_t now_us,
		const struct slice *sections, uint32_t count);

/* The reply of MEMORY STATS, with the names of redis 7.0. */
void info_memory_stats(struct reply *r, const struct table_stats *table);
