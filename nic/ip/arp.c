/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

/*
 * ARP (RFC 826, RFC 5227): answers who-has for our address on whichever worker it arrives, learns
 * from what is addressed to us or announced to all, asks on behalf of peer.c and neigh.c. Only
 * hosts that we have asked for are learnt; see neigh.h.
 */

static const uint8_t broadcast_mac[ETH_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t zero_mac[ETH_MAC_BYTES];

/* Everything of a packet that goes out but who is told what. */
static void send_arp(struct ip_stack *ip, uint16_t operation, const uint8_t *target_mac,
		     struct be32 target)
{
	bool request = operation == ARP_REQUEST;
	const uint8_t *to = request ? broadcast_mac : target_mac;
	struct frame frame;
	struct arp_packet *arp;

	if (!port_frame_alloc_control(ip->port, &frame, ip->drops))
		return;
	arp = (struct arp_packet *)eth_start(ip, frame.data, to, ETH_TYPE_ARP);
	*arp = (struct arp_packet){
		.hardware = be16_from_host(ARP_HARDWARE_ETHERNET),
		.protocol = be16_from_host(ETH_TYPE_IP4),
		.hardware_len = ETH_MAC_BYTES,
		.protocol_len = sizeof(struct be32),
		.operation = be16_from_host(operation),
		.sender = ip->address,
		.target = target,
	};
	memcpy(arp->sender_mac, ip->mac, ETH_MAC_BYTES);
	memcpy(arp->target_mac, request ? zero_mac : target_mac, ETH_MAC_BYTES);
	frame.len = ip->l2_len + (uint32_t)sizeof(*arp);
	frame.tx_flags = 0;
	ip->tx(ip->tx_arg, &frame);
}

void arp_request(struct ip_stack *ip, struct be32 target)
{
	send_arp(ip, ARP_REQUEST, NULL, target);
}

void arp_announce(struct ip_stack *ip)
{
	send_arp(ip, ARP_REQUEST, NULL, ip->address);
}

static bool arp_valid(const struct arp_packet *arp)
{
	uint16_t operation = be16_to_host(arp->operation);

	return be16_to_host(arp->hardware) == ARP_HARDWARE_ETHERNET &&
	       be16_to_host(arp->protocol) == ETH_TYPE_IP4 && arp->hardware_len == ETH_MAC_BYTES &&
	       arp->protocol_len == sizeof(struct be32) &&
	       (operation == ARP_REQUEST || operation == ARP_REPLY) &&
	       (arp->sender_mac[0] & 1) == 0 &&
	       memcmp(arp->sender_mac, zero_mac, ETH_MAC_BYTES) != 0;
}

enum ip_verdict arp_input(struct ip_stack *ip, const struct frame *frame)
{
	const struct arp_packet *arp = frame_l3(frame);
	struct ip_addr sender;
	bool to_us, announced;

	if (frame->len < frame->l2_len + sizeof(*arp) || !arp_valid(arp))
		return ip_drop(ip, DROP_ARP_BAD);
	if (ip->address.raw == 0)
		return ip_drop(ip, DROP_ARP_NOT_OURS);
	if (arp->sender.raw == ip->address.raw) {
		// Somebody else has our address: say once more that it is ours (RFC 5227 2.4 b).
		if (neigh_defence_due(ip->neighbours, ip->now_ns))
			arp_announce(ip);
		return ip_drop(ip, DROP_ARP_CONFLICT);
	}
	to_us = arp->target.raw == ip->address.raw;
	announced = arp->target.raw == arp->sender.raw;
	// A probe has no sender yet (RFC 5227 2.1.1): it is answered and teaches nothing.
	if (arp->sender.raw != 0 && !ip4_host_valid(ip, arp->sender))
		return ip_drop(ip, DROP_ARP_BAD);
	if (!to_us && !announced)
		return ip_drop(ip, DROP_ARP_NOT_OURS);
	sender = ip_addr_from_v4(arp->sender);
	if (arp->sender.raw != 0)
		neigh_learn(ip->neighbours, &sender, arp->sender_mac, ip->now_ns);
	if (to_us && be16_to_host(arp->operation) == ARP_REQUEST)
		send_arp(ip, ARP_REPLY, arp->sender_mac, arp->sender);
	return IP_DONE;
}
