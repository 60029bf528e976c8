/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "nic/drop_reason.h"
#include "nic/flow.h"
#include "nic/port/port.h"

/*
 * From frames to TCP segments and UDP datagrams, and back: Ethernet, one VLAN, ARP and neighbour
 * discovery, IPv4 and IPv6, ICMP and ICMPv6. One struct ip_stack per worker; what is known of
 * neighbours is shared by all workers (struct neigh_table), because the answer may arrive at any of
 * them. Questions for our address and echo are answered here; the caller sees only what is meant
 * for it.
 */
struct ip_stack;
struct neigh_table;

/* A range of addresses: those that agree with `address` in the first prefix_len bits of 128. */
struct ip_network {
	struct ip_addr address;
	uint8_t prefix_len;
};

#define IP_NETWORKS_MAX  16
#define IP_V4_PREFIX_LEN 96 // that an IPv4 prefix is longer by in its mapped form

struct ip_config {
	struct ip_addr address;  // IPv4, ours; all zero: none
	uint8_t prefix_len;      // of our IPv4 network, of 32 bits
	struct ip_addr gateway;  // all zero: none
	struct ip_addr address6; // IPv6, ours; all zero: no IPv6, not even a link-local address
	uint8_t prefix6_len;
	struct ip_addr gateway6;
	uint16_t vlan; // 802.1Q tag of all our frames; 0: untagged
	uint8_t mac[6];
	uint16_t mtu;                               // bytes of IP packet
	struct ip_network allowed[IP_NETWORKS_MAX]; // whose hosts TCP and UDP is taken from
	uint32_t allowed_count;                     // 0: from everybody
	uint32_t icmp_rate;        // ICMP and unreachable replies per second and worker
	uint32_t peers_max;        // entries of remote hosts per worker
	uint64_t arp_reachable_ns; // age at which a neighbour is asked for again
};

/* A received segment or datagram. Pointers lead into the frame. */
struct ip_packet {
	struct flow flow;
	uint32_t peer;    // index of the remote host, for ip_output()
	uint32_t hash;    // port_flow_hash() of the 4-tuple as received
	uint8_t protocol; // IP_PROTOCOL_*
	uint8_t ecn;      // the two ECN bits of the IP header
	const uint8_t *l4;
	uint32_t l4_len; // bytes, Ethernet padding removed
};

#define IP_PROTOCOL_ICMP  1
#define IP_PROTOCOL_TCP   6
#define IP_PROTOCOL_UDP   17
#define IP_PROTOCOL_ICMP6 58

enum ip_verdict {
	IP_TCP,   // *packet is filled, checksum verified; the caller keeps the frame
	IP_UDP,   // the same; l4 begins at the UDP header, whose length field has been checked
	IP_ERROR, // an ICMP error about one of our flows: see ip_input()
	IP_DONE,  // answered, learnt from or dropped (and counted); the caller frees the frame
};

/* Main thread. NULL when there is no memory. */
struct neigh_table *neigh_table_new(uint32_t entries);
void neigh_table_free(struct neigh_table *table);
struct ip_stack *ip_new(const struct ip_config *config, struct neigh_table *neighbours,
			struct port *port, struct drop_counters *drops);
void ip_free(struct ip_stack *ip);

/*
 * Where frames made by this stack go: one callback, so that a worker can batch them. Takes the
 * frame over.
 */
void ip_set_tx(struct ip_stack *ip, void (*tx)(void *arg, struct frame *frame), void *arg);

/*
 * Only the owner of a flow and the steering need to know about it: reads the 4-tuple without
 * checking anything but lengths. An ICMP error belongs to the flow that it quotes. False when the
 * frame has to do with no TCP or UDP flow (any worker may take it then).
 */
bool ip_flow_hash(const struct frame *frame, uint32_t *hash);

/* The hash that the answers of a flow of ours will have. Any thread. */
uint32_t ip_answer_hash(const struct flow *flow);

/*
 * For an active open: the first local port from flow->local_port on, and from `lowest` on beyond
 * the last, whose answers the NIC spreads to `queue` of its `queues`; flow->local_port if there is
 * none. Any thread.
 */
uint16_t ip_source_port(const struct flow *flow, uint16_t lowest, uint16_t queue, uint16_t queues);

/*
 * Validates one frame (RFC 791, 1122, 826, 8200, 4443, 4861) and says what it is. now_ns is the
 * time of the burst. For IP_ERROR, packet->flow, hash and protocol are those of the flow of ours
 * that the ICMP message quotes, l4 is the ICMP message (RFC 792, 4443), and peer is UINT32_MAX.
 * *packet means nothing for IP_DONE.
 */
enum ip_verdict ip_input(struct ip_stack *ip, struct frame *frame, uint64_t now_ns,
			 struct ip_packet *packet);

/*
 * A segment or datagram to send. The L4 checksum field in `header` must be 0: the port fills it in.
 * Pointers are read during the call only.
 */
struct ip_segment {
	const struct flow *flow;
	uint32_t peer; // as in ip_packet, perhaps long ago
	uint8_t protocol;
	uint8_t ecn; // the two ECN bits of the IP header
	struct slice header;
	const struct slice *payload;
	uint32_t payload_count;
	uint16_t tso_mss; // payload bytes of each of the packets that the port makes of it; 0: one
};

/*
 * Builds one frame from an L4 header and payload parts and gives it to tx. False, counted, when
 * there is no buffer, the peer has no MAC address yet (it is being asked for) or a packet is
 * longer than the MTU; nothing is sent then, and the caller's timers send it again.
 *
 * Entries of remote hosts are bounded in number and the least used one is given to the next host,
 * so an index is a hint: this call compares it with flow->remote and finds or makes the right entry
 * when it has changed hands. Whoever keeps an index beyond the burst it came in uses this call.
 */
bool ip_output_flow(struct ip_stack *ip, const struct ip_segment *segment);

/*
 * The same without that check, for an answer in the burst that `peer` was received in: no entry
 * used in a burst changes hands in it.
 */
bool ip_output(struct ip_stack *ip, uint32_t peer, uint8_t protocol, uint8_t ecn,
	       struct slice header, const struct slice *payload, uint32_t payload_count);

/* What an IP_UDP packet carries (RFC 768). */
struct slice ip_udp_payload(const struct ip_packet *packet);

/* A datagram to flow->remote; `peer` as in ip_packet. True and false as of ip_output_flow(). */
bool ip_output_udp(struct ip_stack *ip, const struct flow *flow, uint32_t peer,
		   const struct slice *payload, uint32_t payload_count);

/*
 * An ICMP port unreachable about a frame that ip_input() called IP_UDP; rate-limited (RFC 1122
 * 3.2.2.1, 4.1.3.1, RFC 4443 2.4). Counts the datagram as dropped (DROP_UDP_PORT).
 */
void ip_port_unreachable(struct ip_stack *ip, const struct frame *frame, uint64_t now_ns);

/*
 * The index of a remote host that has not spoken yet (active open). Asks for its MAC address when
 * that is unknown; *resolved says whether ip_output() would work: ask again until it does, requests
 * go out once a second. UINT32_MAX when the address cannot be a host's, or all entries have been
 * used in this very burst.
 */
uint32_t ip_peer(struct ip_stack *ip, const struct ip_addr *remote, uint64_t now_ns,
		 bool *resolved);

/*
 * Once per loop: announces our addresses at start, keeps the gateways known, ages entries, repeats
 * requests. Bounded work, and next to none more often than once a millisecond.
 */
void ip_tick(struct ip_stack *ip, uint64_t now_ns);
