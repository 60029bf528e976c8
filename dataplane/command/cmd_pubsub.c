/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

/* Publish and subscribe as its commands; ctrl/pubsub knows who has subscribed to what. */

/* Who subscribes is a client on the network card. */
static bool refuses(struct cmd_call *call, bool has_host)
{
	if (!has_host)
		cmd__no_host(call);
	else if (call->client->admin)
		REPLY_ERROR(call->reply, "ERR not by the admin listener");
	return !has_host || call->client->admin;
}

static void subscribe(struct cmd_call *call, bool patterns)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (!refuses(call, ops->subscribe))
		ops->subscribe(call->thread->host, call->reply, call->client, patterns,
			       call->argv + 1, call->argc - 1);
}

static void unsubscribe(struct cmd_call *call, bool patterns)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (!refuses(call, ops->unsubscribe))
		ops->unsubscribe(call->thread->host, call->reply, call->client, patterns,
				 call->argv + 1, call->argc - 1);
}

void cmd_subscribe(struct cmd_call *call)
{
	subscribe(call, false);
}

void cmd_psubscribe(struct cmd_call *call)
{
	subscribe(call, true);
}

void cmd_unsubscribe(struct cmd_call *call)
{
	unsubscribe(call, false);
}

void cmd_punsubscribe(struct cmd_call *call)
{
	unsubscribe(call, true);
}

void cmd_publish(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->publish)
		ops->publish(call->thread->host, call->reply, call->argv[1], call->argv[2]);
	else
		cmd__no_host(call);
}

void cmd_pubsub_channels(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (call->argc > 3)
		cmd__arity_error(call->reply, call->cmd);
	else if (ops->pubsub_channels)
		ops->pubsub_channels(call->thread->host, call->reply,
				     call->argc == 3 ? call->argv[2] : (struct slice){0});
	else
		cmd__no_host(call);
}

void cmd_pubsub_numsub(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->pubsub_numsub)
		ops->pubsub_numsub(call->thread->host, call->reply, call->argv + 2, call->argc - 2);
	else
		cmd__no_host(call);
}

void cmd_pubsub_numpat(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);

	if (ops->pubsub_numpat)
		ops->pubsub_numpat(call->thread->host, call->reply);
	else
		cmd__no_host(call);
}

void cmd_pubsub_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"CHANNELS [<pattern>]",
		"    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT",
		"    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]",
		"    Return the number of subscribers for the specified channels, excluding",
		"    pattern subscriptions(default: no channels).",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
