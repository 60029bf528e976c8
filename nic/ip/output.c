/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "base/contract.h"
#include "nic/ip/checksum.h"

/*
 * Frames out. ip_output_flow() is the fast path: the peer's header template, the L4 header, the
 * payload gathered behind them; the IPv4 checksum is five additions on the template's sum, the L4
 * checksum is the port's. What answers a frame directly (ICMP) is begun here too. On the worker
 * that owns the stack.
 */

/* Only these have a checksum that ports know how to fill in. */
static uint8_t l4_tx_flag(uint8_t protocol)
{
	switch (protocol) {
	case IP_PROTOCOL_TCP:
		return FRAME_TX_TCP_CHECKSUM;
	case IP_PROTOCOL_UDP:
		return FRAME_TX_UDP_CHECKSUM;
	default:
		return 0;
	}
}

/*
 * Fills in what differs from packet to packet. header->checksum is the sum of all the rest on
 * entry.
 */
static void complete_header(struct ip4_header *header, uint8_t protocol, uint8_t tos,
			    uint32_t total_len)
{
	uint64_t sum = header->checksum;

	header->tos = tos;
	header->total_len = be16_from_host((uint16_t)total_len);
	header->protocol = protocol;
	// TOS and protocol are the second bytes of their words, in memory order.
	sum += ((uint32_t)tos << 8) + ((uint32_t)protocol << 8) + header->total_len.raw;
	header->checksum = ip_checksum_finish(sum);
}

static bool fits(struct ip_stack *ip, size_t total_len)
{
	if (likely(total_len <= ip->mtu)) // which ip_new() has made fit into a frame
		return true;
	drop_count(ip->drops, DROP_IP4_TOO_LONG);
	return false;
}

static uint32_t gather(uint8_t *to, const struct slice *parts, uint32_t count)
{
	uint8_t *at = to;

	for (uint32_t i = 0; i < count; i++) {
		if (parts[i].len == 0)
			continue;
		memcpy(at, parts[i].ptr, parts[i].len);
		at += parts[i].len;
	}
	return (uint32_t)(at - to);
}

static bool send_to_peer(struct ip_stack *ip, uint32_t peer, const struct ip_segment *segment)
{
	const struct peer_entry *e = ip_peer_route(ip, peer);
	size_t total_len = sizeof(struct ip4_header) + segment->header.len;
	struct frame frame;
	uint8_t *l4;

	if (unlikely(!e)) {
		drop_count(ip->drops, DROP_NEIGH_UNRESOLVED);
		return false;
	}
	for (uint32_t i = 0; i < segment->payload_count; i++)
		total_len += segment->payload[i].len;
	if (unlikely(!fits(ip, total_len)))
		return false;
	if (unlikely(!port_frame_alloc(ip->port, &frame, ip->drops)))
		return false;
	HOT_ASSERT(frame.room >= total_len + sizeof(struct eth_header));
	memcpy(frame.data, e->header, ETH_IP4_HEADER_BYTES);
	complete_header((struct ip4_header *)(frame.data + sizeof(struct eth_header)),
			segment->protocol, segment->ecn, (uint32_t)total_len);
	l4 = frame.data + ETH_IP4_HEADER_BYTES;
	l4 += gather(l4, &segment->header, 1);
	gather(l4, segment->payload, segment->payload_count);
	frame.len = (uint32_t)(sizeof(struct eth_header) + total_len);
	frame.tx_flags = l4_tx_flag(segment->protocol);
	frame.l2_len = sizeof(struct eth_header);
	frame.l3_len = sizeof(struct ip4_header);
	ip->tx(ip->tx_arg, &frame);
	return true;
}

bool ip_output_flow(struct ip_stack *ip, const struct ip_segment *segment)
{
	struct be32 remote = ip_addr_v4(&segment->flow->remote);

	return send_to_peer(ip, ip_peer_check(ip, segment->peer, remote), segment);
}

bool ip_output(struct ip_stack *ip, uint32_t peer, uint8_t protocol, uint8_t ecn,
	       struct slice header, const struct slice *payload, uint32_t payload_count)
{
	struct ip_segment segment = {
		.protocol = protocol,
		.ecn = ecn,
		.header = header,
		.payload = payload,
		.payload_count = payload_count,
	};

	return send_to_peer(ip, peer, &segment);
}

bool ip4_reply_start(struct ip_stack *ip, const struct frame *in, uint8_t protocol, uint32_t l4_len,
		     struct frame *out)
{
	const struct eth_header *in_eth = (const struct eth_header *)in->data;
	const struct ip4_header *in_header = (const struct ip4_header *)(in_eth + 1);
	uint32_t total_len = (uint32_t)sizeof(struct ip4_header) + l4_len;
	struct eth_header *eth;
	struct ip4_header *header;

	if (!fits(ip, total_len) || !port_frame_alloc(ip->port, out, ip->drops))
		return false;
	eth = (struct eth_header *)out->data;
	memcpy(eth->dst, in_eth->src, ETH_MAC_BYTES);
	memcpy(eth->src, ip->mac, ETH_MAC_BYTES);
	eth->type = be16_from_host(ETH_TYPE_IP4);
	header = (struct ip4_header *)(eth + 1);
	*header = (struct ip4_header){
		.version_ihl = IP4_VERSION_IHL,
		.total_len = be16_from_host((uint16_t)total_len),
		.fragment = be16_from_host(IP4_DONT_FRAGMENT),
		.ttl = IP4_TTL,
		.protocol = protocol,
		.src = ip->address,
		.dst = in_header->src,
	};
	header->checksum =
		ip_checksum_finish(ip_checksum_add(0, slice_of(header, sizeof(*header))));
	out->len = (uint32_t)sizeof(*eth) + total_len;
	out->tx_flags = 0;
	return true;
}
