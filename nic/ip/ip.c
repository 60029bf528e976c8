/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip.h"

#include "base/clock.h"
#include "base/contract.h"
#include "nic/ip/checksum.h"
#include "nic/ip/ip_internal.h"

#include <stdlib.h>

/*
 * The stack as its worker sees it: set up by the main thread, then one ip_input() per received
 * frame and one ip_tick() per loop. Steering asks ip_flow_hash() first (flow_hash.c), on whichever
 * worker received the frame. Layers are in eth.c, arp.c, nd.c, mld.c, ip4.c, ip6.c, icmp.c, icmp6.c
 * and udp.c, what leaves in output.c.
 */

#define REACHABLE_DEFAULT_NS (30 * NS_PER_S) // RFC 4861 REACHABLE_TIME
#define MTU_DEFAULT          1500
#define TICK_NS              NS_PER_MS
#define TICK_ENTRIES         16 // neighbours looked after per tick

_Static_assert(MTU_DEFAULT + ETH_HEADER_BYTES + ETH_VLAN_BYTES <= PORT_FRAME_ROOM,
	       "one buffer per frame");

static uint32_t mtu_of(const struct ip_config *config)
{
	uint32_t least = ip_addr_is_none(&config->address6) ? IP4_MTU_MIN : IP6_MTU_MIN;
	uint32_t most = PORT_FRAME_ROOM - sizeof(struct eth_header) - ETH_VLAN_BYTES;
	uint32_t mtu = config->mtu ? config->mtu : MTU_DEFAULT;

	return mtu < least ? least : mtu > most ? most : mtu;
}

/* fe80:: and the MAC address in its modified EUI-64 form (RFC 4291 appendix A). */
static struct ip_addr link_local_of(const uint8_t *mac)
{
	return (struct ip_addr){{0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff,
				 0xfe, mac[3], mac[4], mac[5]}};
}

struct ip_stack *ip_new(const struct ip_config *config, struct neigh_table *neighbours,
			struct port *port, struct drop_counters *drops)
{
	uint8_t prefix_len = config->prefix_len > 32 ? 32 : config->prefix_len;
	bool has_ip4 = !ip_addr_is_none(&config->address);
	struct ip_stack *ip = malloc(sizeof(*ip));

	if (!ip)
		return NULL;
	*ip = (struct ip_stack){
		.local = config->address,
		.mask = be32_from_host(prefix_len ? UINT32_MAX << (32 - prefix_len) : 0),
		.prefix_len = prefix_len,
		.has_ip6 = !ip_addr_is_none(&config->address6),
		.local6 = config->address6,
		.prefix6_len = config->prefix6_len > 128 ? 128 : config->prefix6_len,
		.link_local = link_local_of(config->mac),
		.gateway6 = config->gateway6,
		.vlan = config->vlan & ETH_VLAN_MASK,
		.l2_len = sizeof(struct eth_header) + (config->vlan ? ETH_VLAN_BYTES : 0),
		.mtu = mtu_of(config),
		.reachable_ns =
			config->arp_reachable_ns ? config->arp_reachable_ns : REACHABLE_DEFAULT_NS,
		.icmp_interval_ns = config->icmp_rate ? NS_PER_S / config->icmp_rate : 0,
		.allowed_count = config->allowed_count,
		.neighbours = neighbours,
		.port = port,
		.drops = drops,
	};
	if (has_ip4)
		ip->address = ip_addr_v4(&config->address);
	if (!ip_addr_is_none(&config->gateway))
		ip->gateway = ip_addr_v4(&config->gateway);
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

bool ip_host_valid(const struct ip_stack *ip, const struct ip_addr *address)
{
	return ip_addr_is_v4(address) ? ip4_host_valid(ip, ip_addr_v4(address))
				      : ip6_host_valid(ip, address);
}

bool ip_network_contains(const struct ip_network *network, const struct ip_addr *address)
{
	uint32_t bytes = network->prefix_len / 8, bits = network->prefix_len % 8;

	if (memcmp(network->address.bytes, address->bytes, bytes) != 0)
		return false;
	return bits == 0 ||
	       (network->address.bytes[bytes] ^ address->bytes[bytes]) >> (8 - bits) == 0;
}

bool ip_allowed(const struct ip_stack *ip, const struct ip_addr *src)
{
	for (uint32_t i = 0; i < ip->allowed_count; i++)
		if (ip_network_contains(&ip->allowed[i], src))
			return true;
	return false;
}

struct ip_addr ip_next_hop(const struct ip_stack *ip, const struct ip_addr *remote)
{
	struct ip_network ours = {.address = ip->local6, .prefix_len = ip->prefix6_len};

	if (ip_addr_is_v4(remote)) {
		if (ip4_on_link(ip, ip_addr_v4(remote)))
			return *remote;
		return ip->gateway.raw != 0 ? ip_addr_from_v4(ip->gateway) : (struct ip_addr){0};
	}
	if (ip_addr_is_link_local(remote) || ip_network_contains(&ours, remote))
		return *remote;
	return ip->gateway6;
}

bool ip_l4_checksum_good(const struct frame *frame, uint64_t pseudo, struct slice l4)
{
	switch ((enum frame_checksum)frame->l4_checksum) {
	case FRAME_CHECKSUM_GOOD:
	case FRAME_CHECKSUM_PARTIAL:
		return true;
	case FRAME_CHECKSUM_BAD:
		return false;
	case FRAME_CHECKSUM_UNKNOWN:
		break;
	}
	return ip_checksum_valid(ip_checksum_add(pseudo, l4));
}

/*
 * Where the packet goes next is TCP, above this folder; what that needs of the IP layer is done
 * here.
 */
enum ip_verdict ip_tcp_check(struct ip_stack *ip, const struct frame *frame, uint64_t pseudo,
			     struct ip_packet *packet)
{
	if (unlikely(packet->l4_len < TCP_HEADER_BYTES_MIN))
		return ip_drop(ip, DROP_TCP_SHORT);
	if (unlikely(!ip_l4_checksum_good(frame, pseudo, slice_of(packet->l4, packet->l4_len))))
		return ip_drop(ip, DROP_TCP_CHECKSUM);
	return IP_TCP;
}

void ip_ask(struct ip_stack *ip, const struct ip_addr *target)
{
	if (ip_addr_is_v4(target))
		arp_request(ip, ip_addr_v4(target));
	else
		nd_solicit(ip, target);
}

static void keep_known(struct ip_stack *ip, const struct ip_addr *gateway)
{
	if (neigh_want(ip->neighbours, gateway, ip->now_ns))
		ip_ask(ip, gateway);
}

/* Announces us, keeps the gateways known, repeats the questions that are due. */
static void look_after_neighbours(struct ip_stack *ip)
{
	struct ip_addr ask[TICK_ENTRIES];
	uint32_t count;

	if (neigh_announcement_due(ip->neighbours, ip->now_ns)) {
		if (ip->address.raw != 0)
			arp_announce(ip);
		if (ip->has_ip6) {
			mld_announce(ip);
			nd_announce(ip);
		}
	}
	if (ip->gateway.raw != 0) {
		struct ip_addr gateway = ip_addr_from_v4(ip->gateway);

		keep_known(ip, &gateway);
	}
	if (ip->has_ip6 && !ip_addr_is_none(&ip->gateway6))
		keep_known(ip, &ip->gateway6);
	count = neigh_tick(ip->neighbours, &ip->neigh_cursor, TICK_ENTRIES, ip->now_ns,
			   ip->reachable_ns, ask);
	for (uint32_t i = 0; i < count; i++)
		ip_ask(ip, &ask[i]);
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
