/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/memcache/mc_line.h"

/*
 * Auto Discovery as ElastiCache's clients speak it: the list of nodes, with a version that rises
 * with each change, is an item of the keyspace under the name that older clients ask for. So all
 * workers have it at once, and whoever manages the nodes sets it; what configuration says
 * (session_limits.mc_cluster) is answered while nobody has.
 */
#define MC_CLUSTER_NAME "cluster"
#define MC_CLUSTER_KEY  "AmazonElastiCache:cluster"

/* config get cluster, config set cluster FLAGS BYTES [noreply], config delete cluster */
void mc_cluster_parse(const struct slice *word, uint32_t count, struct mc_line *out);
