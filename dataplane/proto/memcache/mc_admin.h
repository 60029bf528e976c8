/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/command.h"
#include "dataplane/proto/memcache/mc_line.h"

/*
 * memcached's commands about its LRUs and slabs, decoded: `word[0]` is the command. We have none,
 * so what asks for a change is checked and answered, and changes nothing; what lists keys does.
 */
void mc_admin_parse(const struct slice *word, uint32_t count, struct mc_line *out);

/*
 * lru_crawler metadump and mgdump, which run on the background thread. argv: lru_crawler WHAT
 * CLASSES.
 */
extern const struct cmd mc_dump_command;
