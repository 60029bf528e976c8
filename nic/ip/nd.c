/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

/*
 * Neighbour discovery (RFC 4861), what ARP is to IPv4: answers solicitations of our addresses on
 * whichever worker they arrive, learns from answers, asks on behalf of peer.c and ip.c. Only hosts
 * that we have asked for are learnt (neigh.h). Routers are configured, so their advertisements and
 * redirects are not listened to. Called by icmp6.c.
 */

static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};

struct nd_out {
	uint8_t type;
	uint8_t option;
	uint32_t flags;
	struct ip_addr target, src, dst;
	const uint8_t *mac; // NULL: that of the group `dst`
};

static void send_nd(struct ip_stack *ip, const struct nd_out *nd)
{
	uint8_t to_group[ETH_MAC_BYTES];
	struct nd_message *message;
	struct nd_mac_option *option;
	struct frame frame;
	struct ip6_reply reply = {
		.mac = nd->mac ? nd->mac : to_group,
		.src = nd->src,
		.dst = nd->dst,
		.hop_limit = ND_HOP_LIMIT,
		.l4_len = sizeof(*message) + sizeof(*option),
	};

	eth_group_mac(&nd->dst, to_group);
	if (!icmp6_start(ip, &reply, &frame))
		return;
	message = (struct nd_message *)(frame.data + frame.l2_len + frame.l3_len);
	*message = (struct nd_message){
		.type = nd->type, .flags = be32_from_host(nd->flags), .target = nd->target};
	option = (struct nd_mac_option *)(message + 1);
	*option = (struct nd_mac_option){.type = nd->option, .len = 1};
	memcpy(option->mac, ip->mac, ETH_MAC_BYTES);
	icmp6_finish(ip, &frame);
}

void nd_solicit(struct ip_stack *ip, const struct ip_addr *target)
{
	// RFC 4291 2.7.1: the group of all whose address ends like this.
	struct ip_addr group = {{0xff, 0x02, [11] = 1, [12] = 0xff, target->bytes[13],
				 target->bytes[14], target->bytes[15]}};

	send_nd(ip, &(struct nd_out){
			    .type = ICMP6_SOLICITATION,
			    .option = ND_OPTION_SOURCE,
			    .target = *target,
			    .src = ip_addr_is_link_local(target) ? ip->link_local : ip->local6,
			    .dst = group,
		    });
}

static void announce(struct ip_stack *ip, const struct ip_addr *address)
{
	send_nd(ip, &(struct nd_out){
			    .type = ICMP6_ADVERTISEMENT,
			    .option = ND_OPTION_TARGET,
			    .flags = ND_OVERRIDE,
			    .target = *address,
			    .src = *address,
			    .dst = all_nodes,
		    });
}

void nd_announce(struct ip_stack *ip)
{
	announce(ip, &ip->local6);
	announce(ip, &ip->link_local);
}

/* Finds the MAC address of an option; false when the options are malformed (RFC 4861 7.1). */
static bool read_options(struct slice options, uint8_t wanted, const uint8_t **mac)
{
	*mac = NULL;
	while (options.len > 0) {
		size_t len = options.len < 2 ? 0 : options.ptr[1] * 8U;

		if (len == 0 || len > options.len)
			return false;
		// The other kinds may be longer; this one is as long as Ethernet makes it.
		if (options.ptr[0] == wanted && len == sizeof(struct nd_mac_option))
			*mac = options.ptr + 2;
		options.ptr += len;
		options.len -= len;
	}
	return !*mac || ((*mac)[0] & 1) == 0;
}

/* RFC 4861 7.2.3, 7.2.4; RFC 4862 5.4.3: who has no address yet asks whether it may have ours. */
static enum ip_verdict solicitation(struct ip_stack *ip, const struct frame *frame,
				    const struct nd_message *message, const uint8_t *mac)
{
	const struct ip6_header *header = frame_l3(frame);
	bool probe = ip_addr_is_none(&header->src);

	if (probe && mac)
		return ip_drop(ip, DROP_ND_BAD);
	if (!ip6_is_ours(ip, &message->target))
		return ip_drop(ip, DROP_ND_NOT_OURS);
	if (mac)
		neigh_learn(ip->neighbours, &header->src, mac, ip->now_ns);
	send_nd(ip, &(struct nd_out){
			    .type = ICMP6_ADVERTISEMENT,
			    .option = ND_OPTION_TARGET,
			    .flags = ND_OVERRIDE | (probe ? 0 : ND_SOLICITED),
			    .target = message->target,
			    .src = message->target,
			    .dst = probe ? all_nodes : header->src,
			    .mac = probe ? NULL : frame_src_mac(frame),
		    });
	return IP_DONE;
}

/* RFC 4861 7.2.5 in short; unasked ones change entries that exist. */
static enum ip_verdict advertisement(struct ip_stack *ip, const struct frame *frame,
				     const struct nd_message *message, const uint8_t *mac)
{
	const struct ip6_header *header = frame_l3(frame);
	uint32_t flags = be32_to_host(message->flags);
	struct ip_addr target = message->target;
	struct neigh_answer known;

	if (ip_addr_is_group(&header->dst) && flags & ND_SOLICITED)
		return ip_drop(ip, DROP_ND_BAD);
	if (ip6_is_ours(ip, &target)) {
		// Somebody else has our address: say once more that it is ours.
		if (neigh_defence_due(ip->neighbours, ip->now_ns))
			nd_announce(ip);
		return ip_drop(ip, DROP_ND_CONFLICT);
	}
	if (!ip6_host_valid(ip, &target))
		return ip_drop(ip, DROP_ND_BAD);
	// Without "override" it may fill in what is missing, and not change what is known.
	if (mac && (flags & ND_OVERRIDE || !neigh_find(ip->neighbours, &target, &known) ||
		    memcmp(known.mac, mac, ETH_MAC_BYTES) == 0))
		neigh_learn(ip->neighbours, &target, mac, ip->now_ns);
	return IP_DONE;
}

enum ip_verdict nd_input(struct ip_stack *ip, const struct frame *frame, struct slice bytes)
{
	const struct nd_message *message = (const struct nd_message *)bytes.ptr;
	const struct ip6_header *header = frame_l3(frame);
	bool asks;
	const uint8_t *mac;

	if (bytes.len < sizeof(*message) || header->hop_limit != ND_HOP_LIMIT ||
	    message->code != 0 || ip_addr_is_group(&message->target))
		return ip_drop(ip, DROP_ND_BAD);
	asks = message->type == ICMP6_SOLICITATION;
	if (!read_options(slice_of(message + 1, bytes.len - sizeof(*message)),
			  asks ? ND_OPTION_SOURCE : ND_OPTION_TARGET, &mac))
		return ip_drop(ip, DROP_ND_BAD);
	if (asks)
		return solicitation(ip, frame, message, mac);
	return ip_addr_is_none(&header->src) ? ip_drop(ip, DROP_ND_BAD)
					     : advertisement(ip, frame, message, mac);
}
