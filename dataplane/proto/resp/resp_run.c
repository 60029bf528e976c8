/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp.h"

#include "dataplane/proto/resp/resp_internal.h"

/*
 * Runs one parsed request: refuse, hand to another thread, or execute here. Called by session_run()
 * in the order of the requests; cmd_admit() and cmd_run() do the rest. Runs on the host's thread.
 */

const struct proto resp_proto = {.name = "resp", .parse = resp_parse, .run = resp_run};

/* Bytes that are no request: say so, and close when that is out. */
static COLD void answer_protocol_error(struct session_host *host, const struct request *request,
				       struct reply *reply)
{
	const struct slice *text = request->detail;

	reply_error(reply, *text);
	counter_add(&host->cmd->counters->error_replies, 1);
	counter_add(&host->cmd->counters->resp_protocol_errors, 1);
	request->session->closing = true;
}

/* A long argument found no memory. */
static COLD void answer_refused(struct session_host *host, const struct request *request,
				struct reply *reply)
{
	REPLY_ERROR(reply, "OOM command not allowed when used memory > 'maxmemory'.");
	counter_add(&host->cmd->counters->error_replies, 1);
	if (request->cmd)
		counter_add(&host->cmd->stats[request->cmd->id].rejected, 1);
}

static void forward(struct session_host *host, const struct request *request, struct reply *reply)
{
	struct session *session = request->session;

	if (host->ops->forward(session, request)) {
		session->blocked = true;
		session->forwarded = true;
		return;
	}
	REPLY_ERROR(reply, "ERR too many requests for the control thread, try again later");
	counter_add(&host->cmd->counters->error_replies, 1);
	counter_add(&host->cmd->stats[request->cmd->id].rejected, 1);
}

static ALWAYS_INLINE struct cmd_call call_of(struct session_host *host,
					     const struct request *request, struct reply *reply)
{
	return (struct cmd_call){
		.thread = host->cmd,
		.client = &request->session->client,
		.cmd = request->cmd,
		.argc = request->argc,
		.argv = request->argv,
		.keys = request->keys,
		.key_count = request->key_count,
		.blobs = request->blobs,
		.reply = reply,
	};
}

/* Of whom we follow: what it has done, we do. Whatever cannot be done here ends the connection. */
static COLD void run_of_primary(struct session_host *host, struct request *request,
				struct reply *reply)
{
	struct session *session = request->session;
	struct cmd_call call = call_of(host, request, reply);

	if (unlikely(request->detail || request->refused))
		session->client.primary->failed = request->detail ? "stream" : "long value";
	else if (unlikely(request->alone))
		forward(host, request, reply);
	else
		cmd_run_of_primary(&call);
	if (unlikely(session->client.primary->failed))
		session->closing = true;
}

void resp_run(struct session_host *host, struct request *request)
{
	struct session *session = request->session;
	struct client *client = &session->client;
	struct out *out = host->ops->out(session);
	struct reply reply = resp_reply(out, client->resp);

	if (unlikely(client->primary)) {
		run_of_primary(host, request, &reply);
		return;
	}
	if (unlikely(request->detail)) {
		answer_protocol_error(host, request, &reply);
		return;
	}
	if (unlikely(request->refused)) {
		answer_refused(host, request, &reply);
		return;
	}
	if (unlikely(session->multi) ||
	    (request->cmd && unlikely(request->cmd->flags & CMD_TRANSACTION))) {
		resp_multi_run(host, request, &reply);
		return;
	}
	// A write that another thread runs is admitted there: making room for it is a write, too.
	if (!(request->alone && (request->cmd->flags & CMD_WRITE)) &&
	    !cmd_admit(host->cmd, client, request->cmd, request->argc, request->argv, &reply))
		return;
	if (unlikely(request->alone)) {
		forward(host, request, &reply);
		return;
	}

	struct cmd_call call = call_of(host, request, &reply);

	cmd_run(&call);
	if (unlikely(client->close_after || client->killed || out->failed))
		session->closing = true;
}
