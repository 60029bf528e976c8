/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* Turns of a worker that does nothing, with a clock of the test's own. */

static int setup(void **state)
{
	struct worker *w = aligned_alloc(CACHE_LINE_BYTES, (sizeof(struct worker) + 63) / 64 * 64);

	memset(w, 0, sizeof(*w));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static uint64_t stage_tsc(const struct worker *w, enum worker_stage stage)
{
	return counter_read(&w->stats.stage_tsc[stage]);
}

/* Every stage takes its number and one more. */
static void turn(struct worker *w, uint64_t tsc)
{
	worker_sample_begin(w, tsc);
	for (uint32_t stage = 0; stage < WORKER_STAGES; stage++) {
		tsc += stage + 1;
		worker_sample_lap(w, stage, tsc);
	}
}

static void test_stage_gets_what_passed_since_the_one_before(void **state)
{
	struct worker *w = *state;

	for (uint64_t turns = 1; turns <= 2; turns++) {
		turn(w, turns * 1000);
		worker_sample_end(w);
		for (uint32_t stage = 0; stage < WORKER_STAGES; stage++)
			assert_int_equal(stage_tsc(w, stage), turns * (stage + 1));
		assert_int_equal(counter_read(&w->stats.count[WORKER_COUNT_STAGE_TURNS]), turns);
		assert_false(w->sample.on);
		assert_true(w->sample.turns_left > 0);
	}
}

static void test_stage_of_turn_without_frames_is_forgotten(void **state)
{
	struct worker *w = *state;

	turn(w, 1000); // not ended: nothing came
	for (uint32_t stage = 0; stage < WORKER_STAGES; stage++)
		assert_int_equal(stage_tsc(w, stage), 0);
	assert_int_equal(w->sample.turns_left, 0);
	turn(w, 5000);
	worker_sample_end(w);
	assert_int_equal(stage_tsc(w, WORKER_STAGE_RECEIVE), WORKER_STAGE_RECEIVE + 1);
	assert_int_equal(counter_read(&w->stats.count[WORKER_COUNT_STAGE_TURNS]), 1);
}

static void test_stage_done_within_another_counts_as_itself(void **state)
{
	struct worker *w = *state;

	w->host.run_tsc = 77; // of earlier turns
	worker_sample_begin(w, 1000);
	w->host.run_tsc += 30;
	worker_sample_lap(w, WORKER_STAGE_INPUT, 1100);
	w->host.run_tsc += 40;
	worker_sample_lap(w, WORKER_STAGE_RUN, 1150);
	w->device_tsc += 200;
	worker_sample_lap(w, WORKER_STAGE_OUTPUT, 1500);
	w->device_tsc += 15;
	worker_sample_lap(w, WORKER_STAGE_TRANSMIT, 1520);
	assert_int_equal(worker_sample_tsc(w), 520);
	worker_sample_end(w);
	assert_int_equal(stage_tsc(w, WORKER_STAGE_INPUT), 70);
	assert_int_equal(stage_tsc(w, WORKER_STAGE_RUN), 80);
	assert_int_equal(stage_tsc(w, WORKER_STAGE_OUTPUT), 150);
	assert_int_equal(stage_tsc(w, WORKER_STAGE_TRANSMIT), 220);
}

static void test_stage_requests_are_those_of_sampled_turns(void **state)
{
	struct worker *w = *state;

	counter_add(&w->stats.commands.commands, 100);
	worker_sample_begin(w, 1000);
	counter_add(&w->stats.commands.commands, 7);
	worker_sample_end(w);
	counter_add(&w->stats.commands.commands, 100);
	assert_int_equal(counter_read(&w->stats.count[WORKER_COUNT_STAGE_REQUESTS]), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stage_gets_what_passed_since_the_one_before,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_stage_of_turn_without_frames_is_forgotten,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_stage_done_within_another_counts_as_itself,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_stage_requests_are_those_of_sampled_turns,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
