/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/tcp/tcp_peer.h"

#include "nic/tcp/tcp_stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * Conversations about receiving: order, ACK policy, windows, options (RFC 9293 3.8.6, 5681 4.2,
 * 7323).
 */

static const uint8_t sack_permitted[] = {4, 2, 1, 1};
static const uint8_t wscale_7[] = {3, 3, 7, 0};

static void finish(struct peer *p)
{
	if (p->conn)
		tcp_abort(p->conn);
	peer_advance(p, 11000);
	peer_discard(p);
	peer_expect_baseline(p);
	peer_free(p);
}

static struct peer *established(const struct tcp_config *config)
{
	struct peer *p = peer_new(config);

	peer_handshake(p);
	return p;
}

static struct peer *established_with(struct tcp_config config, struct slice options)
{
	struct peer *p = peer_new(&config);

	peer_send_options(p, "S", 0, 0, options);
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "A", 1, 1, "");
	assert_non_null(p->conn);
	return p;
}

static void test_small_request_ack_is_delayed_one_ms(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);

	peer_send(p, "PA", 1, 1, "noreply");
	peer_expect_nothing(p);
	peer_advance(p, 1);
	peer_expect(p, "A", 1, 8, "");
	assert_int_equal(peer_count(p, TCP_COUNT_DELAYED_ACKS), 1);
	peer_advance(p, 100);
	peer_expect_nothing(p);
	finish(p);
}

static void test_burst_of_segments_gets_one_ack(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);

	// RFC 9293 3.8.6.3: no later than the second full segment.
	peer_send_len(p, "A", 1, 1, 536);
	peer_expect_nothing(p);
	peer_send_len(p, "A", 537, 1, 536);
	peer_expect(p, "A", 1, 1073, "");
	for (uint32_t i = 0; i < 8; i++)
		peer_queue(p, "A", 1073 + i * 4, 1, "abcd");
	peer_burst_end(p);
	peer_expect_nothing(p); // little enough to wait for a reply
	peer_advance(p, 2);
	peer_expect(p, "A", 1, 1105, "");
	peer_expect_nothing(p);
	assert_true(peer_count(p, TCP_COUNT_FAST_PATH) >= 10);
	finish(p);
}

static void test_out_of_order_gets_an_ack_each_with_sack(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p;

	config.sack = true;
	p = established_with(config, slice_of(sack_permitted, 4));
	peer_send(p, "A", 4, 1, "def");
	s = peer_expect(p, "A", 1, 1, "");
	assert_int_equal(s->options.sack_count, 1);
	assert_int_equal(s->options.sack[0].start - p->irs, 4);
	assert_int_equal(s->options.sack[0].end - p->irs, 7);
	peer_send(p, "A", 10, 1, "jkl");
	s = peer_expect(p, "A", 1, 1, "");
	// RFC 2018 4: the block that holds the newest segment comes first.
	assert_int_equal(s->options.sack_count, 2);
	assert_int_equal(s->options.sack[0].start - p->irs, 10);
	assert_int_equal(s->options.sack[1].start - p->irs, 4);
	assert_int_equal(p->received_len, 0);
	peer_send(p, "A", 1, 1, "abc");
	peer_expect(p, "A", 1, 7, "");
	peer_send(p, "A", 5, 1, "efghi"); // half old, half new
	peer_expect(p, "A", 1, 13, "");
	assert_int_equal(p->received_len, 12);
	assert_memory_equal(p->received, "abcdefghijkl", 12);
	assert_int_equal(peer_count(p, TCP_COUNT_OUT_OF_ORDER), 2);
	finish(p);
}

/*
 * RFC 5681 4.2: one for each segment, for who counts them. A sender with SACK reads instead: beyond
 * the first sixteen that wait, every eighth is answered, and the end of the burst.
 */
static void test_acks_of_an_out_of_order_burst(void **state)
{
	static const struct {
		bool sack;
		uint32_t segments, acks;
	} cases[] = {{true, 3, 3}, {true, 16, 16}, {true, 23, 17}, {true, 40, 19}, {false, 40, 40}};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_config config = peer_config();
		const struct peer_sent *s = NULL;
		struct peer *p;

		config.sack = cases[i].sack;
		p = established_with(config, slice_of(sack_permitted, 4));
		for (uint32_t n = 0; n < cases[i].segments; n++)
			peer_queue(p, "A", 4 + 6 * n, 1, "def");
		peer_burst_end(p);
		for (uint32_t acks = 0; acks < cases[i].acks; acks++)
			s = peer_expect(p, "A", 1, 1, "");
		peer_expect_nothing(p);
		if (cases[i].sack)
			assert_int_equal(s->options.sack[0].start - p->irs,
					 4 + 6 * (cases[i].segments - 1));
		finish(p);
	}
}

static void test_out_of_order_budget_holds_against_single_bytes(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p;

	config.ooo_conn_bytes = 4 * 1600;
	p = established(&config);
	for (uint32_t i = 0; i < 50; i++) {
		peer_send(p, "A", 3 + 2 * i, 1, "x");
		peer_discard(p);
	}
	assert_true(p->stack->ooo_pool.nodes.used <= 4);
	assert_true(peer_drops(p, DROP_TCP_OOO_FULL) >= 46);
	finish(p);
}

static void test_duplicate_and_probe_are_acknowledged_at_once(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);

	peer_send(p, "A", 1, 1, "abc");
	peer_advance(p, 1);
	peer_expect(p, "A", 1, 4, "");
	peer_send(p, "A", 1, 1, "abc");
	peer_expect(p, "A", 1, 4, "");
	peer_send(p, "A", 3, 1, "c"); // a keepalive with a junk byte
	peer_expect(p, "A", 1, 4, "");
	peer_send(p, "A", 3, 1, ""); // one without
	peer_expect(p, "A", 1, 4, "");
	assert_int_equal(p->received_len, 3);
	finish(p);
}

static void test_acks_without_data_make_no_loop(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);

	// Outside the window, without data: limited, or two stacks would answer each other for ever
	// (RFC 5961 7).
	for (int i = 0; i < 50; i++)
		peer_send(p, "A", 70000, 1, "");
	assert_int_equal(peer_discard(p), 1);
	// With data: always, because the sender waits for it.
	for (int i = 0; i < 5; i++)
		peer_send(p, "A", 70000, 1, "x");
	assert_int_equal(peer_discard(p), 5);
	finish(p);
}

static void test_window_closes_with_held_bytes_and_never_shrinks(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p;

	config.rcv_wnd_bytes = 4000;
	p = established(&config);
	tcp_set_held(p->conn, 3000);
	peer_send_len(p, "A", 1, 1, 536);
	peer_send_len(p, "A", 537, 1, 536);
	s = peer_expect(p, "A", 1, 1073, "");
	assert_int_equal(s->wnd, 4000 - 1072); // the edge stays where it was offered
	tcp_set_held(p->conn, 4072);
	peer_send_len(p, "A", 1073, 1, 536);
	peer_send_len(p, "A", 1609, 1, 536);
	peer_send_len(p, "A", 2145, 1, 536);
	peer_send_len(p, "A", 2681, 1, 536);
	peer_send_len(p, "A", 3217, 1, 536);
	peer_send_len(p, "A", 3753, 1, 248);
	peer_advance(p, 1);
	assert_true(peer_discard(p) >= 3);
	assert_int_equal(p->received_len, 4000);
	// Full: a byte too many is refused and answered (RFC 9293 3.10.7.4).
	peer_send(p, "A", 4001, 1, "x");
	s = peer_expect(p, "A", 1, 4001, "");
	assert_int_equal(s->wnd, 0);
	assert_int_equal(p->received_len, 4000);
	// A little room is not worth telling, much is.
	tcp_set_held(p->conn, 3900);
	peer_burst_end(p);
	peer_expect_nothing(p);
	tcp_set_held(p->conn, 0);
	peer_burst_end(p);
	s = peer_expect(p, "A", 1, 4001, "");
	assert_int_equal(s->wnd, 4000);
	finish(p);
}

static void test_syn_ack_window_is_never_scaled(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p;

	config.rcv_wnd_bytes = 1 << 20;
	config.window_scale = true;
	p = peer_new(&config);
	peer_send_options(p, "S", 0, 0, slice_of(wscale_7, 4));
	s = peer_expect(p, "SA", 0, 1, "");
	assert_int_equal(s->wnd, 65535);
	assert_true(s->options.has_wscale);
	assert_int_equal(s->options.wscale, 5);
	p->wnd = 1;
	peer_send(p, "A", 1, 1, "");
	assert_int_equal(p->conn->snd_wnd, 128);
	peer_send(p, "A", 1, 1, "x");
	peer_advance(p, 1);
	s = peer_expect(p, "A", 1, 2, "");
	assert_int_equal(s->wnd, (1 << 20) >> 5);
	finish(p);
}

static void test_peer_without_scale_gets_none(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p;

	config.rcv_wnd_bytes = 1 << 20;
	config.window_scale = true;
	p = peer_new(&config);
	peer_send(p, "S", 0, 0, "");
	s = peer_expect(p, "SA", 0, 1, "");
	assert_false(s->options.has_wscale);
	peer_send(p, "A", 1, 1, "x");
	peer_advance(p, 1);
	s = peer_expect(p, "A", 1, 2, "");
	assert_int_equal(s->wnd, 65535);
	finish(p);
}

static void test_mss_is_clamped_and_less_timestamps(void **state)
{
	static const struct {
		const char *name;
		uint16_t mss;
		bool timestamps;
		uint32_t segment_max;
	} cases[] = {
		{"zero", 0, false, 88},           {"tiny", 1, false, 88},
		{"usual", 1460, false, 1460},     {"above ours", 9000, false, 1460},
		{"timestamps", 1460, true, 1448}, {"tiny timestamps", 5, true, 76},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_config config = peer_config();
		uint8_t mss[4] = {2, 4, (uint8_t)(cases[i].mss >> 8), (uint8_t)cases[i].mss};
		struct peer *p;

		print_message("case %s\n", cases[i].name);
		config.timestamps = true;
		p = peer_new(&config);
		p->timestamps = cases[i].timestamps;
		peer_send_options(p, "S", 0, 0, slice_of(mss, 4));
		peer_expect(p, "SA", 0, 1, "");
		peer_send(p, "A", 1, 1, "");
		assert_int_equal(p->conn->segment_max, cases[i].segment_max);
		peer_write_len(p, 3000);
		assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, cases[i].segment_max);
		finish(p);
	}
}

static void test_paws_drops_old_timestamps(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p;

	config.timestamps = true;
	p = peer_new(&config);
	p->timestamps = true;
	p->tsval = 0xfffffffe; // across the wrap
	peer_handshake(p);
	p->tsval = 3;
	peer_send(p, "A", 1, 1, "abc");
	peer_advance(p, 1);
	s = peer_expect(p, "A", 1, 4, "");
	assert_int_equal(s->options.tsecr, 3);
	p->tsval = 2; // RFC 7323 5.3 R1
	peer_send(p, "A", 4, 1, "old");
	peer_expect(p, "A", 1, 4, "");
	assert_int_equal(peer_drops(p, DROP_TCP_PAWS), 1);
	p->timestamps = false; // RFC 7323 3.2: negotiated, so they must be there
	peer_send(p, "A", 4, 1, "xyz");
	assert_int_equal(p->received_len, 3);
	peer_send(p, "R", 4, 0, ""); // but not on RST
	assert_int_equal(p->reason, TCP_CLOSED_RESET);
	assert_int_equal(p->closed, 1);
	finish(p);
}

static void test_malformed_segments_are_dropped_and_counted(void **state)
{
	static const uint8_t length_0[] = {8, 0, 0, 0};
	static const uint8_t too_long[] = {2, 40, 1, 1};
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);
	uint8_t bytes[20] = {[12] = 0xf0, [13] = TCP_ACK};
	struct tcp_packet packet = {.flow = p->flow, .hash = 0x5eed, .segment = bytes, .len = 20};

	peer_send_options(p, "A", 1, 1, slice_of(length_0, 4)); // Caladan looped for ever
	peer_send_options(p, "A", 1, 1, slice_of(too_long, 4));
	assert_int_equal(peer_drops(p, DROP_TCP_OPTION), 2);
	tcp_input(p->stack, &packet, p->now_ns); // data offset beyond the end (Seastar)
	bytes[12] = 0x40;
	tcp_input(p->stack, &packet, p->now_ns);
	for (packet.len = 0; packet.len < 20; packet.len++)
		tcp_input(p->stack, &packet, p->now_ns);
	assert_int_equal(peer_drops(p, DROP_TCP_SHORT), 22);
	peer_expect_nothing(p);
	finish(p);
}

static void test_no_ack_bit_and_syn_fin_are_dropped(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p = established(&config);

	peer_send(p, "", 1, 0, "abc");
	peer_send(p, "P", 1, 0, "abc");
	assert_int_equal(p->received_len, 0);
	assert_int_equal(peer_drops(p, DROP_TCP_FLAGS), 2);
	p->flow.remote_port = 41000;
	peer_send(p, "SF", 0, 0, ""); // no way to begin
	assert_int_equal(peer_drops(p, DROP_TCP_FLAGS), 3);
	p->flow.remote_port = 40000;
	finish(p);
}

static void test_urgent_and_ecn_bits_are_harmless(void **state)
{
	struct tcp_config config = peer_config();
	const struct peer_sent *s;
	struct peer *p = peer_new(&config);

	peer_send(p, "SEW", 0, 0, ""); // RFC 3168 6.1.1: asks for ECN
	s = peer_expect(p, "SA", 0, 1, "");
	assert_int_equal(s->flags & (TCP_ECE | TCP_CWR), 0);
	peer_send(p, "A", 1, 1, "");
	peer_send(p, "UA", 1, 1, "abc");
	peer_send(p, "EA", 4, 1, "def");
	assert_int_equal(p->received_len, 6);
	finish(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_request_ack_is_delayed_one_ms),
		cmocka_unit_test(test_burst_of_segments_gets_one_ack),
		cmocka_unit_test(test_out_of_order_gets_an_ack_each_with_sack),
		cmocka_unit_test(test_acks_of_an_out_of_order_burst),
		cmocka_unit_test(test_out_of_order_budget_holds_against_single_bytes),
		cmocka_unit_test(test_duplicate_and_probe_are_acknowledged_at_once),
		cmocka_unit_test(test_acks_without_data_make_no_loop),
		cmocka_unit_test(test_window_closes_with_held_bytes_and_never_shrinks),
		cmocka_unit_test(test_syn_ack_window_is_never_scaled),
		cmocka_unit_test(test_peer_without_scale_gets_none),
		cmocka_unit_test(test_mss_is_clamped_and_less_timestamps),
		cmocka_unit_test(test_paws_drops_old_timestamps),
		cmocka_unit_test(test_malformed_segments_are_dropped_and_counted),
		cmocka_unit_test(test_no_ack_bit_and_syn_fin_are_dropped),
		cmocka_unit_test(test_urgent_and_ecn_bits_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
