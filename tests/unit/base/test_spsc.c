/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/spsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The pointer ring between two threads, used here by one. */

static void *entry(uintptr_t n)
{
	return (void *)n;
}

static void test_ring_empty_pops_nothing(void **state)
{
	struct spsc ring;
	void *out[4];

	assert_true(spsc_init(&ring, 4));
	assert_int_equal(spsc_pop(&ring, out, 4), 0);
	assert_int_equal(spsc_count(&ring), 0);
	spsc_fini(&ring);
}

static void test_ring_full_takes_what_fits(void **state)
{
	struct spsc ring;
	void *in[6] = {entry(1), entry(2), entry(3), entry(4), entry(5), entry(6)};
	void *out[6];

	assert_true(spsc_init(&ring, 4));
	assert_int_equal(spsc_push(&ring, in, 6), 4);
	assert_int_equal(spsc_push(&ring, &in[4], 2), 0);
	assert_int_equal(spsc_pop(&ring, out, 3), 3);
	assert_int_equal(spsc_push(&ring, &in[4], 2), 2);
	assert_int_equal(spsc_pop(&ring, &out[3], 6), 1);
	assert_int_equal(spsc_pop(&ring, &out[4], 6), 2);
	for (int i = 0; i < 6; i++)
		assert_ptr_equal(out[i], in[i]);
	spsc_fini(&ring);
}

static void test_ring_wraps_keeps_order(void **state)
{
	struct spsc ring;
	uintptr_t next_in = 1, next_out = 1;

	assert_true(spsc_init(&ring, 8));
	for (int round = 0; round < 1000; round++) {
		void *burst[5], *out[5];

		for (int i = 0; i < 5; i++)
			burst[i] = entry(next_in++);
		assert_int_equal(spsc_push(&ring, burst, 5), 5);
		assert_int_equal(spsc_pop(&ring, out, 5), 5);
		for (int i = 0; i < 5; i++)
			assert_ptr_equal(out[i], entry(next_out++));
	}
	spsc_fini(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_empty_pops_nothing),
		cmocka_unit_test(test_ring_full_takes_what_fits),
		cmocka_unit_test(test_ring_wraps_keeps_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
