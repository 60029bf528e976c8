/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "nic/ip/checksum.h"

/*
 * IPv6 (RFC 8200): validates a received header and what extension headers follow it, and hands the
 * payload to TCP's caller, udp.c or icmp6.c. We have a configured address and a link-local one.
 * Called by eth.c on the worker that received the frame.
 */

#define EXTENSIONS_MAX 8 // more of them serve no purpose but ours to be kept busy

bool ip6_is_ours(const struct ip_stack *ip, const struct ip_addr *address)
{
	return ip_addr_equal(address, &ip->local6) || ip_addr_equal(address, &ip->link_local);
}

/* ff02::1, or the group that solicitations of one of our addresses go to (RFC 4291 2.7.1). */
static bool group_is_ours(const struct ip_stack *ip, const struct ip_addr *address)
{
	static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
	static const uint8_t solicited[13] = {0xff, 0x02, [11] = 1, [12] = 0xff};

	if (ip_addr_equal(address, &all_nodes))
		return true;
	return memcmp(address->bytes, solicited, sizeof(solicited)) == 0 &&
	       (memcmp(address->bytes + 13, ip->local6.bytes + 13, 3) == 0 ||
		memcmp(address->bytes + 13, ip->link_local.bytes + 13, 3) == 0);
}

bool ip6_host_valid(const struct ip_stack *ip, const struct ip_addr *address)
{
	static const struct ip_addr loopback = {{[15] = 1}};

	// A mapped address on the wire would pass for an IPv4 host (RFC 4942 2.2).
	return ip->has_ip6 && !ip_addr_is_none(address) && !ip_addr_equal(address, &loopback) &&
	       !ip_addr_is_group(address) && !ip_addr_is_v4(address) && !ip6_is_ours(ip, address);
}

/* True when we may skip each option of a hop-by-hop or destination header (RFC 8200 4.2). */
static bool options_skippable(const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		if (*at == IP6_OPTION_PAD1) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] > end - at - 2 || (*at & IP6_OPTION_SKIP) != 0)
			return false;
		at += 2 + at[1];
	}
	return true;
}

/* One extension header of `len` bytes at most; returns its length, 0: none that we pass over. */
static uint32_t skip_extension(uint8_t type, const uint8_t *at, uint32_t len, enum drop_reason *why)
{
	const struct ip6_extension *extension = (const struct ip6_extension *)at;
	uint32_t extension_len;

	*why = DROP_IP6_EXTENSION;
	if (len < 8)
		return 0;
	extension_len = type == IP6_FRAGMENT ? 8 : (extension->len + 1U) * 8;
	if (extension_len > len)
		return 0;
	switch (type) {
	case IP6_HOP_BY_HOP:
	case IP6_DESTINATION:
		return options_skippable(at + 2, at + extension_len) ? extension_len : 0;
	case IP6_ROUTING: // with segments left it would be for us to pass on
		return at[3] == 0 ? extension_len : 0;
	case IP6_FRAGMENT: // the only fragment of its packet is whole (RFC 6946)
		*why = DROP_IP6_FRAGMENT;
		return (be16_load(at + 2) & IP6_FRAGMENT_REST) == 0 ? extension_len : 0;
	default:
		return 0;
	}
}

static bool is_extension(uint8_t type)
{
	return type == IP6_HOP_BY_HOP || type == IP6_DESTINATION || type == IP6_ROUTING ||
	       type == IP6_FRAGMENT;
}

uint32_t ip6_upper(const uint8_t *ip, uint32_t len, uint8_t *protocol, enum drop_reason *why)
{
	uint32_t at = sizeof(struct ip6_header);

	*protocol = ((const struct ip6_header *)ip)->next;
	for (uint32_t i = 0; unlikely(is_extension(*protocol)); i++) {
		uint8_t type = *protocol;
		uint32_t extension_len;

		*why = DROP_IP6_EXTENSION;
		// Hop-by-hop options come first or not at all (RFC 8200 4.1).
		if (i == EXTENSIONS_MAX || (type == IP6_HOP_BY_HOP && i > 0))
			return 0;
		extension_len = skip_extension(type, ip + at, len - at, why);
		if (extension_len == 0)
			return 0;
		*protocol = ip[at];
		at += extension_len;
	}
	return at;
}

static void fill_packet(struct ip_stack *ip, const struct frame *frame,
			const struct ip6_header *header, struct ip_packet *packet)
{
	const struct tcp_ports *ports = (const struct tcp_ports *)packet->l4;

	packet->flow.local = header->dst;
	packet->flow.remote = header->src;
	packet->flow.local_port = be16_to_host(ports->dst_port);
	packet->flow.remote_port = be16_to_host(ports->src_port);
	packet->ecn = be32_to_host(header->flow) >> 20 & 3;
	packet->hash = frame->has_hash ? frame->hash
				       : ip6_flow_hash(&header->src, &header->dst, ports->src_port,
						       ports->dst_port);
	packet->peer = ip_peer_heard(ip, &packet->flow.remote, frame_src_mac(frame));
}

/* By protocol. The headers are valid. */
static enum ip_verdict deliver(struct ip_stack *ip, struct frame *frame,
			       const struct ip6_header *header, struct ip_packet *packet)
{
	enum ip_verdict verdict;

	switch (packet->protocol) {
	case IP_PROTOCOL_TCP:
		verdict = ip_tcp_check(ip, frame,
				       ip_checksum_pseudo6(header, IP_PROTOCOL_TCP, packet->l4_len),
				       packet);
		break;
	case IP_PROTOCOL_UDP:
		verdict = udp_input(ip, frame, packet);
		break;
	case IP_PROTOCOL_ICMP6:
		return icmp6_input(ip, frame, packet);
	default:
		if (packet->protocol != IP6_NONE)
			icmp6_error(ip, frame,
				    (struct icmp6_error){ICMP6_PARAMETER, ICMP6_CODE_NEXT,
							 offsetof(struct ip6_header, next)});
		return ip_drop(ip, DROP_IP6_PROTOCOL);
	}
	if (likely(verdict != IP_DONE))
		fill_packet(ip, frame, header, packet);
	return verdict;
}

/* Who asks whether an address is free has none yet, and may only ask that (RFC 4862 5.4.2). */
static bool source_good(const struct ip_stack *ip, const struct ip6_header *header,
			uint8_t protocol)
{
	if (ip_addr_is_none(&header->src))
		return protocol == IP_PROTOCOL_ICMP6 && ip_addr_is_group(&header->dst);
	return ip6_host_valid(ip, &header->src);
}

enum ip_verdict ip6_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet)
{
	const struct ip6_header *header = frame_l3(frame);
	uint32_t len = frame->len - frame->l2_len; // eth.c saw at least that
	bool group = frame->data[0] & 1;
	enum drop_reason why;
	uint32_t total_len, upper;

	if (unlikely(len < sizeof(*header)))
		return ip_drop(ip, DROP_IP6_SHORT);
	if (unlikely(be32_to_host(header->flow) >> 28 != 6))
		return ip_drop(ip, DROP_IP6_VERSION);
	total_len = (uint32_t)sizeof(*header) + be16_to_host(header->payload_len);
	if (unlikely(total_len > len))
		return ip_drop(ip, DROP_IP6_SHORT);
	if (unlikely(group ? !group_is_ours(ip, &header->dst) : !ip6_is_ours(ip, &header->dst)))
		return ip_drop(ip, DROP_IP6_NOT_OURS);
	upper = ip6_upper((const uint8_t *)header, total_len, &packet->protocol, &why);
	if (unlikely(upper == 0))
		return ip_drop(ip, why);
	if (unlikely(!source_good(ip, header, packet->protocol)))
		return ip_drop(ip, DROP_IP6_SOURCE);
	// Nothing but neighbour discovery is asked of a group.
	if (unlikely(group && packet->protocol != IP_PROTOCOL_ICMP6))
		return ip_drop(ip, DROP_ETH_GROUP);
	if (unlikely(ip->allowed_count > 0) && packet->protocol != IP_PROTOCOL_ICMP6 &&
	    !ip_allowed(ip, &header->src))
		return ip_drop(ip, DROP_IP_NOT_ALLOWED);
	packet->l4 = (const uint8_t *)header + upper;
	packet->l4_len = total_len - upper;
	return deliver(ip, frame, header, packet);
}
