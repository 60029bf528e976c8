/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

/*
 * Ethernet II with at most one tag of IEEE 802.1Q, the first look at a received frame: is it for
 * us, from somebody who can be, in our VLAN, and of a type we speak? Called by ip_input(), goes on
 * in arp.c, ip4.c or ip6.c. On the worker that received the frame.
 */

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

uint8_t *eth_start(const struct ip_stack *ip, uint8_t *data, const uint8_t *dst, uint16_t type)
{
	struct eth_header *eth = (struct eth_header *)data;
	struct vlan_tag *tag = (struct vlan_tag *)(eth + 1);

	memcpy(eth->dst, dst, ETH_MAC_BYTES);
	memcpy(eth->src, ip->mac, ETH_MAC_BYTES);
	eth->type = be16_from_host(type);
	if (ip->vlan != 0) {
		eth->type = be16_from_host(ETH_TYPE_VLAN);
		*tag = (struct vlan_tag){be16_from_host(ip->vlan), be16_from_host(type)};
	}
	return data + ip->l2_len;
}

void eth_group_mac(const struct ip_addr *group, uint8_t *mac)
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group->bytes + 12, 4);
}

uint32_t eth_payload(const struct frame *frame, uint16_t *type)
{
	const struct eth_header *eth = (const struct eth_header *)frame->data;
	const struct vlan_tag *tag = (const struct vlan_tag *)(eth + 1);

	if (frame->len < sizeof(*eth))
		return 0;
	*type = be16_to_host(eth->type);
	if (likely(*type != ETH_TYPE_VLAN))
		return sizeof(*eth);
	if (frame->len < sizeof(*eth) + sizeof(*tag))
		return 0;
	*type = be16_to_host(tag->type);
	return sizeof(*eth) + sizeof(*tag);
}

/* The VLAN of a frame; 0: none, or a tag that only says how urgent it is (IEEE 802.1Q 6.9.1). */
static uint16_t vlan_of(const struct frame *frame)
{
	const struct vlan_tag *tag = (const struct vlan_tag *)(frame->data + ETH_HEADER_BYTES);

	if (unlikely(frame->has_vlan))
		return frame->vlan & ETH_VLAN_MASK;
	return frame->l2_len > ETH_HEADER_BYTES ? be16_to_host(tag->control) & ETH_VLAN_MASK : 0;
}

enum ip_verdict eth_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet)
{
	const struct eth_header *eth = (const struct eth_header *)frame->data;
	uint16_t type;
	bool group;

	frame->l2_len = (uint8_t)eth_payload(frame, &type);
	if (unlikely(frame->l2_len == 0))
		return ip_drop(ip, DROP_ETH_SHORT);
	group = is_group(eth->dst);
	if (unlikely(!group && memcmp(eth->dst, ip->mac, ETH_MAC_BYTES) != 0))
		return ip_drop(ip, DROP_ETH_NOT_OURS);
	if (unlikely(is_group(eth->src) || memcmp(eth->src, ip->mac, ETH_MAC_BYTES) == 0))
		return ip_drop(ip, DROP_ETH_SOURCE);
	if (unlikely(vlan_of(frame) != ip->vlan))
		return ip_drop(ip, DROP_ETH_VLAN);

	switch (type) {
	case ETH_TYPE_IP4:
		// Nothing that we serve is asked of a group; RFC 1122 3.3.6 forbids answers.
		return group ? ip_drop(ip, DROP_ETH_GROUP) : ip4_input(ip, frame, packet);
	case ETH_TYPE_IP6:
		return ip->has_ip6 ? ip6_input(ip, frame, packet) : ip_drop(ip, DROP_ETH_TYPE);
	case ETH_TYPE_ARP:
		return arp_input(ip, frame);
	case ETH_TYPE_VLAN:
	case ETH_TYPE_QINQ:
		return ip_drop(ip, DROP_ETH_VLAN);
	default:
		return ip_drop(ip, DROP_ETH_TYPE);
	}
}
