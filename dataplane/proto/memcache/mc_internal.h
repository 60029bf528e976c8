/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/memcache/mc_line.h"
#include "dataplane/proto/session.h"

/*
 * Between the parser (mc_text.c) and the execution (mc_run.c). A request of ours has
 *   detail  its struct mc_line
 *   keys    the keys of the line, hashed
 *   argv    MC_STORE: the data block, alone, without its line end; MC_STATS: the words of the line
 */
void mc__run(struct session_host *host, struct request *request);

/*
 * The longest value that fits memcached's limit for an item, whose header counts too; 0 for none.
 */
uint64_t mc__value_max(uint64_t item_max_bytes, size_t key_len, uint32_t flags);
