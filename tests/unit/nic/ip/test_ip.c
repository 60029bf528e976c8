/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

#include "tests/fakes/fake_port.h"

/* The stack as a whole: what a good packet carries, steering's hash, frames cut anywhere. */

static const char *const good_frames[] = {
	FRAME_TCP_SYN, FRAME_UDP_HELLO, FRAME_ECHO, FRAME_TOO_BIG, FRAME_ARP_REQUEST,
};

static void test_input_fills_the_packet(void **state)
{
	struct fixture *f = *state;
	const uint8_t tuple[] = {10, 99, 0, 1, 10, 99, 0, 2, 0x9c, 0x40, 0x18, 0xeb};

	assert_int_equal(fixture_input(f, &(struct fixture_frame){FRAME_TCP_SYN, {{15, "fe"}},
								  .fix = FIX_IP}),
			 IP_TCP);
	assert_true(ip_addr_equal(&f->packet.flow.local, ADDRESS(10, 99, 0, 2)));
	assert_true(ip_addr_equal(&f->packet.flow.remote, ADDRESS(10, 99, 0, 1)));
	assert_true(ip_addr_is_v4(&f->packet.flow.local));
	assert_true(ip_addr_is_v4(&f->packet.flow.remote));
	assert_int_equal(f->packet.flow.local_port, 6379);
	assert_int_equal(f->packet.flow.remote_port, 40000);
	assert_int_equal(f->packet.protocol, IP_PROTOCOL_TCP);
	assert_int_equal(f->packet.ecn, 2); // of the type of service byte, 0xfe
	assert_int_equal(f->packet.hash, port_flow_hash(tuple, sizeof(tuple)));
}

static void test_hash_of_the_port_is_taken(void **state)
{
	struct fixture *f = *state;
	uint32_t hash;

	assert_int_equal(fixture_input_hex(f, FRAME_TCP_SYN), IP_TCP);
	f->in.has_hash = true;
	f->in.hash = 0x12345678;
	assert_true(ip_flow_hash(&f->in, &hash));
	assert_int_equal(hash, 0x12345678);
	assert_int_equal(ip_input(f->ip, &f->in, f->now_ns, &f->packet), IP_TCP);
	assert_int_equal(f->packet.hash, 0x12345678);
}

struct hash_case {
	const char *name;
	struct fixture_frame frame;
	bool has_flow;
};

static const struct hash_case hash_cases[] = {
	{"tcp", {FRAME_TCP_SYN}, true},
	{"udp", {FRAME_UDP_HELLO}, true},
	{"tcp, checksum wrong", {FRAME_TCP_SYN, {{AT_L4 + 16, "0000"}}}, true},
	{"icmp error", {FRAME_TOO_BIG}, true},
	{"icmp error without a quote", {FRAME_TOO_BIG, .cut = 61}, false},
	{"icmp echo", {FRAME_ECHO}, false},
	{"arp", {FRAME_ARP_REQUEST}, false},
	{"ipv6", {FRAME_TCP_SYN, {{AT_ETH_TYPE, "86dd"}}}, false},
	{"first fragment", {FRAME_TCP_SYN, {{AT_IP_FRAG, "2000"}}}, false},
	{"later fragment", {FRAME_TCP_SYN, {{AT_IP_FRAG, "0001"}}}, false},
	{"igmp", {FRAME_TCP_SYN, {{AT_IP_PROTO, "02"}}}, false},
	{"header length 4", {FRAME_TCP_SYN, {{AT_IP, "44"}}}, false},
	{"header longer than the frame", {FRAME_TCP_SYN, {{AT_IP, "4f"}}}, false},
	{"ends before the ports do", {FRAME_TCP_SYN, .cut = AT_L4 + 3}, false},
	{"ends with the ports", {FRAME_TCP_SYN, .cut = AT_L4 + 4}, true},
};

/* Steering and the owner must agree, or segments of a connection part ways. */
static void test_flow_hash_is_the_packets_hash(void **state)
{
	struct fixture *f = *state;
	uint32_t hash;

	assert_int_equal(fixture_input_hex(f, FRAME_TCP_SYN), IP_TCP);
	assert_true(ip_flow_hash(&f->in, &hash));
	assert_int_equal(hash, f->packet.hash);
	assert_int_equal(fixture_input_hex(f, FRAME_UDP_HELLO), IP_UDP);
	assert_true(ip_flow_hash(&f->in, &hash));
	assert_int_equal(hash, f->packet.hash);
}

static void test_flow_hash_reads_only_flows(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(hash_cases); i++) {
		uint32_t hash = 0;

		print_message("%s\n", hash_cases[i].name);
		fixture_input(f, &hash_cases[i].frame);
		assert_int_equal(ip_flow_hash(&f->in, &hash), hash_cases[i].has_flow);
	}
}

/* Ports of an active open: the first whose answers come to the queue, around the end if need be. */
static void test_source_port_lands_on_the_wanted_queue(void **state)
{
	static const uint16_t firsts[] = {1024, 40000, 65534, 65535};
	struct fixture *f = *state;

	assert_int_equal(fixture_input_hex(f, FRAME_TCP_SYN), IP_TCP);
	// What answers us is the flow of the frame the other way round.
	assert_int_equal(ip_answer_hash(&f->packet.flow), f->packet.hash);
	for (uint16_t queues = 1; queues <= 16; queues++)
		for (uint16_t queue = 0; queue < queues; queue++)
			for (size_t i = 0; i < ARRAY_COUNT(firsts); i++) {
				struct flow flow = f->packet.flow;
				uint16_t port;

				flow.local_port = firsts[i];
				port = ip_source_port(&flow, 1024, queue, queues);
				while (flow.local_port != port) {
					assert_int_not_equal(
						port_hash_owner(ip_answer_hash(&flow), queues),
						queue);
					flow.local_port = flow.local_port == UINT16_MAX
								  ? 1024
								  : flow.local_port + 1;
				}
				assert_int_equal(port_hash_owner(ip_answer_hash(&flow), queues),
						 queue);
			}
	assert_int_equal(ip_source_port(&f->packet.flow, 1024, 5, 2), f->packet.flow.local_port);
}

/* A truncated frame has a reason to be dropped at every length, and no byte beyond it is read. */
static void test_frame_cut_anywhere_is_dropped_and_counted(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[FIXTURE_FRAME_MAX];
	uint32_t hash;

	for (size_t i = 0; i < ARRAY_COUNT(good_frames); i++) {
		uint32_t len =
			fixture_build(&(struct fixture_frame){good_frames[i]}, bytes);

		for (uint32_t cut = 0; cut < len; cut++) {
			struct frame frame;

			fake_port_frame(&frame, bytes, cut);
			assert_int_equal(ip_input(f->ip, &frame, f->now_ns, &f->packet), IP_DONE);
			(void)ip_flow_hash(&frame, &hash);
			port_free(&frame, 1);
			assert_int_equal(f->sent_count, 0);
			assert_string_not_equal(fixture_drops(f), "");
		}
	}
}

/* A valid IPv4 header around an L4 part of every length. */
static void test_l4_cut_anywhere_is_dropped_and_counted(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++) {
		uint8_t bytes[FIXTURE_FRAME_MAX];
		uint32_t len =
			fixture_build(&(struct fixture_frame){good_frames[i]}, bytes) - AT_IP;

		for (uint32_t cut = 20; cut < len; cut++) {
			char total_len[12];

			snprintf(total_len, sizeof(total_len), "%04x", cut);
			assert_int_equal(fixture_input(f, &(struct fixture_frame){
								  good_frames[i],
								  {{AT_IP_LEN, total_len}},
								  .cut = AT_IP + cut,
								  .fix = FIX_IP}),
					 IP_DONE);
			assert_string_not_equal(fixture_drops(f), "");
			assert_int_equal(f->sent_count, 0);
		}
	}
}

struct option_case {
	const char *name;
	const char *options; // hex, a multiple of four bytes
	bool accepted;
};

static const struct option_case option_cases[] = {
	{"nops", "01010101", true},
	{"end of list", "00000000", true},
	{"end of list before rubbish", "0083ff00", true},
	{"router alert", "94040000", true},
	{"timestamp that fills 40 bytes", "4428050000000000000000000000000000000000"
					  "0000000000000000000000000000000000000000", true},
	{"record route of 7", "0707040000000000", true},
	{"loose source route", "8307040a63000900", false},
	{"strict source route", "8907040a63000900", false},
	{"source route behind others", "01018303", false},
	{"length 0", "94000000", false},
	{"length 1", "94010000", false},
	{"length beyond the header", "94050000", false},
	{"no length", "01010194", false},
};

static void test_ip_options_are_skipped_or_refused(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(option_cases); i++) {
		const struct option_case *c = &option_cases[i];
		size_t options_len = strlen(c->options) / 2;
		char hex[512], first[24], total_len[24];

		print_message("%s\n", c->name);
		snprintf(first, sizeof(first), "4%zx", 5 + options_len / 4);
		snprintf(total_len, sizeof(total_len), "%04zx", 44 + options_len);
		snprintf(hex, sizeof(hex), "%s%s%s",
			 FRAME_ETH "4500002c12344000400613d00a6300010a630002", c->options,
			 "9c4018eb000003e8000000006002faf0cf590000020405b4");
		assert_int_equal(fixture_input(f, &(struct fixture_frame){hex,
									  {{AT_IP, first},
									   {AT_IP_LEN, total_len}},
									  .fix = FIX_IP}),
				 c->accepted ? IP_TCP : IP_DONE);
		assert_string_equal(fixture_drops(f), c->accepted ? "" : "ip4_options");
		if (c->accepted)
			assert_ptr_equal(f->packet.l4, f->in.data + AT_L4 + options_len);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_input_fills_the_packet),
		TEST(test_hash_of_the_port_is_taken),
		TEST(test_flow_hash_is_the_packets_hash),
		TEST(test_flow_hash_reads_only_flows),
		TEST(test_source_port_lands_on_the_wanted_queue),
		TEST(test_frame_cut_anywhere_is_dropped_and_counted),
		TEST(test_l4_cut_anywhere_is_dropped_and_counted),
		TEST(test_ip_options_are_skipped_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
