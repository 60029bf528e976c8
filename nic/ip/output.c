/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "base/contract.h"
#include "nic/ip/checksum.h"

/*
 * Frames out. ip_output_flow() is the fast path: the peer's header template, the L4 header, the
 * payload gathered behind them; the IPv4 checksum is five additions on the template's sum, the L4
 * checksum is the port's. What answers a frame directly (ICMP) is begun here, too. On the worker
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

static void complete_ip6(struct ip6_header *header, const struct ip_segment *segment,
			 uint32_t payload_len)
{
	header->flow = be32_from_host(IP6_VERSION | (uint32_t)segment->ecn << 20);
	header->payload_len = be16_from_host((uint16_t)payload_len);
	header->next = segment->protocol;
	// We have two addresses, and a connection keeps the one that it was opened to.
	if (segment->flow)
		header->src = segment->flow->local;
}

/* The longest of the packets on the wire, which is the only one without TSO. */
static bool fits(struct ip_stack *ip, size_t total_len)
{
	if (likely(total_len <= ip->mtu)) // which ip_new() has made fit into a frame
		return true;
	drop_count(ip->drops, DROP_IP_TOO_LONG);
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

/* The buffer that a segment begins in. */
static bool begin(struct ip_stack *ip, const struct ip_segment *segment, struct frame *frame)
{
	return segment->payload_count == 0 ? port_frame_alloc_control(ip->port, frame, ip->drops)
					   : port_frame_alloc(ip->port, frame, ip->drops);
}

/* The payload behind the headers. False: no buffers, and the frame is given back. */
static bool append(struct ip_stack *ip, const struct ip_segment *segment, struct frame *frame)
{
	if (likely(segment->tso_mss == 0)) {
		frame->len +=
			gather(frame->data + frame->len, segment->payload, segment->payload_count);
		return true;
	}
	frame->tso_mss = segment->tso_mss;
	frame->l4_len = (uint8_t)segment->header.len;
	if (likely(port_frame_append(ip->port, frame, segment->payload, segment->payload_count,
				     ip->drops)))
		return true;
	port_free(frame, 1);
	return false;
}

static bool send_to_peer(struct ip_stack *ip, uint32_t peer, const struct ip_segment *segment)
{
	const struct peer_entry *e = ip_peer_route(ip, peer);
	size_t l4_len = segment->header.len, payload_len = 0;
	struct frame frame;
	uint8_t *at;

	if (unlikely(!e)) {
		drop_count(ip->drops, DROP_NEIGH_UNRESOLVED);
		return false;
	}
	for (uint32_t i = 0; i < segment->payload_count; i++)
		payload_len += segment->payload[i].len;
	if (unlikely(!fits(ip, e->l3_len + l4_len +
				       (segment->tso_mss ? segment->tso_mss : payload_len))))
		return false;
	if (unlikely(!begin(ip, segment, &frame)))
		return false;
	l4_len += payload_len;
	HOT_ASSERT(segment->tso_mss || frame.room >= e->l2_len + e->l3_len + l4_len);
	memcpy(frame.data, e->header, sizeof(e->header)); // of constant length, and there is room
	at = frame.data + e->l2_len;
	if (likely(e->v4))
		complete_header((struct ip4_header *)at, segment->protocol, segment->ecn,
				(uint32_t)(sizeof(struct ip4_header) + l4_len));
	else
		complete_ip6((struct ip6_header *)at, segment, (uint32_t)l4_len);
	at += e->l3_len;
	at += gather(at, &segment->header, 1);
	frame.len = (uint32_t)(at - frame.data);
	frame.tx_flags = l4_tx_flag(segment->protocol);
	frame.l2_len = e->l2_len;
	frame.l3_len = e->l3_len;
	if (unlikely(!append(ip, segment, &frame)))
		return false;
	ip->tx(ip->tx_arg, &frame);
	return true;
}

bool ip_output_flow(struct ip_stack *ip, const struct ip_segment *segment)
{
	return send_to_peer(ip, ip_peer_check(ip, segment->peer, &segment->flow->remote), segment);
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
	const struct ip4_header *in_header = frame_l3(in);
	uint32_t total_len = (uint32_t)sizeof(struct ip4_header) + l4_len;
	struct ip4_header *header;

	if (!fits(ip, total_len) || !port_frame_alloc(ip->port, out, ip->drops))
		return false;
	header = (struct ip4_header *)eth_start(ip, out->data, frame_src_mac(in), ETH_TYPE_IP4);
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
	out->l2_len = ip->l2_len;
	out->l3_len = sizeof(*header);
	out->len = out->l2_len + total_len;
	out->tx_flags = 0;
	return true;
}

bool icmp6_start(struct ip_stack *ip, const struct ip6_reply *reply, struct frame *out)
{
	struct ip6_header *header;

	if (!fits(ip, sizeof(*header) + reply->l4_len) ||
	    !port_frame_alloc(ip->port, out, ip->drops))
		return false;
	header = (struct ip6_header *)eth_start(ip, out->data, reply->mac, ETH_TYPE_IP6);
	*header = (struct ip6_header){
		.flow = be32_from_host(IP6_VERSION),
		.payload_len = be16_from_host((uint16_t)reply->l4_len),
		.next = IP_PROTOCOL_ICMP6,
		.hop_limit = reply->hop_limit,
		.src = reply->src,
		.dst = reply->dst,
	};
	out->l2_len = ip->l2_len;
	out->l3_len = sizeof(*header);
	out->len = out->l2_len + (uint32_t)sizeof(*header) + reply->l4_len;
	out->tx_flags = 0;
	return true;
}
