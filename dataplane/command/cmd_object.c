/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

/*
 * OBJECT and MEMORY: what is known of a key beside its value. Called by cmd_run() on a worker.
 * The look-ups leave no trace of access, or asking for the idle time would end it.
 */

#define EMBSTR_LEN_MAX 44    // bytes up to which redis keeps a string within its object
#define INT_TEXT_MAX   20    // digits and sign of the longest integer that redis keeps as one
#define SHARED_NUMBERS 10000 // from 0, that redis has made once for all
#define BUCKET_SHARE   9     // bytes of a bucket's 64 that a key takes: 7 slots to a bucket

/* Whether redis would keep the value as a number. */
static bool is_number(const struct item *item, int64_t *number)
{
	struct slice value = item_value(item);

	enum item_encoding encoding = item_encoding(item);

	return (encoding == ITEM_PLAIN || encoding == ITEM_STALE) && value.len <= INT_TEXT_MAX &&
	       number_parse_i64(value, number);
}

void cmd_object_encoding(struct cmd_call *call)
{
	const struct item *item = cmd__peek(call, &call->keys[0]);
	int64_t number;

	if (!item)
		reply_null(call->reply);
	else if (is_number(item, &number))
		reply_bulk_text(call->reply, "int");
	else if (item_encoding(item) != ITEM_EDITED && item_value(item).len <= EMBSTR_LEN_MAX)
		reply_bulk_text(call->reply, "embstr");
	else
		reply_bulk_text(call->reply, "raw");
}

static enum table_policy policy_of(const struct cmd_call *call)
{
	return (enum table_policy)atomic_load_explicit(&table_limits(call->thread->table)->policy,
						       memory_order_relaxed);
}

/* Redis keeps small numbers once for all keys, unless eviction needs to know the keys apart. */
static bool shares_numbers(const struct cmd_call *call)
{
	enum table_policy policy = policy_of(call);

	return atomic_load_explicit(&table_limits(call->thread->table)->maxmemory_bytes,
				    memory_order_relaxed) == 0 ||
	       !(table_policy_is_lfu(policy) || policy == TABLE_ALLKEYS_LRU ||
		 policy == TABLE_VOLATILE_LRU);
}

void cmd_object_refcount(struct cmd_call *call)
{
	const struct item *item = cmd__peek(call, &call->keys[0]);
	int64_t number;

	if (!item)
		reply_null(call->reply);
	else if (is_number(item, &number) && number >= 0 && number < SHARED_NUMBERS &&
		 shares_numbers(call))
		reply_integer(call->reply, INT32_MAX);
	else
		reply_integer(call->reply, 1);
}

void cmd_object_idletime(struct cmd_call *call)
{
	const struct item *item = cmd__peek(call, &call->keys[0]);

	if (!item)
		reply_null(call->reply);
	else if (policy_of(call) == TABLE_ALLKEYS_S3)
		REPLY_ERROR(call->reply,
			    "ERR The allkeys-s3 maxmemory policy is selected, idle time not "
			    "tracked.");
	else if (!table_policy_is_lfu(policy_of(call)))
		reply_integer(call->reply, item_idle_s(item, call->thread->now_ms));
	else
		REPLY_ERROR(call->reply,
			    "ERR An LFU maxmemory policy is selected, idle time not tracked. "
			    "Please note that when switching between policies at runtime LRU and "
			    "LFU data will take some time to adjust.");
}

void cmd_object_freq(struct cmd_call *call)
{
	const struct item *item = cmd__peek(call, &call->keys[0]);

	if (!item)
		reply_null(call->reply);
	else if (table_policy_is_lfu(policy_of(call)))
		reply_integer(call->reply, table_item_freq(call->thread->tt, item));
	else
		REPLY_ERROR(call->reply,
			    "ERR An LFU maxmemory policy is not selected, access frequency not "
			    "tracked. Please note that when switching between policies at runtime "
			    "LRU and LFU data will take some time to adjust.");
}

void cmd_object_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"ENCODING <key>",
		"    Return how the value of <key> is kept.",
		"FREQ <key>",
		"    Return the access frequency of <key>, where a policy keeps it.",
		"IDLETIME <key>",
		"    Return the seconds since the last access to <key>.",
		"REFCOUNT <key>",
		"    Return how many share the value of <key>: 1, or 2147483647 of a number.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}

void cmd_memory_usage(struct cmd_call *call)
{
	for (uint32_t i = 3; i < call->argc; i += 2) {
		int64_t samples;

		// Strings have nothing to sample; the option is checked and has no effect.
		if (!slice_equal_nocase(call->argv[i], "samples") || i + 1 == call->argc) {
			cmd__syntax_error(call);
			return;
		}
		if (!cmd__parse_i64(call, call->argv[i + 1], &samples))
			return;
		if (samples < 0) {
			cmd__syntax_error(call);
			return;
		}
	}
	const struct item *item = table_peek(call->thread->tt, &call->keys[0]);

	if (item)
		reply_integer(call->reply, (int64_t)item_memory_bytes(item) + BUCKET_SHARE);
	else
		reply_null(call->reply);
}

void cmd_memory_stats(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->memory_stats)
		ops->memory_stats(call->thread->host, call->reply);
	else
		cmd__no_host(call);
}

void cmd_memory_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"STATS",
		"    Return how the memory in use is made up.",
		"USAGE <key> [SAMPLES <count>]",
		"    Return the bytes of <key> and its value, their share of the index included.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
