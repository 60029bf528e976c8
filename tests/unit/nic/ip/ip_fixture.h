/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/ip/ip.h"
#include "nic/ip/wire.h"
#include "tests/unit/nic/ip/ip_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/*
 * A stack at 10.99.0.2/24 (MAC 02:00:00:00:00:02, gateway 10.99.0.254) with a peer at 10.99.0.1
 * (MAC 02:00:00:00:00:01), fed with literal frames; what it sends is kept for the test to look at.
 */

#define FIXTURE_SENT_MAX     64
#define FIXTURE_FRAME_MAX    2048
#define FIXTURE_MTU          1500
#define FIXTURE_ICMP_RATE    10
#define FIXTURE_START_NS     1000000000000ULL
#define FIXTURE_REACHABLE_NS (30ULL * 1000000000ULL)

/* Changes to a frame before it is fed in. */
#define FIX_IP 1 // compute the IPv4 checksum anew
#define FIX_L4 2 // compute the TCP, UDP or ICMP checksum anew

struct fixture_patch {
	uint32_t at;
	const char *hex;
};

struct fixture_frame {
	const char *hex;
	struct fixture_patch patches[4];
	const char *append; // hex
	uint32_t cut;       // bytes to keep; 0: all
	int fix;
	uint8_t ip_checksum; // enum frame_checksum
	uint8_t l4_checksum;
};

struct fixture {
	struct neigh_table *neighbours;
	struct ip_stack *ip;
	struct drop_counters drops;
	uint64_t now_ns;
	struct frame in; // the last frame fed in; freed by the next one
	bool has_in;
	struct ip_packet packet;
	struct frame sent[FIXTURE_SENT_MAX];
	uint32_t sent_count;
};

/* cmocka setup and teardown; the latter fails the test when a frame has leaked. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The same with another configuration than that one, which is fixture_config(). */
struct ip_config fixture_config(void);
int fixture_setup_as(void **state, const struct ip_config *config);
void fixture_open_stack_as(struct fixture *f, struct neigh_table *shared,
			   const struct ip_config *config);

/* A second stack on the same neighbour table, as another worker has it. */
void fixture_open_stack(struct fixture *f, struct neigh_table *shared);
void fixture_close_stack(struct fixture *f);

/* Bytes of a frame; returns how many. */
uint32_t fixture_build(const struct fixture_frame *spec, uint8_t *to);

enum ip_verdict fixture_input(struct fixture *f, const struct fixture_frame *spec);
enum ip_verdict fixture_input_bytes(struct fixture *f, const uint8_t *bytes, uint32_t len,
				    const struct fixture_frame *spec);
enum ip_verdict fixture_input_hex(struct fixture *f, const char *hex);

/*
 * Names of reasons counted since the last call, "" for none; more than one are separated by blanks.
 */
const char *fixture_drops(struct fixture *f);

/* Forgets the frames sent so far. */
void fixture_clear_sent(struct fixture *f);

/* Pointers to addresses, for calls that want one. */
#define V4(number)   (&(struct ip_addr[]){ip_addr_from_v4(be32_from_host(number))}[0])
#define ADDRESS(...) (&(struct ip_addr[]){address_of(__VA_ARGS__)}[0])

/* Fails unless exactly one frame was sent since the last clear; returns it. */
struct frame *fixture_one_sent(struct fixture *f);

/* Fails unless the frame is this one, byte for byte. */
void assert_frame_hex(const struct frame *frame, const char *hex);

/*
 * Parses an IPv4 frame from us by the letter of the RFCs, independently of nic/ip: lengths, header
 * checksum, and the L4 checksum as the port is asked to complete it. Fails the test where something
 * is wrong.
 */
void assert_frame_wellformed(const struct frame *frame);

/* RFC 1071 by 16-bit words in network order; the complement, as it goes into a packet. */
uint16_t naive_checksum(uint32_t sum, const uint8_t *bytes, uint32_t len);

struct ip_addr address_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
