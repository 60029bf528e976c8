/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <stdlib.h>

/*
 * The handshake of a connection and what else concerns it alone. Called by cmd_run() on the
 * thread that owns the client. There is one user without a password, one database and no cluster;
 * the errors are redis' own for a server set up like that, because clients look at them.
 */

void client_reset(struct client *client)
{
	client->resp = 2;
	client->no_evict = false;
	client->no_touch = false;
	if (client->names)
		client->names->name[0] = '\0';
}

const struct client_names *client_names(const struct client *client)
{
	static const struct client_names none;

	return client->names ? client->names : &none;
}

struct client_names *client_names_make(struct client *client)
{
	if (!client->names)
		client->names = calloc(1, sizeof(*client->names));
	return client->names;
}

void client_fini(struct client *client)
{
	free(client->names);
	client->names = NULL;
}

void cmd_ping(struct cmd_call *call)
{
	if (call->argc > 2) {
		cmd__arity_error(call->reply, call->cmd);
	} else if (call->client->subscribed && call->client->resp == 2) {
		reply_array(call->reply, 2);
		reply_bulk_text(call->reply, "pong");
		reply_bulk(call->reply, call->argc == 2 ? call->argv[1] : SLICE_LITERAL(""));
	} else if (call->argc == 2)
		reply_bulk(call->reply, call->argv[1]);
	else
		reply_status(call->reply, SLICE_LITERAL("PONG"));
}

void cmd_echo(struct cmd_call *call)
{
	reply_bulk(call->reply, call->argv[1]);
}

void cmd_quit(struct cmd_call *call)
{
	call->client->close_after = true;
	reply_ok(call->reply);
}

void cmd_reset(struct cmd_call *call)
{
	client_reset(call->client);
	call->reply->resp = call->client->resp;
	reply_status(call->reply, SLICE_LITERAL("RESET"));
}

void cmd_select(struct cmd_call *call)
{
	int64_t db;

	if (!cmd__parse_i64(call, call->argv[1], &db))
		return;
	if (db < INT32_MIN || db > INT32_MAX)
		reply_error_format(call->reply,
				   "ERR value is out of range, value must between %d and %d",
				   INT32_MIN, INT32_MAX);
	else if (db != 0)
		REPLY_ERROR(call->reply, "ERR DB index is out of range");
	else
		reply_ok(call->reply);
}

/* The one user is "default", and any password will do for it. Answers the error. */
static bool authenticate(struct cmd_call *call, struct slice user)
{
	if (slice_equal(user, SLICE_LITERAL("default")))
		return true;
	REPLY_ERROR(call->reply, "WRONGPASS invalid username-password pair or user is disabled.");
	return false;
}

void cmd_auth(struct cmd_call *call)
{
	if (call->argc > 3)
		cmd__syntax_error(call);
	else if (call->argc == 2)
		REPLY_ERROR(call->reply,
			    "ERR AUTH <password> called without any password configured for the "
			    "default user. Are you sure your configuration is correct?");
	else if (authenticate(call, call->argv[1]))
		reply_ok(call->reply);
}

static bool parse_hello_options(struct cmd_call *call)
{
	for (uint32_t i = 2; i < call->argc; i++) {
		struct slice option = call->argv[i];
		uint32_t left = call->argc - 1 - i;

		if (left >= 2 && slice_equal_nocase(option, "auth")) {
			if (!authenticate(call, call->argv[i + 1]))
				return false;
			i += 2;
		} else if (left >= 1 && slice_equal_nocase(option, "setname")) {
			if (!cmd__client_set_name(call, call->argv[i + 1]))
				return false;
			i++;
		} else {
			reply_error_format(call->reply, "ERR Syntax error in HELLO option '%.*s'",
					   REPLY_ARG_WHOLE(option));
			return false;
		}
	}
	return true;
}

static void greet(struct cmd_call *call)
{
	struct reply *r = call->reply;

	reply_map(r, 7);
	reply_bulk_text(r, "server");
	reply_bulk_text(r, "redis");
	reply_bulk_text(r, "version");
	reply_bulk_text(r, CMD_REDIS_VERSION);
	reply_bulk_text(r, "proto");
	reply_integer(r, call->client->resp);
	reply_bulk_text(r, "id");
	reply_integer(r, (int64_t)call->client->id);
	reply_bulk_text(r, "mode");
	reply_bulk_text(r, "standalone");
	reply_bulk_text(r, "role");
	reply_bulk_text(r, "master");
	reply_bulk_text(r, "modules");
	reply_array(r, 0);
}

void cmd_hello(struct cmd_call *call)
{
	int64_t version = call->client->resp;

	if (call->argc > 1) {
		if (!number_parse_i64(call->argv[1], &version)) {
			REPLY_ERROR(call->reply,
				    "ERR Protocol version is not an integer or out of range");
			return;
		}
		if (version != 2 && version != 3) {
			REPLY_ERROR(call->reply, "NOPROTO unsupported protocol version");
			return;
		}
	}
	if (!parse_hello_options(call))
		return;
	// The greeting itself is in the protocol that was asked for.
	call->client->resp = (uint8_t)version;
	call->reply->resp = (uint8_t)version;
	greet(call);
}

void cmd_no_cluster(struct cmd_call *call)
{
	REPLY_ERROR(call->reply, "ERR This instance has cluster support disabled");
}
