/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <stdlib.h>

/*
 * What most handlers need: the errors with redis' words, numbers, look-ups that are counted, and room for
 * arrays as long as a request. Called by the handlers on whichever thread runs them.
 */

void cmd__syntax_error(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "ERR syntax error");
}

void cmd__no_memory(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "OOM command not allowed when used memory > 'maxmemory'.");
}

void cmd__no_host(struct cmd_call *call)
{
	reply_error_format(call->reply, "ERR '%s' is not available here", call->cmd->name);
}

void cmd__arity_error(struct reply *reply, const struct cmd *cmd)
{
	reply_error_format(reply, "ERR wrong number of arguments for '%s' command", cmd->name);
}

void cmd__unknown_subcommand(struct reply *reply, const struct slice *argv)
{
	char container[32];
	size_t len = argv[0].len < sizeof(container) ? argv[0].len : sizeof(container);

	for (size_t i = 0; i < len; i++) {
		uint8_t c = argv[0].ptr[i];

		container[i] = (char)(c >= 'a' && c <= 'z' ? c - 0x20 : c);
	}
	reply_error_format(reply, "ERR unknown subcommand '%.*s'. Try %.*s HELP.",
			   REPLY_ARG(argv[1]), (int)len, container);
}

void cmd_container(struct cmd_call *call)
{
	// cmd_admit() refuses these before; a caller that does not ask it gets the same answer.
	if (call->argc > 1)
		cmd__unknown_subcommand(call->reply, call->argv);
	else
		cmd__arity_error(call->reply, call->cmd);
}

void cmd__help(struct cmd_call *call, const char *const *lines, uint32_t count)
{
	char title[96] = "";
	size_t len = 0;

	for (const uint8_t *c = call->argv[0].ptr; len < call->argv[0].len && len < 16; c++)
		title[len++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 0x20 : *c);
	strcpy(title + len, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");

	reply_array(call->reply, count + 3);
	reply_status(call->reply, slice_of_text(title));
	for (uint32_t i = 0; i < count; i++)
		reply_status(call->reply, slice_of_text(lines[i]));
	reply_status(call->reply, SLICE_LITERAL("HELP"));
	reply_status(call->reply, SLICE_LITERAL("    Print this help."));
}

bool cmd__parse_i64(struct cmd_call *call, struct slice text, int64_t *value)
{
	if (likely(number_parse_i64(text, value)))
		return true;
	REPLY_ERROR(call->reply, "ERR value is not an integer or out of range");
	return false;
}

void cmd__count_lookup(struct cmd_call *call, bool hit)
{
	struct cmd_counters *counters = call->thread->counters;

	counter_add(hit ? &counters->hits : &counters->misses, 1);
}

struct item *cmd__find(struct cmd_call *call, const struct table_key *key)
{
	struct table_thread *tt = call->thread->tt;
	struct item *item = unlikely(call->client->no_touch) ? table_peek(tt, key) : table_find(tt, key);

	cmd__count_lookup(call, item != NULL);
	return item;
}

struct item *cmd__peek(struct cmd_call *call, const struct table_key *key)
{
	struct item *item = table_peek(call->thread->tt, key);

	cmd__count_lookup(call, item != NULL);
	return item;
}

void *cmd__scratch(struct cmd_call *call, struct cmd_scratch *scratch, size_t count, size_t size)
{
	scratch->heap = NULL;
	if (count * size <= sizeof(scratch->local))
		return scratch->local;
	scratch->heap = calloc(count, size);
	if (!scratch->heap)
		cmd__no_memory(call);
	return scratch->heap;
}

void cmd__scratch_free(struct cmd_scratch *scratch)
{
	free(scratch->heap);
}
