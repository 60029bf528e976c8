/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/load/load_engine.h"

/*
 * What carries a load: kernel sockets (link_socket.c) or our own TCP on a DPDK port (link_nic.c).
 * The engine opens, writes and closes; the link calls load_opened(), load_received() and
 * load_closed() from within link->receive(). One thread.
 */
struct load_link_ops {
	// Begins to connect. False: no room now, try again later.
	bool (*open)(struct load_link *link, struct load_client *client);
	// The client's sink. Valid until the next call into the link; leaves with send().
	struct out *(*out)(struct load_link *link, struct load_client *client);
	// One request as a datagram. False: it could not be sent.
	bool (*datagram)(struct load_link *link, struct load_client *client, struct slice data);
	// No load_closed() follows.
	void (*close)(struct load_link *link, struct load_client *client);
	// Takes what has arrived. Returns the time. May wait a little if there is nothing to do.
	uint64_t (*receive)(struct load_link *link, bool may_wait);
	// Sends what has been written.
	void (*send)(struct load_link *link, uint64_t now_ns);
	void (*free)(struct load_link *link);
};

struct load_link {
	const struct load_link_ops *ops;
	struct load *load;
};

#define LOAD_LINK_WHY_MAX 256

/* NULL: why says what to do about it. */
struct load_link *link_socket_new(const struct load_options *options, char *why);
struct load_link *link_nic_new(const struct load_options *options, const char *program, char *why);

struct port;

/* On a port that is open and started; the packet system is somebody else's. */
struct load_link *link_nic_new_on(const struct load_options *options, struct port *port, char *why);
