/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/compiler.h"
#include "base/rng.h"
#include "nic/tcp/tcp_scoreboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* The scoreboard against a plain map of bytes, and its judgment of what is lost. */

#define UNA   0xffffff00u // so that the numbers wrap
#define BYTES 1000
#define NEVER UINT64_MAX

static struct tcp_sack_block block(uint32_t start, uint32_t end)
{
	return (struct tcp_sack_block){UNA + start, UNA + end};
}

static struct tcp_scoreboard board_of(const uint32_t (*blocks)[2], uint32_t count, uint64_t now_ns)
{
	struct tcp_scoreboard board;

	tcp_scoreboard_init(&board, UNA);
	for (uint32_t i = 0; i < count; i++)
		(void)tcp_scoreboard_add(&board, block(blocks[i][0], blocks[i][1]), now_ns);
	return board;
}

static void test_blocks_become_islands(void **state)
{
	static const struct {
		const char *name;
		uint32_t count, blocks[5][2];
		uint32_t islands, expected[3][2];
	} cases[] = {
		{"one", 1, {{10, 20}}, 1, {{10, 20}}},
		{"two, in any order", 2, {{30, 40}, {10, 20}}, 2, {{10, 20}, {30, 40}}},
		{"the same again", 2, {{10, 20}, {10, 20}}, 1, {{10, 20}}},
		{"inside", 2, {{10, 40}, {20, 30}}, 1, {{10, 40}}},
		{"touching from above", 2, {{10, 20}, {20, 30}}, 1, {{10, 30}}},
		{"touching from below", 2, {{20, 30}, {10, 20}}, 1, {{10, 30}}},
		{"overlapping both", 3, {{10, 20}, {30, 40}, {15, 35}}, 1, {{10, 40}}},
		{"over all", 4, {{10, 20}, {30, 40}, {50, 60}, {5, 70}}, 1, {{5, 70}}},
		{"over two of three",
		 4,
		 {{10, 20}, {30, 40}, {50, 60}, {15, 45}},
		 2,
		 {{10, 45}, {50, 60}}},
		{"at una", 1, {{0, 10}}, 0, {{0}}},
		{"empty", 1, {{10, 10}}, 0, {{0}}},
		{"backwards", 1, {{20, 10}}, 0, {{0}}},
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_scoreboard board = board_of(cases[i].blocks, cases[i].count, 1);

		print_message("case %s\n", cases[i].name);
		assert_int_equal(board.count, cases[i].islands);
		for (uint32_t j = 0; j < board.count; j++) {
			assert_int_equal(board.islands[j].start - UNA, cases[i].expected[j][0]);
			assert_int_equal(board.islands[j].end - UNA, cases[i].expected[j][1]);
		}
	}
}

static void test_a_gap_is_lost_by_bytes_or_by_time(void **state)
{
	static const uint32_t blocks[][2] = {{100, 200}, {300, 400}};

	static const struct {
		const char *name;
		struct tcp_loss_rule rule;
		bool first, second;
		uint64_t due_ns;
	} cases[] = {
		{"neither yet",
		 {.now_ns = 15, .reorder_ns = 10, .threshold = 250},
		 false,
		 false,
		 20},
		{"the first by bytes",
		 {.now_ns = 15, .reorder_ns = 10, .threshold = 150},
		 true,
		 false,
		 20},
		{"both by bytes",
		 {.now_ns = 15, .reorder_ns = 10, .threshold = 99},
		 true,
		 true,
		 NEVER},
		{"both by time",
		 {.now_ns = 20, .reorder_ns = 10, .threshold = UINT32_MAX},
		 true,
		 true,
		 NEVER},
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_scoreboard board = board_of(blocks, 2, 10);

		print_message("case %s\n", cases[i].name);
		assert_int_equal(tcp_scoreboard_detect(&board, &cases[i].rule), cases[i].due_ns);
		assert_int_equal(board.islands[0].lost, cases[i].first);
		assert_int_equal(board.islands[1].lost, cases[i].second);
		assert_int_equal(tcp_scoreboard_absent(&board, UNA + 400),
				 200 + (cases[i].first ? 100 : 0) + (cases[i].second ? 100 : 0));
	}
}

static void test_a_retransmission_is_lost_when_later_bytes_arrive(void **state)
{
	static const uint32_t blocks[][2] = {{100, 400}};
	struct tcp_loss_rule rule = {.now_ns = 10, .rtt_ns = 5, .reorder_ns = 1, .threshold = 100};
	struct tcp_scoreboard board = board_of(blocks, 1, 10);
	struct tcp_sack_block lost;

	assert_int_equal(tcp_scoreboard_detect(&board, &rule), NEVER);
	assert_true(tcp_scoreboard_next(&board, UNA + 400, &lost));
	assert_int_equal(lost.start - UNA, 0);
	assert_int_equal(lost.end - UNA, 100);
	tcp_scoreboard_resent(&board, lost, UNA + 400, 20);
	assert_false(tcp_scoreboard_next(&board, UNA + 400, &lost));
	// Nothing sent after it has arrived.
	rule.now_ns = 1000;
	assert_int_equal(tcp_scoreboard_detect(&board, &rule), NEVER);
	assert_false(tcp_scoreboard_next(&board, UNA + 500, &lost));
	// Now something has, but the retransmission may still be on its way.
	assert_false(tcp_scoreboard_add(&board, block(400, 500), 22));
	rule.now_ns = 22;
	assert_int_equal(tcp_scoreboard_detect(&board, &rule), 26);
	rule.now_ns = 26;
	assert_int_equal(tcp_scoreboard_detect(&board, &rule), NEVER);
	assert_true(tcp_scoreboard_next(&board, UNA + 500, &lost));
	assert_int_equal(lost.start - UNA, 0);
}

static void test_reordering_is_seen_and_retransmission_is_not_taken_for_it(void **state)
{
	static const uint32_t blocks[][2] = {{100, 200}, {300, 400}};
	struct tcp_scoreboard board = board_of(blocks, 2, 10);

	assert_true(tcp_scoreboard_add(&board, block(200, 300), 11)); // late, and sent once
	board = board_of(blocks, 2, 10);
	tcp_scoreboard_resent(&board, block(200, 300), UNA + 400, 11);
	assert_false(tcp_scoreboard_add(&board, block(200, 300), 12));
	assert_int_equal(board.delivered_ns, 11);
	board = board_of(blocks, 2, 10);
	assert_true(tcp_scoreboard_acked(&board, UNA + 200));
	assert_int_equal(board.count, 1);
	assert_false(
		tcp_scoreboard_add(&board, block(400, 450), 12)); // beyond all: no news of a gap
}

static void test_a_peer_that_takes_back_is_forgotten(void **state)
{
	static const uint32_t blocks[][2] = {{100, 200}, {300, 400}};

	for (uint32_t una = 100; una < 200; una += 33) {
		struct tcp_scoreboard board = board_of(blocks, 2, 10);

		(void)tcp_scoreboard_acked(&board, UNA + una);
		assert_int_equal(board.count, 0);
	}
}

/* Islands are what the map says, and what is neither lost nor there is in the network. */
static void check_against(const struct tcp_scoreboard *board, const bool *map, uint32_t una)
{
	uint32_t have = 0, island = 0;

	for (uint32_t i = una + 1; i < BYTES; i++) {
		have += map[i];
		if (!map[i] || map[i - 1])
			continue;
		assert_true(island < board->count);
		assert_int_equal(board->islands[island++].start - UNA, i);
	}
	assert_int_equal(island, board->count);
	assert_int_equal(tcp_scoreboard_absent(board, UNA + BYTES), have);
}

static void test_random_blocks_agree_with_a_map(void **state)
{
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct rng rng = rng_seeded(seed);
		bool map[BYTES] = {false};
		struct tcp_scoreboard board;
		uint32_t una = 0;

		tcp_scoreboard_init(&board, UNA);
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t start = rng_below(&rng, BYTES - 100),
				 len = 1 + rng_below(&rng, 99);

			if (start > una) {
				(void)tcp_scoreboard_add(&board, block(start, start + len), seed);
				memset(map + start, true, len);
			}
			// The peer acknowledges whole islands only.
			if (rng_below(&rng, 4) == 0 && board.count > 0) {
				una = board.islands[0].end - UNA;
				(void)tcp_scoreboard_acked(&board, UNA + una);
			}
			check_against(&board, map, una);
		}
	}
}

static void test_more_islands_than_fit_are_forgotten_from_the_top(void **state)
{
	struct tcp_scoreboard board;

	tcp_scoreboard_init(&board, UNA);
	for (uint32_t i = 0; i < 2 * TCP_ISLANDS_MAX; i++)
		(void)tcp_scoreboard_add(&board, block(10 * i + 5, 10 * i + 8), 1);
	assert_int_equal(board.count, TCP_ISLANDS_MAX);
	assert_int_equal(board.islands[TCP_ISLANDS_MAX - 1].start - UNA,
			 10 * (TCP_ISLANDS_MAX - 1) + 5);
	(void)tcp_scoreboard_add(&board, block(1, 2), 1);
	assert_int_equal(board.count, TCP_ISLANDS_MAX);
	assert_int_equal(board.islands[0].start - UNA, 1);
}

static void test_after_a_timeout_only_what_is_missing_goes(void **state)
{
	static const uint32_t blocks[][2] = {{100, 200}, {300, 400}};
	struct tcp_scoreboard board = board_of(blocks, 2, 10);

	static const struct {
		uint32_t seq, len, next, left;
	} cases[] = {
		{0, 50, 0, 50},     {0, 150, 0, 100},     {60, 50, 60, 40},
		{100, 50, 200, 50}, {150, 500, 200, 100}, {350, 500, 400, 500},
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t len = cases[i].len;

		assert_int_equal(tcp_scoreboard_missing(&board, UNA + cases[i].seq, &len) - UNA,
				 cases[i].next);
		assert_int_equal(len, cases[i].left);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_become_islands),
		cmocka_unit_test(test_a_gap_is_lost_by_bytes_or_by_time),
		cmocka_unit_test(test_a_retransmission_is_lost_when_later_bytes_arrive),
		cmocka_unit_test(test_reordering_is_seen_and_retransmission_is_not_taken_for_it),
		cmocka_unit_test(test_a_peer_that_takes_back_is_forgotten),
		cmocka_unit_test(test_random_blocks_agree_with_a_map),
		cmocka_unit_test(test_more_islands_than_fit_are_forgotten_from_the_top),
		cmocka_unit_test(test_after_a_timeout_only_what_is_missing_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
