/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

#include "base/number.h"

#include <stdio.h>

/*
 * The door of the engine: whether a request may run, and running it with its statistics. A
 * protocol calls cmd_admit() and cmd_run() in turn for every request, on the thread that executes
 * it. The order of the checks is that of redis' processCommand().
 */

#define UNKNOWN_ARGS_MAX 128 // bytes of arguments that the error for an unknown command repeats

static void unknown_command(struct reply *reply, uint32_t argc, const struct slice *argv)
{
	char args[UNKNOWN_ARGS_MAX + 4] = "";
	size_t used = 0;

	for (uint32_t i = 1; i < argc && used < UNKNOWN_ARGS_MAX; i++) {
		int room = (int)(UNKNOWN_ARGS_MAX - used);
		int len = argv[i].len < (size_t)room ? (int)argv[i].len : room;
		int put = snprintf(args + used, sizeof(args) - used, "'%.*s' ", len,
				   (const char *)argv[i].ptr);

		used += (size_t)put;
	}
	reply_error_format(reply, "ERR unknown command '%.*s', with args beginning with: %s",
			   REPLY_ARG(argv[0]), args);
}

static bool arity_fits(const struct cmd *cmd, uint32_t argc)
{
	return cmd->arity >= 0 ? argc == (uint32_t)cmd->arity : argc >= (uint32_t)-cmd->arity;
}

static uint64_t request_bytes(uint32_t argc, const struct slice *argv)
{
	uint64_t bytes = 0;

	for (uint32_t i = 1; i < argc; i++)
		bytes += argv[i].len;
	return bytes;
}

/* The gate is not open. */
static COLD bool gate_lets(const struct cmd_thread *thread, const struct cmd *cmd,
			   struct reply *reply)
{
	enum cmd_gate_state state = cmd_gate(thread);

	if (state == CMD_GATE_LOADING && !(cmd->flags & CMD_LOADING)) {
		REPLY_ERROR(reply, "LOADING Redis is loading the dataset in memory");
		return false;
	}
	if (!(cmd->flags & CMD_WRITE))
		return true;
	if (state == CMD_GATE_NO_REPLICAS)
		REPLY_ERROR(reply, "NOREPLICAS Not enough good replicas to write.");
	else if (state == CMD_GATE_READ_ONLY)
		REPLY_ERROR(reply, "READONLY You can't write against a read only replica.");
	else
		REPLY_ERROR(reply, "ERR the server is shutting down");
	return false;
}

/* Writes the error and returns false, or returns true. */
static bool check(struct cmd_thread *thread, const struct client *client, const struct cmd *cmd,
		  uint32_t argc, const struct slice *argv, struct reply *reply)
{
	if (unlikely(cmd == NULL)) {
		unknown_command(reply, argc, argv);
		return false;
	}
	if (unlikely(argc > 1 && cmd__is_container(cmd))) {
		cmd__unknown_subcommand(reply, argv);
		return false;
	}
	if (unlikely(!arity_fits(cmd, argc))) {
		cmd__arity_error(reply, cmd);
		return false;
	}
	if (unlikely((cmd->flags & CMD_ADMIN_ONLY) && !client->admin)) {
		reply_error_format(reply, "NOPERM the '%s' command is for the admin listener only",
				   cmd->name);
		return false;
	}
	if (unlikely(client->subscribed && client->resp == 2) && !(cmd->flags & CMD_SUBSCRIBED)) {
		reply_error_format(reply,
				   "ERR Can't execute '%s': only (P|S)SUBSCRIBE / "
				   "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
				   "context",
				   cmd->name);
		return false;
	}
	if (unlikely(cmd_gate(thread) != CMD_GATE_OPEN) && !gate_lets(thread, cmd, reply))
		return false;
	if ((cmd->flags & CMD_DENYOOM) && !table_reserve(thread->tt, request_bytes(argc, argv))) {
		REPLY_ERROR(reply, "OOM command not allowed when used memory > 'maxmemory'.");
		return false;
	}
	return true;
}

bool cmd_admit(struct cmd_thread *thread, struct client *client, const struct cmd *cmd,
	       uint32_t argc, const struct slice *argv, struct reply *reply)
{
	HOT_ASSERT(argc > 0);
	client->active_ms = thread->now_ms;
	client->last = cmd ? cmd->name : NULL;
	if (likely(check(thread, client, cmd, argc, argv, reply)))
		return true;
	if (cmd)
		counter_add(&thread->stats[cmd->id].rejected, 1);
	counter_add(&thread->counters->error_replies, 1);
	return false;
}

void cmd_run(struct cmd_call *call)
{
	struct cmd_thread *thread = call->thread;
	uint32_t errors_before = call->reply->errors;

	call->client->commands++;
	call->cmd->run(call);
	counter_add(&thread->counters->commands, 1);
	if (unlikely(call->cmd->id == CMD_UNLISTED))
		return;
	struct cmd_stat *stat = &thread->stats[call->cmd->id];

	counter_add(&stat->calls, 1);
	if (unlikely(call->reply->errors != errors_before)) {
		counter_add(&stat->failed, 1);
		counter_add(&thread->counters->error_replies, call->reply->errors - errors_before);
	}
}

/* The flags that the next SET is to have. */
static void take_flags(struct client *client, struct slice text)
{
	const struct slice mark = SLICE_LITERAL(CMD_FLAGS_MARK);
	uint64_t flags;

	if (text.len > mark.len && memcmp(text.ptr, mark.ptr, mark.len) == 0 &&
	    number_parse_u64(slice_of(text.ptr + mark.len, text.len - mark.len), &flags))
		client->primary->next_mc_flags = (uint32_t)flags;
}

void cmd_run_of_primary(struct cmd_call *call)
{
	struct client *client = call->client;
	const struct cmd *cmd = call->cmd;
	uint32_t errors_before = call->reply->errors;

	// Readers here may see the changes of a transaction one by one.
	if (cmd && (cmd->flags & CMD_TRANSACTION))
		return;
	if (!cmd) {
		client->primary->failed = "command of a kind that there is not";
		return;
	}
	if (cmd->run == cmd_ping) {
		if (call->argc == 2)
			take_flags(client, call->argv[1]);
		return;
	}
	if (!arity_fits(cmd, call->argc) || cmd__is_container(cmd)) {
		client->primary->failed = cmd->name;
		return;
	}
	cmd_run(call);
	client->primary->next_mc_flags = 0;
	if (call->reply->errors != errors_before)
		client->primary->failed = cmd->name;
}
