/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"
#include "tests/unit/nic/tcp/tcp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* SYN cookies (RFC 4987 3.6): what happens when there is no room for half-open entries. */

#define STRANGERS 8 // syn_max of peer_config()

static struct peer *start_flooded(void)
{
	struct tcp_config config = peer_config();

	config.timestamps = config.sack = config.window_scale = true;
	struct peer *p = peer_new(&config);

	for (uint16_t i = 0; i < STRANGERS; i++) {
		p->flow.remote_port = (uint16_t)(1000 + i);
		peer_send(p, "S", 0, 0, "");
	}
	assert_int_equal(p->stack->syns.entries.used, STRANGERS);
	peer_discard(p);
	p->flow.remote_port = 40000;
	return p;
}

struct offer_case {
	const char *name;
	struct tcp_options offered;
	uint16_t mss; // of the connection
	bool scaled, sack, timestamps;
};

#define TS .has_timestamp = true, .tsval = 5000

static const struct offer_case offers[] = {
	{"nothing", {0}, 536, false, false, false},
	{"an MSS alone", {.has_mss = true, .mss = 1460}, 1460, false, false, false},
	{"an odd MSS", {.has_mss = true, .mss = 1459}, 1440, false, false, false},
	{"a tiny MSS", {.has_mss = true, .mss = 1}, 88, false, false, false},
	{"a jumbo MSS", {.has_mss = true, .mss = 8960}, 1460, false, false, false},
	{"SACK and scale but no timestamps",
	 {.has_mss = true, .mss = 1460, .has_wscale = true, .wscale = 7, .sack_permitted = true},
	 1460,
	 false,
	 false,
	 false},
	{"timestamps", {TS, .has_mss = true, .mss = 1460}, 1460, false, false, true},
	{"timestamps and SACK",
	 {TS, .has_mss = true, .mss = 1460, .sack_permitted = true},
	 1460,
	 false,
	 true,
	 true},
	{"timestamps and scale 0",
	 {TS, .has_mss = true, .mss = 1460, .has_wscale = true},
	 1460,
	 true,
	 false,
	 true},
	{"all that Linux offers",
	 {TS, .has_mss = true, .mss = 1460, .has_wscale = true, .wscale = 7,
	  .sack_permitted = true},
	 1460,
	 true,
	 true,
	 true},
	{"the widest scale",
	 {TS, .has_mss = true, .mss = 1400, .has_wscale = true, .wscale = 14},
	 1400,
	 true,
	 false,
	 true},
};

static void send_syn(struct peer *p, const struct tcp_options *offered)
{
	uint8_t options[TCP_OPTIONS_MAX];
	uint32_t len = offered->has_mss ? tcp_options_encode_syn(offered, options) : 0;

	peer_send_options(p, "S", 0, 0, slice_of(options, len));
}

static void test_options_come_back_with_the_cookie(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(offers); i++) {
		const struct offer_case *c = &offers[i];
		struct peer *p = start_flooded();

		print_message("%s\n", c->name);
		send_syn(p, &c->offered);
		const struct peer_sent *syn_ack = peer_expect(p, "SA", 0, 1, "");

		assert_int_equal(syn_ack->options.has_wscale, c->scaled);
		assert_int_equal(syn_ack->options.sack_permitted, c->sack);
		assert_int_equal(syn_ack->options.has_timestamp, c->timestamps);
		assert_int_equal(peer_count(p, TCP_COUNT_SYN_COOKIES_SENT), 1);
		assert_int_equal(p->stack->conns.used, 0);
		p->timestamps = c->timestamps;
		p->tsval = 5001;
		p->tsecr = syn_ack->options.tsval;
		peer_send(p, "PA", 1, 1, "hello");
		assert_non_null(p->conn);
		assert_memory_equal(p->received, "hello", 5);
		assert_int_equal(p->conn->segment_max,
				 c->mss - (c->timestamps ? TCP_TIMESTAMP_BYTES : 0));
		assert_int_equal(tcp__has(p->conn, TCP_F_SCALED), c->scaled);
		assert_int_equal(tcp__has(p->conn, TCP_F_SACK), c->sack);
		assert_int_equal(p->conn->snd_scale, c->scaled ? c->offered.wscale : 0);
		assert_int_equal(p->conn->snd_wnd, (uint32_t)p->wnd << p->conn->snd_scale);
		assert_int_equal(peer_count(p, TCP_COUNT_SYN_COOKIES_ACCEPTED), 1);
		peer_free(p);
	}
}

/* The clock that the SYN-ACK's timestamp comes from goes on above it. */
static void test_timestamps_never_go_back(void **state)
{
	const struct tcp_options offered = {TS, .has_mss = true, .mss = 1460, .has_wscale = true,
					    .wscale = 14};

	for (uint32_t ms = 0; ms < 70; ms++) {
		struct peer *p = start_flooded();

		peer_advance(p, ms);
		peer_discard(p);
		send_syn(p, &offered);
		uint32_t first = peer_expect(p, "SA", 0, 1, "")->options.tsval;

		p->timestamps = true;
		p->tsval = 5001;
		p->tsecr = first;
		peer_send(p, "PA", 1, 1, "hello");
		peer_advance(p, 50); // the delayed ACK
		const struct peer_sent *ack = peer_expect(p, "A", 1, 6, "");

		assert_true(tcp_seq_ge(ack->options.tsval, first));
		assert_true(ack->options.tsval - first <= 50 + 64);
		peer_free(p);
	}
}

enum forgery {
	TRUE_ONE,
	NEARLY,
	WRONG_ACK,
	OTHER_FLOW,
	OTHER_PORT,
	LATE,
	TOO_LATE,
	WITH_RST
};

struct forgery_case {
	const char *name;
	enum forgery forgery;
	bool opens, resets;
};

static const struct forgery_case forgeries[] = {
	{"as it was sent", TRUE_ONE, true, false},
	{"one off, as if data had come first", NEARLY, false, false},
	{"far off", WRONG_ACK, false, true},
	{"from another port", OTHER_FLOW, false, true},
	{"to a port without a listener", OTHER_PORT, false, true},
	{"after four seconds", LATE, true, false},
	{"after the time of a TIME-WAIT", TOO_LATE, false, true},
	{"with a RST", WITH_RST, false, false},
};

static void test_only_a_true_cookie_opens(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(forgeries); i++) {
		const struct forgery_case *c = &forgeries[i];
		struct peer *p = start_flooded();

		print_message("%s\n", c->name);
		peer_send(p, "S", 0, 0, "");
		peer_expect(p, "SA", 0, 1, "");
		if (c->forgery == OTHER_FLOW)
			p->flow.remote_port++;
		if (c->forgery == OTHER_PORT)
			p->flow.local_port++;
		if (c->forgery == LATE)
			p->now_ns += 4 * TCP_SECOND_NS;
		if (c->forgery == TOO_LATE)
			p->now_ns += 10 * TCP_SECOND_NS;
		if (c->forgery == NEARLY)
			p->iss++;
		if (c->forgery == WRONG_ACK)
			p->iss += 1 << 20;
		peer_send(p, c->forgery == WITH_RST ? "RA" : "A", 1, 1, "");
		assert_int_equal(p->opened, c->opens);
		assert_int_equal(peer_count(p, TCP_COUNT_RST_OUT), c->resets);
		peer_free(p);
	}
}

/* Data that overtakes what opens is dropped; a RST would end a good client's connection. */
static void test_later_data_first_is_no_reason_for_a_reset(void **state)
{
	struct peer *p = start_flooded();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "PA", 6, 1, "world");
	peer_expect_nothing(p);
	assert_int_equal(peer_drops(p, DROP_TCP_SYN_COOKIE), 1);
	peer_send(p, "PA", 1, 1, "hello");
	assert_int_equal(p->opened, 1);
	assert_int_equal(p->received_len, 5);
	peer_free(p);
}

/* A repeated first segment does nothing again, however the connection has ended. */
/* Whatever part of the stream comes first: a connection that began there would lack the rest. */
static void test_no_later_data_opens_by_chance(void **state)
{
	struct peer *p = start_flooded();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	for (uint32_t at = 2; at < 20000; at++)
		peer_send(p, "PA", at, 1, "later");
	peer_expect_nothing(p);
	assert_int_equal(p->opened, 0);
	assert_int_equal(peer_drops(p, DROP_TCP_SYN_COOKIE), 19998);
	peer_free(p);
}

static void test_first_segment_again_opens_nothing(void **state)
{
	struct peer *p = start_flooded();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "PA", 1, 1, "hello");
	peer_send(p, "RA", 6, 1, "");
	assert_int_equal(p->closed, 1);
	peer_send(p, "PA", 1, 1, "hello");
	assert_int_equal(p->opened, 1);
	assert_int_equal(p->received_len, 5);
	peer_advance(p, 11000); // TIME-WAIT is over, and so is the cookie's time
	peer_discard(p);
	peer_send(p, "PA", 1, 1, "hello");
	assert_int_equal(p->opened, 1);
	assert_int_equal(p->received_len, 5);
	peer_free(p);
}

/* The SYN-ACK is late, its SYN comes again, and by now there is room for an entry. */
static void test_cookie_beside_an_entry_opens(void **state)
{
	struct peer *p = start_flooded();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	tcp_seq first = p->iss;

	p->flow.remote_port = 1000;
	peer_send(p, "R", 1, 0, ""); // a stranger goes
	p->flow.remote_port = 40000;
	peer_send(p, "S", 0, 0, "");
	peer_discard(p);
	p->iss = first;
	peer_send(p, "PA", 1, 1, "hello");
	assert_int_equal(p->opened, 1);
	assert_int_equal(p->received_len, 5);
	assert_int_equal(p->stack->syns.entries.used, STRANGERS - 1);
	assert_int_equal(peer_count(p, TCP_COUNT_RST_OUT), 0);
	peer_free(p);
}

static void test_no_cookie_was_sent_none_is_accepted(void **state)
{
	const struct tcp_config config = peer_config();
	struct peer *flooded = start_flooded(), *p = peer_new(&config);

	peer_send(flooded, "S", 0, 0, "");
	peer_expect(flooded, "SA", 0, 1, "");
	p->iss = flooded->iss; // by the same secret
	peer_send(p, "A", 1, 1, "");
	assert_int_equal(p->opened, 0);
	assert_int_equal(peer_count(p, TCP_COUNT_RST_OUT), 1);
	peer_free(flooded);
	peer_free(p);
}

static void test_flood_is_bounded_and_never_reset(void **state)
{
	struct peer *p = start_flooded();

	for (uint16_t i = 0; i < 200; i++) {
		p->flow.remote_port = (uint16_t)(2000 + i);
		peer_send(p, "S", 0, 0, "");
		peer_discard(p);
	}
	assert_int_equal(p->stack->syns.entries.used, STRANGERS);
	assert_int_equal(p->stack->conns.used, 0);
	assert_int_equal(peer_count(p, TCP_COUNT_SYN_COOKIES_SENT), 200);
	assert_int_equal(peer_count(p, TCP_COUNT_RST_OUT), 0);
	peer_advance(p, 10000); // the strangers are given up, and entries used again
	peer_discard(p);
	p->flow.remote_port = 40000;
	peer_handshake(p);
	assert_int_equal(peer_count(p, TCP_COUNT_SYN_COOKIES_SENT), 200);
	peer_free(p);
}

static void test_no_room_for_a_connection_drops(void **state)
{
	struct peer *p = start_flooded();

	for (uint16_t i = 0; i < 16; i++) { // conns_max
		p->flow.remote_port = (uint16_t)(2000 + i);
		peer_handshake(p);
	}
	p->flow.remote_port = 3000;
	peer_send(p, "S", 0, 0, "");
	peer_expect_nothing(p);
	assert_int_equal(peer_drops(p, DROP_TCP_CONN_FULL), 1);
	peer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_come_back_with_the_cookie),
		cmocka_unit_test(test_timestamps_never_go_back),
		cmocka_unit_test(test_only_a_true_cookie_opens),
		cmocka_unit_test(test_later_data_first_is_no_reason_for_a_reset),
		cmocka_unit_test(test_no_later_data_opens_by_chance),
		cmocka_unit_test(test_first_segment_again_opens_nothing),
		cmocka_unit_test(test_cookie_beside_an_entry_opens),
		cmocka_unit_test(test_no_cookie_was_sent_none_is_accepted),
		cmocka_unit_test(test_flood_is_bounded_and_never_reset),
		cmocka_unit_test(test_no_room_for_a_connection_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
