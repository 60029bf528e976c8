/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

/*
 * Replication as its commands: what replicas and clients that wait for them say. Arguments are
 * checked here; ctrl/replication knows the rest. Words of errors: redis 7.0 replication.c.
 */

/* Who follows or waits is a client on the network card. */
static bool refuses(struct cmd_call *call)
{
	if (!call->client->admin)
		return false;
	REPLY_ERROR(call->reply, "ERR not by the admin listener");
	return true;
}

void cmd_role(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->role)
		ops->role(call->thread->host, call->reply);
	else
		cmd__no_host(call);
}

void cmd_replicaof(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	bool nobody = slice_equal_nocase(call->argv[1], "no") &&
		      slice_equal_nocase(call->argv[2], "one");

	if (!ops->replicaof)
		cmd__no_host(call);
	else if (nobody)
		ops->replicaof(call->thread->host, call->reply, SLICE_LITERAL(""),
			       SLICE_LITERAL(""));
	else if (call->argv[1].len == 0)
		REPLY_ERROR(call->reply, "ERR Invalid master port or address");
	else
		ops->replicaof(call->thread->host, call->reply, call->argv[1], call->argv[2]);
}

void cmd_replconf(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (call->argc % 2 == 0)
		cmd__syntax_error(call);
	else if (refuses(call))
		return;
	else if (ops->replconf)
		ops->replconf(call->thread->host, call->reply, call->client, call->argv + 1,
			      call->argc - 1);
	else
		cmd__no_host(call);
}

void cmd_psync(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	int64_t offset;

	if (!cmd__parse_i64(call, call->argv[2], &offset))
		return;
	if (refuses(call))
		return;
	if (ops->psync)
		ops->psync(call->thread->host, call->reply, call->client, call->argv[1], offset);
	else
		cmd__no_host(call);
}

void cmd_wait(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	int64_t wanted, timeout_ms, acked;

	if (!cmd__parse_i64(call, call->argv[1], &wanted))
		return;
	if (!number_parse_i64(call->argv[2], &timeout_ms))
		REPLY_ERROR(call->reply, "ERR timeout is not an integer or out of range");
	else if (timeout_ms < 0)
		REPLY_ERROR(call->reply, "ERR timeout is negative");
	else if (refuses(call))
		return;
	else if (!ops->wait)
		cmd__no_host(call);
	else if (ops->wait(call->thread->host, call->client, wanted, timeout_ms, &acked))
		reply_integer(call->reply, acked);
}
