/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "base/clock.h"
#include "nic/ip/checksum.h"

/*
 * ICMP (RFC 792, RFC 1122 3.2.2): answers echo, hands errors about our flows up, and says that a
 * port or protocol is not served here. Whatever is sent is limited in rate and never about an error
 * or a group; those have been dropped before. Called by ip4.c and udp.c on the worker that received
 * the frame.
 */

#define ERROR_BYTES_MAX 576 // of IP packet (RFC 1812 4.3.2.3)
#define QUOTE_BYTES_MAX (ERROR_BYTES_MAX - sizeof(struct ip4_header) - sizeof(struct icmp_header))
#define QUOTE_L4_BYTES  8 // what every host quotes of the payload

bool icmp_rate_allows(struct ip_stack *ip)
{
	uint64_t paid_ns = ip->icmp_paid_until_ns;
	uint64_t from_ns = paid_ns > ip->now_ns ? paid_ns : ip->now_ns;

	if (ip->icmp_interval_ns == 0 || from_ns + ip->icmp_interval_ns > ip->now_ns + NS_PER_S)
		return false;
	ip->icmp_paid_until_ns = from_ns + ip->icmp_interval_ns;
	return true;
}

/*
 * Takes the frame's last bytes, from `message` on, as an ICMP message; fills in its checksum and
 * sends it.
 */
static void finish(struct ip_stack *ip, struct frame *frame, struct icmp_header *message)
{
	size_t len = frame->len - frame->l2_len - frame->l3_len;

	message->checksum = 0;
	message->checksum = ip_checksum_finish(ip_checksum_add(0, slice_of(message, len)));
	ip->tx(ip->tx_arg, frame);
}

static enum ip_verdict echo(struct ip_stack *ip, const struct frame *frame,
			    const struct ip_packet *packet)
{
	struct icmp_header *message;
	struct frame reply;

	if (!icmp_rate_allows(ip))
		return ip_drop(ip, DROP_ICMP_RATE);
	if (!ip4_reply_start(ip, frame, IP_PROTOCOL_ICMP, packet->l4_len, &reply))
		return IP_DONE;
	message = (struct icmp_header *)(reply.data + reply.l2_len + reply.l3_len);
	memcpy(message, packet->l4, packet->l4_len);
	message->type = ICMP_ECHO_REPLY;
	finish(ip, &reply, message);
	return IP_DONE;
}

void icmp_unreachable(struct ip_stack *ip, const struct frame *frame, uint8_t code)
{
	const uint8_t *quote = frame_l3(frame);
	const struct ip4_header *header = (const struct ip4_header *)quote;
	size_t quote_len = be16_to_host(header->total_len);
	struct icmp_header *message;
	struct frame reply;

	if (quote_len > frame->len - frame->l2_len)
		quote_len = frame->len - frame->l2_len;
	if (quote_len > QUOTE_BYTES_MAX)
		quote_len = QUOTE_BYTES_MAX;
	if (!icmp_rate_allows(ip)) {
		drop_count(ip->drops, DROP_ICMP_RATE);
		return;
	}
	if (!ip4_reply_start(ip, frame, IP_PROTOCOL_ICMP, (uint32_t)(sizeof(*message) + quote_len),
			     &reply))
		return;
	message = (struct icmp_header *)(reply.data + reply.l2_len + reply.l3_len);
	*message = (struct icmp_header){.type = ICMP_UNREACHABLE, .code = code};
	memcpy(message + 1, quote, quote_len);
	finish(ip, &reply, message);
}

bool icmp_is_error(uint8_t type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

bool icmp_quoted_flow(struct slice message, struct ip_packet *packet)
{
	const struct icmp_header *icmp = (const struct icmp_header *)message.ptr;
	const struct ip4_header *quoted = (const struct ip4_header *)(icmp + 1);
	const struct tcp_ports *ports;
	size_t header_len;

	if (message.len < sizeof(*icmp) + sizeof(*quoted) || quoted->version_ihl >> 4 != 4)
		return false;
	header_len = (quoted->version_ihl & 0x0fU) * 4;
	if (header_len < sizeof(*quoted) ||
	    message.len < sizeof(*icmp) + header_len + QUOTE_L4_BYTES)
		return false;
	if (be16_to_host(quoted->fragment) & IP4_OFFSET_MASK)
		return false; // has no ports
	if (quoted->protocol != IP_PROTOCOL_TCP && quoted->protocol != IP_PROTOCOL_UDP)
		return false;
	ports = (const struct tcp_ports *)((const uint8_t *)quoted + header_len);
	packet->protocol = quoted->protocol;
	packet->flow.local = ip_addr_from_v4(quoted->src);
	packet->flow.remote = ip_addr_from_v4(quoted->dst);
	packet->flow.local_port = be16_to_host(ports->src_port);
	packet->flow.remote_port = be16_to_host(ports->dst_port);
	packet->hash = ip4_flow_hash(quoted->dst, quoted->src, ports->dst_port, ports->src_port);
	return true;
}

static enum ip_verdict error(struct ip_stack *ip, struct ip_packet *packet)
{
	if (!icmp_quoted_flow(slice_of(packet->l4, packet->l4_len), packet) ||
	    ip_addr_v4(&packet->flow.local).raw != ip->address.raw)
		return ip_drop(ip, DROP_ICMP_BAD);
	packet->ecn = 0;
	packet->peer = UINT32_MAX; // a router may be the one that speaks
	return IP_ERROR;
}

enum ip_verdict icmp_input(struct ip_stack *ip, const struct frame *frame, struct ip_packet *packet)
{
	const struct icmp_header *icmp = (const struct icmp_header *)packet->l4;
	struct slice message = slice_of(packet->l4, packet->l4_len);

	// Ports verify TCP and UDP; what they say of this packet's payload means nothing.
	if (message.len < sizeof(*icmp) || !ip_checksum_valid(ip_checksum_add(0, message)))
		return ip_drop(ip, DROP_ICMP_BAD);
	if (icmp->type == ICMP_ECHO && icmp->code == 0)
		return echo(ip, frame, packet);
	if (icmp_is_error(icmp->type))
		return error(ip, packet);
	return ip_drop(ip, DROP_ICMP_TYPE);
}
