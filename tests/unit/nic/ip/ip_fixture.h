/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/ip/ip.h"
#include "nic/ip/wire.h"

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

#define FIXTURE_SENT_MAX  64
#define FIXTURE_FRAME_MAX 2048
#define FIXTURE_MTU       1500
#define FIXTURE_ICMP_RATE 10
#define FIXTURE_START_NS  1000000000000ULL
#define FIXTURE_REACHABLE_NS (30ULL * 1000000000ULL)

#define MAC_OURS      "020000000002"
#define MAC_PEER      "020000000001"
#define MAC_BROADCAST "ffffffffffff"

/* Whole frames from the peer to us, in hexadecimal; blanks do not count. */
#define FRAME_ETH MAC_OURS MAC_PEER "0800 "
#define FRAME_TCP_SYN                                                                              \
	FRAME_ETH "4500002c12344000400613d00a6300010a630002 "                                      \
		  "9c4018eb000003e8000000006002faf0cf590000020405b4"
#define FRAME_UDP_HELLO                                                                            \
	FRAME_ETH "4500002112344000401113d00a6300010a630002 "                                      \
		  "9c412bcb000ddf2c68656c6c6f"
#define FRAME_ECHO                                                                                 \
	FRAME_ETH "4500002c12344000400113d50a6300010a630002 "                                      \
		  "0800c8c00007000130313233343536373839616263646566"
// Fragmentation needed, next-hop MTU 1400, about 10.99.0.2:6379 -> 10.99.0.1:40000.
#define FRAME_TOO_BIG                                                                              \
	FRAME_ETH "4500003812344000400113c90a6300010a630002 "                                      \
		  "0304420b00000578"                                                               \
		  "4500001c12344000400613e00a6300020a630001 18eb9c400000004d"
#define FRAME_ARP_REQUEST                                                                          \
	MAC_BROADCAST MAC_PEER "0806 0001080006040001 " MAC_PEER                                   \
			       "0a630001 000000000000 0a630002"

/* Offsets in those frames. */
#define AT_ETH_DST  0
#define AT_ETH_SRC  6
#define AT_ETH_TYPE 12
#define AT_IP       14
#define AT_IP_LEN   16
#define AT_IP_FRAG  20
#define AT_IP_PROTO 23
#define AT_IP_SUM   24
#define AT_IP_SRC   26
#define AT_IP_DST   30
#define AT_L4       34
#define AT_ARP      14

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

/* A second stack on the same neighbour table, as another worker has it. */
void fixture_open_stack(struct fixture *f, struct neigh_table *shared);
void fixture_close_stack(struct fixture *f);

/* Bytes of a frame; returns how many. */
uint32_t fixture_build(const struct fixture_frame *spec, uint8_t *to);

enum ip_verdict fixture_input(struct fixture *f, const struct fixture_frame *spec);
enum ip_verdict fixture_input_hex(struct fixture *f, const char *hex);

/*
 * Names of reasons counted since the last call, "" for none; more than one are separated by blanks.
 */
const char *fixture_drops(struct fixture *f);

/* Forgets the frames sent so far. */
void fixture_clear_sent(struct fixture *f);

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

struct be32 address_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
