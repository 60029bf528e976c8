/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp.h"

#include "dataplane/proto/resp/resp_internal.h"

/*
 * MULTI, EXEC and DISCARD: requests in between are copied and queued, and run in a row by the
 * control thread (forward.c). Those that may be are the ones of an administrator, such as Redis
 * Sentinel's; changes of keys would have to be made at one instant for all workers, and are
 * refused. Called by resp_run(). Order of checks and words as redis 7.0 server.c and multi.c.
 */

#define QUEUE_MAX 128

/* The error goes to the client now, and the transaction does not take place. */
static void spoil(struct session *session)
{
	session->spoiled = true;
}

static bool may_be_queued(const struct cmd *cmd)
{
	return cmd->first_key == 0 && !(cmd->flags & (CMD_WRITE | CMD_BACKGROUND | CMD_BLOCKS));
}

static void queue(struct session_host *host, struct request *request, struct reply *reply)
{
	struct session *session = request->session;
	struct forward *forward, **end = &session->queue;
	uint32_t count = 0;

	for (; *end; end = &(*end)->next)
		count++;
	forward = count < QUEUE_MAX ? forward_new(session, request) : NULL;
	if (!forward) {
		REPLY_ERROR(reply, "ERR no memory for the transaction");
		spoil(session);
		return;
	}
	*end = forward;
	reply_status(reply, SLICE_LITERAL("QUEUED"));
}

static void take_in(struct session_host *host, struct request *request, struct reply *reply)
{
	struct session *session = request->session;
	const struct cmd *cmd = request->cmd;

	if (!cmd_admit(host->cmd, &session->client, cmd, request->argc, request->argv, reply)) {
		spoil(session);
	} else if (cmd->flags & CMD_NO_MULTI) {
		REPLY_ERROR(reply, "ERR Command not allowed inside a transaction");
		spoil(session);
	} else if (!may_be_queued(cmd)) {
		REPLY_ERROR(reply, "ERR Commands on keys are not possible in a transaction yet");
		spoil(session);
	} else {
		queue(host, request, reply);
	}
}

void resp_multi_drop(struct session *session)
{
	while (session->queue) {
		struct forward *forward = session->queue;

		session->queue = forward->next;
		forward_free(forward);
	}
	session->multi = session->spoiled = false;
}

/* By the control thread itself. */
static void execute_here(struct session_host *host, struct request *request, struct reply *reply)
{
	struct forward *forward = forward_new(request->session, request);

	if (forward)
		forward_run(forward, host->cmd);
	if (forward && forward->reply)
		out_append_blob(reply->out, forward->reply, 0, forward->reply->len);
	else
		REPLY_ERROR(reply, "ERR no memory for the transaction");
	forward_free(forward);
}

/* The queue goes along, and comes to an end with the request. */
static void execute(struct session_host *host, struct request *request, struct reply *reply)
{
	struct session *session = request->session;

	if (session->spoiled) {
		REPLY_ERROR(reply, "EXECABORT Transaction discarded because of previous errors.");
	} else if (!session->queue) {
		reply_array(reply, 0);
	} else if (!(host->forward_flags & CMD_CONTROL) || !host->ops->forward) {
		execute_here(host, request, reply);
	} else if (host->ops->forward(session, request)) {
		session->blocked = true;
		session->forwarded = true;
	} else {
		REPLY_ERROR(reply, "ERR too many requests for the control thread, try again later");
	}
	resp_multi_drop(session);
}

void resp_multi_run(struct session_host *host, struct request *request, struct reply *reply)
{
	struct session *session = request->session;
	const struct cmd *cmd = request->cmd;
	bool word = cmd && (cmd->flags & CMD_TRANSACTION) && request->argc == 1;

	if (!word) {
		take_in(host, request, reply);
	} else if (cmd->name[0] == 'm') {
		if (session->multi)
			REPLY_ERROR(reply, "ERR MULTI calls can not be nested");
		else
			reply_ok(reply);
		session->multi = true;
	} else if (cmd->name[0] == 'e') {
		if (session->multi)
			execute(host, request, reply);
		else
			REPLY_ERROR(reply, "ERR EXEC without MULTI");
	} else if (session->multi) {
		resp_multi_drop(session);
		reply_ok(reply);
	} else {
		REPLY_ERROR(reply, "ERR DISCARD without MULTI");
	}
}
