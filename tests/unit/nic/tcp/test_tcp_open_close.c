/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/tcp/tcp_peer.h"

#include "nic/tcp/tcp_stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Conversations about opening and closing: RFC 9293 3.5, 3.6, RFC 5961, RFC 6191, RFC 1337. */

static struct peer *start(void)
{
	struct tcp_config config = peer_config();

	return peer_new(&config);
}

static void finish(struct peer *p)
{
	peer_advance(p, 60000);
	peer_discard(p);
	peer_expect_baseline(p);
	peer_free(p);
}

static void test_passive_open_request_reply_peer_closes(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	p->reply = "+PONG\r\n";
	peer_send(p, "PA", 1, 1, "PING\r\n");
	peer_expect(p, "PA", 1, 7, "+PONG\r\n"); // the ACK rides on the reply
	peer_expect_nothing(p);
	peer_send(p, "FA", 7, 8, "");
	peer_expect(p, "A", 8, 8, "");
	assert_int_equal(p->fins, 1);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "FA", 8, 8, "");
	peer_send(p, "A", 8, 9, "");
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED);
	peer_expect_nothing(p);
	assert_int_equal(p->received_len, 6);
	peer_expect_baseline(p); // who closes last keeps no TIME-WAIT
	finish(p);
}

static void test_active_close_enters_time_wait_and_answers_fin_again(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "FA", 1, 1, "");
	peer_send(p, "A", 1, 2, "");
	peer_expect_nothing(p);
	assert_int_equal(p->closed, 0);
	peer_send(p, "FA", 1, 2, "");
	peer_expect(p, "A", 2, 2, "");
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->stack->time_waits.entries.used, 1);
	// TIME-WAIT must not answer a repeated FIN with RST.
	peer_send(p, "FA", 1, 2, "");
	peer_expect(p, "A", 2, 2, "");
	// An ACK of our ACK is not answered, or both sides would never stop.
	peer_send(p, "A", 2, 2, "");
	peer_expect_nothing(p);
	// RFC 1337: RST is ignored.
	peer_send(p, "R", 2, 0, "");
	assert_int_equal(p->stack->time_waits.entries.used, 1);
	peer_advance(p, 10001);
	assert_int_equal(p->stack->time_waits.entries.used, 0);
	finish(p);
}

static void test_time_wait_new_syn_above_old_numbers_reopens(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_send(p, "FA", 1, 2, "");
	peer_discard(p);
	tcp_seq old_iss = p->iss;

	// RFC 6191: an old duplicate SYN does not reopen, a newer one does; several in one burst
	// make one connection.
	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "A", 2, 2, "");
	assert_int_equal(p->stack->time_waits.entries.used, 1);
	p->irs += 100000;
	peer_queue(p, "S", 0, 0, "");
	peer_queue(p, "S", 0, 0, "");
	peer_burst_end(p);
	peer_expect(p, "SA", 0, 1, "");
	peer_expect(p, "SA", 0, 1, "");
	assert_true(tcp_seq_gt(p->iss, old_iss + 1));
	assert_int_equal(p->stack->time_waits.entries.used, 0);
	assert_int_equal(p->stack->syns.entries.used, 1);
	peer_send(p, "A", 1, 1, "");
	assert_int_equal(p->opened, 2);
	tcp_abort(p->conn);
	finish(p);
}

static void test_simultaneous_close_goes_through_closing(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "FA", 1, 1, "");
	peer_send(p, "FA", 1, 1, ""); // does not acknowledge ours
	peer_expect(p, "A", 2, 2, "");
	assert_int_equal(p->closed, 0);
	peer_send(p, "A", 2, 2, "");
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED);
	peer_expect_nothing(p);
	assert_int_equal(p->stack->time_waits.entries.used, 1);
	finish(p);
}

static void test_half_close_replies_still_go_out(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_send(p, "FA", 1, 1, "");
	peer_expect(p, "A", 1, 2, "");
	peer_write(p, "late reply");
	peer_expect(p, "PA", 1, 2, "late reply");
	peer_send(p, "A", 2, 11, "");
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "FA", 11, 2, "");
	peer_send(p, "A", 2, 12, "");
	assert_int_equal(p->closed, 1);
	finish(p);
}

static void test_fin_before_its_data_waits_for_the_gap(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_send(p, "FA", 4, 1, "def");
	peer_expect(p, "A", 1, 1, "");
	peer_discard(p);
	assert_int_equal(p->fins, 0);
	assert_int_equal(p->received_len, 0); // readiness is not raised for what is out of order
	peer_send(p, "A", 1, 1, "abc");
	peer_expect(p, "A", 1, 8, "");
	assert_int_equal(p->fins, 1);
	assert_memory_equal(p->received, "abcdef", 6);
	tcp_abort(p->conn);
	finish(p);
}

static void test_ack_with_data_and_fin_completes_handshake(void **state)
{
	struct peer *p = start();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	assert_int_equal(p->opened, 0);
	peer_send(p, "FPA", 1, 1, "QUIT");
	assert_int_equal(p->opened, 1);
	assert_int_equal(p->received_len, 4);
	assert_int_equal(p->fins, 1);
	peer_expect(p, "A", 1, 6, "");
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_send(p, "A", 6, 2, "");
	assert_int_equal(p->closed, 1);
	finish(p);
}

static void test_lost_syn_ack_is_sent_again_and_given_up(void **state)
{
	struct peer *p = start();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "S", 0, 0, ""); // the peer's own retry
	peer_expect(p, "SA", 0, 1, "");
	peer_advance(p, 249);
	peer_expect_nothing(p);
	peer_advance(p, 1);
	peer_expect(p, "SA", 0, 1, "");
	peer_advance(p, 500);
	peer_expect(p, "SA", 0, 1, "");
	peer_advance(p, 10000);
	assert_int_equal(peer_discard(p), 2);
	assert_int_equal(p->stack->syns.entries.used, 0); // a half-open entry does not leak
	assert_int_equal(p->opened, 0);
	finish(p);
}

static void test_wrong_ack_in_syn_received_is_reset(void **state)
{
	struct peer *p = start();

	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "A", 1, 77, "");
	peer_expect(p, "R", 77, 0, "");
	peer_send(p, "A", 1, 1, "");
	assert_int_equal(p->opened, 1); // the half-open flow lives on
	tcp_abort(p->conn);
	finish(p);
}

static void test_unknown_flow_is_reset_but_a_reset_is_not(void **state)
{
	struct peer *p = start();

	peer_send(p, "A", 5, 9, "");
	peer_expect(p, "R", 9, 0, "");
	peer_send(p, "", 5, 0, "abc"); // RFC 9293 3.10.7.2: LISTEN says nothing to that
	peer_send(p, "R", 5, 0, "");
	peer_send(p, "RA", 5, 9, "");
	peer_expect_nothing(p);
	p->flow.local_port = 1;
	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "RA", 0 - p->iss, 1, "");
	assert_int_equal(peer_drops(p, DROP_TCP_NO_LISTENER), 1);
	peer_send(p, "", 5, 0, "abc");
	peer_expect(p, "RA", 0 - p->iss, 8, "");
	finish(p);
}

static void test_reset_flood_is_limited(void **state)
{
	struct peer *p = start();

	for (int i = 0; i < 200; i++) {
		peer_send(p, "A", 5, 9, "");
		if (p->sent_count > 100)
			peer_discard(p);
	}
	for (int i = 0; i < 300; i++) {
		peer_send(p, "A", 5, 9, "");
		if (p->sent_count > 100)
			peer_discard(p);
	}
	assert_true(peer_count(p, TCP_COUNT_RST_OUT) <= TCP_REPLY_BUDGET);
	assert_true(peer_drops(p, DROP_TCP_RST_RATE) >= 500 - TCP_REPLY_BUDGET);
	finish(p);
}

static void test_rst_rules_of_rfc5961(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_send(p, "R", 100, 0, ""); // inside the window, not exact: challenge
	peer_expect(p, "A", 1, 1, "");
	peer_send(p, "R", 101, 0, ""); // at most one per half second
	peer_expect_nothing(p);
	peer_send(p, "R", 70000, 0, ""); // outside: silence
	peer_expect_nothing(p);
	assert_int_equal(p->closed, 0);
	peer_advance(p, 501);
	peer_send(p, "S", 0, 0, ""); // RFC 5961 4.2
	peer_expect(p, "A", 1, 1, "");
	peer_send(p, "R", 1, 0, "");
	peer_expect_nothing(p);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_RESET);
	finish(p);
}

static void test_abort_sends_rst_and_ends_at_once(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_write(p, "unacknowledged");
	peer_discard(p);
	tcp_abort(p->conn);
	peer_expect(p, "RA", 15, 1, "");
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_ABORTED);
	peer_burst_end(p);
	peer_expect_baseline(p);
	finish(p);
}

static void test_abort_inside_on_data_is_safe(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	p->reply = "x";
	p->abort_on_data = true;
	peer_queue(p, "PA", 1, 1, "abc");
	peer_queue(p, "PA", 4, 1, "def");
	peer_burst_end(p);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->received_len, 3);
	finish(p);
}

static void test_refused_connection_is_reset_without_on_close(void **state)
{
	struct peer *p = start();

	p->refuse = true;
	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	peer_send(p, "A", 1, 1, "");
	peer_expect(p, "RA", 1, 1, "");
	assert_int_equal(p->closed, 0);
	peer_expect_baseline(p);
	finish(p);
}

static void test_data_after_close_is_acknowledged_and_dropped(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "FA", 1, 1, "");
	peer_send(p, "A", 1, 2, "more");
	assert_int_equal(p->received_len, 0);
	assert_int_equal(peer_drops(p, DROP_TCP_AFTER_CLOSE), 1);
	peer_advance(p, 2);
	peer_expect(p, "A", 2, 5, "");
	finish(p);
}

static void test_fin_wait_2_does_not_last_for_ever(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_send(p, "A", 1, 2, "");
	peer_discard(p);
	peer_advance(p, 29999);
	assert_int_equal(p->closed, 0);
	peer_advance(p, 2);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

static void test_lost_fin_is_sent_again_until_given_up(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_send(p, "FA", 1, 1, "");
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect(p, "A", 1, 2, "");
	peer_expect(p, "FA", 1, 2, "");
	peer_advance(p, 60);
	peer_expect(p, "FA", 1, 2, "");
	peer_advance(p, 31000);
	assert_true(peer_discard(p) >= 5);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

static void test_data_acknowledged_by_fin_ack_is_freed(void **state)
{
	struct peer *p = start();

	peer_handshake(p);
	peer_write(p, "0123456789");
	peer_discard(p);
	peer_send(p, "FA", 1, 11, "");
	assert_int_equal(p->fins, 1);
	assert_int_equal(tcp_queued_bytes(p->conn), 0);
	assert_int_equal(p->stack->sendq_pool.chunks.used, 0);
	tcp_abort(p->conn);
	finish(p);
}

static struct tcp_conn *connect_out(struct peer *p)
{
	p->irs = 5000;
	p->conn = tcp_connect(p->stack, &p->flow, 0x5eed, 7, p->now_ns);
	assert_non_null(p->conn);
	peer_burst_end(p);
	return p->conn;
}

static void test_active_open_then_data(void **state)
{
	struct peer *p = start();

	connect_out(p);
	peer_expect(p, "S", 0, 0, "");
	assert_null(tcp_connect(p->stack, &p->flow, 0x5eed, 7, p->now_ns)); // the flow is taken
	peer_send(p, "SA", 0, 1, "");
	peer_expect(p, "A", 1, 1, "");
	assert_int_equal(p->opened, 1);
	peer_write(p, "hello");
	peer_expect(p, "PA", 1, 1, "hello");
	tcp_abort(p->conn);
	finish(p);
}

static void test_active_open_refused_timed_out_and_challenged(void **state)
{
	struct peer *p = start();

	connect_out(p);
	peer_expect(p, "S", 0, 0, "");
	peer_send(p, "RA", 0, 77, ""); // does not acknowledge our SYN
	assert_int_equal(p->closed, 0);
	peer_send(p, "A", 9, 77, ""); // left over from an earlier life (RFC 9293 3.5.1)
	peer_expect(p, "R", 77, 0, "");
	peer_send(p, "RA", 0, 1, "");
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_REFUSED);

	connect_out(p);
	peer_expect(p, "S", 0, 0, "");
	peer_advance(p, 1000);
	peer_expect(p, "S", 0, 0, "");
	peer_advance(p, 2000);
	peer_expect(p, "S", 0, 0, "");
	peer_advance(p, 200000);
	assert_int_equal(p->closed, 2);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

static void test_simultaneous_open(void **state)
{
	struct peer *p = start();

	connect_out(p);
	peer_expect(p, "S", 0, 0, "");
	peer_send(p, "S", 0, 0, "");
	peer_expect(p, "SA", 0, 1, "");
	assert_int_equal(p->opened, 0);
	peer_send(p, "SA", 0, 1, "");
	assert_int_equal(p->opened, 1);
	peer_discard(p);
	p->reply = "ok";
	peer_send(p, "PA", 1, 1, "abc");
	peer_expect(p, "PA", 1, 4, "ok");
	tcp_abort(p->conn);
	finish(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passive_open_request_reply_peer_closes),
		cmocka_unit_test(test_active_close_enters_time_wait_and_answers_fin_again),
		cmocka_unit_test(test_time_wait_new_syn_above_old_numbers_reopens),
		cmocka_unit_test(test_simultaneous_close_goes_through_closing),
		cmocka_unit_test(test_half_close_replies_still_go_out),
		cmocka_unit_test(test_fin_before_its_data_waits_for_the_gap),
		cmocka_unit_test(test_ack_with_data_and_fin_completes_handshake),
		cmocka_unit_test(test_lost_syn_ack_is_sent_again_and_given_up),
		cmocka_unit_test(test_wrong_ack_in_syn_received_is_reset),
		cmocka_unit_test(test_unknown_flow_is_reset_but_a_reset_is_not),
		cmocka_unit_test(test_reset_flood_is_limited),
		cmocka_unit_test(test_rst_rules_of_rfc5961),
		cmocka_unit_test(test_abort_sends_rst_and_ends_at_once),
		cmocka_unit_test(test_abort_inside_on_data_is_safe),
		cmocka_unit_test(test_refused_connection_is_reset_without_on_close),
		cmocka_unit_test(test_data_after_close_is_acknowledged_and_dropped),
		cmocka_unit_test(test_fin_wait_2_does_not_last_for_ever),
		cmocka_unit_test(test_lost_fin_is_sent_again_until_given_up),
		cmocka_unit_test(test_data_acknowledged_by_fin_ack_is_freed),
		cmocka_unit_test(test_active_open_then_data),
		cmocka_unit_test(test_active_open_refused_timed_out_and_challenged),
		cmocka_unit_test(test_simultaneous_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
