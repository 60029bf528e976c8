/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/checksum.h"
#include "nic/ip/ip_internal.h"

/*
 * UDP (RFC 768, RFC 1122 4.1): length and checksum of a received datagram, and the refusal of one
 * that nobody wanted. Called by ip4.c and by the worker.
 */

enum ip_verdict udp_input(struct ip_stack *ip, const struct frame *frame, struct ip_packet *packet)
{
	const struct ip4_header *header4 = frame_l3(frame);
	const struct ip6_header *header6 = frame_l3(frame);
	bool v4 = header4->version_ihl >> 4 == 4;
	const struct udp_header *udp = (const struct udp_header *)packet->l4;
	uint64_t pseudo;
	uint32_t len;

	if (unlikely(packet->l4_len < sizeof(*udp)))
		return ip_drop(ip, DROP_UDP_BAD);
	len = be16_to_host(udp->len);
	if (unlikely(len < sizeof(*udp) || len > packet->l4_len))
		return ip_drop(ip, DROP_UDP_BAD);
	packet->l4_len = len; // what IP carries beyond is nobody's
	// An all-zero field says that the sender computed none, whatever the port makes of it. In
	// IPv6 that is forbidden (RFC 8200 8.1).
	if (udp->checksum == 0)
		return v4 ? IP_UDP : ip_drop(ip, DROP_UDP_BAD);
	pseudo = v4 ? ip_checksum_pseudo(header4->src, header4->dst, IP_PROTOCOL_UDP, len)
		    : ip_checksum_pseudo6(header6, IP_PROTOCOL_UDP, len);
	if (!ip_l4_checksum_good(frame, pseudo, slice_of(udp, len)))
		return ip_drop(ip, DROP_UDP_BAD);
	return IP_UDP;
}

void ip_port_unreachable(struct ip_stack *ip, const struct frame *frame, uint64_t now_ns)
{
	ip->now_ns = now_ns;
	drop_count(ip->drops, DROP_UDP_PORT);
	if (((const struct ip4_header *)frame_l3(frame))->version_ihl >> 4 == 4)
		icmp_unreachable(ip, frame, ICMP_CODE_PORT);
	else
		icmp6_error(ip, frame, (struct icmp6_error){ICMP6_UNREACHABLE, ICMP6_CODE_PORT, 0});
}
