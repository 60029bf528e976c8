/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_ooo.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* The out-of-order queue against an array of which bytes have arrived. */

#define SPACE 6000
#define NODE  100

static struct tcp_ooo_pool pool;

static void expect_sack(const struct tcp_ooo *ooo, tcp_seq first, uint32_t nxt, const bool *have)
{
	struct tcp_sack_block blocks[4];
	uint32_t count = tcp_ooo_sack(ooo, blocks, 4);

	if (ooo->head)
		assert_true(count > 0);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t from = blocks[i].start - first, to = blocks[i].end - first;

		assert_true(from < to && to <= SPACE);
		for (uint32_t at = from; at < to; at++)
			assert_true(have[at]);
		// Each block is a whole run.
		assert_true(from == nxt || !have[from - 1]);
		assert_true(to == SPACE || !have[to]);
	}
}

static void test_random_pieces_come_out_in_order_once(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct rng rng = rng_seeded(seed);
		tcp_seq first = 0xfffff000 + (uint32_t)seed * 97;
		static uint8_t stream[SPACE];
		bool have[SPACE] = {false};
		struct tcp_ooo ooo = {0};
		uint32_t nxt = 0, step = 0;

		for (uint32_t i = 0; i < SPACE; i++)
			stream[i] = (uint8_t)rng_next(&rng);
		assert_true(tcp_ooo_pool_init(&pool, 1 << 18, 1 << 18, NODE));
		while (nxt < SPACE) {
			uint32_t at = nxt + rng_below(&rng, SPACE - nxt);
			uint32_t len = 1 + rng_below(&rng, rng_below(&rng, 2) ? 5 : 400);
			struct slice bytes;

			// At last in order, so that it ends.
			if (step++ % 3 == 0)
				at = nxt;
			len = len < SPACE - at ? len : SPACE - at;
			assert_true(tcp_ooo_insert(&pool, &ooo, first + at,
						   slice_of(stream + at, len)));
			memset(have + at, true, len);
			expect_sack(&ooo, first, nxt, have);
			while (tcp_ooo_take(&pool, &ooo, first + nxt, &bytes)) {
				assert_memory_equal(bytes.ptr, stream + nxt, bytes.len);
				nxt += (uint32_t)bytes.len;
			}
			assert_true(nxt == SPACE || !have[nxt]);
			if (rng_below(&rng, 2))
				tcp_ooo_release(&pool);
		}
		tcp_ooo_release(&pool);
		assert_null(ooo.head);
		assert_int_equal(ooo.count, 0);
		assert_int_equal(pool.nodes.used, 0);
		tcp_ooo_pool_fini(&pool);
	}
}

static void test_first_copy_of_a_byte_wins(void **state)
{
	struct tcp_ooo ooo = {0};
	struct slice bytes;

	assert_true(tcp_ooo_pool_init(&pool, 1 << 16, 1 << 16, NODE));
	assert_true(tcp_ooo_insert(&pool, &ooo, 10, SLICE_LITERAL("bbb")));
	assert_true(tcp_ooo_insert(&pool, &ooo, 8, SLICE_LITERAL("XXXXXXX")));
	assert_true(tcp_ooo_take(&pool, &ooo, 8, &bytes));
	assert_true(slice_equal(bytes, SLICE_LITERAL("XX")));
	assert_true(tcp_ooo_take(&pool, &ooo, 10, &bytes));
	assert_true(slice_equal(bytes, SLICE_LITERAL("bbbXX")));
	assert_false(tcp_ooo_take(&pool, &ooo, 15, &bytes));
	tcp_ooo_release(&pool);
	tcp_ooo_pool_fini(&pool);
}

static void test_budgets_stop_it_and_what_fitted_stays(void **state)
{
	struct tcp_ooo ooo = {0}, other = {0};
	uint32_t stride = sizeof(struct tcp_ooo_node) + 104;

	assert_true(tcp_ooo_pool_init(&pool, 3 * stride, 2 * stride, 104));
	assert_true(tcp_ooo_insert(&pool, &ooo, 10, SLICE_LITERAL("a")));
	assert_true(tcp_ooo_insert(&pool, &ooo, 11, SLICE_LITERAL("b"))); // joins its neighbour
	assert_true(tcp_ooo_insert(&pool, &ooo, 20, SLICE_LITERAL("c")));
	assert_false(tcp_ooo_insert(&pool, &ooo, 30, SLICE_LITERAL("d"))); // of the connection
	assert_true(tcp_ooo_insert(&pool, &other, 10, SLICE_LITERAL("a")));
	assert_false(tcp_ooo_insert(&pool, &other, 30, SLICE_LITERAL("b"))); // of all
	tcp_ooo_clear(&pool, &ooo);
	assert_true(tcp_ooo_insert(&pool, &other, 30, SLICE_LITERAL("b")));
	tcp_ooo_clear(&pool, &other);
	assert_int_equal(pool.nodes.used, 0);
	tcp_ooo_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_pieces_come_out_in_order_once),
		cmocka_unit_test(test_first_copy_of_a_byte_wins),
		cmocka_unit_test(test_budgets_stop_it_and_what_fitted_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
