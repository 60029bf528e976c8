/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The key behind port_flow_hash() of port.h. It needs no DPDK: who steers or tests without a port
 * links flow_hash_dep alone.
 */

#define PORT_FLOW_HASH_KEY_BYTES   40 // as Microsoft defines it; longer keys of NICs end in zeros
#define PORT_FLOW_HASH_TUPLE_BYTES 36 // two IPv6 addresses and two ports

/*
 * Draws up the tables for a key. port_system_start() does it with a random key; a test injects its
 * own. Before the first call every hash is 0. Main thread, before any other thread hashes.
 */
void port_flow_hash_init(const uint8_t key[PORT_FLOW_HASH_KEY_BYTES]);

/*
 * Whether the low seven bits of the hash, by which a worker is chosen, tell apart what clients
 * differ in: 128 neighbouring source ports, 128 even ones (Linux prefers those), 128 neighbouring
 * addresses. The hash is linear, so a key drawn blindly may give all of them to one worker.
 */
bool port_flow_hash_key_spreads(const uint8_t key[PORT_FLOW_HASH_KEY_BYTES]);

/* The key in force. */
const uint8_t *port_flow_hash_key(void);
