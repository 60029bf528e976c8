/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <stdlib.h>

/*
 * What most handlers need: the errors with redis' words, numbers, look-ups that are counted, and
 * room for arrays as long as a request. Called by the handlers on whichever thread runs them.
 */

#define CONTAINER_MAX 24 // bytes of the longest name of a container, and to spare

void cmd__syntax_error(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "ERR syntax error");
}

void cmd__no_memory(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "OOM command not allowed when used memory > 'maxmemory'.");
}

const struct cmd_host_ops *cmd__host_ops(const struct cmd_call *call)
{
	static const struct cmd_host_ops none;

	return call->thread->host_ops ? call->thread->host_ops : &none;
}

void cmd__no_host(struct cmd_call *call)
{
	reply_error_format(call->reply, "ERR '%s' is not available here", call->cmd->name);
}

void cmd__arity_error(struct reply *reply, const struct cmd *cmd)
{
	reply_error_format(reply, "ERR wrong number of arguments for '%s' command", cmd->name);
}

/* The name of a container as redis shouts it. Returns its length. */
static size_t upper_case(struct slice word, char to[CONTAINER_MAX])
{
	size_t len = word.len < CONTAINER_MAX ? word.len : CONTAINER_MAX;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = word.ptr[i];

		to[i] = (char)(c >= 'a' && c <= 'z' ? c - 0x20 : c);
	}
	return len;
}

void cmd__unknown_subcommand(struct reply *reply, const struct slice *argv)
{
	char container[CONTAINER_MAX];
	size_t len = upper_case(argv[0], container);

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
	static const char usage[] = " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
	char title[CONTAINER_MAX + sizeof(usage)];
	size_t len = upper_case(call->argv[0], title);

	memcpy(title + len, usage, sizeof(usage));
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
	struct item *item =
		unlikely(call->client->no_touch) ? table_peek(tt, key) : table_find(tt, key);

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

/* Where no protocol has taken it. */
void cmd_no_transaction(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "ERR transactions are not possible here");
}
