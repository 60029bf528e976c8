/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/watch/watch.h"

#include "base/blob.h"
#include "dataplane/proto/memcache/mc_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* memcached's watchers: records of two workers, mail that the test carries. */

#define LOGS 2

static struct mc_log *logs[LOGS];
static struct session_limits limits;
static struct watch *watch;
static struct mail_lines mails[2 * WATCH_MAX]; // under way
static uint32_t mail_count;
static bool no_memory;

static bool take_mail(void *arg, uint32_t worker, const struct mail_lines *lines)
{
	if (no_memory)
		return false;
	assert_true(mail_count < 2 * WATCH_MAX);
	mails[mail_count++] = *lines;
	return true;
}

static int setup(void **state)
{
	struct watch_config config = {.log_count = LOGS, .limits = &limits, .mail = take_mail};

	for (uint32_t i = 0; i < LOGS; i++)
		logs[i] = config.logs[i] = mc_log_new();
	watch = watch_new(&config);
	assert_non_null(watch);
	mail_count = 0;
	no_memory = false;
	return 0;
}

/* Mails come back in the order in which they were sent, and are freed by who carries them. */
static void deliver(bool alive)
{
	for (uint32_t i = 0; i < mail_count; i++) {
		mails[i].alive = alive;
		watch_delivered(watch, &mails[i]);
		blob_unref(mails[i].blob);
	}
	mail_count = 0;
}

static int teardown(void **state)
{
	deliver(false);
	watch_free(watch);
	for (uint32_t i = 0; i < LOGS; i++)
		mc_log_free(logs[i]);
	return 0;
}

static void add(uint32_t bits)
{
	static struct forward forward;

	forward.client_id++;
	forward.worker = (uint32_t)forward.client_id % LOGS;
	assert_true(watch_add(watch, &forward, bits));
}

static void note(uint32_t worker, enum mc_log_kind kind)
{
	struct mc_log_record *r = mc_log_begin(logs[worker], kind, SLICE_LITERAL("key"));

	assert_non_null(r);
	r->status = "found";
	r->command = "set";
	mc_log_commit(logs[worker]);
}

static size_t lines_in(const struct mail_lines *lines)
{
	size_t count = 0;

	for (uint64_t i = 0; lines->blob && i < lines->blob->len; i++)
		count += lines->blob->bytes[i] == '\n';
	return count;
}

/* Each watcher gets what it has asked for, of both workers; they note what is asked for. */
static void test_shares(void **state)
{
	assert_int_equal(limits.mc_watched, 0);
	add(MC_WATCH_FETCHERS);
	add(MC_WATCH_MUTATIONS | MC_WATCH_EVICTIONS);
	assert_int_equal(limits.mc_watched,
			 MC_WATCH_FETCHERS | MC_WATCH_MUTATIONS | MC_WATCH_EVICTIONS);
	note(0, MC_LOG_GET);
	note(1, MC_LOG_GET);
	note(1, MC_LOG_STORE);
	watch_turn(watch);
	assert_int_equal(mail_count, 2);
	assert_int_equal(lines_in(&mails[0]), 2);
	assert_int_equal(lines_in(&mails[1]), 1);
	deliver(true);
	watch_turn(watch);
	assert_int_equal(mail_count, 0);
}

/* One mail at a time; what comes meanwhile is in the next. */
static void test_one_under_way(void **state)
{
	add(MC_WATCH_FETCHERS);
	note(0, MC_LOG_GET);
	watch_turn(watch);
	note(0, MC_LOG_GET);
	note(0, MC_LOG_GET);
	watch_turn(watch);
	assert_int_equal(mail_count, 1);
	deliver(true);
	watch_turn(watch);
	assert_int_equal(mail_count, 1);
	assert_int_equal(lines_in(&mails[0]), 2);
}

/* One that does not take its mail loses lines beyond the limit; the others lose none. */
static void test_slow(void **state)
{
	struct watch_stats stats;
	uint64_t noted = 0;

	add(MC_WATCH_FETCHERS);
	note(0, MC_LOG_GET);
	watch_turn(watch);
	do {
		for (int i = 0; i < 500; i++, noted++)
			note(0, MC_LOG_GET);
		watch_turn(watch);
		watch_stats(watch, &stats);
	} while (stats.skipped == 0 && noted < 100000);
	assert_true(stats.skipped > 0);
	assert_int_equal(stats.sent + stats.skipped, noted + 1);
	assert_int_equal(stats.dropped, 0);
	deliver(true);
	watch_turn(watch);
	assert_int_equal(lines_in(&mails[0]), stats.sent - 1);
	assert_true(mails[0].blob->len <= WATCH_BUFFER_MAX);
}

static void test_gone(void **state)
{
	struct watch_stats stats;

	add(MC_WATCH_FETCHERS);
	note(0, MC_LOG_GET);
	watch_turn(watch);
	deliver(false);
	watch_stats(watch, &stats);
	assert_int_equal(stats.watchers, 0);
	assert_int_equal(limits.mc_watched, 0);
}

/* One with nothing to be told is asked once a second whether it is there. */
static void test_probe(void **state)
{
	for (int i = 0; i < 3; i++)
		add(MC_WATCH_EVICTIONS);
	for (int i = 0; i < 1000 / WATCH_TURN_MS; i++)
		watch_turn(watch);
	assert_int_equal(mail_count, 3);
	assert_null(mails[0].blob);
	deliver(false);
	assert_int_equal(limits.mc_watched, 0);
}

static void test_full(void **state)
{
	struct forward one_more = {.client_id = 999};

	for (int i = 0; i < WATCH_MAX; i++)
		add(MC_WATCH_FETCHERS);
	assert_false(watch_add(watch, &one_more, MC_WATCH_FETCHERS));
}

/* Who asks again gets more, not the same twice. */
static void test_again(void **state)
{
	const struct forward client = {.client_id = 998, .worker = 1};
	struct watch_stats stats;

	assert_true(watch_add(watch, &client, MC_WATCH_FETCHERS));
	assert_true(watch_add(watch, &client, MC_WATCH_FETCHERS | MC_WATCH_MUTATIONS));
	watch_stats(watch, &stats);
	assert_int_equal(stats.watchers, 1);
	note(0, MC_LOG_GET);
	note(0, MC_LOG_STORE);
	watch_turn(watch);
	assert_int_equal(mail_count, 1);
	assert_int_equal(lines_in(&mails[0]), 2);
}

/* Without memory for a mail its lines wait for the next turn. */
static void test_no_memory(void **state)
{
	add(MC_WATCH_FETCHERS);
	note(0, MC_LOG_GET);
	no_memory = true;
	watch_turn(watch);
	assert_int_equal(mail_count, 0);
	no_memory = false;
	watch_turn(watch);
	assert_int_equal(mail_count, 1);
	assert_int_equal(lines_in(&mails[0]), 1);
}

/* A turn takes a share of what there is, and says that there may be more. */
static void test_share_of_a_turn(void **state)
{
	add(MC_WATCH_FETCHERS);
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 500; k++)
			note(0, MC_LOG_GET);
		assert_false(watch_turn(watch));
		deliver(true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_share_of_a_turn, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
