/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

/*
 * Which flow a frame belongs to, before anybody has validated it: the steering asks on whichever
 * worker received it. Reads within the frame and believes nothing else. And the other way round:
 * which of our ports make answers arrive where they are wanted.
 */

uint32_t ip4_flow_hash(struct be32 src, struct be32 dst, struct be16 src_port, struct be16 dst_port)
{
	uint8_t tuple[IP4_TUPLE_BYTES];

	memcpy(tuple, &src, 4);
	memcpy(tuple + 4, &dst, 4);
	memcpy(tuple + 8, &src_port, 2);
	memcpy(tuple + 10, &dst_port, 2);
	return port_flow_hash(tuple, sizeof(tuple));
}

uint32_t ip6_flow_hash(const struct ip_addr *src, const struct ip_addr *dst, struct be16 src_port,
		       struct be16 dst_port)
{
	uint8_t tuple[IP6_TUPLE_BYTES];

	memcpy(tuple, src, 16);
	memcpy(tuple + 16, dst, 16);
	memcpy(tuple + 32, &src_port, 2);
	memcpy(tuple + 34, &dst_port, 2);
	return port_flow_hash(tuple, sizeof(tuple));
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP;
}

/* Of an ICMP error, the hash of the flow it quotes: the owner of that flow must hear of it. */
static bool quoted_hash(bool v4, struct slice message, uint32_t *hash)
{
	struct ip_packet packet;

	if (message.len == 0)
		return false;
	if (v4 ? !icmp_is_error(message.ptr[0]) || !icmp_quoted_flow(message, &packet)
	       : !icmp6_is_error(message.ptr[0]) || !icmp6_quoted_flow(message, &packet))
		return false;
	*hash = packet.hash;
	return true;
}

static bool ip4_hash(const struct frame *frame, struct slice bytes, uint32_t *hash)
{
	const struct ip4_header *header = (const struct ip4_header *)bytes.ptr;
	const struct tcp_ports *ports;
	uint32_t header_len;

	if (bytes.len < sizeof(*header))
		return false;
	header_len = (header->version_ihl & 0x0fU) * 4;
	if (header_len < sizeof(*header) || bytes.len < header_len + sizeof(*ports) ||
	    be16_to_host(header->fragment) & IP4_FRAGMENT_MASK)
		return false;
	if (header->protocol == IP_PROTOCOL_ICMP)
		return quoted_hash(true, slice_of(bytes.ptr + header_len, bytes.len - header_len),
				   hash);
	if (!has_ports(header->protocol))
		return false;
	ports = (const struct tcp_ports *)(bytes.ptr + header_len);
	*hash = frame->has_hash
			? frame->hash
			: ip4_flow_hash(header->src, header->dst, ports->src_port, ports->dst_port);
	return true;
}

static bool ip6_hash(const struct frame *frame, struct slice bytes, uint32_t *hash)
{
	const struct ip6_header *header = (const struct ip6_header *)bytes.ptr;
	const struct tcp_ports *ports;
	enum drop_reason why;
	uint8_t protocol;
	uint32_t at;

	if (bytes.len < sizeof(*header))
		return false;
	at = ip6_upper(bytes.ptr, (uint32_t)bytes.len, &protocol, &why);
	if (at == 0 || bytes.len < at + sizeof(*ports))
		return false;
	if (protocol == IP_PROTOCOL_ICMP6)
		return quoted_hash(false, slice_of(bytes.ptr + at, bytes.len - at), hash);
	if (!has_ports(protocol))
		return false;
	ports = (const struct tcp_ports *)(bytes.ptr + at);
	*hash = frame->has_hash ? frame->hash
				: ip6_flow_hash(&header->src, &header->dst, ports->src_port,
						ports->dst_port);
	return true;
}

bool ip_flow_hash(const struct frame *frame, uint32_t *hash)
{
	uint16_t type;
	uint32_t at = eth_payload(frame, &type);
	struct slice bytes = slice_of(frame->data + at, frame->len - at);

	if (at == 0)
		return false;
	if (likely(type == ETH_TYPE_IP4))
		return ip4_hash(frame, bytes, hash);
	return type == ETH_TYPE_IP6 && ip6_hash(frame, bytes, hash);
}

uint32_t ip_answer_hash(const struct flow *flow)
{
	struct be16 from = be16_from_host(flow->remote_port), to = be16_from_host(flow->local_port);

	return ip_addr_is_v4(&flow->remote) ? ip4_flow_hash(ip_addr_v4(&flow->remote),
							    ip_addr_v4(&flow->local), from, to)
					    : ip6_flow_hash(&flow->remote, &flow->local, from, to);
}

uint16_t ip_source_port(const struct flow *flow, uint16_t lowest, uint16_t queue, uint16_t queues)
{
	struct flow tried = *flow;

	do {
		if (port_hash_owner(ip_answer_hash(&tried), queues) == queue)
			return tried.local_port;
		tried.local_port =
			tried.local_port == UINT16_MAX ? lowest : (uint16_t)(tried.local_port + 1);
	} while (tried.local_port != flow->local_port);
	return flow->local_port;
}
