/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

/* UDP: length and checksum of what comes in, and the refusal of what nobody wants. */

#define AT_UDP_LEN 38
#define AT_UDP_SUM 40

struct udp_case {
	const char *name;
	struct fixture_frame frame;
	enum ip_verdict verdict;
	const char *drops;
	uint32_t l4_len;
};

static const struct udp_case cases[] = {
	{"hello", {FRAME_UDP_HELLO}, IP_UDP, "", 13},
	{"no checksum", {FRAME_UDP_HELLO, {{AT_UDP_SUM, "0000"}}}, IP_UDP, "", 13},
	{"no checksum, which a port takes for bad",
	 {FRAME_UDP_HELLO, {{AT_UDP_SUM, "0000"}}, .l4_checksum = FRAME_CHECKSUM_BAD}, IP_UDP, "",
	 13},
	{"checksum", {FRAME_UDP_HELLO, {{46, "70"}}}, IP_DONE, "udp_bad"},
	{"port found it bad", {FRAME_UDP_HELLO, .l4_checksum = FRAME_CHECKSUM_BAD}, IP_DONE,
	 "udp_bad"},
	{"port found it good",
	 {FRAME_UDP_HELLO, {{46, "70"}}, .l4_checksum = FRAME_CHECKSUM_GOOD}, IP_UDP, "", 13},
	{"not filled in by a trusted sender",
	 {FRAME_UDP_HELLO, {{46, "70"}}, .l4_checksum = FRAME_CHECKSUM_PARTIAL}, IP_UDP, "", 13},
	{"length 7", {FRAME_UDP_HELLO, {{AT_UDP_LEN, "0007"}, {AT_UDP_SUM, "0000"}}}, IP_DONE,
	 "udp_bad"},
	{"length 0", {FRAME_UDP_HELLO, {{AT_UDP_LEN, "0000"}, {AT_UDP_SUM, "0000"}}}, IP_DONE,
	 "udp_bad"},
	{"length one beyond",
	 {FRAME_UDP_HELLO, {{AT_UDP_LEN, "000e"}, {AT_UDP_SUM, "0000"}}}, IP_DONE, "udp_bad"},
	{"length 65535", {FRAME_UDP_HELLO, {{AT_UDP_LEN, "ffff"}, {AT_UDP_SUM, "0000"}}}, IP_DONE,
	 "udp_bad"},
	{"length below what IP carries",
	 {FRAME_UDP_HELLO, {{AT_UDP_LEN, "000c"}, {AT_UDP_SUM, "0000"}}}, IP_UDP, "", 12},
	{"of 7 bytes", {FRAME_UDP_HELLO, {{AT_IP_LEN, "001b"}}, .fix = FIX_IP}, IP_DONE,
	 "udp_bad"},
	{"of 8 bytes",
	 {FRAME_UDP_HELLO,
	  {{AT_IP_LEN, "001c"}, {AT_UDP_LEN, "0008"}},
	  .fix = FIX_IP | FIX_L4}, IP_UDP, "", 8},
};

static void test_input_verdict_and_reason(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct udp_case *c = &cases[i];

		print_message("%s\n", c->name);
		assert_int_equal(fixture_input(f, &c->frame), c->verdict);
		assert_string_equal(fixture_drops(f), c->drops);
		if (c->verdict != IP_UDP)
			continue;
		assert_ptr_equal(f->packet.l4, f->in.data + AT_L4);
		assert_int_equal(f->packet.l4_len, c->l4_len);
		assert_int_equal(f->packet.flow.local_port, 11211);
		assert_int_equal(f->packet.flow.remote_port, 40001);
	}
}

static void test_unwanted_datagram_is_refused_with_a_quote(void **state)
{
	struct fixture *f = *state;
	struct frame *sent;

	assert_int_equal(fixture_input_hex(f, FRAME_UDP_HELLO), IP_UDP);
	ip_port_unreachable(f->ip, &f->in, f->now_ns);
	assert_string_equal(fixture_drops(f), "udp_port");
	sent = fixture_one_sent(f);
	assert_frame_wellformed(sent);
	assert_memory_equal(sent->data, "\x02\0\0\0\0\x01", 6);
	assert_int_equal(be32_load(sent->data + AT_IP_DST), 0x0a630001);
	assert_int_equal(sent->data[AT_L4], 3);
	assert_int_equal(sent->data[AT_L4 + 1], 3);
	assert_int_equal(sent->len, AT_L4 + 8 + f->in.len - AT_IP);
	assert_memory_equal(sent->data + AT_L4 + 8, f->in.data + AT_IP, f->in.len - AT_IP);
}

static void test_refusal_quotes_no_padding_and_at_most_576_bytes(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[1400];
	char hex[2 * sizeof(bytes) + 1];

	// 1000 bytes of datagram behind which 20 bytes of padding lie.
	memset(hex, '3', sizeof(hex));
	hex[2 * 1000] = 0;
	assert_int_equal(
		fixture_input(f, &(struct fixture_frame){FRAME_UDP_HELLO,
							 {{AT_IP_LEN, "0409"},
							  {AT_UDP_LEN, "03f5"},
							  {AT_UDP_SUM, "0000"}},
							 .append = hex,
							 .fix = FIX_IP}),
		IP_UDP);
	ip_port_unreachable(f->ip, &f->in, f->now_ns);
	assert_frame_wellformed(fixture_one_sent(f));
	assert_int_equal(fixture_one_sent(f)->len, AT_IP + 576);
	fixture_clear_sent(f);

	assert_int_equal(
		fixture_input(f, &(struct fixture_frame){FRAME_UDP_HELLO, .append = "00000000"}),
		IP_UDP);
	ip_port_unreachable(f->ip, &f->in, f->now_ns);
	assert_int_equal(fixture_one_sent(f)->len, AT_L4 + 8 + 33);
}

static void test_refusals_are_limited_in_rate(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_input_hex(f, FRAME_UDP_HELLO), IP_UDP);
	for (int i = 0; i < FIXTURE_ICMP_RATE; i++)
		ip_port_unreachable(f->ip, &f->in, f->now_ns);
	fixture_drops(f);
	ip_port_unreachable(f->ip, &f->in, f->now_ns);
	assert_int_equal(f->sent_count, FIXTURE_ICMP_RATE);
	assert_string_equal(fixture_drops(f), "icmp_rate udp_port");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_input_verdict_and_reason),
		TEST(test_unwanted_datagram_is_refused_with_a_quote),
		TEST(test_refusal_quotes_no_padding_and_at_most_576_bytes),
		TEST(test_refusals_are_limited_in_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
