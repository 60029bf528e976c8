/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "nic/ip/checksum.h"

/*
 * ICMPv6 (RFC 4443): answers echo, hands errors about our flows up, says that a port or protocol is
 * not served here, and passes neighbour discovery to nd.c, questions about groups to mld.c. What is
 * sent is limited in rate together with ICMP, and never about an error, a group or nobody. Called
 * by ip6.c and udp.c on the worker that received the frame.
 */

#define QUOTE_BYTES_MAX (IP6_MTU_MIN - sizeof(struct ip6_header) - sizeof(struct icmp_header))

void icmp6_finish(struct ip_stack *ip, struct frame *frame)
{
	const struct ip6_header *header = frame_l3(frame);
	struct icmp_header *message =
		(struct icmp_header *)((uint8_t *)frame_l3(frame) + sizeof(*header));
	uint32_t len = be16_to_host(header->payload_len);
	uint64_t pseudo = ip_checksum_pseudo6(header, IP_PROTOCOL_ICMP6, len);

	message->checksum = 0;
	message->checksum = ip_checksum_finish(ip_checksum_add(pseudo, slice_of(message, len)));
	ip->tx(ip->tx_arg, frame);
}

/* From the address that was asked, or if that was a group, from the one of the asker's scope. */
static struct ip_addr source_for(const struct ip_stack *ip, const struct ip6_header *in)
{
	if (ip6_is_ours(ip, &in->dst))
		return in->dst;
	return ip_addr_is_link_local(&in->src) ? ip->link_local : ip->local6;
}

static bool reply_start(struct ip_stack *ip, const struct frame *in, uint32_t l4_len,
			struct frame *out)
{
	const struct ip6_header *header = frame_l3(in);

	return icmp6_start(ip,
			   &(struct ip6_reply){
				   .mac = frame_src_mac(in),
				   .src = source_for(ip, header),
				   .dst = header->src,
				   .hop_limit = IP6_HOP_LIMIT,
				   .l4_len = l4_len,
			   },
			   out);
}

static enum ip_verdict echo(struct ip_stack *ip, const struct frame *frame,
			    const struct ip_packet *packet)
{
	struct icmp_header *message;
	struct frame reply;

	if (!icmp_rate_allows(ip))
		return ip_drop(ip, DROP_ICMP_RATE);
	if (!reply_start(ip, frame, packet->l4_len, &reply))
		return IP_DONE;
	message = (struct icmp_header *)(reply.data + reply.l2_len + reply.l3_len);
	memcpy(message, packet->l4, packet->l4_len);
	message->type = ICMP6_ECHO_REPLY;
	icmp6_finish(ip, &reply);
	return IP_DONE;
}

void icmp6_error(struct ip_stack *ip, const struct frame *frame, struct icmp6_error error)
{
	const struct ip6_header *quote = frame_l3(frame);
	uint32_t quote_len = (uint32_t)sizeof(*quote) + be16_to_host(quote->payload_len);
	struct icmp_header *message;
	struct frame reply;

	// RFC 4443 2.4 (e): no errors about what was sent to a group or came from nobody.
	if (ip_addr_is_group(&quote->dst) || ip_addr_is_none(&quote->src))
		return;
	if (quote_len > QUOTE_BYTES_MAX)
		quote_len = QUOTE_BYTES_MAX;
	if (!icmp_rate_allows(ip)) {
		drop_count(ip->drops, DROP_ICMP_RATE);
		return;
	}
	if (!reply_start(ip, frame, (uint32_t)sizeof(*message) + quote_len, &reply))
		return;
	message = (struct icmp_header *)(reply.data + reply.l2_len + reply.l3_len);
	*message = (struct icmp_header){
		.type = error.type, .code = error.code, .rest = be32_from_host(error.rest)};
	memcpy(message + 1, quote, quote_len);
	icmp6_finish(ip, &reply);
}

bool icmp6_is_error(uint8_t type)
{
	return type == ICMP6_UNREACHABLE || type == ICMP6_TOO_BIG || type == ICMP6_TIME_EXCEEDED ||
	       type == ICMP6_PARAMETER;
}

/* What we send has no extension headers, so what quotes it has none. */
bool icmp6_quoted_flow(struct slice message, struct ip_packet *packet)
{
	const struct icmp_header *icmp = (const struct icmp_header *)message.ptr;
	const struct ip6_header *quoted = (const struct ip6_header *)(icmp + 1);
	const struct tcp_ports *ports = (const struct tcp_ports *)(quoted + 1);

	if (message.len < sizeof(*icmp) + sizeof(*quoted) + 8 ||
	    be32_to_host(quoted->flow) >> 28 != 6)
		return false;
	if (quoted->next != IP_PROTOCOL_TCP && quoted->next != IP_PROTOCOL_UDP)
		return false;
	packet->protocol = quoted->next;
	packet->flow.local = quoted->src;
	packet->flow.remote = quoted->dst;
	packet->flow.local_port = be16_to_host(ports->src_port);
	packet->flow.remote_port = be16_to_host(ports->dst_port);
	packet->hash = ip6_flow_hash(&quoted->dst, &quoted->src, ports->dst_port, ports->src_port);
	return true;
}

static enum ip_verdict error_about_us(struct ip_stack *ip, struct ip_packet *packet)
{
	if (!icmp6_quoted_flow(slice_of(packet->l4, packet->l4_len), packet) ||
	    !ip6_is_ours(ip, &packet->flow.local))
		return ip_drop(ip, DROP_ICMP_BAD);
	packet->ecn = 0;
	packet->peer = UINT32_MAX; // a router may be the one that speaks
	return IP_ERROR;
}

enum ip_verdict icmp6_input(struct ip_stack *ip, const struct frame *frame,
			    struct ip_packet *packet)
{
	const struct icmp_header *icmp = (const struct icmp_header *)packet->l4;
	const struct ip6_header *header = frame_l3(frame);
	struct slice message = slice_of(packet->l4, packet->l4_len);
	uint64_t pseudo = ip_checksum_pseudo6(header, IP_PROTOCOL_ICMP6, packet->l4_len);

	// Ports verify TCP and UDP; what they say of this packet's payload means nothing.
	if (message.len < sizeof(*icmp) || !ip_checksum_valid(ip_checksum_add(pseudo, message)))
		return ip_drop(ip, DROP_ICMP_BAD);
	if (icmp->type == ICMP6_SOLICITATION || icmp->type == ICMP6_ADVERTISEMENT)
		return nd_input(ip, frame, message);
	if (ip_addr_is_none(&header->src))
		return ip_drop(ip, DROP_IP6_SOURCE);
	if (icmp->type == ICMP6_MLD_QUERY)
		return mld_query(ip, frame, message);
	if (icmp->type == ICMP6_ECHO && icmp->code == 0)
		return echo(ip, frame, packet);
	if (icmp6_is_error(icmp->type))
		return error_about_us(ip, packet);
	return ip_drop(ip, DROP_ICMP_TYPE);
}
