/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <stdlib.h>

/*
 * Commands about the server as a whole. What they need to know or do is beyond the engine, so
 * most of them check their arguments and hand over to the host of the control thread.
 */

#define DEBUG_SLEEP_MAX_S 60 // seconds; longer would look like a dead server to its supervisor

static void ask_host(struct cmd_call *call, void (*ask)(void *host, struct reply *r))
{
	if (ask)
		ask(call->thread->host, call->reply);
	else
		cmd__no_host(call);
}

void cmd_time(struct cmd_call *call)
{
	uint64_t now_us = call->thread->now_us;
	uint8_t text[NUMBER_TEXT_MAX];

	reply_array(call->reply, 2);
	reply_bulk(call->reply, slice_of(text, number_encode_u64(now_us / 1000000, text)));
	reply_bulk(call->reply, slice_of(text, number_encode_u64(now_us % 1000000, text)));
}

void cmd_info(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->info)
		ops->info(call->thread->host, call->reply, call->argv + 1, call->argc - 1);
	else
		cmd__no_host(call);
}

void cmd_config_get(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->config_get)
		ops->config_get(call->thread->host, call->reply, call->argv + 2, call->argc - 2);
	else
		cmd__no_host(call);
}

void cmd_config_set(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (call->argc % 2 == 1)
		cmd__syntax_error(call);
	else if (ops->config_set)
		ops->config_set(call->thread->host, call->reply, call->argv + 2, call->argc - 2);
	else
		cmd__no_host(call);
}

void cmd_config_rewrite(struct cmd_call *call)
{
	ask_host(call, cmd__host_ops(call)->config_rewrite);
}

void cmd_config_resetstat(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (!ops->reset_stats) {
		cmd__no_host(call);
		return;
	}
	ops->reset_stats(call->thread->host);
	reply_ok(call->reply);
}

void cmd_config_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"GET <pattern> [<pattern> ...]",
		"    Return parameters matching the glob-like <pattern>s and their values.",
		"SET <directive> <value> [<directive> <value> ...]",
		"    Set the configuration <directive>s to <value>s, all or none.",
		"RESETSTAT",
		"    Reset statistics reported by the INFO command.",
		"REWRITE",
		"    Rewrite the configuration file.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}

void cmd_save(struct cmd_call *call)
{
	ask_host(call, cmd__host_ops(call)->save);
}

/* SCHEDULE puts it off in redis while an append-only file is rewritten, which never is. */
void cmd_bgsave(struct cmd_call *call)
{
	if (call->argc > 2 || (call->argc == 2 && !slice_equal_nocase(call->argv[1], "schedule")))
		cmd__syntax_error(call);
	else
		ask_host(call, cmd__host_ops(call)->bgsave);
}

void cmd_lastsave(struct cmd_call *call)
{
	ask_host(call, cmd__host_ops(call)->last_save);
}

/* NOW makes no difference: there are no replicas to wait for. */
static bool parse_shutdown(const struct cmd_call *call, struct cmd_shutdown *how)
{
	*how = (struct cmd_shutdown){.saves = false};
	for (uint32_t i = 1; i < call->argc; i++) {
		if (slice_equal_nocase(call->argv[i], "save"))
			how->saves = true;
		else if (slice_equal_nocase(call->argv[i], "nosave"))
			how->skips_save = true;
		else if (slice_equal_nocase(call->argv[i], "force"))
			how->forces = true;
		else if (!slice_equal_nocase(call->argv[i], "now"))
			return false;
	}
	return !(how->saves && how->skips_save);
}

void cmd_shutdown(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	struct cmd_shutdown how;

	if (!parse_shutdown(call, &how))
		cmd__syntax_error(call);
	else if (ops->shutdown)
		ops->shutdown(call->thread->host, call->reply, &how);
	else
		cmd__no_host(call);
}

static bool parse_seconds(struct slice text, double *seconds)
{
	char copy[32] = "";
	char *end;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	*seconds = strtod(copy, &end);
	return end == copy + text.len && *seconds >= 0 && *seconds <= DEBUG_SLEEP_MAX_S;
}

void cmd_debug_sleep(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	double seconds;

	if (!ops->debug_sleep) {
		cmd__no_host(call);
	} else if (!parse_seconds(call->argv[2], &seconds)) {
		REPLY_ERROR(call->reply, "ERR value is not a valid float or out of range");
	} else {
		ops->debug_sleep(call->thread->host, seconds);
		reply_ok(call->reply);
	}
}

void cmd_debug_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"SLEEP <seconds>",
		"    Hold the control thread for <seconds>. Decimals allowed.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
