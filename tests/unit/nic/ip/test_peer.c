/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

/*
 * Entries of remote hosts: whose MAC address is used when, and what happens when there are too
 * many.
 */

#define PEERS 128 // as the fixture configures

/* A SYN from any address and MAC; returns the peer's index. */
static uint32_t hear(struct fixture *f, struct ip_addr from, const char *mac)
{
	char address[9];

	snprintf(address, sizeof(address), "%08x", be32_to_host(ip_addr_v4(&from)));
	assert_int_equal(
		fixture_input(f, &(struct fixture_frame){FRAME_TCP_SYN,
							 {{AT_IP_SRC, address}, {AT_ETH_SRC, mac}},
							 .fix = FIX_IP | FIX_L4}),
		IP_TCP);
	return f->packet.peer;
}

/* An ARP reply or announcement of a host. */
static void announce(struct fixture *f, struct ip_addr host, const char *mac)
{
	char hex[160];

	snprintf(hex, sizeof(hex), "%s%s0806 0001080006040001 %s%08x 000000000000 %08x",
		 MAC_BROADCAST, mac, mac, be32_to_host(ip_addr_v4(&host)),
		 be32_to_host(ip_addr_v4(&host)));
	assert_int_equal(fixture_input_hex(f, hex), IP_DONE);
}

static bool send_to(struct fixture *f, uint32_t peer, struct ip_addr remote)
{
	const struct flow flow = {
		.local = address_of(10, 99, 0, 2),
		.remote = remote,
		.local_port = 6379,
		.remote_port = 40000,
	};
	uint8_t header[20] = {0};

	return ip_output_flow(f->ip, &(struct ip_segment){
					     .flow = &flow,
					     .peer = peer,
					     .protocol = IP_PROTOCOL_TCP,
					     .header = slice_of(header, sizeof(header)),
				     });
}

/* The last frame sent went to this MAC and IPv4 address. */
static void assert_sent_to(struct fixture *f, const char *mac, struct ip_addr remote)
{
	const struct frame *sent = &f->sent[f->sent_count - 1];
	char text[13];

	assert_true(f->sent_count > 0);
	for (int i = 0; i < 6; i++)
		snprintf(text + 2 * i, 3, "%02x", sent->data[i]);
	assert_string_equal(text, mac);
	assert_int_equal(be32_load(sent->data + AT_IP_DST), be32_to_host(ip_addr_v4(&remote)));
	assert_frame_wellformed(sent);
	fixture_clear_sent(f);
}

static void test_answer_goes_where_the_frame_came_from(void **state)
{
	struct fixture *f = *state;
	struct ip_addr on_link = address_of(10, 99, 0, 1), off_link = address_of(192, 0, 2, 7);
	uint32_t peer = hear(f, on_link, "020000000001");
	uint32_t far_peer = hear(f, off_link, "0200000000fe");

	assert_int_not_equal(peer, far_peer);
	assert_true(send_to(f, peer, on_link));
	assert_sent_to(f, "020000000001", on_link);
	assert_true(send_to(f, far_peer, off_link));
	assert_sent_to(f, "0200000000fe", off_link);
	assert_int_equal(hear(f, on_link, "020000000001"), peer);
}

static void test_valid_packet_with_another_mac_moves_the_peer(void **state)
{
	struct fixture *f = *state;
	struct ip_addr remote = address_of(10, 99, 0, 1);
	uint32_t peer = hear(f, remote, "020000000001");

	assert_int_equal(hear(f, remote, "020000000011"), peer);
	assert_true(send_to(f, peer, remote));
	assert_sent_to(f, "020000000011", remote);
}

static void test_invalid_packet_with_another_mac_does_not(void **state)
{
	struct fixture *f = *state;
	struct ip_addr remote = address_of(10, 99, 0, 1);
	uint32_t peer = hear(f, remote, "020000000001");

	assert_int_equal(fixture_input(f, &(struct fixture_frame){FRAME_TCP_SYN,
								  {{AT_ETH_SRC, "020000000011"},
								   {AT_L4, "00"}}}),
			 IP_DONE);
	assert_true(send_to(f, peer, remote));
	assert_sent_to(f, "020000000001", remote);
}

static void test_silent_peer_is_asked_for_in_the_background(void **state)
{
	struct fixture *f = *state;
	struct ip_addr remote = address_of(10, 99, 0, 1);
	uint32_t peer = hear(f, remote, "020000000001");

	f->now_ns += FIXTURE_REACHABLE_NS - 1;
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	assert_true(send_to(f, peer, remote));
	assert_int_equal(f->sent_count, 1);
	assert_sent_to(f, "020000000001", remote);

	// Longer silent than that: the frame leaves still, and a question before it.
	f->now_ns += 1000000;
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	assert_true(send_to(f, peer, remote));
	assert_int_equal(f->sent_count, 2);
	assert_int_equal(be16_load(f->sent[0].data + AT_ETH_TYPE), 0x0806);
	assert_sent_to(f, "020000000001", remote);
	assert_true(send_to(f, peer, remote));
	assert_int_equal(f->sent_count, 1);

	// The answer tells of another MAC address, which the next look takes over.
	announce(f, remote, "020000000022");
	f->now_ns += 1000000000;
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	assert_true(send_to(f, peer, remote));
	assert_sent_to(f, "020000000022", remote);
}

/* Failover of a host or gateway: the announcement counts at once, on all workers. */
static void test_announced_move_counts_on_all_workers(void **state)
{
	struct fixture *f = *state;
	struct ip_addr gateway = address_of(10, 99, 0, 254), off_link = address_of(192, 0, 2, 7);
	struct fixture other;
	uint32_t peer;

	ip_tick(f->ip, f->now_ns); // asks for the gateway
	announce(f, gateway, "0200000000fe");
	fixture_clear_sent(f);
	peer = hear(f, off_link, "0200000000fe");

	fixture_open_stack(&other, f->neighbours);
	other.now_ns = f->now_ns + 1000000000;
	announce(&other, gateway, "0200000000ff");
	fixture_close_stack(&other);

	f->now_ns += 2000000000;
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	assert_true(send_to(f, peer, off_link));
	assert_sent_to(f, "0200000000ff", off_link);
}

static void test_own_frames_count_more_than_an_older_answer(void **state)
{
	struct fixture *f = *state;
	struct ip_addr remote = address_of(10, 99, 0, 1);
	bool resolved;
	uint32_t peer = ip_peer(f->ip, &remote, f->now_ns, &resolved);

	announce(f, remote, "020000000022");
	announce(f, remote, "020000000023"); // raises the generation
	f->now_ns += 1000000;
	assert_int_equal(hear(f, remote, "020000000001"), peer);
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	assert_true(send_to(f, peer, remote));
	assert_sent_to(f, "020000000001", remote);
}

static void test_active_open_off_link_asks_for_the_gateway(void **state)
{
	struct fixture *f = *state;
	struct ip_addr remote = address_of(192, 0, 2, 7);
	bool resolved;
	uint32_t peer = ip_peer(f->ip, &remote, f->now_ns, &resolved);

	assert_false(resolved);
	assert_int_equal(be32_load(fixture_one_sent(f)->data + 38), 0x0a6300fe);
	fixture_clear_sent(f);
	announce(f, address_of(10, 99, 0, 254), "0200000000fe");
	assert_int_equal(ip_peer(f->ip, &remote, f->now_ns, &resolved), peer);
	assert_true(resolved);
	assert_true(send_to(f, peer, remote));
	assert_sent_to(f, "0200000000fe", remote);
}

static void test_address_that_is_no_host_has_no_peer(void **state)
{
	struct fixture *f = *state;
	const struct ip_addr none[] = {
		address_of(0, 0, 0, 0),     address_of(127, 0, 0, 1),
		address_of(224, 0, 0, 1),   address_of(255, 255, 255, 255),
		address_of(10, 99, 0, 255), address_of(10, 99, 0, 0),
		address_of(10, 99, 0, 2),
	};
	bool resolved = true;

	for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
		assert_int_equal(ip_peer(f->ip, &none[i], f->now_ns, &resolved), UINT32_MAX);
		assert_false(resolved);
	}
	assert_int_equal(f->sent_count, 0);
}

/* Many more hosts than entries: indices get stale, yet every frame goes to the right host. */
static void test_stale_index_reaches_the_right_host(void **state)
{
	struct fixture *f = *state;
	struct ip_addr old = address_of(10, 99, 0, 1);
	uint32_t old_peer = hear(f, old, "020000000001");
	bool reused = false;

	for (uint32_t i = 0; i < 4 * PEERS; i++) {
		f->now_ns += 1000;
		reused |= hear(f, *V4(0xc0000000 + i), "0200000000fe") == old_peer;
	}
	assert_true(reused);
	// Its entry is gone and with it the MAC address: it is asked for, nothing goes astray.
	assert_false(send_to(f, old_peer, old));
	assert_string_equal(fixture_drops(f), "neigh_unresolved");
	fixture_clear_sent(f);
	announce(f, old, "020000000001");
	assert_true(send_to(f, old_peer, old));
	assert_sent_to(f, "020000000001", old);
}

static void test_peer_in_use_outlives_a_flood_of_others(void **state)
{
	struct fixture *f = *state;
	struct ip_addr kept = address_of(10, 99, 0, 1);
	uint32_t peer = hear(f, kept, "020000000001");

	for (uint32_t i = 0; i < 50 * PEERS; i++) {
		f->now_ns += 1000;
		hear(f, *V4(0xc0000000 + i), "0200000000fe");
		if (i % 16 == 0)
			assert_int_equal(hear(f, kept, "020000000001"), peer);
	}
}

static void test_no_peer_of_a_burst_is_reused_within_it(void **state)
{
	struct fixture *f = *state;
	uint32_t seen[PORT_BURST_MAX];

	for (uint32_t i = 0; i < 2 * PEERS; i++) {
		f->now_ns += 1000;
		hear(f, *V4(0xc0000000 + i), "0200000000fe");
	}
	f->now_ns += 1000;
	for (uint32_t i = 0; i < PORT_BURST_MAX; i++) {
		seen[i] = hear(f, *V4(0xc1000000 + i), "0200000000fe");
		assert_int_not_equal(seen[i], UINT32_MAX);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

/* One burst that is larger than any: the packets pass, without an index. */
static void test_exhausted_entries_give_no_index(void **state)
{
	struct fixture *f = *state;
	uint32_t without = 0;

	for (uint32_t i = 0; i < 2 * PEERS; i++)
		without += hear(f, *V4(0xc0000000 + i), "0200000000fe") == UINT32_MAX;
	assert_int_equal(without, PEERS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer_goes_where_the_frame_came_from),
		TEST(test_valid_packet_with_another_mac_moves_the_peer),
		TEST(test_invalid_packet_with_another_mac_does_not),
		TEST(test_silent_peer_is_asked_for_in_the_background),
		TEST(test_announced_move_counts_on_all_workers),
		TEST(test_own_frames_count_more_than_an_older_answer),
		TEST(test_active_open_off_link_asks_for_the_gateway),
		TEST(test_address_that_is_no_host_has_no_peer),
		TEST(test_stale_index_reaches_the_right_host),
		TEST(test_peer_in_use_outlives_a_flood_of_others),
		TEST(test_no_peer_of_a_burst_is_reused_within_it),
		TEST(test_exhausted_entries_give_no_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
