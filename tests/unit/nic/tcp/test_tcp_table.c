/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_table.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * The flow table at its full load, with the hashes that RSS leaves to one worker, and with all the
 * same.
 */

#define ENTRIES 20000

static const uint64_t secret[2] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9};

static bool finds(const struct tcp_table *t, uint32_t hash, uint32_t ref)
{
	uint32_t at = 0, candidate;

	while ((candidate = tcp_table_next(t, hash, &at)) != TCP_REF_NONE)
		if (candidate == ref)
			return true;
	return false;
}

static uint32_t hash_of(uint32_t i, uint32_t low_bits)
{
	struct rng rng = rng_seeded(i);

	return (uint32_t)(rng_next(&rng) << low_bits);
}

static void test_full_load_finds_everything(void **state)
{
	// The low bits of an RSS hash chose the worker: they are equal for all flows of ours.
	for (uint32_t low_bits = 0; low_bits <= 7; low_bits += 7) {
		struct tcp_table t;

		assert_true(tcp_table_init(&t, ENTRIES, secret));
		for (uint32_t i = 0; i < ENTRIES; i++)
			assert_true(tcp_table_insert(&t, hash_of(i, low_bits),
						     tcp_ref_make(TCP_REF_CONN, i)));
		for (uint32_t i = 0; i < ENTRIES; i++)
			assert_true(finds(&t, hash_of(i, low_bits), tcp_ref_make(TCP_REF_CONN, i)));
		assert_int_equal(t.stash_used, 0);
		for (uint32_t i = 0; i < ENTRIES; i += 2)
			tcp_table_remove(&t, hash_of(i, low_bits), tcp_ref_make(TCP_REF_CONN, i));
		for (uint32_t i = 0; i < ENTRIES; i++)
			assert_int_equal(
				finds(&t, hash_of(i, low_bits), tcp_ref_make(TCP_REF_CONN, i)),
				i % 2);
		tcp_table_fini(&t);
	}
}

static void test_colliding_flows_fill_the_stash_then_refuse(void **state)
{
	struct tcp_table t;
	uint32_t fitted = 0;

	assert_true(tcp_table_init(&t, ENTRIES, secret));
	while (fitted < 100 && tcp_table_insert(&t, 42, tcp_ref_make(TCP_REF_SYN, fitted)))
		fitted++;
	assert_int_equal(fitted, 2 * TCP_BUCKET_SLOTS + TCP_STASH_SLOTS);
	for (uint32_t i = 0; i < fitted; i++)
		assert_true(finds(&t, 42, tcp_ref_make(TCP_REF_SYN, i)));
	for (uint32_t i = 0; i < fitted; i++)
		tcp_table_remove(&t, 42, tcp_ref_make(TCP_REF_SYN, i));
	assert_int_equal(t.stash_used, 0);
	tcp_table_fini(&t);
}

static void test_replace_keeps_the_place(void **state)
{
	struct tcp_table t;

	assert_true(tcp_table_init(&t, 16, secret));
	assert_true(tcp_table_insert(&t, 7, tcp_ref_make(TCP_REF_SYN, 3)));
	tcp_table_replace(&t, 7, tcp_ref_make(TCP_REF_SYN, 3), tcp_ref_make(TCP_REF_CONN, 5));
	assert_false(finds(&t, 7, tcp_ref_make(TCP_REF_SYN, 3)));
	assert_true(finds(&t, 7, tcp_ref_make(TCP_REF_CONN, 5)));
	tcp_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_load_finds_everything),
		cmocka_unit_test(test_colliding_flows_fill_the_stash_then_refuse),
		cmocka_unit_test(test_replace_keeps_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
