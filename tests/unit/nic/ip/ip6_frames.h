/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "tests/unit/nic/ip/ip_fixture.h"

#include <arpa/inet.h>

/* IPv6 frames put together from their parts, with right lengths and checksums unless told so. */

#define MAC6_OURS  "020000000002"
#define MAC6_PEER  "020000000001"
#define OUR6       "fd00:99::2"
#define OUR6_LOCAL "fe80::ff:fe00:2"
#define PEER6      "fd00:99::1"

struct frame6 {
	const char *dst_mac, *src; // NULL: ours; the peer's
	const char *dst;           // NULL: our address
	const char *before;        // hex of extension headers, NULL: none
	const char *payload;       // hex of the upper layer
	uint8_t next;              // first next header
	uint8_t upper;             // protocol whose checksum is filled in
	uint8_t hop_limit;         // 0: 255
	bool bad_checksum;
	int16_t longer;   // payload length field beyond the truth
	uint8_t version;  // 0: 6
	uint32_t cut;     // bytes of frame to keep; 0: all
	const char *vlan; // hex of a tag's control field, NULL: none
};

static inline uint32_t hex6(const char *hex, uint8_t *to)
{
	uint32_t len = 0;
	unsigned byte;

	for (; hex && *hex; hex++) {
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		to[len++] = (uint8_t)byte;
		hex++;
	}
	return len;
}

static inline struct ip_addr addr6(const char *text)
{
	struct ip_addr a;

	assert_int_equal(inet_pton(AF_INET6, text, a.bytes), 1);
	return a;
}

/* Returns the length; l3 begins at 14, or at 18 with a tag. */
static inline uint32_t build6(const struct frame6 *spec, uint8_t *to)
{
	struct ip_addr src = addr6(spec->src ? spec->src : PEER6);
	struct ip_addr dst = addr6(spec->dst ? spec->dst : OUR6);
	uint32_t at = hex6(spec->dst_mac ? spec->dst_mac : MAC6_OURS, to);
	uint8_t *ip, *l4;
	uint32_t before, len, sum;

	at += hex6(MAC6_PEER, to + at);
	if (spec->vlan) {
		at += hex6("8100", to + at);
		at += hex6(spec->vlan, to + at);
	}
	at += hex6("86dd", to + at);
	ip = to + at;
	memset(ip, 0, 40);
	ip[0] = (uint8_t)((spec->version ? spec->version : 6) << 4);
	ip[6] = spec->next;
	ip[7] = spec->hop_limit ? spec->hop_limit : 255;
	memcpy(ip + 8, &src, 16);
	memcpy(ip + 24, &dst, 16);
	before = hex6(spec->before, ip + 40);
	l4 = ip + 40 + before;
	len = hex6(spec->payload, l4);
	be16_store(ip + 4, (uint16_t)(before + len + (uint32_t)spec->longer));
	if (spec->upper) {
		uint8_t *field = l4 + (spec->upper == IP_PROTOCOL_TCP   ? 16
				       : spec->upper == IP_PROTOCOL_UDP ? 6
									: 2);

		sum = spec->upper + len;
		for (uint32_t i = 8; i < 40; i += 2)
			sum += (uint32_t)be16_load(ip + i);
		be16_store(field, 0);
		be16_store(field, (uint16_t)(naive_checksum(sum, l4, len) ^ spec->bad_checksum));
	}
	return spec->cut ? spec->cut : (uint32_t)(l4 + len - to);
}

static inline enum ip_verdict input6(struct fixture *f, const struct frame6 *spec)
{
	uint8_t bytes[FIXTURE_FRAME_MAX];
	uint32_t len = build6(spec, bytes);

	return fixture_input_bytes(f, bytes, len, &(struct fixture_frame){0});
}

/* What we sent begins at its IPv6 header: a whole, correct packet from an address of ours. */
static inline const uint8_t *sent6(struct fixture *f, const char *src, const char *dst)
{
	struct frame *frame = fixture_one_sent(f);
	const uint8_t *ip = frame->data + frame->l2_len;
	struct ip_addr from = addr6(src), to = addr6(dst);
	uint32_t skip = ip[6] == IP6_HOP_BY_HOP ? 8 : 0, len = be16_load(ip + 4);
	uint8_t upper = skip > 0 ? ip[40] : ip[6];
	uint32_t sum = upper + len - skip;

	assert_int_equal(ip[0] >> 4, 6);
	assert_int_equal(frame->len, frame->l2_len + 40 + len);
	assert_memory_equal(ip + 8, &from, 16);
	assert_memory_equal(ip + 24, &to, 16);
	if (upper == IP_PROTOCOL_ICMP6) {
		for (uint32_t i = 8; i < 40; i += 2)
			sum += (uint32_t)be16_load(ip + i);
		assert_int_equal(naive_checksum(sum, ip + 40 + skip, len - skip), 0);
	}
	return ip;
}
