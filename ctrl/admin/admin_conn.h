/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/admin/admin.h"
#include "ctrl/admin/admin_out.h"

/* What admin.c and admin_conn.c share. Control thread. */

#define ADMIN_INPUT_BYTES (64u << 10) // read at a time

/* A connected client. */
struct admin_conn {
	struct admin_conn *next;
	struct admin *admin;
	struct session session;
	struct admin_out out;
	struct loop_watch watch;
	struct loop_timer idle;
	bool forwarded;   // a request is with a worker or the background thread
	bool input_ended; // the client has shut down its side
};

struct admin {
	struct admin_config config;
	struct session_host host;
	struct loop_watch listener;
	struct loop_timer accept_again; // armed while accepting pauses
	uint16_t port;
	struct admin_conn *conns;
	uint64_t client_serial;
	bool in_session; // a command may be running: connections must not be closed
	struct admin_stats stats;
	uint8_t input[ADMIN_INPUT_BYTES];
};

extern const struct session_host_ops admin_session_ops;

/* Takes the socket over. */
void admin_conn_open(struct admin *admin, int fd, uint64_t now_ns);
void admin_conn_close(struct admin_conn *conn);

/* The request that was out comes back. May close the connection. */
void admin_conn_reply(struct admin_conn *conn, struct forward *forward);

/* Closes those that CLIENT KILL has marked. */
void admin_reap(struct admin *admin);
