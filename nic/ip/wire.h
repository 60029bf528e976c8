/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/endian.h"
#include "nic/flow.h"

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

#define ETH_TYPE_IP6 0x86dd

#define ETH_VLAN_BYTES 4      // of a tag
#define ETH_VLAN_MASK  0x0fff // the VLAN in its control field

struct eth_header {
	uint8_t dst[ETH_MAC_BYTES];
	uint8_t src[ETH_MAC_BYTES];
	struct be16 type;
} WIRE_FORMAT;

/* What follows a type of ETH_TYPE_VLAN (IEEE 802.1Q). */
struct vlan_tag {
	struct be16 control;
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

#define IP6_VERSION       0x60000000 // with traffic class and flow label 0
#define IP6_HOP_LIMIT     64
#define IP6_MTU_MIN       1280 // bytes; RFC 8200 5
#define IP6_HOP_BY_HOP    0
#define IP6_ROUTING       43
#define IP6_FRAGMENT      44
#define IP6_NONE          59
#define IP6_DESTINATION   60
#define IP6_OPTION_PAD1   0
#define IP6_OPTION_SKIP   0xc0   // both bits clear: an unknown option may be skipped (RFC 8200 4.2)
#define IP6_FRAGMENT_REST 0xfff9 // offset and "more" of a fragment header

/* RFC 8200 */
struct ip6_header {
	struct be32 flow; // version, traffic class, flow label
	struct be16 payload_len;
	uint8_t next;
	uint8_t hop_limit;
	struct ip_addr src;
	struct ip_addr dst;
} WIRE_FORMAT;

/* What extension headers begin with; the length is in units of 8 bytes beyond the first 8. */
struct ip6_extension {
	uint8_t next;
	uint8_t len;
} WIRE_FORMAT;

#define ICMP6_UNREACHABLE   1
#define ICMP6_TOO_BIG       2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAMETER     4
#define ICMP6_ECHO          128
#define ICMP6_ECHO_REPLY    129
#define ICMP6_MLD_QUERY     130
#define ICMP6_MLD_REPORT    131
#define ICMP6_SOLICITATION  135
#define ICMP6_ADVERTISEMENT 136
#define ICMP6_MLD2_REPORT   143
#define ICMP6_CODE_PORT     4 // of ICMP6_UNREACHABLE
#define ICMP6_CODE_NEXT     1 // of ICMP6_PARAMETER: unknown next header

#define ND_HOP_LIMIT     255 // so it cannot come from beyond a router (RFC 4861 7.1)
#define ND_SOLICITED     0x40000000
#define ND_OVERRIDE      0x20000000
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2

/* A neighbour solicitation or advertisement (RFC 4861 4.3, 4.4). */
struct nd_message {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	struct be32 flags;
	struct ip_addr target;
} WIRE_FORMAT;

/* The option with a MAC address. */
struct nd_mac_option {
	uint8_t type;
	uint8_t len; // in units of 8 bytes
	uint8_t mac[ETH_MAC_BYTES];
} WIRE_FORMAT;

#define MLD2_IS_EXCLUDE                                                                            \
	2 // record types of RFC 3810 5.2.12: no source is, now on is to be, left out
#define MLD2_TO_EXCLUDE 4

/* RFC 2710 3; a query of RFC 3810 is longer. */
struct mld_message {
	struct icmp_header header;
	struct ip_addr group;
} WIRE_FORMAT;

/* Of a report, without sources (RFC 3810 5.2). */
struct mld2_record {
	uint8_t type;
	uint8_t aux_len;
	struct be16 sources_count;
	struct ip_addr group;
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

#define TCP_HEADER_BYTES_MIN 20

_Static_assert(sizeof(struct eth_header) == 14, "IEEE 802.3");
_Static_assert(sizeof(struct arp_packet) == 28, "RFC 826");
_Static_assert(sizeof(struct ip4_header) == 20, "RFC 791");
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");
_Static_assert(sizeof(struct ip6_header) == 40, "RFC 8200");
_Static_assert(sizeof(struct nd_message) == 24, "RFC 4861");
_Static_assert(sizeof(struct mld_message) == 24, "RFC 2710");
_Static_assert(sizeof(struct mld2_record) == 20, "RFC 3810");
_Static_assert(sizeof(struct udp_header) == 8, "RFC 768");
