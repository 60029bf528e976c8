/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_NAME_MAX 64 // bytes with the terminator, for names and library names

/* Texts that a client has told of itself; most tell none, and there may be a million of them. */
struct client_names {
	char name[CLIENT_NAME_MAX];
	char lib_name[CLIENT_NAME_MAX];
	char lib_version[CLIENT_NAME_MAX];
};

/* Of a primary, between its commands. */
struct client_primary {
	uint32_t next_mc_flags; // what its next SET is to memcached's clients
	const char *failed;     // the command that we could not run, static text; NULL: none
};

/*
 * Who a command runs for. Lives in the connection (or admin session) and is touched only by its
 * thread.
 */
struct client {
	uint64_t id;      // unique in the life of the process
	uint8_t resp;     // 2 or 3
	bool admin;       // came in by the admin listener
	bool authenticated; // has said who it is, where that is asked for
	bool sasl_started;  // and has begun to say it
	bool close_after; // QUIT: close once the replies are out
	bool no_evict;
	bool no_touch;      // CLIENT NO-TOUCH: look-ups do not count as an access
	bool replica;       // is sent the replication stream
	bool subscribed;    // to channels: what it may say is limited (RESP2)
	bool killed;        // CLIENT KILL: close at the next look
	uint8_t remote[16]; // struct ip_addr, network order
	uint8_t local[16];
	uint16_t remote_port;
	uint16_t local_port;
	uint64_t created_ms;        // Unix milliseconds
	uint64_t active_ms;         // of the last command
	uint64_t commands;          // run so far
	const char *last;           // name of the last command, static text
	struct client_names *names; // NULL: all empty
	// NULL but for whom we follow: it may write, and is not answered.
	struct client_primary *primary;
};

/* What it is called; empty texts for one that has said nothing. */
const struct client_names *client_names(const struct client *client);

/* The same to be written into. NULL when there is no memory. */
struct client_names *client_names_make(struct client *client);

/* Frees what the client holds; it may be used on. */
void client_fini(struct client *client);

/* A client as RESET leaves it; id, addresses, times and the library's name are kept. */
void client_reset(struct client *client);
