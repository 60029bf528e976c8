/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/endian.h"

#include <stdint.h>

/*
 * Headers as they lie in a frame. Packed, because an IPv4 header follows 14 bytes of Ethernet;
 * may_alias, because the bytes of a frame have no other type. A pointer of these types is made only
 * after the length of what it points at has been checked.
 */
#define WIRE_FORMAT __attribute__((packed, may_alias))

#define ETH_MAC_BYTES 6

#define ETH_TYPE_IP4  0x0800
#define ETH_TYPE_ARP  0x0806
#define ETH_TYPE_VLAN 0x8100 // IEEE 802.1Q
#define ETH_TYPE_QINQ 0x88a8 // IEEE 802.1ad

struct eth_header {
	uint8_t dst[ETH_MAC_BYTES];
	uint8_t src[ETH_MAC_BYTES];
	struct be16 type;
} WIRE_FORMAT;

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST           1
#define ARP_REPLY             2

/* RFC 826, for Ethernet and IPv4. */
struct arp_packet {
	struct be16 hardware;
	struct be16 protocol;
	uint8_t hardware_len; // bytes
	uint8_t protocol_len; // bytes
	struct be16 operation;
	uint8_t sender_mac[ETH_MAC_BYTES];
	struct be32 sender;
	uint8_t target_mac[ETH_MAC_BYTES];
	struct be32 target;
} WIRE_FORMAT;

#define IP4_VERSION_IHL   0x45 // version 4, five words of header
#define IP4_DONT_FRAGMENT 0x4000
#define IP4_FRAGMENT_MASK 0x3fff // "more fragments" and the offset
#define IP4_OFFSET_MASK   0x1fff
#define IP4_TTL           64
#define IP4_MTU_MIN       68 // bytes; RFC 791

#define IP4_OPTION_END           0
#define IP4_OPTION_NOP           1
#define IP4_OPTION_LOOSE_SOURCE  131
#define IP4_OPTION_STRICT_SOURCE 137

/* RFC 791 */
struct ip4_header {
	uint8_t version_ihl;
	uint8_t tos;
	struct be16 total_len; // bytes, header included
	struct be16 id;
	struct be16 fragment;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t checksum; // as it lies in memory; see checksum.h
	struct be32 src;
	struct be32 dst;
} WIRE_FORMAT;

#define ICMP_ECHO_REPLY    0
#define ICMP_UNREACHABLE   3
#define ICMP_ECHO          8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER     12
#define ICMP_CODE_PROTOCOL 2 // of ICMP_UNREACHABLE
#define ICMP_CODE_PORT     3

/* RFC 792 */
struct icmp_header {
	uint8_t type;
	uint8_t code;
	uint16_t checksum; // as it lies in memory
	struct be32 rest;
} WIRE_FORMAT;

/* RFC 768 */
struct udp_header {
	struct be16 src_port;
	struct be16 dst_port;
	struct be16 len; // bytes, header included
	uint16_t checksum;
} WIRE_FORMAT;

/* What every TCP header begins with (RFC 9293 3.1). */
struct tcp_ports {
	struct be16 src_port;
	struct be16 dst_port;
} WIRE_FORMAT;

#define IP4_TCP_HEADER_MIN 20 // bytes

_Static_assert(sizeof(struct eth_header) == 14, "IEEE 802.3");
_Static_assert(sizeof(struct arp_packet) == 28, "RFC 826");
_Static_assert(sizeof(struct ip4_header) == 20, "RFC 791");
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");
_Static_assert(sizeof(struct udp_header) == 8, "RFC 768");
