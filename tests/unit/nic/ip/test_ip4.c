/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"
#include "tests/unit/nic/ip/ip_fixture.h"

/* Received IPv4 packets, and Ethernet below them: every verdict and every reason to drop one. */

#define PADDING "000000000000000000000000000000000000"

struct input_case {
	const char *name;
	struct fixture_frame frame;
	enum ip_verdict verdict;
	const char *drops;
	uint32_t l4_len; // when it is not dropped
};

static const struct input_case cases[] = {
	{"tcp syn", {FRAME_TCP_SYN}, IP_TCP, "", 24},
	{"udp", {FRAME_UDP_HELLO}, IP_UDP, "", 13},
	{"ethernet padding is trimmed", {FRAME_UDP_HELLO, .append = PADDING}, IP_UDP, "", 13},
	{"padding of a tcp segment", {FRAME_TCP_SYN, .append = "ffff"}, IP_TCP, "", 24},

	{"broadcast frame", {FRAME_TCP_SYN, {{AT_ETH_DST, MAC_BROADCAST}}}, IP_DONE, "eth_group"},
	{"multicast frame", {FRAME_TCP_SYN, {{AT_ETH_DST, "01005e000001"}}}, IP_DONE, "eth_group"},
	{"other mac", {FRAME_TCP_SYN, {{AT_ETH_DST, "020000000003"}}}, IP_DONE, "eth_not_ours"},
	{"group source", {FRAME_TCP_SYN, {{AT_ETH_SRC, "010000000001"}}}, IP_DONE, "eth_source"},
	{"our own source", {FRAME_TCP_SYN, {{AT_ETH_SRC, MAC_OURS}}}, IP_DONE, "eth_source"},
	{"ipv6", {FRAME_TCP_SYN, {{AT_ETH_TYPE, "86dd"}}}, IP_DONE, "eth_type"},
	{"802.3 length", {FRAME_TCP_SYN, {{AT_ETH_TYPE, "002c"}}}, IP_DONE, "eth_type"},
	{"vlan", {FRAME_TCP_SYN, {{AT_ETH_TYPE, "8100"}}}, IP_DONE, "eth_vlan"},
	{"qinq", {FRAME_TCP_SYN, {{AT_ETH_TYPE, "88a8"}}}, IP_DONE, "eth_vlan"},

	{"version 6", {FRAME_TCP_SYN, {{AT_IP, "65"}}, .fix = FIX_IP}, IP_DONE, "ip4_version"},
	{"version 0", {FRAME_TCP_SYN, {{AT_IP, "05"}}, .fix = FIX_IP}, IP_DONE, "ip4_version"},
	{"ihl 4", {FRAME_TCP_SYN, {{AT_IP, "44"}}, .fix = FIX_IP}, IP_DONE, "ip4_version"},
	{"ihl 0", {FRAME_TCP_SYN, {{AT_IP, "40"}}, .fix = FIX_IP}, IP_DONE, "ip4_version"},
	{"ihl beyond total length",
	 {FRAME_TCP_SYN, {{AT_IP, "4f"}}, .fix = FIX_IP}, IP_DONE, "ip4_short"},
	{"total length 0", {FRAME_TCP_SYN, {{AT_IP_LEN, "0000"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_short"},
	{"total length 19", {FRAME_TCP_SYN, {{AT_IP_LEN, "0013"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_short"},
	{"total length one beyond the frame",
	 {FRAME_TCP_SYN, {{AT_IP_LEN, "002d"}}, .fix = FIX_IP}, IP_DONE, "ip4_short"},
	{"total length 65535",
	 {FRAME_TCP_SYN, {{AT_IP_LEN, "ffff"}}, .fix = FIX_IP}, IP_DONE, "ip4_short"},
	{"header checksum", {FRAME_TCP_SYN, {{AT_IP_SUM, "0000"}}}, IP_DONE, "ip4_checksum"},
	{"time to live changed on the way", {FRAME_TCP_SYN, {{22, "3f"}}}, IP_DONE, "ip4_checksum"},
	{"the port found it bad",
	 {FRAME_TCP_SYN, .ip_checksum = FRAME_CHECKSUM_BAD}, IP_DONE, "ip4_checksum"},
	{"the port found it good",
	 {FRAME_TCP_SYN, {{AT_IP_SUM, "0000"}}, .ip_checksum = FRAME_CHECKSUM_GOOD}, IP_TCP, "",
	 24},
	{"not filled in by a trusted sender",
	 {FRAME_TCP_SYN, {{AT_IP_SUM, "0000"}}, .ip_checksum = FRAME_CHECKSUM_PARTIAL}, IP_TCP, "",
	 24},

	{"more fragments", {FRAME_TCP_SYN, {{AT_IP_FRAG, "2000"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_fragment"},
	{"last fragment", {FRAME_TCP_SYN, {{AT_IP_FRAG, "0001"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_fragment"},
	{"fragments allowed", {FRAME_TCP_SYN, {{AT_IP_FRAG, "0000"}}, .fix = FIX_IP}, IP_TCP, "",
	 24},

	{"other address", {FRAME_TCP_SYN, {{AT_IP_DST, "0a630003"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_not_ours"},
	{"to our broadcast", {FRAME_TCP_SYN, {{AT_IP_DST, "0a6300ff"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_not_ours"},
	{"to everybody", {FRAME_TCP_SYN, {{AT_IP_DST, "ffffffff"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_not_ours"},
	{"to a group", {FRAME_TCP_SYN, {{AT_IP_DST, "e0000001"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_not_ours"},

	{"from nowhere", {FRAME_TCP_SYN, {{AT_IP_SRC, "00000000"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from us", {FRAME_TCP_SYN, {{AT_IP_SRC, "0a630002"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from loopback", {FRAME_TCP_SYN, {{AT_IP_SRC, "7f000001"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from a group", {FRAME_TCP_SYN, {{AT_IP_SRC, "e0000001"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from class E", {FRAME_TCP_SYN, {{AT_IP_SRC, "f0000001"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from everybody", {FRAME_TCP_SYN, {{AT_IP_SRC, "ffffffff"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from our broadcast", {FRAME_TCP_SYN, {{AT_IP_SRC, "0a6300ff"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from our network", {FRAME_TCP_SYN, {{AT_IP_SRC, "0a630000"}}, .fix = FIX_IP}, IP_DONE,
	 "ip4_source"},
	{"from another network's .255",
	 {FRAME_TCP_SYN, {{AT_IP_SRC, "0a6401ff"}}, .fix = FIX_IP | FIX_L4}, IP_TCP, "", 24},

	{"igmp", {FRAME_TCP_SYN, {{AT_IP_PROTO, "02"}}, .fix = FIX_IP}, IP_DONE, "ip4_protocol"},

	{"tcp checksum", {FRAME_TCP_SYN, {{AT_L4 + 4, "ff"}}}, IP_DONE, "tcp_checksum"},
	{"tcp payload", {FRAME_TCP_SYN, {{AT_L4 + 23, "b5"}}}, IP_DONE, "tcp_checksum"},
	{"the port found tcp bad",
	 {FRAME_TCP_SYN, .l4_checksum = FRAME_CHECKSUM_BAD}, IP_DONE, "tcp_checksum"},
	{"the port found tcp good",
	 {FRAME_TCP_SYN, {{AT_L4 + 16, "0000"}}, .l4_checksum = FRAME_CHECKSUM_GOOD}, IP_TCP, "",
	 24},
	{"tcp not filled in by a trusted sender",
	 {FRAME_TCP_SYN, {{AT_L4 + 16, "0000"}}, .l4_checksum = FRAME_CHECKSUM_PARTIAL}, IP_TCP,
	 "", 24},
	{"tcp of 19 bytes",
	 {FRAME_TCP_SYN, {{AT_IP_LEN, "0027"}}, .fix = FIX_IP | FIX_L4}, IP_DONE, "tcp_short"},
	{"tcp of no bytes",
	 {FRAME_TCP_SYN, {{AT_IP_LEN, "0014"}}, .fix = FIX_IP}, IP_DONE, "tcp_short"},
	{"tcp of 20 bytes",
	 {FRAME_TCP_SYN, {{AT_IP_LEN, "0028"}}, .fix = FIX_IP | FIX_L4}, IP_TCP, "", 20},
};

static void test_input_verdict_and_reason(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct input_case *c = &cases[i];

		print_message("%s\n", c->name);
		f->now_ns += 1000000000; // so that the ICMP rate never matters here
		assert_int_equal(fixture_input(f, &c->frame), c->verdict);
		assert_string_equal(fixture_drops(f), c->drops);
		if (c->verdict != IP_DONE) {
			assert_int_equal(f->packet.l4_len, c->l4_len);
			assert_ptr_equal(f->packet.l4, f->in.data + AT_L4);
		}
		fixture_clear_sent(f);
	}
}

struct allow_case {
	const char *name;
	uint32_t networks[3][2]; // address and mask
	uint32_t count;
	struct fixture_frame frame; // from 10.99.0.1
	enum ip_verdict verdict;
	const char *drops;
};

#define TCP_FRAME                                                                                  \
	{                                                                                          \
		FRAME_TCP_SYN                                                                      \
	}
#define SLASH_8  0xff000000
#define SLASH_24 0xffffff00
#define SLASH_32 0xffffffff

static const struct allow_case allow_cases[] = {
	{"no list", {{0}}, 0, TCP_FRAME, IP_TCP, ""},
	{"its host", {{0x0a630001, SLASH_32}}, 1, TCP_FRAME, IP_TCP, ""},
	{"its network", {{0x0a000000, SLASH_8}}, 1, TCP_FRAME, IP_TCP, ""},
	{"the last of three",
	 {{0x0b000000, SLASH_8}, {0x0a640000, SLASH_24}, {0x0a630000, SLASH_24}},
	 3,
	 TCP_FRAME,
	 IP_TCP,
	 ""},
	{"another host", {{0x0a630003, SLASH_32}}, 1, TCP_FRAME, IP_DONE, "ip_not_allowed"},
	{"other networks",
	 {{0x0b000000, SLASH_8}, {0x0a640000, SLASH_24}},
	 2,
	 TCP_FRAME,
	 IP_DONE,
	 "ip_not_allowed"},
	{"udp, too", {{0x0b000000, SLASH_8}}, 1, {FRAME_UDP_HELLO}, IP_DONE, "ip_not_allowed"},
	{"a protocol that we do not speak",
	 {{0x0b000000, SLASH_8}},
	 1,
	 {FRAME_TCP_SYN, {{AT_IP_PROTO, "02"}}, .fix = FIX_IP},
	 IP_DONE,
	 "ip_not_allowed"},
};

static void test_allow_from_lets_its_networks_in(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(allow_cases); i++) {
		const struct allow_case *c = &allow_cases[i];

		print_message("%s\n", c->name);
		f->ip->allowed_count = c->count;
		for (uint32_t n = 0; n < c->count; n++)
			f->ip->allowed[n] = (struct ip_network){
				*V4(c->networks[n][0]),
				(uint8_t)(IP_V4_PREFIX_LEN +
					  __builtin_popcount(c->networks[n][1]))};
		fixture_drops(f);
		fixture_clear_sent(f);
		assert_int_equal(fixture_input(f, &c->frame), c->verdict);
		assert_string_equal(fixture_drops(f), c->drops);
		assert_int_equal(f->sent_count, 0); // not a word to strangers
	}
	f->ip->allowed_count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_input_verdict_and_reason, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_allow_from_lets_its_networks_in, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
