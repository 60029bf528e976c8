/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/checksum.h"
#include "nic/ip/ip_internal.h"

/*
 * UDP (RFC 768, RFC 1122 4.1): length and checksum of a received datagram, the refusal of one that
 * nobody wanted, and datagrams of ours. Called by ip4.c, ip6.c and the worker.
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

struct slice ip_udp_payload(const struct ip_packet *packet)
{
	return slice_of(packet->l4 + sizeof(struct udp_header),
			packet->l4_len - sizeof(struct udp_header));
}

bool ip_output_udp(struct ip_stack *ip, const struct flow *flow, uint32_t peer,
		   const struct slice *payload, uint32_t payload_count)
{
	size_t len = sizeof(struct udp_header);
	struct udp_header header = {
		.src_port = be16_from_host(flow->local_port),
		.dst_port = be16_from_host(flow->remote_port),
	};

	for (uint32_t i = 0; i < payload_count; i++)
		len += payload[i].len;
	header.len = be16_from_host((uint16_t)len);
	return ip_output_flow(ip, &(struct ip_segment){
					  .flow = flow,
					  .peer = peer,
					  .protocol = IP_PROTOCOL_UDP,
					  .header = slice_of(&header, sizeof(header)),
					  .payload = payload,
					  .payload_count = payload_count,
				  });
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
