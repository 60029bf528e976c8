/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_control.h"

#include "dataplane/command/kv_number.h"
#include "dataplane/proto/memcache/mc_log.h"

/* watch, cache_memlimit and shutdown. Answers of memcached 1.6.18 (proto_text.c). */

#define MEMLIMIT_MIB_MIN 8
#define MEMLIMIT_MIB_MAX 1000000000

static void answer(const struct cmd_call *call, struct slice text)
{
	if (call->argc > 1 && slice_equal(call->argv[call->argc - 1], SLICE_LITERAL("noreply")))
		return;
	out_append(call->reply->out, text);
	OUT_LITERAL(call->reply->out, "\r\n");
}

#define ANSWER(call, literal) answer((call), SLICE_LITERAL(literal))

/* The bit of a word; 0: nothing that is noted here. */
static uint32_t watch_bit(struct slice word)
{
	if (slice_equal(word, SLICE_LITERAL("fetchers")))
		return MC_WATCH_FETCHERS;
	if (slice_equal(word, SLICE_LITERAL("mutations")))
		return MC_WATCH_MUTATIONS;
	if (slice_equal(word, SLICE_LITERAL("evictions")))
		return MC_WATCH_EVICTIONS;
	return 0;
}

static void run_watch(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = call->thread->host_ops;
	uint32_t bits = call->argc > 1 ? 0 : MC_WATCH_FETCHERS;

	for (uint32_t i = 1; i < call->argc; i++) {
		uint32_t bit = watch_bit(call->argv[i]);

		if (bit == 0) {
			ANSWER(call, "ERROR");
			return;
		}
		bits |= bit;
	}
	if (!ops || !ops->mc_watch)
		ANSWER(call, "WATCHER_FAILED failed to add log watcher");
	else if (!ops->mc_watch(call->thread->host, call->client, bits))
		ANSWER(call, "WATCHER_TOO_MANY log watcher limit reached");
	else
		ANSWER(call, "OK");
}

static void run_memlimit(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = call->thread->host_ops;
	uint32_t mib;

	if (call->argc < 2 || !kv_number_u32(call->argv[1], &mib))
		ANSWER(call, "ERROR");
	else if (mib < MEMLIMIT_MIB_MIN)
		ANSWER(call, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m");
	else if (mib > MEMLIMIT_MIB_MAX)
		ANSWER(call, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes");
	else if (!ops || !ops->memory_limit ||
		 !ops->memory_limit(call->thread->host, (uint64_t)mib << 20))
		ANSWER(call, "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust");
	else
		ANSWER(call, "OK");
}

static void run_shutdown(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = call->thread->host_ops;

	// As memcached, which closes the connection instead of answering.
	call->client->close_after = true;
	if (ops && ops->shutdown)
		ops->shutdown(call->thread->host, call->reply, &(struct cmd_shutdown){0});
}

const struct cmd mc_watch_command = {
	.name = "watch",
	.run = run_watch,
	.arity = -1,
	.flags = CMD_CONTROL | CMD_LOADING | CMD_STALE,
	.group = "memcached",
	.summary = "Sends a line for each retrieval, store or eviction.",
	.id = CMD_UNLISTED,
};

const struct cmd mc_memlimit_command = {
	.name = "cache_memlimit",
	.run = run_memlimit,
	.arity = -2,
	.flags = CMD_CONTROL | CMD_LOADING | CMD_STALE,
	.group = "memcached",
	.summary = "Sets maxmemory.",
	.id = CMD_UNLISTED,
};

const struct cmd mc_shutdown_command = {
	.name = "shutdown",
	.run = run_shutdown,
	.arity = -1,
	.flags = CMD_CONTROL | CMD_LOADING | CMD_STALE,
	.group = "memcached",
	.summary = "Stops the process, where that is enabled.",
	.id = CMD_UNLISTED,
};
