/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "nic/ip/checksum.h"

/*
 * Multicast listener discovery (RFC 3810, of version 1 RFC 2710): says that we listen to the groups
 * to which solicitations of our addresses are sent (RFC 4861 7.2.1), when we announce ourselves and
 * when a router or a switch asks. A switch that prunes groups nobody listens to would otherwise
 * keep the solicitations from us. Answers leave at once: there are two groups, and the rate of ICMP
 * limits them. Called by icmp6.c and ip.c.
 */

#define GROUPS_MAX 2 // of the configured and of the link-local address

/* Router alert and padding (RFC 2711), before the message. */
static const uint8_t router_alert[8] = {IP_PROTOCOL_ICMP6, 0, 5, 2, 0, 0, 1, 0};

static struct ip_addr solicited_group(const struct ip_addr *address)
{
	return (struct ip_addr){{0xff, 0x02, [11] = 1, [12] = 0xff, address->bytes[13],
				 address->bytes[14], address->bytes[15]}};
}

static uint32_t our_groups(const struct ip_stack *ip, struct ip_addr *groups)
{
	groups[0] = solicited_group(&ip->link_local);
	groups[1] = solicited_group(&ip->local6);
	return ip_addr_equal(&groups[0], &groups[1]) ? 1 : GROUPS_MAX;
}

/* One message behind a router alert, from our link-local address to a group of the link. */
static void send_mld(struct ip_stack *ip, const struct ip_addr *dst, struct slice message)
{
	uint8_t mac[ETH_MAC_BYTES];
	struct ip6_reply reply = {
		.mac = mac,
		.src = ip->link_local,
		.dst = *dst,
		.hop_limit = 1,
		.l4_len = (uint32_t)(sizeof(router_alert) + message.len),
	};
	struct ip6_header *header;
	struct frame frame;
	uint16_t checksum;
	uint8_t *at;

	eth_group_mac(dst, mac);
	if (!icmp6_start(ip, &reply, &frame))
		return;
	header = (struct ip6_header *)(frame.data + frame.l2_len);
	header->next = IP6_HOP_BY_HOP;
	at = (uint8_t *)(header + 1);
	memcpy(at, router_alert, sizeof(router_alert));
	at += sizeof(router_alert);
	memcpy(at, message.ptr, message.len);
	checksum = ip_checksum_finish(ip_checksum_add(
		ip_checksum_pseudo6(header, IP_PROTOCOL_ICMP6, (uint32_t)message.len), message));
	memcpy(at + offsetof(struct icmp_header, checksum), &checksum, sizeof(checksum));
	ip->tx(ip->tx_arg, &frame);
}

/* Version 2: all groups in one message, each with no source excluded. */
static void report(struct ip_stack *ip, uint8_t record_type)
{
	static const struct ip_addr all_mld2_routers = {{0xff, 0x02, [15] = 0x16}};
	struct ip_addr groups[GROUPS_MAX];
	uint32_t count = our_groups(ip, groups);

	struct {
		struct icmp_header header;
		struct mld2_record records[GROUPS_MAX];
	} WIRE_FORMAT message = {
		.header = {.type = ICMP6_MLD2_REPORT, .rest = be32_from_host(count)},
	};

	for (uint32_t i = 0; i < count; i++)
		message.records[i] = (struct mld2_record){.type = record_type, .group = groups[i]};
	send_mld(ip, &all_mld2_routers,
		 slice_of(&message, sizeof(message.header) + count * sizeof(message.records[0])));
}

/* Version 1: a message to each group. */
static void report_v1(struct ip_stack *ip)
{
	struct ip_addr groups[GROUPS_MAX];
	uint32_t count = our_groups(ip, groups);

	for (uint32_t i = 0; i < count; i++) {
		struct mld_message message = {.header = {.type = ICMP6_MLD_REPORT},
					      .group = groups[i]};

		send_mld(ip, &groups[i], slice_of(&message, sizeof(message)));
	}
}

void mld_announce(struct ip_stack *ip)
{
	report(ip, MLD2_TO_EXCLUDE);
}

/* RFC 3810 6.2, 8.2.1: from a neighbour, about all groups or one of ours. */
enum ip_verdict mld_query(struct ip_stack *ip, const struct frame *frame, struct slice bytes)
{
	const struct mld_message *query = (const struct mld_message *)bytes.ptr;
	const struct ip6_header *header = frame_l3(frame);
	struct ip_addr groups[GROUPS_MAX];
	uint32_t count = our_groups(ip, groups);

	if (bytes.len < sizeof(*query) || header->hop_limit != 1 ||
	    header->next != IP6_HOP_BY_HOP || !ip_addr_is_link_local(&header->src))
		return ip_drop(ip, DROP_ICMP_BAD);
	if (!ip_addr_is_none(&query->group) && !ip_addr_equal(&query->group, &groups[0]) &&
	    !ip_addr_equal(&query->group, &groups[count - 1]))
		return IP_DONE;
	if (!icmp_rate_allows(ip))
		return ip_drop(ip, DROP_ICMP_RATE);
	if (bytes.len == sizeof(*query))
		report_v1(ip);
	else
		report(ip, MLD2_IS_EXCLUDE);
	return IP_DONE;
}
