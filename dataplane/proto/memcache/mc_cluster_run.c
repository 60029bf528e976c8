/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/proto/memcache/mc_cluster.h"
#include "dataplane/proto/memcache/mc_internal.h"

/* The node list of Auto Discovery, for mc_run.c and mc_binary_run.c; setting it is a SET. */

struct slice mc__cluster(const struct session_host *host, const struct table_key *key,
			 uint32_t *flags)
{
	const struct item *item = table_peek(host->cmd->tt, key);

	counter_add(&host->cmd->counters->mc_cmd_config_get, 1);
	*flags = item ? item_mc_flags(item) : 0;
	return item ? item_value(item) : host->limits->mc_cluster;
}

void mc__cluster_get(const struct mc_call *c)
{
	uint8_t text[2 * NUMBER_TEXT_MAX];
	uint32_t flags;
	struct slice nodes = mc__cluster(c->host, &c->request->keys[0], &flags);
	uint8_t *p = text;

	if (nodes.len > 0) {
		OUT_LITERAL(c->out, "CONFIG " MC_CLUSTER_NAME " ");
		p += number_encode_u64(flags, p);
		*p++ = ' ';
		p += number_encode_u64(nodes.len, p);
		out_append(c->out, slice_of(text, (size_t)(p - text)));
		OUT_LITERAL(c->out, "\r\n");
		out_append(c->out, nodes);
		OUT_LITERAL(c->out, "\r\n");
	}
	OUT_LITERAL(c->out, "END\r\n");
}
