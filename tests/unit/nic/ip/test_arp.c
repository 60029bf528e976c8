/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

#include "tests/fakes/fake_port.h"

/* ARP as it is seen on the wire: who is answered, who is learnt from, what is refused. */

#define AT_ARP_OPERATION  20
#define AT_ARP_SENDER_MAC 22
#define AT_ARP_SENDER     28
#define AT_ARP_TARGET     38

#define REPLY_TO_PEER                                                                              \
	MAC_PEER MAC_OURS "0806 0001080006040002 " MAC_OURS "0a630002 " MAC_PEER "0a630001"
#define REQUEST_FOR_PEER                                                                           \
	MAC_BROADCAST MAC_OURS "0806 0001080006040001 " MAC_OURS "0a630002 000000000000 0a630001"
#define ANNOUNCEMENT                                                                               \
	MAC_BROADCAST MAC_OURS "0806 0001080006040001 " MAC_OURS "0a630002 000000000000 0a630002"

struct arp_case {
	const char *name;
	struct fixture_frame frame;
	const char *drops;
	const char *sent; // NULL: nothing
};

static const struct arp_case cases[] = {
	{"who has us", {FRAME_ARP_REQUEST}, "", REPLY_TO_PEER},
	{"who has us, asked of us alone",
	 {FRAME_ARP_REQUEST, {{AT_ETH_DST, MAC_OURS}}}, "", REPLY_TO_PEER},
	{"with padding", {FRAME_ARP_REQUEST, .append = "000000000000000000000000000000000000"}, "",
	 REPLY_TO_PEER},
	{"probe before use of our address (RFC 5227)",
	 {FRAME_ARP_REQUEST, {{AT_ARP_SENDER, "00000000"}}}, "",
	 MAC_PEER MAC_OURS "0806 0001080006040002 " MAC_OURS "0a630002 " MAC_PEER "00000000"},
	{"reply nobody asked for", {FRAME_ARP_REQUEST, {{AT_ARP_OPERATION, "0002"}}}, "", NULL},
	{"announcement of the peer",
	 {FRAME_ARP_REQUEST, {{AT_ARP_TARGET, "0a630001"}}}, "", NULL},
	{"who has another", {FRAME_ARP_REQUEST, {{AT_ARP_TARGET, "0a630003"}}}, "arp_not_ours",
	 NULL},
	{"cut", {FRAME_ARP_REQUEST, .cut = 41}, "arp_bad", NULL},
	{"hardware type", {FRAME_ARP_REQUEST, {{AT_ARP, "0006"}}}, "arp_bad", NULL},
	{"protocol type", {FRAME_ARP_REQUEST, {{AT_ARP + 2, "86dd"}}}, "arp_bad", NULL},
	{"hardware length", {FRAME_ARP_REQUEST, {{AT_ARP + 4, "08"}}}, "arp_bad", NULL},
	{"protocol length", {FRAME_ARP_REQUEST, {{AT_ARP + 5, "10"}}}, "arp_bad", NULL},
	{"operation 0", {FRAME_ARP_REQUEST, {{AT_ARP_OPERATION, "0000"}}}, "arp_bad", NULL},
	{"reverse ARP", {FRAME_ARP_REQUEST, {{AT_ARP_OPERATION, "0003"}}}, "arp_bad", NULL},
	{"group as sender MAC", {FRAME_ARP_REQUEST, {{AT_ARP_SENDER_MAC, MAC_BROADCAST}}},
	 "arp_bad", NULL},
	{"no sender MAC", {FRAME_ARP_REQUEST, {{AT_ARP_SENDER_MAC, "000000000000"}}}, "arp_bad",
	 NULL},
	{"sender is a group", {FRAME_ARP_REQUEST, {{AT_ARP_SENDER, "e0000001"}}}, "arp_bad", NULL},
	{"sender is our broadcast", {FRAME_ARP_REQUEST, {{AT_ARP_SENDER, "0a6300ff"}}}, "arp_bad",
	 NULL},
};

static void test_input_answer_and_reason(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct arp_case *c = &cases[i];

		print_message("%s\n", c->name);
		assert_int_equal(fixture_input(f, &c->frame), IP_DONE);
		assert_string_equal(fixture_drops(f), c->drops);
		if (c->sent)
			assert_frame_hex(fixture_one_sent(f), c->sent);
		else
			assert_int_equal(f->sent_count, 0);
		fixture_clear_sent(f);
	}
}

static void test_conflict_is_defended_every_ten_seconds(void **state)
{
	struct fixture *f = *state;
	const struct fixture_frame claim = {FRAME_ARP_REQUEST, {{AT_ARP_SENDER, "0a630002"}}};

	assert_int_equal(fixture_input(f, &claim), IP_DONE);
	assert_frame_hex(fixture_one_sent(f), ANNOUNCEMENT);
	assert_int_equal(fixture_input(f, &claim), IP_DONE);
	assert_int_equal(f->sent_count, 1);
	f->now_ns += 10000000000;
	assert_int_equal(fixture_input(f, &claim), IP_DONE);
	assert_int_equal(f->sent_count, 2);
	assert_string_equal(fixture_drops(f), "arp_conflict arp_conflict arp_conflict");
}

static void test_no_buffer_for_the_answer_is_counted(void **state)
{
	struct fixture *f = *state;

	fake_port_fail_after(0);
	assert_int_equal(fixture_input_hex(f, FRAME_ARP_REQUEST), IP_DONE);
	assert_int_equal(f->sent_count, 0);
	assert_string_equal(fixture_drops(f), "port_no_buffer");
}

/* An active open: asks, waits, is told by whoever answers (RFC 826), on any worker. */
static void test_resolve_by_reply_at_another_worker(void **state)
{
	struct fixture *f = *state;
	struct fixture other;
	bool resolved;
	uint32_t peer = ip_peer(f->ip, ADDRESS(10, 99, 0, 1), f->now_ns, &resolved);

	assert_int_not_equal(peer, UINT32_MAX);
	assert_false(resolved);
	assert_frame_hex(fixture_one_sent(f), REQUEST_FOR_PEER);

	fixture_open_stack(&other, f->neighbours);
	assert_int_equal(fixture_input(&other, &(struct fixture_frame){
						       FRAME_ARP_REQUEST,
						       {{AT_ETH_DST, MAC_OURS},
							{AT_ARP_OPERATION, "0002"}}}),
			 IP_DONE);
	fixture_close_stack(&other);

	assert_int_equal(ip_peer(f->ip, ADDRESS(10, 99, 0, 1), f->now_ns, &resolved), peer);
	assert_true(resolved);
	assert_int_equal(f->sent_count, 1);
}

/* How many requests go out while somebody keeps asking and ticking for so long. */
static uint32_t requests_within(struct fixture *f, struct ip_addr host, uint64_t duration_ns)
{
	uint32_t before = f->sent_count;
	bool resolved;

	for (uint64_t t = 0; t < duration_ns; t += 50000000, f->now_ns += 50000000) {
		(void)ip_peer(f->ip, &host, f->now_ns, &resolved);
		assert_false(resolved);
		ip_tick(f->ip, f->now_ns);
	}
	return f->sent_count - before;
}

static void test_resolve_asks_once_a_second(void **state)
{
	struct fixture *f = *state;

	// The first seconds also carry announcements and the question for the gateway.
	requests_within(f, address_of(10, 99, 0, 7), 5000000000);
	assert_in_range(requests_within(f, address_of(10, 99, 0, 7), 10000000000), 18, 22);
}

static void test_tick_announces_and_asks_for_the_gateway(void **state)
{
	struct fixture *f = *state;

	ip_tick(f->ip, f->now_ns);
	assert_int_equal(f->sent_count, 2);
	assert_frame_hex(&f->sent[0], ANNOUNCEMENT);
	assert_frame_hex(&f->sent[1], MAC_BROADCAST MAC_OURS
			 "0806 0001080006040001 " MAC_OURS "0a630002 000000000000 0a6300fe");
	ip_tick(f->ip, f->now_ns);
	assert_int_equal(f->sent_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_input_answer_and_reason),
		TEST(test_conflict_is_defended_every_ten_seconds),
		TEST(test_no_buffer_for_the_answer_is_counted),
		TEST(test_resolve_by_reply_at_another_worker),
		TEST(test_resolve_asks_once_a_second),
		TEST(test_tick_announces_and_asks_for_the_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
