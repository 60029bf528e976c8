/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/ip/ip_fixture.h"

#include "base/rng.h"
#include "tests/fakes/fake_port.h"

/* Frames that leave: read again by an independent checker, and refused where they must be. */

/* The peer's index, after it has sent us something. */
static uint32_t hear_peer(struct fixture *f)
{
	assert_int_equal(fixture_input_hex(f, FRAME_TCP_SYN), IP_TCP);
	return f->packet.peer;
}

static void test_output_known_frame(void **state)
{
	struct fixture *f = *state;
	uint32_t peer = hear_peer(f);
	const uint8_t udp[] = {0x2b, 0xcb, 0x9c, 0x41, 0, 13, 0, 0};
	const struct slice payload[] = {SLICE_LITERAL("he"), {NULL, 0}, SLICE_LITERAL("llo")};

	assert_true(ip_output(f->ip, peer, IP_PROTOCOL_UDP, 2, slice_of(udp, sizeof(udp)), payload,
			      3));
	assert_frame_hex(fixture_one_sent(f), MAC_PEER MAC_OURS "0800"
			 "4502002100004000401126020a6300020a630001"
			 "2bcb9c41000d0000"
			 "68656c6c6f");
	assert_frame_wellformed(fixture_one_sent(f));
	assert_string_equal(fixture_drops(f), "");
}

/* Header and payload of every size and in every cut, against the checker. */
static void test_output_any_size_is_wellformed(void **state)
{
	struct fixture *f = *state;
	uint32_t peer = hear_peer(f);
	struct rng rng = rng_seeded(3);
	uint8_t bytes[FIXTURE_MTU];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (int round = 0; round < 3000; round++) {
		bool tcp = round % 2;
		uint32_t header_len = tcp ? 20 + 4 * rng_below(&rng, 11) : 8;
		uint32_t len = rng_below(&rng, FIXTURE_MTU - 20 - header_len + 1);
		uint32_t cut = rng_below(&rng, len + 1);
		const struct slice payload[] = {slice_of(bytes, cut),
						slice_of(bytes + cut, len - cut)};
		uint8_t header[60] = {0};
		const struct frame *sent;

		assert_true(ip_output(f->ip, peer, tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP,
				      (uint8_t)(round % 4), slice_of(header, header_len), payload,
				      2));
		sent = fixture_one_sent(f);
		assert_frame_wellformed(sent);
		assert_int_equal(sent->len, AT_L4 + header_len + len);
		assert_int_equal(sent->data[AT_IP + 1], round % 4);
		assert_memory_equal(sent->data + AT_L4, header, header_len);
		assert_memory_equal(sent->data + AT_L4 + header_len, bytes, len);
		fixture_clear_sent(f);
	}
}

static void test_output_beyond_the_mtu_is_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t peer = hear_peer(f);
	uint8_t bytes[FIXTURE_MTU];
	struct slice payload = slice_of(bytes, FIXTURE_MTU - 20 - 20);

	memset(bytes, 0, sizeof(bytes));
	assert_true(ip_output(f->ip, peer, IP_PROTOCOL_TCP, 0, slice_of(bytes, 20), &payload, 1));
	assert_int_equal(f->sent_count, 1);
	payload.len++;
	assert_false(ip_output(f->ip, peer, IP_PROTOCOL_TCP, 0, slice_of(bytes, 20), &payload, 1));
	assert_int_equal(f->sent_count, 1);
	assert_string_equal(fixture_drops(f), "ip_too_long");
}

static void test_output_without_buffer_is_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t peer = hear_peer(f);
	uint8_t header[20] = {0};

	fake_port_fail_after(0);
	assert_false(ip_output(f->ip, peer, IP_PROTOCOL_TCP, 0, slice_of(header, 20), NULL, 0));
	assert_int_equal(f->sent_count, 0);
	assert_string_equal(fixture_drops(f), "port_no_buffer");
}

static void test_output_to_no_peer_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t header[20] = {0};

	assert_false(
		ip_output(f->ip, UINT32_MAX, IP_PROTOCOL_TCP, 0, slice_of(header, 20), NULL, 0));
	assert_false(ip_output(f->ip, 0, IP_PROTOCOL_TCP, 0, slice_of(header, 20), NULL, 0));
	assert_int_equal(f->sent_count, 0);
	assert_string_equal(fixture_drops(f), "neigh_unresolved neigh_unresolved");
}

static void test_output_to_an_unresolved_peer_asks_and_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t header[20] = {0};
	bool resolved;
	uint32_t peer = ip_peer(f->ip, ADDRESS(10, 99, 0, 9), f->now_ns, &resolved);

	fixture_clear_sent(f);
	f->now_ns += 1000000000;
	ip_tick(f->ip, f->now_ns);
	fixture_clear_sent(f);
	for (int i = 0; i < 10; i++)
		assert_false(ip_output(f->ip, peer, IP_PROTOCOL_TCP, 0, slice_of(header, 20), NULL,
				       0));
	assert_true(f->sent_count <= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_output_known_frame),
		TEST(test_output_any_size_is_wellformed),
		TEST(test_output_beyond_the_mtu_is_refused),
		TEST(test_output_without_buffer_is_refused),
		TEST(test_output_to_no_peer_is_refused),
		TEST(test_output_to_an_unresolved_peer_asks_and_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
