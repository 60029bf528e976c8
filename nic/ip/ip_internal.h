/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/ip/ip.h"
#include "nic/ip/neigh.h"
#include "nic/ip/wire.h"

/* What the files of this folder share. Everything here belongs to one worker. */

#define ETH_IP4_HEADER_BYTES (sizeof(struct eth_header) + sizeof(struct ip4_header))
#define IP4_TUPLE_BYTES      12 // what a flow's hash is over

/*
 * A remote host: one line, read for every frame that goes there. `header` is the Ethernet and IPv4
 * header of such a frame but for length, TOS and protocol; its checksum field holds the folded sum
 * of the rest, not complemented.
 */
struct peer_entry {
	CACHE_ALIGNED uint64_t used_ns; // last frame from or to it
	uint64_t fresh_until_ns;        // until then the MAC address needs no confirmation
	struct be32 remote;
	uint32_t next;       // in its bucket, or UINT32_MAX
	uint32_t generation; // of the neighbour table when the MAC address was set
	uint8_t header[ETH_IP4_HEADER_BYTES];
	bool resolved; // the MAC address is known
};

_Static_assert(sizeof(struct peer_entry) == CACHE_LINE_BYTES, "one line per remote host");

struct ip_peers {
	struct peer_entry *entries;
	uint32_t *buckets;   // heads of chains
	uint64_t multiplier; // secret and odd: nobody can choose addresses that share a bucket
	uint32_t bucket_shift;
	uint32_t max;
	uint32_t count;
	uint32_t hand; // where the search for the least used begins
	uint32_t last; // found last: most bursts come from few hosts
};

struct ip_stack {
	// [const]
	struct ip_addr local; // our address in its mapped form
	struct be32 address;
	struct be32 mask;
	struct be32 gateway;
	struct ip_network allowed[IP_NETWORKS_MAX]; // whom TCP and UDP is taken from
	uint32_t allowed_count;                     // 0: everybody
	uint8_t mac[ETH_MAC_BYTES];
	uint8_t prefix_len;
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

static inline bool ip_on_link(const struct ip_stack *ip, struct be32 address)
{
	return ((address.raw ^ ip->address.raw) & ip->mask.raw) == 0;
}

/*
 * Whether a host may have this address: no group, no broadcast, no loopback, not ours (RFC 1122
 * 3.2.1.3).
 */
bool ip4_host_valid(const struct ip_stack *ip, struct be32 address);

/* A received frame, one layer after the other. */
enum ip_verdict eth_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet);
enum ip_verdict arp_input(struct ip_stack *ip, const struct frame *frame);
enum ip_verdict ip4_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet);

/* `packet` has l4 and l4_len; the IPv4 header is valid and has no more options than it says. */
enum ip_verdict icmp_input(struct ip_stack *ip, const struct frame *frame,
			   struct ip_packet *packet);
enum ip_verdict udp_input(struct ip_stack *ip, const struct frame *frame, struct ip_packet *packet);

/* port_flow_hash() of the 4-tuple as received. */
uint32_t ip4_flow_hash(struct be32 src, struct be32 dst, struct be16 src_port,
		       struct be16 dst_port);

/* Sum over pseudo header and packet->l4, checked as the port's knowledge of the frame demands. */
bool ip4_l4_checksum_good(const struct frame *frame, const struct ip4_header *header,
			  struct slice l4);

/*
 * The flow that an ICMP error quotes, from our side: fills packet->flow, protocol and hash. False
 * when it quotes none.
 */
bool icmp_quoted_flow(struct slice message, struct ip_packet *packet);

/* Whether it is an ICMP error that may concern a flow (RFC 1122 3.2.2, RFC 6633). */
bool icmp_is_error(uint8_t type);

/* An unreachable message about a received frame, at the limited rate. `code` as in RFC 792. */
void icmp_unreachable(struct ip_stack *ip, const struct frame *frame, uint8_t code);

/*
 * Begins an IPv4 packet back to whoever sent `in`: fills Ethernet and IPv4 headers for l4_len bytes
 * and sets out->len. False, counted, when there is no buffer or it would not fit.
 */
bool ip4_reply_start(struct ip_stack *ip, const struct frame *in, uint8_t protocol, uint32_t l4_len,
		     struct frame *out);

/* Broadcast who-has, announcement of our address (RFC 5227). */
void arp_request(struct ip_stack *ip, struct be32 target);
void arp_announce(struct ip_stack *ip);

bool ip_peers_init(struct ip_peers *peers, uint32_t max);
void ip_peers_fini(struct ip_peers *peers);

/*
 * Index of the host a valid packet came from, and where its frame came from. UINT32_MAX: no entry
 * free.
 */
uint32_t ip_peer_heard(struct ip_stack *ip, struct be32 remote, const uint8_t *mac);

/* The entry to send with; NULL while its MAC address is unknown. */
const struct peer_entry *ip_peer_route(struct ip_stack *ip, uint32_t peer);

/* `peer` if it is the entry of `remote`, else the right one. UINT32_MAX: no entry free. */
uint32_t ip_peer_check(struct ip_stack *ip, uint32_t peer, struct be32 remote);
