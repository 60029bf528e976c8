/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/ip/ip.h"
#include "nic/ip/neigh.h"
#include "nic/ip/wire.h"

/* What the files of this folder share. Everything here belongs to one worker. */

#define ETH_HEADER_BYTES     sizeof(struct eth_header)
#define ETH_IP4_HEADER_BYTES (ETH_HEADER_BYTES + sizeof(struct ip4_header))
#define ETH_IP_BYTES_MAX     (ETH_HEADER_BYTES + ETH_VLAN_BYTES + sizeof(struct ip6_header))
#define IP4_TUPLE_BYTES      12 // what a flow's hash is over
#define IP6_TUPLE_BYTES      36

/*
 * A remote host: two lines, read for every frame that goes there. `header` is the Ethernet and IP
 * header of such a frame but for what differs from packet to packet; the checksum field of IPv4
 * holds the folded sum of the rest, not complemented.
 */
struct peer_entry {
	CACHE_ALIGNED uint64_t used_ns; // last frame from or to it
	uint64_t fresh_until_ns;        // until then the MAC address needs no confirmation
	struct ip_addr remote;
	uint32_t next;       // in its bucket, or UINT32_MAX
	uint32_t generation; // of the neighbour table when the MAC address was set
	bool resolved;       // the MAC address is known
	bool v4;
	uint8_t l2_len, l3_len;
	CACHE_ALIGNED uint8_t header[ETH_IP_BYTES_MAX];
};

_Static_assert(sizeof(struct peer_entry) == 2 * CACHE_LINE_BYTES, "two lines per remote host");

struct ip_peers {
	struct peer_entry *entries;
	uint32_t *buckets;      // heads of chains
	uint64_t multiplier[2]; // secret and odd: nobody can choose addresses that share a bucket
	uint32_t bucket_shift;
	uint32_t max;
	uint32_t count;
	uint32_t hand; // where the search for the least used begins
	uint32_t last; // found last: most bursts come from few hosts
};

struct ip_stack {
	// [const]
	struct ip_addr local; // our IPv4 address in its mapped form
	struct be32 address;  // the same; raw 0: none
	struct be32 mask;
	struct be32 gateway;
	uint8_t prefix_len;
	uint8_t prefix6_len;
	bool has_ip6;
	struct ip_addr local6;
	struct ip_addr link_local; // made of the MAC address (RFC 4291 appendix A)
	struct ip_addr gateway6;
	struct ip_network allowed[IP_NETWORKS_MAX]; // whom TCP and UDP is taken from
	uint32_t allowed_count;                     // 0: everybody
	uint16_t vlan;                              // 0: no tag
	uint8_t l2_len;                             // bytes of the Ethernet header, tag included
	uint8_t mac[ETH_MAC_BYTES];
	uint32_t mtu;
	uint64_t reachable_ns;
	uint64_t icmp_interval_ns; // between two messages at the full rate; 0: none are sent
	struct neigh_table *neighbours;
	struct port *port;
	struct drop_counters *drops;
	void (*tx)(void *arg, struct frame *frame);
	void *tx_arg;
	// [worker]
	uint64_t now_ns; // of the burst
	uint64_t icmp_paid_until_ns;
	uint64_t tick_due_ns;
	uint32_t neigh_cursor;
	uint32_t neigh_generation;
	struct ip_peers peers;
};

/* Every frame that ends here ends for a reason. */
static inline enum ip_verdict ip_drop(struct ip_stack *ip, enum drop_reason reason)
{
	drop_count(ip->drops, reason);
	return IP_DONE;
}

/* The IP header, or the ARP packet, of a frame whose Ethernet header eth.c has seen. */
static inline void *frame_l3(const struct frame *frame)
{
	return frame->data + frame->l2_len;
}

static inline const uint8_t *frame_src_mac(const struct frame *frame)
{
	return frame->data + ETH_MAC_BYTES;
}

static inline bool ip4_on_link(const struct ip_stack *ip, struct be32 address)
{
	return ((address.raw ^ ip->address.raw) & ip->mask.raw) == 0;
}

/*
 * Whether a host may have this address: no group, no broadcast, no loopback, not ours (RFC 1122
 * 3.2.1.3, RFC 4291 2.7). And of a family that we speak.
 */
bool ip_host_valid(const struct ip_stack *ip, const struct ip_addr *address);
bool ip4_host_valid(const struct ip_stack *ip, struct be32 address);
bool ip6_host_valid(const struct ip_stack *ip, const struct ip_addr *address);

/* Whether it is one of our own IPv6 addresses. */
bool ip6_is_ours(const struct ip_stack *ip, const struct ip_addr *address);

/* Who takes frames for this host: itself, or a gateway. All zero: nobody. */
struct ip_addr ip_next_hop(const struct ip_stack *ip, const struct ip_addr *remote);

bool ip_network_contains(const struct ip_network *network, const struct ip_addr *address);

/* Whether TCP and UDP is taken from there (allow-from). */
bool ip_allowed(const struct ip_stack *ip, const struct ip_addr *src);

/* A received frame, one layer after the other. */
enum ip_verdict eth_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet);
enum ip_verdict arp_input(struct ip_stack *ip, const struct frame *frame);
enum ip_verdict ip4_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet);
enum ip_verdict ip6_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet);

/* `packet` has l4 and l4_len; the IP header is valid and has no more in it than it says. */
enum ip_verdict icmp_input(struct ip_stack *ip, const struct frame *frame,
			   struct ip_packet *packet);
enum ip_verdict icmp6_input(struct ip_stack *ip, const struct frame *frame,
			    struct ip_packet *packet);
enum ip_verdict nd_input(struct ip_stack *ip, const struct frame *frame, struct slice message);

/* `pseudo` is the sum of the pseudo header. */
enum ip_verdict ip_tcp_check(struct ip_stack *ip, const struct frame *frame, uint64_t pseudo,
			  struct ip_packet *packet);
enum ip_verdict udp_input(struct ip_stack *ip, const struct frame *frame, struct ip_packet *packet);

/* The Ethernet header that frames of ours begin with; returns where the IP header follows. */
uint8_t *eth_start(const struct ip_stack *ip, uint8_t *data, const uint8_t *dst, uint16_t type);

/* The Ethernet address of an IPv6 group (RFC 2464 7). */
void eth_group_mac(const struct ip_addr *group, uint8_t *mac);

/* Where the payload of a frame begins that may have a tag, and its type. 0: too short for one. */
uint32_t eth_payload(const struct frame *frame, uint16_t *type);

/* port_flow_hash() of the 4-tuple as received. */
uint32_t ip4_flow_hash(struct be32 src, struct be32 dst, struct be16 src_port,
		       struct be16 dst_port);
uint32_t ip6_flow_hash(const struct ip_addr *src, const struct ip_addr *dst, struct be16 src_port,
		       struct be16 dst_port);

/* A sum over pseudo header and l4, checked as the port's knowledge of the frame demands. */
bool ip_l4_checksum_good(const struct frame *frame, uint64_t pseudo, struct slice l4);

/*
 * The flow that an ICMP error quotes, from our side: fills packet->flow, protocol and hash. False
 * when it quotes none.
 */
bool icmp_quoted_flow(struct slice message, struct ip_packet *packet);
bool icmp6_quoted_flow(struct slice message, struct ip_packet *packet);

/* Whether it is an ICMP error that may concern a flow (RFC 1122 3.2.2, RFC 6633; RFC 4443 2.1). */
bool icmp_is_error(uint8_t type);
bool icmp6_is_error(uint8_t type);

/* One message more within the rate, with bursts of up to a second's worth. */
bool icmp_rate_allows(struct ip_stack *ip);

/* An error message about a received frame, at the limited rate. As in RFC 792 and RFC 4443. */
void icmp_unreachable(struct ip_stack *ip, const struct frame *frame, uint8_t code);

struct icmp6_error {
	uint8_t type, code;
	uint32_t rest;
};

void icmp6_error(struct ip_stack *ip, const struct frame *frame, struct icmp6_error error);

/*
 * The end of an IPv6 header chain that ip_flow_hash() and ip6.c agree on: where the upper layer
 * begins, behind the header at `ip`, and its protocol. 0: none that we would look at.
 */
uint32_t ip6_upper(const uint8_t *ip, uint32_t len, uint8_t *protocol, enum drop_reason *why);

/*
 * Begins an IP packet back to whoever sent `in`: fills Ethernet and IP headers for l4_len bytes and
 * sets out->len, l2_len and l3_len. False, counted, when there is no buffer or it would not fit.
 */
bool ip4_reply_start(struct ip_stack *ip, const struct frame *in, uint8_t protocol, uint32_t l4_len,
		     struct frame *out);

struct ip6_reply {
	const uint8_t *mac; // of whoever takes the frame
	struct ip_addr src, dst;
	uint8_t hop_limit;
	uint32_t l4_len;
};

bool icmp6_start(struct ip_stack *ip, const struct ip6_reply *reply, struct frame *out);
/* Fills in the checksum of the ICMPv6 message that the frame ends with, and sends it. */
void icmp6_finish(struct ip_stack *ip, struct frame *frame);

/* Broadcast who-has, announcement of our address (RFC 5227). */
void arp_request(struct ip_stack *ip, struct be32 target);
void arp_announce(struct ip_stack *ip);

/* The same for IPv6 (RFC 4861 7.2.2, 7.2.6). */
void nd_solicit(struct ip_stack *ip, const struct ip_addr *target);
void nd_announce(struct ip_stack *ip);

/* To the groups of our IPv6 addresses (RFC 3810): unasked, and in answer to a query. */
void mld_announce(struct ip_stack *ip);
enum ip_verdict mld_query(struct ip_stack *ip, const struct frame *frame, struct slice bytes);

/* Either, as the address wants. */
void ip_ask(struct ip_stack *ip, const struct ip_addr *target);

bool ip_peers_init(struct ip_peers *peers, uint32_t max);
void ip_peers_fini(struct ip_peers *peers);

/*
 * Index of the host a valid packet came from, and where its frame came from. UINT32_MAX: no entry
 * free.
 */
uint32_t ip_peer_heard(struct ip_stack *ip, const struct ip_addr *remote, const uint8_t *mac);

/* The entry to send with; NULL while its MAC address is unknown. */
const struct peer_entry *ip_peer_route(struct ip_stack *ip, uint32_t peer);

/* `peer` if it is the entry of `remote`, else the right one. UINT32_MAX: no entry free. */
uint32_t ip_peer_check(struct ip_stack *ip, uint32_t peer, const struct ip_addr *remote);
