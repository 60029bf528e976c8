/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

#include "tests/fakes/fake_port.h"

/*
 * ICMP: echo is answered, errors about our flows go up, everything else is counted; all at a
 * limited rate.
 */

#define AT_ICMP_CODE   35
#define AT_QUOTED      42
#define AT_QUOTED_FRAG 48
#define AT_QUOTED_SRC  54

struct icmp_case {
	const char *name;
	struct fixture_frame frame;
	enum ip_verdict verdict;
	const char *drops;
};

static const struct icmp_case cases[] = {
	{"echo checksum", {FRAME_ECHO, {{57, "67"}}}, IP_DONE, "icmp_bad"},
	{"echo checksum, whatever the port says",
	 {FRAME_ECHO, {{57, "67"}}, .l4_checksum = FRAME_CHECKSUM_GOOD}, IP_DONE, "icmp_bad"},
	{"of 7 bytes", {FRAME_ECHO, {{AT_IP_LEN, "001b"}}, .fix = FIX_IP | FIX_L4}, IP_DONE,
	 "icmp_bad"},
	{"of no bytes", {FRAME_ECHO, {{AT_IP_LEN, "0014"}}, .fix = FIX_IP}, IP_DONE, "icmp_bad"},
	{"echo with a code", {FRAME_ECHO, {{AT_ICMP_CODE, "01"}}, .fix = FIX_L4}, IP_DONE,
	 "icmp_type"},
	{"echo reply", {FRAME_ECHO, {{AT_L4, "00"}}, .fix = FIX_L4}, IP_DONE, "icmp_type"},
	{"redirect", {FRAME_TOO_BIG, {{AT_L4, "05"}}, .fix = FIX_L4}, IP_DONE, "icmp_type"},
	{"source quench (RFC 6633)", {FRAME_TOO_BIG, {{AT_L4, "04"}}, .fix = FIX_L4}, IP_DONE,
	 "icmp_type"},
	{"timestamp", {FRAME_ECHO, {{AT_L4, "0d"}}, .fix = FIX_L4}, IP_DONE, "icmp_type"},
	{"too big", {FRAME_TOO_BIG}, IP_ERROR, ""},
	{"port unreachable", {FRAME_TOO_BIG, {{AT_ICMP_CODE, "03"}}, .fix = FIX_L4}, IP_ERROR, ""},
	{"time exceeded", {FRAME_TOO_BIG, {{AT_L4, "0b00"}}, .fix = FIX_L4}, IP_ERROR, ""},
	{"parameter problem", {FRAME_TOO_BIG, {{AT_L4, "0c00"}}, .fix = FIX_L4}, IP_ERROR, ""},
	{"from a router", {FRAME_TOO_BIG, {{AT_IP_SRC, "c0000201"}}, .fix = FIX_IP}, IP_ERROR, ""},
	{"quote of a first fragment",
	 {FRAME_TOO_BIG, {{AT_QUOTED_FRAG, "2000"}}, .fix = FIX_L4}, IP_ERROR, ""},
	{"quote of a later fragment",
	 {FRAME_TOO_BIG, {{AT_QUOTED_FRAG, "0001"}}, .fix = FIX_L4}, IP_DONE, "icmp_bad"},
	{"quote of no flow of ours",
	 {FRAME_TOO_BIG, {{AT_QUOTED_SRC, "0a630003"}}, .fix = FIX_L4}, IP_DONE, "icmp_bad"},
	{"quote of IPv6", {FRAME_TOO_BIG, {{AT_QUOTED, "65"}}, .fix = FIX_L4}, IP_DONE,
	 "icmp_bad"},
	{"quote with a short header", {FRAME_TOO_BIG, {{AT_QUOTED, "44"}}, .fix = FIX_L4},
	 IP_DONE, "icmp_bad"},
	{"quote with a header beyond its end",
	 {FRAME_TOO_BIG, {{AT_QUOTED, "46"}}, .fix = FIX_L4}, IP_DONE, "icmp_bad"},
	{"quote of ICMP", {FRAME_TOO_BIG, {{51, "01"}}, .fix = FIX_L4}, IP_DONE, "icmp_bad"},
	{"quote one byte short",
	 {FRAME_TOO_BIG, {{AT_IP_LEN, "0037"}}, .fix = FIX_IP | FIX_L4}, IP_DONE, "icmp_bad"},
	{"no quote", {FRAME_TOO_BIG, {{AT_IP_LEN, "001c"}}, .fix = FIX_IP | FIX_L4}, IP_DONE,
	 "icmp_bad"},
};

static void test_input_verdict_and_reason(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		print_message("%s\n", cases[i].name);
		assert_int_equal(fixture_input(f, &cases[i].frame), cases[i].verdict);
		assert_string_equal(fixture_drops(f), cases[i].drops);
		assert_int_equal(f->sent_count, 0);
	}
}

static void test_error_carries_our_flow(void **state)
{
	struct fixture *f = *state;
	// As a segment of that flow comes in: from 10.99.0.1:40000 to 10.99.0.2:6379.
	const uint8_t tuple[] = {10, 99, 0, 1, 10, 99, 0, 2, 0x9c, 0x40, 0x18, 0xeb};
	uint32_t steered;

	assert_int_equal(fixture_input_hex(f, FRAME_TOO_BIG), IP_ERROR);
	assert_true(ip_addr_equal(&f->packet.flow.local, ADDRESS(10, 99, 0, 2)));
	assert_true(ip_addr_equal(&f->packet.flow.remote, ADDRESS(10, 99, 0, 1)));
	assert_true(ip_addr_is_v4(&f->packet.flow.local));
	assert_int_equal(f->packet.flow.local_port, 6379);
	assert_int_equal(f->packet.flow.remote_port, 40000);
	assert_int_equal(f->packet.protocol, IP_PROTOCOL_TCP);
	assert_int_equal(f->packet.peer, UINT32_MAX);
	assert_int_equal(f->packet.hash, port_flow_hash(tuple, sizeof(tuple)));
	assert_ptr_equal(f->packet.l4, f->in.data + AT_L4);
	assert_int_equal(f->packet.l4_len, 36);
	// Steering takes it to the owner of the flow.
	assert_true(ip_flow_hash(&f->in, &steered));
	assert_int_equal(steered, f->packet.hash);
}

static void test_echo_is_answered_alike(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_input_hex(f, FRAME_ECHO), IP_DONE);
	assert_string_equal(fixture_drops(f), "");
	assert_frame_hex(fixture_one_sent(f),
			 MAC_PEER MAC_OURS "0800"
			 "4500002c00004000400126090a6300020a630001"
			 "0000d0c00007000130313233343536373839616263646566");
	assert_frame_wellformed(fixture_one_sent(f));
}

/* Every size up to the largest that the MTU allows, odd ones too. */
static void test_echo_of_any_size_that_fits(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[FIXTURE_FRAME_MAX];
	struct frame frame;

	for (uint32_t icmp_len = 8; icmp_len <= FIXTURE_MTU - 20; icmp_len += 23) {
		uint32_t len = fixture_build(&(struct fixture_frame){FRAME_ECHO}, bytes);

		f->now_ns += 1000000000;
		for (uint32_t i = AT_L4 + 8; i < AT_L4 + icmp_len; i++)
			bytes[i] = (uint8_t)(i * 7);
		len = AT_L4 + icmp_len;
		be16_store(bytes + AT_IP_LEN, (uint16_t)(20 + icmp_len));
		be16_store(bytes + AT_L4 + 2, 0);
		be16_store(bytes + AT_L4 + 2, naive_checksum(0, bytes + AT_L4, icmp_len));
		fake_port_frame(&frame, bytes, len);
		frame.ip_checksum = FRAME_CHECKSUM_GOOD;
		assert_int_equal(ip_input(f->ip, &frame, f->now_ns, &f->packet), IP_DONE);
		port_free(&frame, 1);
		assert_frame_wellformed(fixture_one_sent(f));
		assert_int_equal(f->sent[0].len, len);
		assert_memory_equal(f->sent[0].data + AT_L4 + 4, bytes + AT_L4 + 4, icmp_len - 4);
		fixture_clear_sent(f);
	}
}

static void test_echo_larger_than_the_mtu_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[FIXTURE_FRAME_MAX] = {0};
	uint32_t icmp_len = FIXTURE_MTU - 20 + 1;
	struct frame frame;

	fixture_build(&(struct fixture_frame){FRAME_ECHO}, bytes);
	be16_store(bytes + AT_IP_LEN, (uint16_t)(20 + icmp_len));
	be16_store(bytes + AT_L4 + 2, 0);
	be16_store(bytes + AT_L4 + 2, naive_checksum(0, bytes + AT_L4, icmp_len));
	fake_port_frame(&frame, bytes, AT_L4 + icmp_len);
	frame.ip_checksum = FRAME_CHECKSUM_GOOD;
	assert_int_equal(ip_input(f->ip, &frame, f->now_ns, &f->packet), IP_DONE);
	port_free(&frame, 1);
	assert_int_equal(f->sent_count, 0);
	assert_string_equal(fixture_drops(f), "ip_too_long");
}

static void test_echo_rate_is_limited_and_recovers(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < FIXTURE_ICMP_RATE; i++)
		fixture_input_hex(f, FRAME_ECHO);
	assert_int_equal(f->sent_count, FIXTURE_ICMP_RATE);
	assert_string_equal(fixture_drops(f), "");
	fixture_input_hex(f, FRAME_ECHO);
	assert_int_equal(f->sent_count, FIXTURE_ICMP_RATE);
	assert_string_equal(fixture_drops(f), "icmp_rate");
	f->now_ns += 1000000000 / FIXTURE_ICMP_RATE;
	fixture_input_hex(f, FRAME_ECHO);
	fixture_input_hex(f, FRAME_ECHO);
	assert_int_equal(f->sent_count, FIXTURE_ICMP_RATE + 1);
	assert_string_equal(fixture_drops(f), "icmp_rate");
}

static void test_echo_without_buffer_is_counted(void **state)
{
	struct fixture *f = *state;

	fake_port_fail_after(0);
	assert_int_equal(fixture_input_hex(f, FRAME_ECHO), IP_DONE);
	assert_int_equal(f->sent_count, 0);
	assert_string_equal(fixture_drops(f), "port_no_buffer");
}

/* RFC 1122 3.2.2.1: header and at least 8 bytes of what it is about. */
static void test_unknown_protocol_is_refused_with_a_quote(void **state)
{
	struct fixture *f = *state;
	const struct fixture_frame igmp = {FRAME_TCP_SYN, {{AT_IP_PROTO, "02"}}, .fix = FIX_IP};
	uint8_t bytes[FIXTURE_FRAME_MAX];
	uint32_t len = fixture_build(&igmp, bytes);
	struct frame *sent;

	assert_int_equal(fixture_input(f, &igmp), IP_DONE);
	sent = fixture_one_sent(f);
	assert_frame_wellformed(sent);
	assert_int_equal(sent->len, AT_L4 + 8 + len - AT_IP);
	assert_int_equal(sent->data[AT_L4], 3);
	assert_int_equal(sent->data[AT_L4 + 1], 2);
	assert_int_equal(be32_load(sent->data + AT_L4 + 4), 0);
	assert_memory_equal(sent->data + AT_L4 + 8, bytes + AT_IP, len - AT_IP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_input_verdict_and_reason),
		TEST(test_error_carries_our_flow),
		TEST(test_echo_is_answered_alike),
		TEST(test_echo_of_any_size_that_fits),
		TEST(test_echo_larger_than_the_mtu_is_refused),
		TEST(test_echo_rate_is_limited_and_recovers),
		TEST(test_echo_without_buffer_is_counted),
		TEST(test_unknown_protocol_is_refused_with_a_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
