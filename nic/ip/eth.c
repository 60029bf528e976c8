/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

/*
 * Ethernet II, the first look at a received frame: is it for us, from somebody who can be, and of a
 * type we speak? Called by ip_input(), goes on in arp.c or ip4.c. On the worker that received the
 * frame.
 */

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

enum ip_verdict eth_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet)
{
	const struct eth_header *eth = (const struct eth_header *)frame->data;
	bool group;

	if (unlikely(frame->len < sizeof(*eth)))
		return ip_drop(ip, DROP_ETH_SHORT);
	group = is_group(eth->dst);
	if (unlikely(!group && memcmp(eth->dst, ip->mac, ETH_MAC_BYTES) != 0))
		return ip_drop(ip, DROP_ETH_NOT_OURS);
	if (unlikely(is_group(eth->src) || memcmp(eth->src, ip->mac, ETH_MAC_BYTES) == 0))
		return ip_drop(ip, DROP_ETH_SOURCE);

	switch (be16_to_host(eth->type)) {
	case ETH_TYPE_IP4:
		// Nothing that we serve is asked of a group; RFC 1122 3.3.6 forbids answers.
		return group ? ip_drop(ip, DROP_ETH_GROUP) : ip4_input(ip, frame, packet);
	case ETH_TYPE_ARP:
		return arp_input(ip, frame);
	case ETH_TYPE_VLAN:
	case ETH_TYPE_QINQ:
		return ip_drop(ip, DROP_ETH_VLAN);
	default:
		return ip_drop(ip, DROP_ETH_TYPE);
	}
}
