/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/tcp/tcp_peer.h"

#include "nic/tcp/tcp_stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

/*
 * Conversations about sending: RFC 6298, 5681, 6582, 9293 3.8.6, and what happens when there is no
 * room.
 */

#define MSS 536 // of a peer that says nothing

static void finish(struct peer *p)
{
	p->emit_fails = 0;
	if (p->conn)
		tcp_abort(p->conn);
	peer_advance(p, 11000);
	peer_discard(p);
	peer_expect_baseline(p);
	peer_free(p);
}

static struct peer *established(void)
{
	struct tcp_config config = peer_config();
	struct peer *p = peer_new(&config);

	peer_handshake(p);
	return p;
}

static void test_rto_doubles_and_an_ack_resets_it(void **state)
{
	struct peer *p = established();

	peer_write(p, "hello");
	peer_expect(p, "PA", 1, 1, "hello");
	peer_advance(p, 49);
	peer_expect_nothing(p);
	peer_advance(p, 2);
	peer_expect(p, "PA", 1, 1, "hello"); // RFC 6298 5.4
	peer_advance(p, 98);
	peer_expect_nothing(p);
	peer_advance(p, 3);
	peer_expect(p, "PA", 1, 1, "hello"); // 5.5
	// An ACK that acknowledges nothing does not restart the timer (smoltcp#62).
	for (int i = 0; i < 198; i++) {
		peer_send(p, "A", 1, 1, "");
		peer_advance(p, 1);
	}
	peer_advance(p, 3);
	peer_expect(p, "PA", 1, 1, "hello");
	assert_int_equal(peer_count(p, TCP_COUNT_RTO), 3);
	peer_send(p, "A", 1, 6, "");
	peer_advance(p, 1000);
	peer_expect_nothing(p);
	// Karn: what was sent again gave no sample, so the time-out is the floor again.
	peer_write(p, "again");
	peer_expect(p, "PA", 6, 1, "again");
	peer_advance(p, 51);
	peer_expect(p, "PA", 6, 1, "again");
	finish(p);
}

static void test_silent_peer_is_given_up(void **state)
{
	struct peer *p = established();

	peer_write(p, "anyone?");
	peer_advance(p, 170000);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

static void test_initial_window_is_ten_segments_and_grows_when_used(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 40 * MSS);
	assert_int_equal(p->sent_count, 10); // RFC 6928
	assert_true(p->conn->snd_nxt - p->conn->snd_una <= p->conn->cwnd);
	peer_discard(p);
	peer_send(p, "A", 1, 1 + 2 * MSS, "");
	assert_int_equal(p->sent_count, 4); // slow start: two left, so four may go
	finish(p);
}

static void test_window_does_not_grow_while_unused(void **state)
{
	struct peer *p = established();
	uint32_t before = p->conn->cwnd;

	// RFC 7661: request and reply for a long time is no reason for a bigger burst.
	for (uint32_t i = 0; i < 100; i++) {
		peer_write(p, "reply");
		peer_send(p, "A", 1, 1 + 5 * (i + 1), "");
		peer_discard(p);
	}
	assert_int_equal(p->conn->cwnd, before);
	finish(p);
}

static void test_third_duplicate_retransmits_and_partial_ack_goes_on(void **state)
{
	struct peer *p = established();
	uint32_t flight;

	peer_write_len(p, 10 * MSS);
	assert_int_equal(peer_discard(p), 10);
	peer_send(p, "A", 1, 1, "");
	peer_send(p, "A", 1, 1, "");
	peer_expect_nothing(p);
	peer_send(p, "A", 1, 1, "");
	assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, MSS);
	peer_expect_nothing(p);
	assert_int_equal(p->conn->ssthresh, 5 * MSS); // RFC 5681 (4)
	flight = p->conn->snd_nxt - p->conn->snd_una;
	assert_int_equal(flight, 10 * MSS);
	// RFC 6582 3.2: a partial ACK retransmits the next hole at once.
	peer_send(p, "A", 1, 1 + 4 * MSS, "");
	assert_int_equal(peer_expect(p, "A", 1 + 4 * MSS, 1, NULL)->len, MSS);
	peer_send(p, "A", 1, 1 + 10 * MSS, "");
	peer_expect_nothing(p);
	assert_false(tcp__has(p->conn, TCP_F_RECOVERY));
	assert_true(p->conn->cwnd <= 5 * MSS);
	assert_int_equal(peer_count(p, TCP_COUNT_FAST_RETRANSMITS), 1);
	assert_int_equal(peer_count(p, TCP_COUNT_RTO), 0);
	finish(p);
}

static void test_window_updates_and_data_are_no_duplicates(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 4 * MSS);
	peer_discard(p);
	for (uint32_t i = 0; i < 10; i++) {
		p->wnd = (uint16_t)(60000 + i); // another window: an update (RFC 5681 2)
		peer_send(p, "A", 1, 1, "");
	}
	for (uint32_t i = 0; i < 10; i++)
		peer_send(p, "A", 1 + i, 1, "x"); // data
	assert_int_equal(peer_count(p, TCP_COUNT_DUP_ACKS), 0);
	assert_int_equal(peer_count(p, TCP_COUNT_RETRANSMITS), 0);
	finish(p);
}

static void test_many_duplicates_do_not_overflow_or_inflate_for_ever(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 60 * MSS);
	peer_discard(p);
	for (int i = 0; i < 1000; i++) {
		peer_send(p, "A", 1, 1, "");
		peer_discard(p);
	}
	assert_int_equal(peer_count(p, TCP_COUNT_FAST_RETRANSMITS), 1);
	assert_true(p->conn->cwnd <= 30 * MSS);
	finish(p);
}

static void test_ack_of_what_was_sent_before_the_timeout_is_taken(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 5 * MSS);
	assert_int_equal(peer_discard(p), 5);
	peer_advance(p, 51);
	assert_int_equal(peer_discard(p), 1); // cwnd is one segment now
	assert_int_equal(p->conn->cwnd, MSS);
	peer_send(p, "A", 1, 1 + 5 * MSS, ""); // they were only late
	peer_expect_nothing(p);
	assert_int_equal(tcp_queued_bytes(p->conn), 0);
	peer_advance(p, 1000);
	peer_expect_nothing(p);
	peer_send(p, "A", 1, 2 + 5 * MSS, ""); // never sent: answered, dropped
	peer_expect(p, "A", 1 + 5 * MSS, 1, "");
	assert_int_equal(peer_drops(p, DROP_TCP_ACK), 1);
	finish(p);
}

static void test_needless_timeout_is_undone_by_timestamps(void **state)
{
	struct tcp_config config = peer_config();
	uint32_t early, before;
	struct peer *p;

	config.timestamps = true;
	p = peer_new(&config);
	p->timestamps = true;
	peer_handshake(p);
	before = p->conn->cwnd;
	peer_write_len(p, 4 * 524);
	early = p->tsecr;
	peer_advance(p, 51);
	assert_int_equal(peer_count(p, TCP_COUNT_RTO), 1);
	p->tsecr = early; // RFC 3522: the answer is to the first transmission
	peer_send(p, "A", 1, 525, "");
	assert_true(p->conn->cwnd >= before);
	assert_true(p->conn->rto_floor_ms > 50);
	peer_discard(p);
	peer_advance(p, 20);
	peer_expect_nothing(p); // and nothing more is sent again
	finish(p);
}

static void test_zero_window_is_probed_with_backoff(void **state)
{
	struct peer *p = established();

	p->wnd = 0;
	peer_send(p, "A", 1, 1, "x");
	peer_advance(p, 1);
	peer_discard(p);
	peer_write(p, "blocked");
	peer_expect_nothing(p);
	peer_advance(p, 201);
	// One byte that was acknowledged before: Linux always answers it.
	assert_int_equal(peer_expect(p, "A", 0, 2, NULL)->len, 1);
	peer_send(p, "A", 2, 1, "");
	peer_advance(p, 150);
	peer_expect_nothing(p);
	peer_advance(p, 300);
	peer_expect(p, "A", 0, 2, NULL);
	// For ever, as long as it is answered (RFC 9293 3.8.6.1).
	for (int i = 0; i < 300; i++) {
		peer_advance(p, 1000);
		if (peer_discard(p) > 0)
			peer_send(p, "A", 2, 1, "");
	}
	assert_int_equal(p->closed, 0);
	assert_int_equal(peer_count(p, TCP_COUNT_RTO), 0);
	p->wnd = 3; // less than a segment, but it must go (VPP 1fe4a746f34)
	peer_send(p, "A", 2, 1, "");
	peer_expect(p, "A", 1, 2, "blo");
	p->wnd = 1000;
	peer_send(p, "A", 2, 4, "");
	peer_expect(p, "PA", 4, 2, "cked");
	finish(p);
}

static void test_unanswered_probes_end_the_connection(void **state)
{
	struct peer *p = established();

	p->wnd = 0;
	peer_send(p, "A", 1, 1, "x");
	peer_write(p, "blocked");
	peer_advance(p, 170000);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

/* One ACK of ours with SACK blocks [from, to), given in segments after the first byte. */
static void send_sack(struct peer *p, uint32_t count, const uint32_t (*segments)[2])
{
	uint8_t options[TCP_OPTIONS_MAX];
	struct tcp_options o = {.sack_count = (uint8_t)count};

	for (uint32_t i = 0; i < count; i++)
		o.sack[i] = (struct tcp_sack_block){p->iss + 1 + segments[i][0] * MSS,
						    p->iss + 1 + segments[i][1] * MSS};
	peer_send_options(p, "A", 1, 1, slice_of(options, tcp_options_encode(&o, options)));
}

/* A receiver that merges segments sends one duplicate for many: its SACK blocks tell (RFC 6675). */
static void test_sacked_bytes_start_recovery_without_three_duplicates(void **state)
{
	static const struct {
		const char *name;
		bool permitted;
		uint32_t count;
		uint32_t segments[2][2];
		uint32_t resent; // segments from the first on
	} cases[] = {
		{"three segments", true, 1, {{1, 4}}, 1},
		{"three in two blocks", true, 2, {{3, 4}, {5, 7}}, 2},
		{"two may be reordering", true, 1, {{1, 3}}, 0},
		{"a duplicate counts once", true, 2, {{1, 2}, {1, 3}}, 0},
		{"never sent", true, 1, {{1, 9}}, 0},
		{"backwards", true, 1, {{6, 2}}, 0},
		{"acknowledged already", true, 1, {{0, 4}}, 0},
		{"not negotiated", false, 1, {{1, 4}}, 0},
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const uint8_t permitted[] = {4, 2, 1, 1};
		struct tcp_config config = peer_config();
		struct peer *p;

		print_message("case %s\n", cases[i].name);
		config.sack = true;
		p = peer_new(&config);
		peer_send_options(p, "S", 0, 0, slice_of(permitted, cases[i].permitted ? 4 : 0));
		peer_expect(p, "SA", 0, 1, "");
		peer_send(p, "A", 1, 1, "");
		peer_write_len(p, 8 * MSS);
		assert_int_equal(peer_discard(p), 8);
		send_sack(p, cases[i].count, cases[i].segments);
		for (uint32_t j = 0; j < cases[i].resent; j++)
			assert_int_equal(peer_expect(p, "A", 1 + j * MSS, 1, NULL)->len, MSS);
		peer_expect_nothing(p);
		assert_int_equal(peer_count(p, TCP_COUNT_FAST_RETRANSMITS), cases[i].resent > 0);
		// The same again is no second loss.
		send_sack(p, cases[i].count, cases[i].segments);
		assert_int_equal(peer_count(p, TCP_COUNT_FAST_RETRANSMITS), cases[i].resent > 0);
		peer_send(p, "A", 1, 1 + 8 * MSS, "");
		peer_discard(p);
		finish(p);
	}
}

/* The time with a closed window is no time without an answer. */
static void test_loss_after_a_long_closed_window_is_repaired(void **state)
{
	struct peer *p = established();

	p->wnd = 0;
	peer_send(p, "A", 1, 1, "x");
	peer_write(p, "blocked");
	for (int i = 0; i < 300; i++) {
		peer_advance(p, 1000);
		if (peer_discard(p) > 0)
			peer_send(p, "A", 2, 1, "");
	}
	peer_discard(p);
	p->wnd = 1000;
	peer_send(p, "A", 2, 1, "");
	peer_expect(p, "PA", 1, 2, "blocked");
	// That was lost.
	peer_advance(p, 1100);
	assert_int_equal(p->closed, 0);
	peer_expect(p, "PA", 1, 2, "blocked");
	peer_discard(p);
	peer_send(p, "A", 2, 8, "");
	finish(p);
}

static void test_fin_waits_for_an_open_window(void **state)
{
	struct peer *p = established();

	p->wnd = 0;
	peer_send(p, "A", 1, 1, "x");
	peer_advance(p, 1);
	peer_discard(p);
	tcp_close(p->conn);
	peer_burst_end(p);
	peer_expect_nothing(p);
	peer_advance(p, 201);
	peer_expect(p, "A", 0, 2, NULL);
	p->wnd = 10;
	peer_send(p, "A", 2, 1, "");
	peer_expect(p, "FA", 1, 2, "");
	finish(p);
}

static void test_peer_that_takes_its_window_back_is_survived(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 6 * MSS);
	assert_int_equal(peer_discard(p), 6);
	p->wnd = 0; // RFC 9293 3.8.6: shrinking is discouraged, and must be survived
	peer_send(p, "A", 1, 1 + MSS, "");
	peer_advance(p, 3000);
	assert_true(peer_discard(p) > 0);
	p->wnd = 60000;
	peer_send(p, "A", 1, 1 + MSS, "");
	peer_advance(p, 5);
	assert_true(p->sent_count > 0);
	peer_discard(p);
	peer_send(p, "A", 1, 1 + 6 * MSS, "");
	assert_int_equal(tcp_queued_bytes(p->conn), 0);
	finish(p);
}

static void test_refused_emit_loses_nothing_and_makes_no_storm(void **state)
{
	struct peer *p = established();
	uint64_t failed;

	p->emit_fails = 1000000;
	peer_write(p, "patience");
	assert_int_equal(p->conn->snd_nxt, p->conn->snd_una); // not counted as sent
	peer_advance(p, 400);
	failed = peer_count(p, TCP_COUNT_EMIT_FAILED);
	assert_true(failed >= 50 && failed <= 250);
	assert_int_equal(peer_count(p, TCP_COUNT_RTO), 0); // our lack is not the network's
	assert_int_equal(peer_count(p, TCP_COUNT_BYTES_OUT), 0);
	p->emit_fails = 0;
	peer_advance(p, 3);
	peer_expect(p, "PA", 1, 1, "patience");
	peer_expect_nothing(p);
	// An ACK that could not leave is made good too.
	p->emit_fails = 1;
	peer_send(p, "A", 5, 9, "ahead");
	peer_advance(p, 4);
	peer_expect(p, "A", 9, 1, "");
	finish(p);
}

static void test_full_queue_drains_and_overload_is_cut(void **state)
{
	struct peer *p = established();

	peer_write_len(p, 60 << 10);
	assert_false(tcp_out_full(p->conn));
	peer_write_len(p, 10 << 10);
	assert_true(tcp_out_full(p->conn));
	assert_int_equal(tcp_queued_bytes(p->conn), 70 << 10);
	for (uint32_t acked = 0; acked < 70 << 10;) {
		acked = p->conn->snd_nxt - p->iss - 1;
		peer_discard(p);
		peer_send(p, "A", 1, 1 + acked, "");
	}
	peer_discard(p);
	assert_int_equal(p->drained, 1);
	assert_int_equal(p->closed, 0);
	peer_write_len(p, 300 << 10); // above snd_max_bytes
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_OVERLOAD);
	finish(p);
}

static void test_stalled_reader_is_cut(void **state)
{
	struct peer *p = established();

	p->wnd = 0;
	peer_send(p, "A", 1, 1, "x");
	peer_write_len(p, 70 << 10);
	for (int i = 0; i < 95 && !p->closed; i++) {
		peer_advance(p, 100);
		if (peer_discard(p) > 0)
			peer_send(p, "A", 2, 1, ""); // alive, but takes nothing
	}
	assert_int_equal(p->closed, 0);
	peer_advance(p, 1000);
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_OVERLOAD);
	assert_int_equal(peer_count(p, TCP_COUNT_STALLED_READERS), 1);
	finish(p);
}

static void test_keepalive_finds_the_dead_and_spares_the_living(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p;

	config.keepalive_idle_ns = 4 * TCP_SECOND_NS;
	p = peer_new(&config);
	peer_handshake(p);
	for (int i = 0; i < 20; i++) {
		peer_advance(p, 4001);
		assert_int_equal(peer_expect(p, "A", 0, 1, NULL)->len, 1);
		peer_send(p, "A", 1, 1, "");
		peer_expect_nothing(p);
	}
	assert_int_equal(p->closed, 0);
	peer_advance(p, 4001 + 8 * 1001);
	assert_int_equal(peer_discard(p), 8 + 1); // and a RST
	assert_int_equal(p->closed, 1);
	assert_int_equal(p->reason, TCP_CLOSED_TIMEOUT);
	finish(p);
}

static uint32_t blobs_freed;

static void release_blob(struct blob *blob)
{
	blobs_freed++;
	free(blob);
}

static struct blob *make_blob(uint32_t len)
{
	struct blob *blob = malloc(sizeof(*blob) + len);

	assert_non_null(blob);
	*blob = (struct blob){.refs = 1, .release = release_blob, .len = len, .capacity = len};
	memset(blob->bytes, 'b', len);
	return blob;
}

static void test_blobs_are_held_until_acknowledged(void **state)
{
	struct peer *p = established();
	struct blob *blob = make_blob(20);
	struct out *out = tcp_out(p->conn);

	blobs_freed = 0;
	OUT_LITERAL(out, "$5\r\n");
	out_append_blob(out, blob, 3, 5);
	OUT_LITERAL(out, "\r\n");
	blob_unref(blob);
	peer_burst_end(p);
	peer_expect(p, "PA", 1, 1, "$5\r\nbbbbb\r\n");
	peer_advance(p, 51);
	peer_expect(p, "PA", 1, 1, "$5\r\nbbbbb\r\n"); // the same bytes again
	peer_send(p, "A", 1, 5, "");
	assert_int_equal(blobs_freed, 0);
	peer_send(p, "A", 1, 9, "");
	assert_int_equal(blobs_freed, 0);
	peer_send(p, "A", 1, 10, "");
	assert_int_equal(blobs_freed, 1);
	assert_int_equal(tcp_queued_bytes(p->conn), 2);
	finish(p);
}

/* A hundred megabytes under way to one client are no reason not to look at the others. */
static void test_large_reply_leaves_in_bounded_bursts(void **state)
{
	const uint32_t segments = TCP_SEGMENTS_PER_BURST + 100;
	struct peer *p = established();
	struct blob *blob = make_blob(segments * MSS);

	p->conn->cwnd = p->conn->snd_wnd = 2 * segments * MSS;
	out_append_blob(tcp_out(p->conn), blob, 0, segments * MSS);
	blob_unref(blob);
	peer_burst_end(p);
	assert_int_equal(peer_discard(p), TCP_SEGMENTS_PER_BURST);
	assert_true(tcp_next_deadline_ns(p->stack) <= p->now_ns);
	peer_burst_end(p);
	assert_int_equal(peer_discard(p), 100);
	peer_burst_end(p);
	peer_expect_nothing(p);
	peer_send(p, "A", 1, 1 + segments * MSS, "");
	finish(p);
}

static void test_many_small_extents_are_split_over_segments(void **state)
{
	struct peer *p = established();
	struct out *out = tcp_out(p->conn);
	char expected[128] = "";

	blobs_freed = 0;
	for (int i = 0; i < 10; i++) {
		struct blob *blob = make_blob(2);

		OUT_LITERAL(out, "<");
		out_append_blob(out, blob, 0, 2);
		OUT_LITERAL(out, ">");
		blob_unref(blob);
		strcat(expected, "<bb>");
	}
	peer_burst_end(p);
	assert_true(p->sent_count > 1);
	for (uint32_t at = 0; at < 40;) {
		const struct peer_sent *s = peer_expect(p, "A", 1 + at, 1, NULL);

		assert_memory_equal(s->payload, expected + at, s->len);
		at += s->len;
	}
	peer_send(p, "A", 1, 41, "");
	assert_int_equal(blobs_freed, 10);
	finish(p);
}

static void test_abort_gives_references_back(void **state)
{
	struct peer *p = established();
	struct blob *blob = make_blob(50000);

	blobs_freed = 0;
	out_append_blob(tcp_out(p->conn), blob, 0, 50000);
	blob_unref(blob);
	peer_burst_end(p);
	tcp_abort(p->conn);
	assert_int_equal(blobs_freed, 1);
	finish(p);
}

static void test_icmp_too_big_lowers_the_segment_size(void **state)
{
	uint8_t mss[4] = {2, 4, 0x05, 0xb4};
	uint8_t icmp[8 + 20 + 8] = {3, 4, [6] = 1000 >> 8, [7] = 1000 & 0xff, [8] = 0x45};
	struct tcp_config config = peer_config();
	struct peer *p = peer_new(&config);

	peer_send_options(p, "S", 0, 0, slice_of(mss, 4));
	peer_send(p, "A", 1, 1, "");
	peer_discard(p);
	peer_write_len(p, 2000);
	assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, 1460);
	peer_discard(p);
	// RFC 5927: a quoted number that is not in flight is a forgery.
	be32_store(icmp + 8 + 20 + 4, p->iss + 5000);
	tcp_icmp_error(p->stack, &p->flow, 0x5eed, slice_of(icmp, sizeof(icmp)), p->now_ns);
	assert_int_equal(p->conn->segment_max, 1460);
	be32_store(icmp + 8 + 20 + 4, p->iss + 1);
	tcp_icmp_error(p->stack, &p->flow, 0x5eed, slice_of(icmp, sizeof(icmp)), p->now_ns);
	peer_burst_end(p);
	assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, 960);
	for (uint32_t len = 0; len < sizeof(icmp); len++)
		tcp_icmp_error(p->stack, &p->flow, 0x5eed, slice_of(icmp, len), p->now_ns);
	finish(p);
}

/* A device that cuts: the same segments, in fewer calls, and never a byte more than cwnd allows. */
static void test_device_that_cuts_gets_many_segments_at_once(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p;

	config.tso_bytes = 32 << 10;
	p = peer_new(&config);
	peer_handshake(p);
	peer_write_len(p, 30 * MSS + 7);
	assert_int_equal(p->sent_count, 10);
	assert_in_range(p->emits, 2, 3); // the SYN-ACK, and what of ten lies in eight extents
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(peer_expect(p, "A", 1 + i * MSS, 1, NULL)->len, MSS);
	// A hole: one new segment a duplicate (RFC 3042), then one again, not all that could be.
	for (int i = 0; i < 3; i++)
		peer_send(p, "A", 1, 1, "");
	for (uint32_t i = 10; i < 12; i++)
		assert_int_equal(peer_expect(p, "A", 1 + i * MSS, 1, NULL)->len, MSS);
	assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, MSS);
	peer_discard(p);
	peer_send(p, "A", 1, 1 + 10 * MSS, "");
	peer_discard(p);
	while (p->conn->snd_una - p->iss < 1 + 30 * MSS + 7) {
		peer_send(p, "A", 1, p->conn->snd_max - p->iss, "");
		for (uint32_t i = 0; i < p->sent_count; i++)
			assert_true(p->sent[(p->sent_head + i) % PEER_SENT_MAX].len <= MSS);
		peer_discard(p);
	}
	finish(p);
}

/* Devices refuse frames that would become too many segments (net_tap: more than 64, for ever). */
static void test_device_that_cuts_gets_a_bounded_number_of_segments(void **state)
{
	uint8_t mss[4] = {2, 4, 0, 88};
	struct tcp_config config = peer_config();
	uint32_t before;
	struct peer *p;

	config.tso_bytes = 32 << 10;
	p = peer_new(&config);
	peer_send_options(p, "S", 0, 0, slice_of(mss, 4));
	peer_send(p, "A", 1, 1, "");
	peer_discard(p);
	p->conn->cwnd = 60000;
	before = p->emits;
	peer_write_len(p, 6000);
	assert_true(p->sent_count > 60);
	assert_true((p->sent_count + p->emits - before - 1) / (p->emits - before) <= 32);
	finish(p);
}

/* The tail leaves with its PSH and FIN on the last piece only, and window and MSS hold. */
static void test_device_that_cuts_ends_a_reply_as_others_do(void **state)
{
	struct tcp_config config = peer_config();
	struct peer *p;

	config.tso_bytes = 32 << 10;
	p = peer_new(&config);
	peer_handshake(p);
	tcp_close(p->conn);
	finish(p);
	p = peer_new(&config);
	peer_handshake(p);
	for (uint32_t i = 0; i < 2 * MSS + 9; i++)
		out_append(tcp_out(p->conn), slice_of_text("x"));
	tcp_close(p->conn);
	peer_burst_end(p);
	assert_int_equal(peer_expect(p, "A", 1, 1, NULL)->len, MSS);
	assert_int_equal(peer_expect(p, "A", 1 + MSS, 1, NULL)->len, MSS);
	assert_int_equal(peer_expect(p, "FPA", 1 + 2 * MSS, 1, NULL)->len, 9);
	assert_int_equal(p->emits, 2);
	finish(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rto_doubles_and_an_ack_resets_it),
		cmocka_unit_test(test_silent_peer_is_given_up),
		cmocka_unit_test(test_initial_window_is_ten_segments_and_grows_when_used),
		cmocka_unit_test(test_window_does_not_grow_while_unused),
		cmocka_unit_test(test_third_duplicate_retransmits_and_partial_ack_goes_on),
		cmocka_unit_test(test_window_updates_and_data_are_no_duplicates),
		cmocka_unit_test(test_many_duplicates_do_not_overflow_or_inflate_for_ever),
		cmocka_unit_test(test_ack_of_what_was_sent_before_the_timeout_is_taken),
		cmocka_unit_test(test_needless_timeout_is_undone_by_timestamps),
		cmocka_unit_test(test_zero_window_is_probed_with_backoff),
		cmocka_unit_test(test_unanswered_probes_end_the_connection),
		cmocka_unit_test(test_sacked_bytes_start_recovery_without_three_duplicates),
		cmocka_unit_test(test_loss_after_a_long_closed_window_is_repaired),
		cmocka_unit_test(test_fin_waits_for_an_open_window),
		cmocka_unit_test(test_peer_that_takes_its_window_back_is_survived),
		cmocka_unit_test(test_refused_emit_loses_nothing_and_makes_no_storm),
		cmocka_unit_test(test_full_queue_drains_and_overload_is_cut),
		cmocka_unit_test(test_stalled_reader_is_cut),
		cmocka_unit_test(test_keepalive_finds_the_dead_and_spares_the_living),
		cmocka_unit_test(test_blobs_are_held_until_acknowledged),
		cmocka_unit_test(test_large_reply_leaves_in_bounded_bursts),
		cmocka_unit_test(test_device_that_cuts_gets_many_segments_at_once),
		cmocka_unit_test(test_device_that_cuts_gets_a_bounded_number_of_segments),
		cmocka_unit_test(test_device_that_cuts_ends_a_reply_as_others_do),
		cmocka_unit_test(test_many_small_extents_are_split_over_segments),
		cmocka_unit_test(test_abort_gives_references_back),
		cmocka_unit_test(test_icmp_too_big_lowers_the_segment_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
