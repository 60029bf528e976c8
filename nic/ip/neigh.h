/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/ip/ip.h"
#include "nic/ip/wire.h"

/*
 * Who has which MAC address on our network, for all workers: the answer to a question may arrive at
 * any of them. An entry comes into being only when a worker wants the address; what others say
 * unasked changes known entries and makes none, so forged answers cannot fill the table.
 *
 * Handshake: an entry is a seqlock. A writer makes `sequence` odd by compare-and-swap (acquire),
 * stores the fields and makes it even again (release); one that finds it odd gives up, for all that
 * is written here is said again. A reader loads the fields between two loads of `sequence`
 * (acquire, then a fence) and gives up after a few tries. Nobody ever waits.
 */

/*
 * Creates and configures; see ip.h for neigh_table_new() and neigh_table_free(). Any worker below.
 */

struct neigh_answer {
	uint8_t mac[ETH_MAC_BYTES];
	uint64_t learnt_ns; // when the host last said so
};

/* The MAC address of a host if it is known. */
MUST_USE bool neigh_find(struct neigh_table *table, const struct ip_addr *address,
			 struct neigh_answer *answer);

/*
 * Notes that somebody wants the address, for the next `keep_ns`. True when the caller is to send a
 * request now: at most one worker is told so, and not more often than every NEIGH_RETRY_NS.
 */
MUST_USE bool neigh_want(struct neigh_table *table, const struct ip_addr *address, uint64_t now_ns);

/* A host says where it is. Changes entries that exist. */
void neigh_learn(struct neigh_table *table, const struct ip_addr *address, const uint8_t *mac,
		 uint64_t now_ns);

/* Rises whenever a known address has moved to another MAC address. */
uint32_t neigh_generation(const struct neigh_table *table);

/*
 * Looks after `count` entries from *cursor on: forgets those that nobody wants or that did not
 * answer, and returns in `ask` the addresses (at most `count`) that a request is due for. Returns
 * how many.
 */
uint32_t neigh_tick(struct neigh_table *table, uint32_t *cursor, uint32_t count, uint64_t now_ns,
		    uint64_t reachable_ns, struct ip_addr *ask);

/* True for exactly one caller per announcement that is due (RFC 5227 2.3). */
MUST_USE bool neigh_announcement_due(struct neigh_table *table, uint64_t now_ns);

/* True when our address is to be defended now: at most every 10 s (RFC 5227 2.4). */
MUST_USE bool neigh_defence_due(struct neigh_table *table, uint64_t now_ns);

#define NEIGH_RETRY_NS  (1000ULL * 1000 * 1000)
#define NEIGH_TRIES_MAX 3
