/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "nic/ip/ip.h"
#include "nic/ip/wire.h"
#include "tests/fakes/fake_port.h"
#include "tests/unit/nic/ip/ip_frames.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Frames from the wire through ip_flow_hash() and ip_input(), several in a row so that state builds
 * up: either raw bytes or a good frame with some bytes changed, with checksums put right or left
 * wrong and with every claim a port can make about them. What is accepted is answered, as a worker
 * would.
 *
 * Oracles: the sanitizers; every result within its frame; the hash of steering equal to that of the
 * packet; every frame freed; every frame dropped counted, everything sent within its buffer.
 */

#define FRAMES_MAX  64
#define RAW_MAX     2048
#define PATCHES_MAX 16

#define ETH_IP6   "020000000002 020000000001 86dd 60000000"
#define OURS6     "fd000099000000000000000000000002"
#define PEER6     "fd000099000000000000000000000001"
#define IP6_TO_US PEER6 OURS6
#define VLAN      7

static const char *const templates[] = {
	FRAME_TCP_SYN,
	FRAME_UDP_HELLO,
	FRAME_ECHO,
	FRAME_TOO_BIG,
	FRAME_ARP_REQUEST,
	ETH_IP6 "0014 06 40" IP6_TO_US "9c4018eb 00000001 00000000 5002ffff 00000000",
	ETH_IP6 "000a 11 40" IP6_TO_US "9c4018eb 000a0000 6869",
	ETH_IP6 "0008 3a 40" IP6_TO_US "80000000 12340001",
	ETH_IP6 "0020 3a ff" IP6_TO_US "87000000 00000000" OURS6 "0101020000000001",
	ETH_IP6 "0020 3a ff" IP6_TO_US "88000000 60000000" PEER6 "0201020000000009",
	ETH_IP6 "0044 3a 40" IP6_TO_US "02000000 00000500 60000000 0014 06 40" OURS6 PEER6
		"18eb9c40 00000001 00000000 50100000 00000000",
	// Hop-by-hop, destination, routing and fragment headers, then TCP.
	ETH_IP6 "0034 00 40" IP6_TO_US "3c00010400000000 2b00010400000000 2c00000000000000"
		"0600000000000001 9c4018eb 00000001 00000000 5002ffff 00000000",
};

/* The fuzzer's bytes as they are used up; zeros behind their end. */
struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static void on_tx(void *arg, struct frame *frame)
{
	uint32_t *sent = arg;

	INVARIANT(frame->len >= sizeof(struct eth_header) && frame->len <= PORT_FRAME_ROOM);
	(*sent)++;
	port_free(frame, 1);
}

static uint32_t template_bytes(const char *hex, uint8_t *to)
{
	uint32_t len = 0;

	while (*hex) {
		unsigned byte = 0;

		if (*hex == ' ') {
			hex++;
			continue;
		}
		sscanf(hex, "%2x", &byte);
		to[len++] = (uint8_t)byte;
		hex += 2;
	}
	return len;
}

/* Bytes of the next frame; returns how many. */
static uint32_t next_frame(struct input *input, uint8_t *to)
{
	uint32_t kind = next_byte(input) % (ARRAY_COUNT(templates) + 1);
	uint32_t len, patches;

	if (kind == ARRAY_COUNT(templates)) {
		uint32_t wanted = (next_byte(input) | (uint32_t)next_byte(input) << 8) % RAW_MAX;

		len = wanted < input->left ? wanted : (uint32_t)input->left;
		for (uint32_t i = 0; i < len; i++)
			to[i] = next_byte(input);
		return len;
	}
	len = template_bytes(templates[kind], to);
	for (uint32_t grow = next_byte(input) % 64; grow > 0; grow--)
		to[len++] = (uint8_t)grow;
	patches = next_byte(input) % PATCHES_MAX;
	for (uint32_t i = 0; i < patches; i++) {
		uint32_t at = next_byte(input) % len;

		to[at] = next_byte(input);
	}
	return len;
}

static uint16_t checksum_of(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/*
 * Puts the checksums right as far as the lengths allow, so that what lies behind them is reached.
 */
static void fix_checksums(uint8_t *frame, uint32_t len, bool ip, bool l4)
{
	static const uint8_t l4_at[256] = {
		[IP_PROTOCOL_ICMP] = 2, [IP_PROTOCOL_UDP] = 6, [IP_PROTOCOL_TCP] = 16};
	uint32_t header_len, total_len, at, sum = 0;

	if (len < AT_L4)
		return;
	header_len = (frame[AT_IP] & 15U) * 4;
	total_len = be16_load(frame + AT_IP_LEN);
	if (header_len < 20 || total_len > len - AT_IP || total_len < header_len)
		return;
	at = l4_at[frame[AT_IP_PROTO]];
	if (l4 && at && total_len - header_len >= at + 2) {
		uint8_t *segment = frame + AT_IP + header_len;

		if (frame[AT_IP_PROTO] != IP_PROTOCOL_ICMP)
			sum = frame[AT_IP_PROTO] + total_len - header_len +
			      be16_load(frame + AT_IP_SRC) + be16_load(frame + AT_IP_SRC + 2) +
			      be16_load(frame + AT_IP_DST) + be16_load(frame + AT_IP_DST + 2);
		be16_store(segment + at, 0);
		be16_store(segment + at, checksum_of(sum, segment, total_len - header_len));
	}
	if (ip) {
		be16_store(frame + AT_IP_SUM, 0);
		be16_store(frame + AT_IP_SUM, checksum_of(0, frame + AT_IP, header_len));
	}
}

/* The same for IPv6, behind what extension headers there are. */
static void fix_checksum6(uint8_t *frame, uint32_t len)
{
	static const uint8_t l4_at[256] = {
		[IP_PROTOCOL_ICMP6] = 2, [IP_PROTOCOL_UDP] = 6, [IP_PROTOCOL_TCP] = 16};
	uint32_t end, at = AT_IP + 40, sum = 0;
	uint8_t next;

	if (len < at || be16_load(frame + AT_ETH_TYPE) != ETH_TYPE_IP6)
		return;
	end = at + be16_load(frame + AT_IP + 4);
	next = frame[AT_IP + 6];
	while (end <= len && at + 8 <= end && l4_at[next] == 0) {
		uint32_t bytes = next == IP6_FRAGMENT ? 8 : (frame[at + 1] + 1U) * 8;

		next = frame[at];
		at += bytes;
	}
	if (end > len || at > end || end - at < l4_at[next] + 2U)
		return;
	for (uint32_t i = 8; i < 40; i += 2)
		sum += be16_load(frame + AT_IP + i);
	be16_store(frame + at + l4_at[next], 0);
	be16_store(frame + at + l4_at[next],
		   checksum_of(sum + next + end - at, frame + at, end - at));
}

static uint32_t insert_tag(uint8_t *frame, uint32_t len, uint8_t vlan)
{
	if (len < AT_IP)
		return len;
	memmove(frame + AT_ETH_TYPE + 4, frame + AT_ETH_TYPE, len - AT_ETH_TYPE);
	be16_store(frame + AT_ETH_TYPE, ETH_TYPE_VLAN);
	be16_store(frame + AT_ETH_TYPE + 2, vlan);
	return len + 4;
}

static uint64_t drops_total(const struct drop_counters *drops)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < DROP_REASON_COUNT; i++)
		total += counter_read(&drops->count[i]);
	return total;
}

/* What a worker does with a result, and what must hold of it. */
static void use_packet(struct ip_stack *ip, const struct frame *frame, enum ip_verdict verdict,
		       const struct ip_packet *packet, uint64_t now_ns)
{
	uint8_t header[20] = {0};
	const struct slice payload = slice_of(packet->l4, packet->l4_len);
	uint32_t hash;

	INVARIANT(packet->l4 >= frame->data + AT_L4 && packet->l4 <= frame->data + frame->len);
	INVARIANT(packet->l4_len <= frame->len);
	INVARIANT(packet->l4 + packet->l4_len <= frame->data + frame->len);
	INVARIANT(packet->l4_len >= (verdict == IP_TCP ? 20 : 8));
	INVARIANT(packet->protocol == IP_PROTOCOL_TCP || packet->protocol == IP_PROTOCOL_UDP);
	INVARIANT(packet->ecn < 4);
	INVARIANT(ip_flow_hash(frame, &hash) && hash == packet->hash);
	if (verdict == IP_UDP)
		ip_port_unreachable(ip, frame, now_ns);
	(void)ip_output_flow(ip, &(struct ip_segment){
					 .flow = &packet->flow,
					 .peer = packet->peer,
					 .protocol = packet->protocol,
					 .header = slice_of(header, sizeof(header)),
					 .payload = &payload,
					 .payload_count = 1,
				 });
}

/* ARP and neighbour advertisements may teach and be silent. */
static bool teaches(const uint8_t *frame, uint32_t len)
{
	uint32_t tag = len >= AT_IP && be16_load(frame + AT_ETH_TYPE) == ETH_TYPE_VLAN ? 4 : 0;
	uint16_t type = len >= AT_IP + tag ? be16_load(frame + AT_ETH_TYPE + tag) : 0;

	return type == ETH_TYPE_ARP || type == ETH_TYPE_IP6;
}

static void one_frame(struct ip_stack *ip, struct input *input, struct drop_counters *drops,
		      const uint32_t *sent, uint64_t now_ns)
{
	uint8_t bytes[RAW_MAX + 256];
	uint8_t control = next_byte(input);
	uint8_t claims = next_byte(input);
	uint32_t len = next_frame(input, bytes);
	uint64_t drops_before = drops_total(drops);
	uint32_t sent_before = *sent;
	enum ip_verdict verdict;
	struct ip_packet packet;
	struct frame frame;
	uint32_t hash;

	if (len > AT_IP && be16_load(bytes + AT_ETH_TYPE) == ETH_TYPE_IP4)
		fix_checksums(bytes, len, control & 1, control & 2);
	else if (control & 2)
		fix_checksum6(bytes, len);
	if (control & 32)
		len = insert_tag(bytes, len, claims >> 4);
	fake_port_frame(&frame, bytes, len);
	frame.has_vlan = control & 64;
	frame.vlan = claims >> 4;
	frame.ip_checksum = claims & 3;
	frame.l4_checksum = claims >> 2 & 3;
	frame.has_hash = control & 4;
	frame.hash = claims;
	if (control & 8)
		fake_port_fail_after(control & 16);
	(void)ip_flow_hash(&frame, &hash);
	verdict = ip_input(ip, &frame, now_ns, &packet);
	if (verdict != IP_DONE) {
		use_packet(ip, &frame, verdict, &packet, now_ns);
	} else if (!teaches(bytes, len)) {
		// Everything else that ends here is answered or counted.
		INVARIANT(drops_total(drops) > drops_before || *sent > sent_before);
	}
	port_free(&frame, 1);
	fake_port_reset();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	const struct ip_config config = {
		.address = ip_addr_from_v4(be32_from_host(0x0a630002)),
		.prefix_len = 24,
		.gateway = ip_addr_from_v4(be32_from_host(0x0a6300fe)),
		.address6 = {{0xfd, 0, 0, 0x99, [15] = 2}},
		.prefix6_len = 64,
		.gateway6 = {{0xfe, 0x80, [15] = 0xfe}},
		.vlan = next_byte(&input) & 1 ? VLAN : 0,
		.mac = {0x02, 0, 0, 0, 0, 0x02},
		.mtu = 1500,
		.icmp_rate = 100,
		.peers_max = 128,
		.arp_reachable_ns = 1000000000,
	};
	struct neigh_table *neighbours = neigh_table_new(64);
	struct drop_counters drops = {0};
	struct ip_stack *ip = ip_new(&config, neighbours, NULL, &drops);
	uint64_t now_ns = 1000000000000;
	uint32_t sent = 0;

	ip_set_tx(ip, on_tx, &sent);
	for (int i = 0; i < FRAMES_MAX && input.left > 0; i++) {
		now_ns += (uint64_t)next_byte(&input) << 22; // up to about a second
		ip_tick(ip, now_ns);
		one_frame(ip, &input, &drops, &sent, now_ns);
	}
	INVARIANT(fake_port_live() == 0);
	ip_free(ip);
	neigh_table_free(neighbours);
	return 0;
}
