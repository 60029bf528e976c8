/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/*
 * Rings of frames between workers, driven from one thread. Frames without a buffer stand for real
 * ones.
 */

#define RING_ENTRIES 1024

struct fixture {
	struct worker *workers[3];
	struct worker_fabric *fabric;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fabric = worker_fabric_new(3, 1);
	for (uint32_t i = 0; i < 3; i++) {
		f->workers[i] =
			aligned_alloc(CACHE_LINE_BYTES, (sizeof(struct worker) + 63) / 64 * 64);
		memset(f->workers[i], 0, sizeof(struct worker));
		f->workers[i]->config.id = i;
		f->workers[i]->config.count = 3;
		f->workers[i]->config.fabric = f->fabric;
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_fabric_free(f->fabric);
	for (int i = 0; i < 3; i++)
		free(f->workers[i]);
	free(f);
	return 0;
}

static struct frame numbered(uint32_t n)
{
	return (struct frame){.len = n};
}

static uint64_t count_of(const struct worker *w, enum worker_counter_id id)
{
	return counter_read(&w->stats.count[id]);
}

static void test_steer_frames_arrive_in_order_from_each(void **state)
{
	struct fixture *f = *state;
	struct frame in[PORT_BURST_MAX];

	for (uint32_t n = 0; n < 5; n++) {
		struct frame a = numbered(100 + n), b = numbered(200 + n);

		worker_steer_out(f->workers[0], 1, &a);
		worker_steer_out(f->workers[2], 1, &b);
	}
	assert_int_equal(worker_steer_in(f->workers[0], in, PORT_BURST_MAX), 0);
	assert_int_equal(worker_steer_in(f->workers[1], in, PORT_BURST_MAX), 10);
	for (uint32_t n = 0; n < 5; n++) {
		assert_int_equal(in[n].len, 200 + n); // the next worker's first
		assert_int_equal(in[5 + n].len, 100 + n);
	}
	assert_int_equal(count_of(f->workers[0], WORKER_COUNT_STEERED_OUT), 5);
	assert_int_equal(count_of(f->workers[1], WORKER_COUNT_STEERED_IN), 10);
}

static void test_steer_more_than_burst_rest_stays(void **state)
{
	struct fixture *f = *state;
	struct frame in[PORT_BURST_MAX];
	uint32_t seen = 0;

	for (uint32_t n = 0; n < 100; n++) {
		struct frame a = numbered(n);

		worker_steer_out(f->workers[0], 1, &a);
	}
	for (uint16_t count; (count = worker_steer_in(f->workers[1], in, PORT_BURST_MAX)) > 0;) {
		for (uint16_t i = 0; i < count; i++)
			assert_int_equal(in[i].len, seen++);
	}
	assert_int_equal(seen, 100);
}

static void test_steer_ring_full_drop_is_counted(void **state)
{
	struct fixture *f = *state;

	for (uint32_t n = 0; n < RING_ENTRIES + 3; n++) {
		struct frame a = numbered(n);

		worker_steer_out(f->workers[0], 2, &a);
	}
	assert_int_equal(counter_read(&f->workers[0]->stats.drops.count[DROP_STEER_RING_FULL]), 3);
	assert_int_equal(count_of(f->workers[0], WORKER_COUNT_STEERED_OUT), RING_ENTRIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steer_frames_arrive_in_order_from_each, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_steer_more_than_burst_rest_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_steer_ring_full_drop_is_counted, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
