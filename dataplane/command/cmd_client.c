/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_client.h"

#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

/*
 * CLIENT: what a connection may ask about itself, in place on the thread that owns it, and LIST
 * and KILL, which concern all threads and so go to the host after their arguments have been
 * checked. The host comes back here for the filter, the line's format and the reply.
 */

/* Redis' validateClientName(): printable ASCII without blanks. */
static bool attribute_valid(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '!' || text.ptr[i] > '~')
			return false;
	}
	return true;
}

/* `at` is the field's place in struct client_names. False, answered, when there is no memory. */
static bool store_attribute(struct cmd_call *call, size_t at, struct slice text)
{
	struct client_names *names = client_names_make(call->client);
	char *to;

	if (!names) {
		REPLY_ERROR(call->reply, "ERR no memory for the name");
		return false;
	}
	to = (char *)names + at;
	memcpy(to, text.ptr, text.len);
	to[text.len] = '\0';
	return true;
}

bool cmd__client_set_name(struct cmd_call *call, struct slice name)
{
	if (!attribute_valid(name)) {
		REPLY_ERROR(call->reply,
			    "ERR Client names cannot contain spaces, newlines or special "
			    "characters.");
		return false;
	}
	if (name.len >= CLIENT_NAME_MAX) {
		reply_error_format(call->reply, "ERR Client names cannot be longer than %d bytes.",
				   CLIENT_NAME_MAX - 1);
		return false;
	}
	return store_attribute(call, offsetof(struct client_names, name), name);
}

void cmd_client_setname(struct cmd_call *call)
{
	if (cmd__client_set_name(call, call->argv[2]))
		reply_ok(call->reply);
}

void cmd_client_getname(struct cmd_call *call)
{
	const char *name = client_names(call->client)->name;

	if (name[0])
		reply_bulk_text(call->reply, name);
	else
		reply_null(call->reply);
}

void cmd_client_setinfo(struct cmd_call *call)
{
	struct slice attribute = call->argv[2];
	struct slice value = call->argv[3];
	size_t at;

	if (slice_equal_nocase(attribute, "lib-name")) {
		at = offsetof(struct client_names, lib_name);
	} else if (slice_equal_nocase(attribute, "lib-ver")) {
		at = offsetof(struct client_names, lib_version);
	} else {
		reply_error_format(call->reply, "ERR Unrecognized option '%.*s'",
				   REPLY_ARG(attribute));
		return;
	}
	if (!attribute_valid(value)) {
		reply_error_format(
			call->reply,
			"ERR %.*s cannot contain spaces, newlines or special characters.",
			REPLY_ARG(attribute));
		return;
	}
	if (value.len >= CLIENT_NAME_MAX) {
		reply_error_format(call->reply, "ERR %.*s cannot be longer than %d bytes.",
				   REPLY_ARG(attribute), CLIENT_NAME_MAX - 1);
		return;
	}
	if (store_attribute(call, at, value))
		reply_ok(call->reply);
}

void cmd_client_id(struct cmd_call *call)
{
	reply_integer(call->reply, (int64_t)call->client->id);
}

static void set_switch(struct cmd_call *call, bool *to)
{
	bool on = slice_equal_nocase(call->argv[2], "on");

	if (!on && !slice_equal_nocase(call->argv[2], "off")) {
		cmd__syntax_error(call);
		return;
	}
	*to = on;
	reply_ok(call->reply);
}

void cmd_client_no_evict(struct cmd_call *call)
{
	set_switch(call, &call->client->no_evict);
}

void cmd_client_no_touch(struct cmd_call *call)
{
	set_switch(call, &call->client->no_touch);
}

size_t cmd_address_text(const uint8_t address[16], uint16_t port, char text[CMD_ADDRESS_TEXT_MAX])
{
	static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	char host[INET6_ADDRSTRLEN];
	bool v4 = memcmp(address, v4_prefix, sizeof(v4_prefix)) == 0;

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, host, sizeof(host));
	return (size_t)snprintf(text, CMD_ADDRESS_TEXT_MAX, v4 ? "%s:%u" : "[%s]:%u", host, port);
}

static void append_number(struct out *out, const char *label, uint64_t value)
{
	out_append(out, slice_of_text(label));
	out_append_u64(out, value);
}

static void append_text(struct out *out, const char *label, const char *value)
{
	out_append(out, slice_of_text(label));
	out_append(out, slice_of_text(value));
}

/* "client|id" is shown as it is registered, as redis shows it. */
void cmd_client_format(const struct client *client, const struct cmd_client_io *io, uint64_t now_ms,
		       struct out *out)
{
	char remote[CMD_ADDRESS_TEXT_MAX], local[CMD_ADDRESS_TEXT_MAX];
	uint64_t age_ms = now_ms > client->created_ms ? now_ms - client->created_ms : 0;
	uint64_t idle_ms = now_ms > client->active_ms ? now_ms - client->active_ms : 0;
	const char *flags = "N";

	cmd_address_text(client->remote, client->remote_port, remote);
	cmd_address_text(client->local, client->local_port, local);
	if (client->killed || client->close_after)
		flags = "A";
	else if (client->no_evict)
		flags = "e";

	append_number(out, "id=", client->id);
	append_text(out, " addr=", remote);
	append_text(out, " laddr=", local);
	OUT_LITERAL(out, " fd=");
	out_append_i64(out, io->fd);
	append_text(out, " name=", client_names(client)->name);
	append_number(out, " age=", age_ms / 1000);
	append_number(out, " idle=", idle_ms / 1000);
	append_text(out, " flags=", flags);
	OUT_LITERAL(out, " db=0 sub=0 psub=0 ssub=0 multi=-1");
	append_number(out, " qbuf=", io->input_bytes);
	append_number(out, " qbuf-free=", io->input_room_bytes);
	OUT_LITERAL(out, " argv-mem=0 multi-mem=0 rbs=0 rbp=0");
	append_number(out, " obl=", io->output_bytes);
	OUT_LITERAL(out, " oll=0");
	append_number(out, " omem=", io->output_bytes);
	append_number(out, " tot-mem=", io->memory_bytes);
	append_text(out, " events=", io->output_bytes > 0 ? "rw" : "r");
	append_text(out, " cmd=", client->last ? client->last : "NULL");
	OUT_LITERAL(out, " user=default redir=-1");
	append_number(out, " resp=", client->resp);
	append_text(out, " lib-name=", client_names(client)->lib_name);
	append_text(out, " lib-ver=", client_names(client)->lib_version);
	OUT_LITERAL(out, "\n");
}

/* A sink over an array, for the one line of CLIENT INFO. */
static bool array_full(struct out *out, size_t min)
{
	return false;
}

static const struct out_ops array_ops = {.grow = array_full};

void cmd_client_info(struct cmd_call *call)
{
	static const struct cmd_client_io unknown = {.fd = -1};
	uint8_t line[1024];
	struct out out = {.pos = line, .end = line + sizeof(line), .ops = &array_ops};

	cmd_client_format(call->client, &unknown, call->thread->now_ms, &out);
	call->reply->ops->verbatim(call->reply, "txt", slice_of(line, (size_t)(out.pos - line)));
}

static bool fail(struct reply *reply, const char *text)
{
	if (reply)
		reply_error(reply, slice_of_text(text));
	return false;
}

static bool fail_with(struct reply *reply, const char *format, struct slice arg)
{
	if (reply)
		reply_error_format(reply, format, REPLY_ARG(arg));
	return false;
}

static bool parse_type(struct slice word, enum cmd_client_type *type, struct reply *reply)
{
	static const struct {
		const char *word;
		enum cmd_client_type type;
	} types[] = {
		{"normal", CMD_CLIENT_NORMAL}, {"replica", CMD_CLIENT_REPLICA},
		{"slave", CMD_CLIENT_REPLICA}, {"pubsub", CMD_CLIENT_PUBSUB},
		{"master", CMD_CLIENT_MASTER},
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(types); i++) {
		if (slice_equal_nocase(word, types[i].word)) {
			*type = types[i].type;
			return true;
		}
	}
	return fail_with(reply, "ERR Unknown client type '%.*s'", word);
}

static enum cmd_client_type type_of(const struct client *client)
{
	if (client->primary)
		return CMD_CLIENT_MASTER;
	if (client->replica)
		return CMD_CLIENT_REPLICA;
	return client->subscribed ? CMD_CLIENT_PUBSUB : CMD_CLIENT_NORMAL;
}

bool cmd_client_list_filter(const struct slice *args, uint32_t count,
			    struct cmd_client_filter *filter, struct reply *reply)
{
	*filter = (struct cmd_client_filter){0};
	if (count == 0)
		return true;
	if (count == 2 && slice_equal_nocase(args[0], "type"))
		return parse_type(args[1], &filter->type, reply);
	if (count < 2 || !slice_equal_nocase(args[0], "id"))
		return fail(reply, "ERR syntax error");
	filter->ids = args + 1;
	filter->id_count = count - 1;
	for (uint32_t i = 1; i < count; i++) {
		int64_t id;

		if (!number_parse_i64(args[i], &id))
			return fail(reply, "ERR Invalid client ID");
	}
	return true;
}

static bool parse_kill_option(struct slice option, struct slice value,
			      struct cmd_client_filter *filter, struct reply *reply)
{
	if (slice_equal_nocase(option, "id")) {
		int64_t id;

		if (!number_parse_i64(value, &id))
			return fail(reply, "ERR client-id should be greater than 0");
		if (id < 1)
			return fail(reply, "ERR client-id should be greater than 0");
		filter->id = (uint64_t)id;
		return true;
	}
	if (slice_equal_nocase(option, "type"))
		return parse_type(value, &filter->type, reply);
	if (slice_equal_nocase(option, "addr")) {
		filter->remote = value;
		return true;
	}
	if (slice_equal_nocase(option, "laddr")) {
		filter->local = value;
		return true;
	}
	if (slice_equal_nocase(option, "user")) {
		if (slice_equal(value, SLICE_LITERAL("default")))
			return true;
		return fail_with(reply, "ERR No such user '%.*s'", value);
	}
	if (slice_equal_nocase(option, "skipme")) {
		filter->skip_self = slice_equal_nocase(value, "yes");
		if (filter->skip_self || slice_equal_nocase(value, "no"))
			return true;
	}
	return fail(reply, "ERR syntax error");
}

bool cmd_client_kill_filter(const struct slice *args, uint32_t count,
			    struct cmd_client_filter *filter, struct reply *reply)
{
	*filter = (struct cmd_client_filter){.skip_self = true};
	if (count == 1) {
		filter->one = true;
		filter->skip_self = false;
		filter->remote = args[0];
		return true;
	}
	for (uint32_t i = 0; i < count; i += 2) {
		if (i + 1 == count)
			return fail(reply, "ERR syntax error");
		if (!parse_kill_option(args[i], args[i + 1], filter, reply))
			return false;
	}
	return true;
}

static bool id_listed(const struct cmd_client_filter *filter, uint64_t id)
{
	for (uint32_t i = 0; i < filter->id_count; i++) {
		int64_t wanted;

		if (number_parse_i64(filter->ids[i], &wanted) && (uint64_t)wanted == id)
			return true;
	}
	return false;
}

static bool address_is(struct slice wanted, const uint8_t address[16], uint16_t port)
{
	char text[CMD_ADDRESS_TEXT_MAX];
	size_t len = cmd_address_text(address, port, text);

	return slice_equal(wanted, slice_of(text, len));
}

bool cmd_client_matches(const struct cmd_client_filter *filter, const struct client *client,
			uint64_t self_id)
{
	if (filter->type != CMD_CLIENT_ANY && filter->type != type_of(client))
		return false;
	if (filter->skip_self && client->id == self_id)
		return false;
	if (filter->id != 0 && client->id != filter->id)
		return false;
	if (filter->ids && !id_listed(filter, client->id))
		return false;
	if (filter->remote.ptr && !address_is(filter->remote, client->remote, client->remote_port))
		return false;
	return !filter->local.ptr || address_is(filter->local, client->local, client->local_port);
}

void cmd_client_kill_reply(struct reply *reply, const struct cmd_client_filter *filter,
			   uint64_t killed_count)
{
	if (!filter->one)
		reply_integer(reply, (int64_t)killed_count);
	else if (killed_count > 0)
		reply_ok(reply);
	else
		REPLY_ERROR(reply, "ERR No such client");
}

void cmd_client_list(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	struct cmd_client_filter filter;

	if (!cmd_client_list_filter(call->argv + 2, call->argc - 2, &filter, call->reply))
		return;
	if (ops->client_list)
		ops->client_list(call->thread->host, call->reply, call->argv + 2, call->argc - 2,
				 call->client);
	else
		cmd__no_host(call);
}

void cmd_client_kill(struct cmd_call *call)
{
	const struct cmd_host_ops *ops = cmd__host_ops(call);
	struct cmd_client_filter filter;

	if (!cmd_client_kill_filter(call->argv + 2, call->argc - 2, &filter, call->reply))
		return;
	if (ops->client_kill)
		ops->client_kill(call->thread->host, call->reply, call->argv + 2, call->argc - 2,
				 call->client);
	else
		cmd__no_host(call);
}

void cmd_client_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"GETNAME",
		"    Return the name of the current connection.",
		"ID",
		"    Return the ID of the current connection.",
		"INFO",
		"    Return information about the current client connection.",
		"KILL <ip:port>",
		"    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]",
		"    Kill connections. Options are: ADDR, LADDR, TYPE, USER, ID, SKIPME (YES|NO).",
		"LIST [TYPE <type> | ID <id> [<id> ...]]",
		"    Return information about client connections.",
		"NO-EVICT (ON|OFF)",
		"    Protect current client connection from eviction.",
		"NO-TOUCH (ON|OFF)",
		"    Do not count this client's look-ups as accesses.",
		"SETINFO (LIB-NAME|LIB-VER) <value>",
		"    Note the name or version of the client's library.",
		"SETNAME <name>",
		"    Assign the name <name> to the current connection.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
