/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/host/host.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/rcu.h"
#include "ctrl/host/host_clients.h"
#include "ctrl/info/info.h"
#include "ctrl/pubsub/pubsub.h"
#include "ctrl/replication/replication.h"
#include "ctrl/snapshot/snapshot.h"
#include "ctrl/watch/watch.h"
#include "dataplane/proto/memcache/mc_stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/*
 * The commands about the process as a whole. dataplane/command checks the arguments and calls these
 * on the control thread, for its own admin clients and for requests that workers have forwarded;
 * the answers go through the protocol-neutral reply.
 */

#define INFO_BYTES_MAX   (1u << 20)
#define CONFIG_PAIRS_MAX 128

static void out_of_memory(struct reply *r)
{
	REPLY_ERROR(r, "ERR out of memory");
}

static void host_info(void *arg, struct reply *r, const struct slice *sections, uint32_t count)
{
	const struct host *host = arg;
	struct text text;

	text_init(&text, INFO_BYTES_MAX);
	info_write(&text, host->stats, host->cmd->now_us, sections, count);
	if (text.out.failed)
		out_of_memory(r);
	else
		r->ops->verbatim(r, "txt", text_bytes(&text));
	text_fini(&text);
}

static void host_memory_stats(void *arg, struct reply *r)
{
	const struct host *host = arg;
	struct stats_snapshot s;

	stats_collect_since_reset(host->stats, &s);
	info_memory_stats(r, &s.table);
}

/* CONFIG GET answers a map, whose size comes first: two rounds. */
static void count_pair(void *arg, const char *name, const char *value)
{
	++*(uint32_t *)arg;
}

static void reply_pair(void *arg, const char *name, const char *value)
{
	struct reply *r = arg;

	reply_bulk_text(r, name);
	reply_bulk_text(r, value);
}

static void host_config_get(void *arg, struct reply *r, const struct slice *patterns,
			    uint32_t count)
{
	const struct host *host = arg;
	uint32_t pairs = 0;

	config_get(host->config, patterns, count, count_pair, &pairs);
	reply_map(r, pairs);
	config_get(host->config, patterns, count, reply_pair, r);
}

static void host_config_set(void *arg, struct reply *r, const struct slice *slices, uint32_t count)
{
	struct host *host = arg;
	struct config_pair pairs[CONFIG_PAIRS_MAX];
	char why[CONFIG_WHY_MAX] = "";
	uint32_t culprit = 0;

	REQUIRE(count % 2 == 0);
	if (count / 2 > CONFIG_PAIRS_MAX) {
		REPLY_ERROR(r, "ERR CONFIG SET failed - too many directives");
		return;
	}
	for (uint32_t i = 0; i < count / 2; i++)
		pairs[i] = (struct config_pair){slices[2 * i], slices[2 * i + 1]};
	switch (config_set(host->config, pairs, count / 2, &culprit, why)) {
	case CONFIG_SET_OK:
		log_notice("CONFIG SET has changed %u directive(s)", count / 2);
		reply_ok(r);
		return;
	case CONFIG_SET_UNKNOWN:
		reply_error_format(
			r, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
			(int)pairs[culprit].name.len, pairs[culprit].name.ptr);
		return;
	case CONFIG_SET_FAILED:
		reply_error_format(
			r, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
			(int)pairs[culprit].name.len, pairs[culprit].name.ptr, why);
		return;
	}
}

static void host_config_rewrite(void *arg, struct reply *r)
{
	const struct host *host = arg;
	int err;

	if (host->config->path[0] == '\0') {
		REPLY_ERROR(r, "ERR The server is running without a config file");
		return;
	}
	err = config_rewrite(host->config);
	if (err < 0) {
		log_warning("CONFIG REWRITE of %s failed: %s", host->config->path, strerror(-err));
		reply_error_format(r, "ERR Rewriting config file: %s", strerror(-err));
		return;
	}
	log_notice("CONFIG REWRITE has written %s", host->config->path);
	reply_ok(r);
}

static void host_reset_stats(void *arg)
{
	struct host *host = arg;

	stats_reset(host->stats);
}

/* As redis: no reply, the connection ends with the process. */
static void host_shutdown(void *arg, struct reply *r, const struct cmd_shutdown *how)
{
	if (!host_stop(arg, how))
		REPLY_ERROR(r, "ERR Errors trying to SHUTDOWN. Check logs.");
}

static bool begin_save(struct host *host, struct reply *r)
{
	int error =
		host->saver ? snap_saver_begin(host->saver, SNAP_MAIN, host->cmd->now_ms) : -ENOSYS;

	if (error == -EINPROGRESS)
		REPLY_ERROR(r, "ERR Background save already in progress");
	else if (error)
		reply_error_format(r, "ERR a snapshot cannot be begun: %s", strerror(-error));
	return error == 0;
}

/* The control thread waits for it, as its clients do; workers go on. */
static void host_save(void *arg, struct reply *r)
{
	struct host *host = arg;

	if (!begin_save(host, r))
		return;
	rcu_offline();
	snap_saver_wait(host->saver, host->cmd->now_ms);
	rcu_online();
	const struct snap_file_status *file = &snap_saver_status(host->saver)->file[SNAP_MAIN];

	if (file->failed)
		reply_error_format(r, "ERR %s", file->why);
	else
		reply_ok(r);
}

static void host_bgsave(void *arg, struct reply *r)
{
	if (begin_save(arg, r))
		reply_status(r, SLICE_LITERAL("Background saving started"));
}

static void host_last_save(void *arg, struct reply *r)
{
	const struct host *host = arg;
	uint64_t last_ms =
		host->saver ? snap_saver_status(host->saver)->file[SNAP_MAIN].last_ms : 0;

	reply_integer(r, (int64_t)(last_ms / 1000));
}

static struct forward *forward_of(struct client *client)
{
	return CONTAINER_OF(client, struct forward, client);
}

static void host_role(void *arg, struct reply *r)
{
	const struct host *host = arg;

	repl_role(host->repl, r);
}

static void host_replicaof(void *arg, struct reply *r, struct slice address, struct slice port)
{
	const struct host *host = arg;

	repl_replicaof(host->repl, address, port, r);
}

static void host_replconf(void *arg, struct reply *r, struct client *client,
			  const struct slice *pairs, uint32_t count)
{
	const struct host *host = arg;

	repl_replconf(host->repl, forward_of(client), pairs, count, r);
}

static void host_psync(void *arg, struct reply *r, struct client *client, struct slice id,
		       int64_t offset)
{
	const struct host *host = arg;

	repl_psync(host->repl, forward_of(client), id, offset, r);
}

static void host_subscribe(void *arg, struct reply *r, struct client *client, bool patterns,
			   const struct slice *names, uint32_t count)
{
	const struct host *host = arg;

	pubsub_subscribe(host->pubsub, forward_of(client), patterns, names, count, r);
}

static void host_unsubscribe(void *arg, struct reply *r, struct client *client, bool patterns,
			     const struct slice *names, uint32_t count)
{
	const struct host *host = arg;

	pubsub_unsubscribe(host->pubsub, forward_of(client), patterns, names, count, r);
}

static void host_publish(void *arg, struct reply *r, struct slice channel, struct slice message)
{
	const struct host *host = arg;

	reply_integer(r, (int64_t)pubsub_publish(host->pubsub, channel, message));
}

static void host_pubsub_channels(void *arg, struct reply *r, struct slice pattern)
{
	const struct host *host = arg;

	pubsub_channels(host->pubsub, pattern, r);
}

static void host_pubsub_numsub(void *arg, struct reply *r, const struct slice *names,
			       uint32_t count)
{
	const struct host *host = arg;

	pubsub_numsub(host->pubsub, names, count, r);
}

static void host_pubsub_numpat(void *arg, struct reply *r)
{
	const struct host *host = arg;
	struct pubsub_stats stats;

	pubsub_stats(host->pubsub, &stats);
	reply_integer(r, (int64_t)stats.patterns);
}

static bool host_wait(void *arg, struct client *client, int64_t wanted, int64_t timeout_ms,
		      int64_t *acked)
{
	const struct host *host = arg;

	return repl_wait(host->repl, forward_of(client), wanted, timeout_ms, acked);
}

static void host_debug_sleep(void *arg, double seconds)
{
	struct timespec left = {.tv_sec = (time_t)seconds};

	left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
	// Offline: grace periods, and with them the workers' memory, must not wait for this.
	rcu_offline();
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
	rcu_online();
}

static uint64_t micro_s(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

/* The figures of `stats` that come from the configuration. */
static void mc_settings(const struct config *config, struct mc_stats *stats)
{
	stats->max_connections = (uint64_t)config->maxclients;
	stats->limit_bytes = config->maxmemory;
	stats->item_max_bytes = config->memcached_max_item_size;
	stats->port = (uint64_t)config->memcached_port;
	stats->udp_port = (uint64_t)config->memcached_udp_port;
	stats->idle_timeout_s = (uint64_t)config->memcached_idle_timeout;
	stats->flush_enabled = config->memcached_flush_enabled;
	stats->shutdown_enabled = config->memcached_shutdown_enabled;
	stats->auth_enabled = config->memcached_auth_file[0] != '\0';
	stats->evictions_enabled = config->maxmemory_policy != TABLE_NOEVICTION;
	stats->address = config->nic_address[0] ? config->nic_address : config->nic_address6;
	stats->parameter = config_parameter;
	stats->parameters = config;
}

static void host_mc_stats(void *arg, struct out *out, struct slice sub)
{
	const struct host *host = arg;
	const struct stats_source *source = stats_source(host->stats);
	struct stats_snapshot s;
	struct rusage usage;

	if (slice_equal(sub, SLICE_LITERAL("conns"))) {
		host_mc_conns(host, out);
		return;
	}
	stats_collect_since_reset(host->stats, &s);
	getrusage(RUSAGE_SELF, &usage);
	struct mc_stats stats = {
		.pid = (uint64_t)getpid(),
		.uptime_s = (host->cmd->now_ms - source->start_ms) / 1000,
		.time_s = host->cmd->now_ms / 1000,
		.user_us = micro_s(&usage.ru_utime),
		.system_us = micro_s(&usage.ru_stime),
		.threads = source->worker_count,
		.curr_connections = s.connections,
		.total_connections = s.totals.worker[WORKER_COUNT_ACCEPTED],
		.rejected_connections = s.totals.worker[WORKER_COUNT_REJECTED],
		.bytes_read = s.totals.tcp[TCP_COUNT_BYTES_IN],
		.bytes_written = s.totals.tcp[TCP_COUNT_BYTES_OUT],
		.table = s.table,
	};
	struct watch_stats watched = {0};

	mc_settings(&host->config->now, &stats);
	if (host->watch)
		watch_stats(host->watch, &watched);
	stats.log_written = watched.written;
	stats.log_dropped = watched.dropped;
	stats.log_sent = watched.sent;
	stats.log_skipped = watched.skipped;
	stats.log_watchers = watched.watchers;
	// Sums in the shape of a thread's counters, which is what the encoder reads.
	for (size_t i = 0; i < STATS_COMMAND_COUNTERS; i++)
		counter_set((counter *)&stats.commands + i, s.totals.commands[i]);
	if (!mc_stats_encode(out, sub, &stats))
		log_debug("memcached asks for statistics that there are not");
}

/* Only a worker's connection can ask, so the client is that of a forwarded request. */
static bool host_mc_watch(void *arg, struct client *client, uint32_t bits)
{
	const struct host *host = arg;

	return host->watch && watch_add(host->watch, forward_of(client), bits);
}

static bool host_memory_limit(void *arg, uint64_t bytes)
{
	struct host *host = arg;
	char text[NUMBER_TEXT_MAX + 1], why[CONFIG_WHY_MAX];
	struct config_pair pair = {.name = SLICE_LITERAL("maxmemory")};
	uint32_t culprit;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	pair.value = slice_of_text(text);
	return config_set(host->config, &pair, 1, &culprit, why) == CONFIG_SET_OK;
}

const struct cmd_host_ops host_ops = {
	.info = host_info,
	.memory_stats = host_memory_stats,
	.config_get = host_config_get,
	.config_set = host_config_set,
	.config_rewrite = host_config_rewrite,
	.reset_stats = host_reset_stats,
	.client_list = host_client_list,
	.client_kill = host_client_kill,
	.shutdown = host_shutdown,
	.save = host_save,
	.bgsave = host_bgsave,
	.last_save = host_last_save,
	.role = host_role,
	.replicaof = host_replicaof,
	.replconf = host_replconf,
	.psync = host_psync,
	.subscribe = host_subscribe,
	.unsubscribe = host_unsubscribe,
	.publish = host_publish,
	.pubsub_channels = host_pubsub_channels,
	.pubsub_numsub = host_pubsub_numsub,
	.pubsub_numpat = host_pubsub_numpat,
	.wait = host_wait,
	.debug_sleep = host_debug_sleep,
	.mc_stats = host_mc_stats,
	.mc_watch = host_mc_watch,
	.memory_limit = host_memory_limit,
};
