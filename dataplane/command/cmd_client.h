/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"
#include "base/slice.h"
#include "dataplane/command/client.h"
#include "dataplane/command/reply.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What a host needs to serve CLIENT LIST and CLIENT KILL: whom the arguments mean, how a client is
 * shown, and how the result is answered.
 */

#define CMD_ADDRESS_TEXT_MAX 56 // bytes with the terminator: "[v6 address]:65535"

/* What only the carrier of a connection knows. Zeros where it does not. */
struct cmd_client_io {
	int32_t fd;           // of a kernel socket, or -1
	uint64_t input_bytes; // held and not yet parsed
	uint64_t input_room_bytes;
	uint64_t output_bytes; // replies not yet sent
	uint64_t memory_bytes; // all the connection takes
};

enum cmd_client_type {
	CMD_CLIENT_ANY,
	CMD_CLIENT_NORMAL,
	CMD_CLIENT_REPLICA,
	CMD_CLIENT_PUBSUB,
	CMD_CLIENT_MASTER,
};

/* The clients that CLIENT LIST or CLIENT KILL is about. Slices point into the arguments. */
struct cmd_client_filter {
	const struct slice *ids; // LIST ID: any of them; NULL: no such condition
	uint32_t id_count;
	uint64_t id;         // KILL ID; 0: no such condition
	struct slice remote; // "address:port"; ptr NULL: no such condition
	struct slice local;
	enum cmd_client_type type; // CMD_CLIENT_ANY: no such condition
	bool skip_self;
	bool one; // the form CLIENT KILL address:port
};

/*
 * Parse the arguments behind LIST or KILL. False after the error has been written; with `reply`
 * NULL for arguments that have passed before.
 */
bool cmd_client_list_filter(const struct slice *args, uint32_t count,
			    struct cmd_client_filter *filter, struct reply *reply);
bool cmd_client_kill_filter(const struct slice *args, uint32_t count,
			    struct cmd_client_filter *filter, struct reply *reply);

/* self_id: the client that asks. */
bool cmd_client_matches(const struct cmd_client_filter *filter, const struct client *client,
			uint64_t self_id);

/* Answers CLIENT KILL: OK or an error in its old form, else the number. */
void cmd_client_kill_reply(struct reply *reply, const struct cmd_client_filter *filter,
			   uint64_t killed_count);

/* One line of CLIENT LIST as redis 7.0 writes it, with the line's end. */
void cmd_client_format(const struct client *client, const struct cmd_client_io *io, uint64_t now_ms,
		       struct out *out);

/* "10.0.0.1:80" or "[::1]:80"; `address` as in struct client. Returns the length. */
size_t cmd_address_text(const uint8_t address[16], uint16_t port, char text[CMD_ADDRESS_TEXT_MAX]);
