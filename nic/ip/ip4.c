/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "nic/ip/checksum.h"

/*
 * IPv4 (RFC 791, RFC 1122 3.2.1): validates a received header in full, trims Ethernet padding and
 * hands the payload to TCP's caller, udp.c or icmp.c. Called by eth.c on the worker that received
 * the frame.
 */

#define OPTIONS_BYTES_MAX 40 // a header has at most 15 words

_Static_assert(OPTIONS_BYTES_MAX == 15 * 4 - sizeof(struct ip4_header), "RFC 791 3.1");

bool ip4_host_valid(const struct ip_stack *ip, struct be32 address)
{
	uint32_t a = be32_to_host(address);
	uint32_t host_bits = ~be32_to_host(ip->mask);

	if (a >> 24 == 0 || a >> 24 == 127 || a >= 0xe0000000) // "this network", loopback, groups
		return false;
	if (address.raw == ip->address.raw || ip->address.raw == 0)
		return false;
	// The ends of our network mean all hosts; /31 and /32 have none (RFC 3021).
	if (ip->prefix_len < 31 && ip4_on_link(ip, address))
		return (a & host_bits) != 0 && (a & host_bits) != host_bits;
	return true;
}

/* True when the options are well formed and none asks for a route of its own. */
static bool options_good(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != IP4_OPTION_END) {
		if (*at == IP4_OPTION_NOP) {
			at++;
			continue;
		}
		if (*at == IP4_OPTION_LOOSE_SOURCE || *at == IP4_OPTION_STRICT_SOURCE)
			return false;
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return false;
		at += at[1];
	}
	return true;
}

static bool header_checksum_good(const struct frame *frame, const struct ip4_header *header,
				 uint32_t header_len)
{
	switch ((enum frame_checksum)frame->ip_checksum) {
	case FRAME_CHECKSUM_GOOD:
	case FRAME_CHECKSUM_PARTIAL:
		return true;
	case FRAME_CHECKSUM_BAD:
		return false;
	case FRAME_CHECKSUM_UNKNOWN:
		break;
	}
	return ip_checksum_valid(ip_checksum_add(0, slice_of(header, header_len)));
}

/* Addresses, ports, hash and peer: the same for TCP and UDP, whose headers begin alike. */
static void fill_packet(struct ip_stack *ip, const struct frame *frame,
			const struct ip4_header *header, struct ip_packet *packet)
{
	const struct tcp_ports *ports = (const struct tcp_ports *)packet->l4;

	packet->flow.local = ip->local;
	packet->flow.remote = ip_addr_from_v4(header->src);
	packet->flow.local_port = be16_to_host(ports->dst_port);
	packet->flow.remote_port = be16_to_host(ports->src_port);
	packet->ecn = header->tos & 3;
	packet->hash = frame->has_hash ? frame->hash
				       : ip4_flow_hash(header->src, header->dst, ports->src_port,
						       ports->dst_port);
	packet->peer = ip_peer_heard(ip, &packet->flow.remote, frame_src_mac(frame));
}

/* By protocol. The header is valid. */
static enum ip_verdict deliver(struct ip_stack *ip, struct frame *frame,
			       const struct ip4_header *header, struct ip_packet *packet)
{
	enum ip_verdict verdict;
	uint64_t pseudo;

	packet->protocol = header->protocol;
	switch (header->protocol) {
	case IP_PROTOCOL_TCP:
		pseudo = ip_checksum_pseudo(header->src, header->dst, IP_PROTOCOL_TCP,
					    packet->l4_len);
		verdict = ip_tcp_check(ip, frame, pseudo, packet);
		break;
	case IP_PROTOCOL_UDP:
		verdict = udp_input(ip, frame, packet);
		break;
	case IP_PROTOCOL_ICMP:
		return icmp_input(ip, frame, packet);
	default:
		icmp_unreachable(ip, frame, ICMP_CODE_PROTOCOL);
		return ip_drop(ip, DROP_IP4_PROTOCOL);
	}
	if (likely(verdict != IP_DONE))
		fill_packet(ip, frame, header, packet);
	return verdict;
}

enum ip_verdict ip4_input(struct ip_stack *ip, struct frame *frame, struct ip_packet *packet)
{
	const struct ip4_header *header = frame_l3(frame);
	uint32_t len = frame->len - frame->l2_len; // eth.c saw at least that
	uint32_t header_len, total_len;

	if (unlikely(len < sizeof(*header)))
		return ip_drop(ip, DROP_IP4_SHORT);
	header_len = (header->version_ihl & 0x0fU) * 4;
	if (unlikely(header->version_ihl >> 4 != 4 || header_len < sizeof(*header)))
		return ip_drop(ip, DROP_IP4_VERSION);
	total_len = be16_to_host(header->total_len);
	if (unlikely(total_len < header_len || total_len > len))
		return ip_drop(ip, DROP_IP4_SHORT);
	if (unlikely(!header_checksum_good(frame, header, header_len)))
		return ip_drop(ip, DROP_IP4_CHECKSUM);
	if (unlikely(header->dst.raw != ip->address.raw || ip->address.raw == 0))
		return ip_drop(ip, DROP_IP4_NOT_OURS);
	if (unlikely(!ip4_host_valid(ip, header->src)))
		return ip_drop(ip, DROP_IP4_SOURCE);
	// Errors about our segments come from routers anywhere.
	if (unlikely(ip->allowed_count > 0) && header->protocol != IP_PROTOCOL_ICMP) {
		struct ip_addr src = ip_addr_from_v4(header->src);

		if (!ip_allowed(ip, &src))
			return ip_drop(ip, DROP_IP_NOT_ALLOWED);
	}
	if (unlikely(be16_to_host(header->fragment) & IP4_FRAGMENT_MASK))
		return ip_drop(ip, DROP_IP4_FRAGMENT);
	packet->l4 = (const uint8_t *)header + header_len;
	packet->l4_len = total_len - header_len;
	if (unlikely(header_len > sizeof(*header)) &&
	    !options_good((const uint8_t *)(header + 1), packet->l4))
		return ip_drop(ip, DROP_IP4_OPTIONS);
	return deliver(ip, frame, header, packet);
}
