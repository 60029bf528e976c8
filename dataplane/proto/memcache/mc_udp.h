/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/session.h"

/*
 * memcached over UDP (doc/protocol.txt of memcached, "UDP protocol"): a datagram is a frame header
 * of 8 bytes and whole requests; what they are answered takes as many datagrams as it needs, each
 * with a header that counts them. Text, meta or binary by the first byte behind the header.
 *
 *   mc_udp_input() ...   checks a frame, parses its requests into a batch
 *   mc_udp_run()         executes, and sends each exchange's reply as soon as it is complete
 *
 * The requests' bytes must stay readable until mc_udp_run() returns. All calls come from the
 * thread of `cmd`. It keeps nothing between two bursts: there are no connections.
 */
struct mc_udp;

#define MC_UDP_HEADER_BYTES 8
#define MC_UDP_DATAGRAM_MAX 1400 // bytes of a datagram of ours with its frame header, as memcached
#define MC_UDP_REPLY_MAX    (2u << 20) // bytes of all that answers one datagram
#define MC_UDP_RUN_MAX      2048       // datagrams of ours in one run; others' replies are not sent
#define MC_UDP_EXCHANGES    64         // datagrams between input and run

struct mc_udp_config {
	struct cmd_thread *cmd;
	const struct session_limits *limits;
	uint32_t datagram_max; // bytes with the frame header: what the path takes, if less
	// Sends a datagram, frame header and payload, in answer to that exchange.
	void (*send)(void *env, uint32_t exchange, struct slice header, struct slice payload);
	void *env;
};

/* NULL: no memory. */
struct mc_udp *mc_udp_new(const struct mc_udp_config *config);
void mc_udp_free(struct mc_udp *udp);

/*
 * The number that answers to the next datagram will be sent under, below MC_UDP_EXCHANGES: for the
 * caller to note where they go, before mc_udp_input(). Makes room, if need be by mc_udp_run().
 */
uint32_t mc_udp_next(struct mc_udp *udp);

/* A datagram's bytes behind the UDP header. `may_amplify`: the reply may be longer than they. */
void mc_udp_input(struct mc_udp *udp, struct slice datagram, bool may_amplify);

/* Executes what has come in and sends the replies. */
void mc_udp_run(struct mc_udp *udp);
