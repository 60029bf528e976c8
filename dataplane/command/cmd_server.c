/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <math.h>
#include <stdlib.h>

/*
 * Commands about the server as a whole. What they need to know or do is beyond the engine, so most of them check
 * their arguments and hand over to the host of the control thread.
 */

#define DEBUG_SLEEP_MAX_S 60 // seconds; longer would look like a dead server to its supervisor

/* The host's operation, or NULL after the error has been answered. */
#define HOST_OP(call, op)                                                                            \
	((call)->thread->host_ops && (call)->thread->host_ops->op                                    \
		 ? (call)->thread->host_ops->op                                                      \
		 : (cmd__no_host(call), NULL))

void cmd_time(struct cmd_call *call)
{
	uint64_t now_us = call->thread->now_us;
	uint8_t text[NUMBER_TEXT_MAX];

	reply_array(call->reply, 2);
	reply_bulk(call->reply, slice_of(text, number_encode_u64(now_us / 1000000, text)));
	reply_bulk(call->reply, slice_of(text, number_encode_u64(now_us % 1000000, text)));
}

/* A master, its replication offset, its replicas. */
void cmd_role(struct cmd_call *call)
{
	reply_array(call->reply, 3);
	reply_bulk_text(call->reply, "master");
	reply_integer(call->reply, 0);
	reply_array(call->reply, 0);
}

void cmd_info(struct cmd_call *call)
{
	void (*info)(void *, struct reply *, const struct slice *, uint32_t) = HOST_OP(call, info);

	if (info)
		info(call->thread->host, call->reply, call->argv + 1, call->argc - 1);
}

void cmd_config_get(struct cmd_call *call)
{
	void (*get)(void *, struct reply *, const struct slice *, uint32_t) =
		HOST_OP(call, config_get);

	if (get)
		get(call->thread->host, call->reply, call->argv + 2, call->argc - 2);
}

void cmd_config_set(struct cmd_call *call)
{
	void (*set)(void *, struct reply *, const struct slice *, uint32_t);

	if (call->argc % 2 == 1) {
		cmd__syntax_error(call);
		return;
	}
	set = HOST_OP(call, config_set);
	if (set)
		set(call->thread->host, call->reply, call->argv + 2, call->argc - 2);
}

void cmd_config_rewrite(struct cmd_call *call)
{
	void (*rewrite)(void *, struct reply *) = HOST_OP(call, config_rewrite);

	if (rewrite)
		rewrite(call->thread->host, call->reply);
}

void cmd_config_resetstat(struct cmd_call *call)
{
	void (*reset)(void *) = HOST_OP(call, reset_stats);

	if (!reset)
		return;
	reset(call->thread->host);
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

/* Redis' modifiers are accepted: there is nothing to save, so they make no difference. */
void cmd_shutdown(struct cmd_call *call)
{
	static const char *const modifiers[] = {"nosave", "save", "now", "force"};
	void (*shutdown)(void *, struct reply *);

	for (uint32_t i = 1; i < call->argc; i++) {
		uint32_t m = 0;

		while (m < ARRAY_COUNT(modifiers) && !slice_equal_nocase(call->argv[i], modifiers[m]))
			m++;
		if (m == ARRAY_COUNT(modifiers)) {
			cmd__syntax_error(call);
			return;
		}
	}
	shutdown = HOST_OP(call, shutdown);
	if (shutdown)
		shutdown(call->thread->host, call->reply);
}

void cmd_debug_sleep(struct cmd_call *call)
{
	void (*nap)(void *, double) = HOST_OP(call, debug_sleep);
	struct slice text = call->argv[2];
	char copy[32] = "";
	char *end = copy;
	double seconds = 0;

	if (!nap)
		return;
	if (text.len > 0 && text.len < sizeof(copy)) {
		memcpy(copy, text.ptr, text.len);
		seconds = strtod(copy, &end);
	}
	if (end == copy || *end != '\0' || !(seconds >= 0 && seconds <= DEBUG_SLEEP_MAX_S)) {
		REPLY_ERROR(call->reply, "ERR value is not a valid float or out of range");
		return;
	}
	nap(call->thread->host, seconds);
	reply_ok(call->reply);
}

void cmd_debug_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"SLEEP <seconds>",
		"    Hold the control thread for <seconds>. Decimals allowed.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
