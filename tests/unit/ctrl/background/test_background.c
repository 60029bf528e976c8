/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/background/background.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "ctrl/loop/loop.h"
#include "dataplane/proto/session.h"
#include "tests/fakes/fake_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/*
 * The background thread with real commands on a real table: what goes in comes out, in order, with
 * its reply.
 */

#define JOBS 40

struct fixture {
	struct loop *loop;
	struct table *table;
	struct table_thread *tt;
	struct cmd_thread clock;
	struct background *background;
	struct session_host host;
	struct session_limits limits;
	struct fake_out out;
	uint64_t completed[JOBS]; // client ids, in order
	uint32_t completed_count;
	char last_reply[256];
};

static struct fixture f;

static struct out *session_out(struct session *session)
{
	return &f.out.out;
}

static bool session_out_full(struct session *session)
{
	return false;
}

static const struct session_host_ops session_ops = {.out = session_out,
						    .out_full = session_out_full};

static void wake(void *arg)
{
	loop_wake(arg);
}

static void complete(void *arg, struct forward *forward)
{
	assert_true(f.completed_count < JOBS);
	f.completed[f.completed_count++] = forward->client_id;
	memset(f.last_reply, 0, sizeof(f.last_reply));
	assert_non_null(forward->reply);
	assert_true(forward->reply->len < sizeof(f.last_reply));
	memcpy(f.last_reply, forward->reply->bytes, forward->reply->len);
	forward_free(forward);
}

static void on_wake(void *arg, uint64_t now_ns)
{
	background_turn(f.background);
}

static int setup(void **state)
{
	const struct table_config table = {.buckets_initial = 64};
	struct background_config config = {.wake = wake, .complete = complete, .clock = &f.clock};
	char why[TABLE_WHY_MAX];

	memset(&f, 0, sizeof(f));
	if (table_new(&table, &f.table, why) != 0 || loop_new(&f.loop) != 0)
		return -1;
	f.tt = table_thread_open(f.table, true);
	f.clock.now_ms = 1700000000000;
	f.clock.now_us = f.clock.now_ms * 1000;
	f.limits.query_max_bytes = 1 << 20;
	fake_out_init(&f.out);
	config.table = f.table;
	config.wake_arg = f.loop;
	loop_on_wake(f.loop, on_wake, NULL);
	if (session_host_init(&f.host, &f.clock, &session_ops, &f.limits) != 0)
		return -1;
	return background_start(&config, &f.background);
}

static int teardown(void **state)
{
	rcu_offline();
	background_stop(f.background);
	rcu_online();
	session_host_fini(&f.host);
	fake_out_fini(&f.out);
	table_thread_close(f.tt);
	table_free(f.table);
	loop_free(f.loop);
	return 0;
}

static struct forward *make_job(uint64_t id, const char *name, const char *argument)
{
	const struct slice argv[] = {slice_of_text(name), slice_of_text(argument)};
	struct session session;
	struct request request = {.argc = 2, .argv = argv, .session = &session};
	struct forward *forward;

	session_init(&session, &f.host, SESSION_RESP);
	session.client.id = id;
	request.cmd = cmd_lookup(argv, 2);
	assert_non_null(request.cmd);
	forward = forward_new(&session, &request);
	assert_non_null(forward);
	session_fini(&session);
	return forward;
}

static void store(const char *key, uint64_t expire_ms)
{
	const struct item_spec spec = {
		.key = slice_of_text(key), .value = SLICE_LITERAL("v"), .expire_ms = expire_ms};
	struct table_change change = {.key = table_key(f.table, spec.key), .expected = TABLE_ANY};

	table_set_time(f.tt, f.clock.now_ms, 1);
	change.item = table_item_new(f.tt, &spec);
	assert_non_null(change.item);
	assert_int_equal(table_commit_one(f.tt, &change), TABLE_OK);
}

/*
 * Turns of the control thread until so many jobs have come back; each wait ends with the next wake.
 */
static void wait_for(uint32_t count)
{
	while (f.completed_count < count) {
		rcu_offline();
		loop_wait(f.loop, 0);
		rcu_online();
		loop_dispatch(f.loop, 0);
	}
}

static void test_jobs_run_in_order_with_their_replies(void **state)
{
	store("a", 0);
	for (uint64_t id = 1; id <= JOBS; id++)
		assert_true(background_submit(f.background, make_job(id, "keys", "*")));
	wait_for(JOBS);
	for (uint32_t i = 0; i < JOBS; i++)
		assert_int_equal(f.completed[i], i + 1);
	assert_string_equal(f.last_reply, "*1\r\n$1\r\na\r\n");
	assert_int_equal(counter_read(&background_counters(f.background)->commands), JOBS);
}

static void test_job_runs_at_the_time_of_its_submission(void **state)
{
	store("soon", f.clock.now_ms + 10);
	assert_true(background_submit(f.background, make_job(1, "keys", "*")));
	wait_for(1);
	assert_string_equal(f.last_reply, "*1\r\n$4\r\nsoon\r\n");
	f.clock.now_ms += 20;
	f.clock.now_us += 20000;
	assert_true(background_submit(f.background, make_job(2, "keys", "*")));
	wait_for(2);
	assert_string_equal(f.last_reply, "*0\r\n");
}

static void test_too_many_jobs_are_refused(void **state)
{
	uint32_t taken = 0;

	// None is collected, so the count of jobs only rises.
	for (uint32_t i = 0; i < BACKGROUND_JOBS_MAX + 5; i++) {
		struct forward *job = make_job(i, "keys", "x");

		if (background_submit(f.background, job))
			taken++;
		else
			forward_free(job);
	}
	assert_int_equal(taken, BACKGROUND_JOBS_MAX);
	// What waits, and what nobody has collected, is freed by the teardown.
}

static int group_setup(void **state)
{
	clock_init();
	cmd_init();
	return rcu_start();
}

static int group_teardown(void **state)
{
	rcu_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_jobs_run_in_order_with_their_replies, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_job_runs_at_the_time_of_its_submission, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_too_many_jobs_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
