/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc.h"
#include "dataplane/proto/memcache/mc_internal.h"

/*
 * What is noted for watchers, where it happens: retrievals and stores of memcached's clients, and
 * all evictions. Callers have asked mc__watched() before, so that a request pays one load for this.
 */

void mc__log_get(const struct session *session, struct slice key, const struct item *item)
{
	const struct cmd_thread *cmd = session->host->cmd;
	struct mc_log_record *r = mc_log_begin(cmd->log, MC_LOG_GET, key);

	if (!r)
		return;
	r->time_us = cmd->now_us;
	r->client = session->client.id;
	r->status = item ? "found" : "not_found";
	r->value_len = item ? (uint32_t)item_value(item).len : 0;
	mc_log_commit(cmd->log);
}

static const char *word_of(enum kv_result result)
{
	switch (result) {
	case KV_STORED:
		return "stored";
	case KV_EXISTS:
		return "exists";
	case KV_NOT_FOUND:
		return "not_found";
	case KV_NO_MEMORY:
		return "no_memory";
	default:
		return "not_stored";
	}
}

void mc__log_store(const struct session *session, const struct kv_store *store,
		   enum kv_result result)
{
	static const char *const commands[] = {
		[KV_SET] = "set",       [KV_ADD] = "add",         [KV_REPLACE] = "replace",
		[KV_APPEND] = "append", [KV_PREPEND] = "prepend", [KV_CAS] = "cas",
	};
	const struct cmd_thread *cmd = session->host->cmd;
	struct mc_log_record *r = mc_log_begin(cmd->log, MC_LOG_STORE, store->key.bytes);

	if (!r)
		return;
	r->time_us = cmd->now_us;
	r->client = session->client.id;
	r->status = word_of(result);
	r->command = commands[store->mode];
	r->ttl_s = store->expire_ms == 0 ? -1
					 : (int64_t)kv_seconds_left(store->expire_ms, cmd->now_ms);
	r->value_len = (uint32_t)store->value.len;
	mc_log_commit(cmd->log);
}

void mc_log_eviction(void *arg, const struct item *item)
{
	const struct session_host *host = arg;
	const struct cmd_thread *cmd = host->cmd;
	struct mc_log_record *r;

	if (!mc__watched(host, MC_WATCH_EVICTIONS))
		return;
	r = mc_log_begin(cmd->log, MC_LOG_EVICTION, item_key(item));
	if (!r)
		return;
	r->time_us = cmd->now_us;
	r->fetched = item_marks(item) & ITEM_FETCHED;
	r->ttl_s = item_expire_ms(item) == 0
			   ? -1
			   : (int64_t)kv_seconds_left(item_expire_ms(item), cmd->now_ms);
	r->idle_s = item_idle_s(item, cmd->now_ms);
	r->value_len = (uint32_t)item_value(item).len;
	mc_log_commit(cmd->log);
}
