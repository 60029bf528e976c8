/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip.h"

#include "base/clock.h"
#include "base/contract.h"
#include "nic/ip/ip_internal.h"

#include <stdlib.h>

/*
 * The stack as its worker sees it: set up by the main thread, then one ip_input() per received
 * frame and one ip_tick() per loop. Steering asks ip_flow_hash() first, on whichever worker
 * received the frame. Layers are in eth.c, arp.c, ip4.c, icmp.c and udp.c, what leaves in output.c.
 */

#define REACHABLE_DEFAULT_NS (30 * NS_PER_S) // RFC 4861 REACHABLE_TIME
#define MTU_DEFAULT          1500
#define TICK_NS              NS_PER_MS
#define TICK_ENTRIES         16 // neighbours looked after per tick

_Static_assert(MTU_DEFAULT + sizeof(struct eth_header) <= PORT_FRAME_ROOM, "one buffer per frame");

static uint32_t mtu_of(const struct ip_config *config)
{
	uint32_t most = PORT_FRAME_ROOM - sizeof(struct eth_header);
	uint32_t mtu = config->mtu ? config->mtu : MTU_DEFAULT;

	return mtu < IP4_MTU_MIN ? IP4_MTU_MIN : mtu > most ? most : mtu;
}

struct ip_stack *ip_new(const struct ip_config *config, struct neigh_table *neighbours,
			struct port *port, struct drop_counters *drops)
{
	uint8_t prefix_len = config->prefix_len > 32 ? 32 : config->prefix_len;
	struct ip_stack *ip = malloc(sizeof(*ip));

	if (!ip)
		return NULL;
	*ip = (struct ip_stack){
		.local = ip_addr_from_v4(config->address),
		.address = config->address,
		.mask = be32_from_host(prefix_len ? UINT32_MAX << (32 - prefix_len) : 0),
		.gateway = config->gateway,
		.prefix_len = prefix_len,
		.mtu = mtu_of(config),
		.reachable_ns =
			config->arp_reachable_ns ? config->arp_reachable_ns : REACHABLE_DEFAULT_NS,
		.icmp_interval_ns = config->icmp_rate ? NS_PER_S / config->icmp_rate : 0,
		.allowed_count = config->allowed_count,
		.neighbours = neighbours,
		.port = port,
		.drops = drops,
	};
	memcpy(ip->mac, config->mac, ETH_MAC_BYTES);
	memcpy(ip->allowed, config->allowed, sizeof(ip->allowed));
	if (!ip_peers_init(&ip->peers, config->peers_max)) {
		free(ip);
		return NULL;
	}
	return ip;
}

void ip_free(struct ip_stack *ip)
{
	if (!ip)
		return;
	ip_peers_fini(&ip->peers);
	free(ip);
}

void ip_set_tx(struct ip_stack *ip, void (*tx)(void *arg, struct frame *frame), void *arg)
{
	REQUIRE(tx);
	ip->tx = tx;
	ip->tx_arg = arg;
}

enum ip_verdict ip_input(struct ip_stack *ip, struct frame *frame, uint64_t now_ns,
			 struct ip_packet *packet)
{
	HOT_ASSERT(ip->tx);
	ip->now_ns = now_ns;
	return eth_input(ip, frame, packet);
}

uint32_t ip4_flow_hash(struct be32 src, struct be32 dst, struct be16 src_port, struct be16 dst_port)
{
	uint8_t tuple[IP4_TUPLE_BYTES];

	memcpy(tuple, &src, 4);
	memcpy(tuple + 4, &dst, 4);
	memcpy(tuple + 8, &src_port, 2);
	memcpy(tuple + 10, &dst_port, 2);
	return port_flow_hash(tuple, sizeof(tuple));
}

/* Of an ICMP error, the hash of the flow it quotes: the owner of that flow must hear of it. */
static bool icmp_flow_hash(struct slice message, uint32_t *hash)
{
	struct ip_packet packet;

	if (message.len == 0 || !icmp_is_error(message.ptr[0]) ||
	    !icmp_quoted_flow(message, &packet))
		return false;
	*hash = packet.hash;
	return true;
}

bool ip_flow_hash(const struct frame *frame, uint32_t *hash)
{
	const struct eth_header *eth = (const struct eth_header *)frame->data;
	const struct ip4_header *header = (const struct ip4_header *)(eth + 1);
	const struct tcp_ports *ports;
	uint32_t l4_at;

	if (frame->len < ETH_IP4_HEADER_BYTES || be16_to_host(eth->type) != ETH_TYPE_IP4)
		return false;
	l4_at = (uint32_t)sizeof(*eth) + (header->version_ihl & 0x0fU) * 4;
	if (l4_at < ETH_IP4_HEADER_BYTES || frame->len < l4_at + sizeof(*ports) ||
	    be16_to_host(header->fragment) & IP4_FRAGMENT_MASK)
		return false;
	if (header->protocol == IP_PROTOCOL_ICMP)
		return icmp_flow_hash(slice_of(frame->data + l4_at, frame->len - l4_at), hash);
	if (header->protocol != IP_PROTOCOL_TCP && header->protocol != IP_PROTOCOL_UDP)
		return false;
	ports = (const struct tcp_ports *)(frame->data + l4_at);
	*hash = frame->has_hash
			? frame->hash
			: ip4_flow_hash(header->src, header->dst, ports->src_port, ports->dst_port);
	return true;
}

/* Announces us, keeps the gateway known, repeats the questions that are due. */
static void look_after_neighbours(struct ip_stack *ip)
{
	struct be32 ask[TICK_ENTRIES];
	uint32_t count;

	if (neigh_announcement_due(ip->neighbours, ip->now_ns))
		arp_announce(ip);
	if (ip->gateway.raw != 0 && neigh_want(ip->neighbours, ip->gateway, ip->now_ns))
		arp_request(ip, ip->gateway);
	count = neigh_tick(ip->neighbours, &ip->neigh_cursor, TICK_ENTRIES, ip->now_ns,
			   ip->reachable_ns, ask);
	for (uint32_t i = 0; i < count; i++)
		arp_request(ip, ask[i]);
}

void ip_tick(struct ip_stack *ip, uint64_t now_ns)
{
	ip->now_ns = now_ns;
	ip->neigh_generation = neigh_generation(ip->neighbours);
	if (now_ns < ip->tick_due_ns)
		return;
	ip->tick_due_ns = now_ns + TICK_NS;
	look_after_neighbours(ip);
}
