/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

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
	if ((cmd->flags & CMD_WRITE) && unlikely(cmd_writes(thread) != CMD_WRITES_OPEN)) {
		if (cmd_writes(thread) == CMD_WRITES_NO_REPLICAS)
			REPLY_ERROR(reply, "NOREPLICAS Not enough good replicas to write.");
		else
			REPLY_ERROR(reply, "ERR the server is shutting down");
		return false;
	}
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
