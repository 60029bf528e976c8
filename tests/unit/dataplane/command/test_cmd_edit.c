/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include "base/rcu.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/*
 * Commands that look, decide and commit, with other threads between: nothing is lost and nothing
 * happens twice. And with no memory for the result: what was there stays.
 */

#define THREADS 4
#define ROUNDS  2000

/* One thread's share: sends the request ROUNDS times and adds up the integer replies. */
struct racer {
	const struct bench *owner;
	const char *request;
	pthread_t thread;
	pthread_barrier_t *start;
	int64_t sum;     // of integer replies
	uint64_t odd;    // of them
	uint64_t bulk;   // bulk replies
	uint64_t errors; // error replies
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct bench b;

	bench_join(&b, r->owner);
	rcu_offline();
	pthread_barrier_wait(r->start);
	rcu_online();
	for (int i = 0; i < ROUNDS; i++) {
		struct slice reply = bench_run(&b, r->request);

		if (reply.ptr[0] == ':') {
			int64_t value = strtoll((const char *)reply.ptr + 1, NULL, 10);

			r->sum += value;
			r->odd += value & 1;
		} else if (reply.ptr[0] == '$' && reply.ptr[1] != '-') {
			r->bulk++;
		} else if (reply.ptr[0] == '-') {
			r->errors++;
		}
	}
	bench_leave(&b);
	return NULL;
}

/* Each of the requests by as many racers, in turn. */
static void run_race(struct bench *b, const char *const *requests, int count,
		     struct racer racers[THREADS])
{
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, THREADS);
	rcu_offline();
	for (int i = 0; i < THREADS; i++) {
		racers[i] =
			(struct racer){.owner = b, .request = requests[i % count], .start = &start};
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(racers[i].errors, 0);
	rcu_online();
	pthread_barrier_destroy(&start);
}

static void assert_reply(struct bench *b, const char *request, const char *reply)
{
	struct slice got = bench_run(b, request);

	if (!slice_equal(got, slice_of_text(reply)))
		fail_msg("%s: %.*s instead of %s", request, (int)(got.len < 200 ? got.len : 200),
			 (const char *)got.ptr, reply);
}

static void test_threads_lose_no_change(void **state)
{
	static const struct {
		const char *requests[2];  // of even and odd threads
		const char *look, *reply; // afterwards
	} cases[] = {
		{{"incr k", "incr k"}, "get k", "$4\r\n8000\r\n"},
		{{"incrby k 3", "decrby k 2"}, "get k", "$4\r\n4000\r\n"},
		{{"incrbyfloat k 0.5", "incrbyfloat k 0.5"}, "get k", "$4\r\n4000\r\n"},
		{{"append k ab", "append k c"}, "strlen k", ":12000\r\n"},
		{{"incr k", "expire k 1000"}, "get k", "$4\r\n4000\r\n"},
		{{"append k a", "persist k"}, "strlen k", ":4000\r\n"},
		{{"setrange k 10 x", "setrange k 20 y"}, "strlen k", ":21\r\n"},
		{{"mset k 1 l 1", "mset k 2 l 2"}, "exists k l", ":2\r\n"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct racer racers[THREADS];
		struct bench b;

		bench_open(&b);
		run_race(&b, cases[i].requests, 2, racers);
		assert_reply(&b, cases[i].look, cases[i].reply);
		bench_close(&b);
	}
}

/* As often as a key was made it was taken, or it is still there. */
static void test_threads_make_and_take_equally(void **state)
{
	static const struct {
		const char *requests[2]; // the first makes, the second takes
		bool bulk;               // it answers what it took
	} cases[] = {
		{{"setnx k v", "del k"}, false},
		{{"setnx k v", "getdel k"}, true},
		{{"msetnx k v l v", "del k l"}, false},
		{{"msetnx k v l v", "unlink l k l"}, false},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int keys = cases[i].requests[0][0] == 'm' ? 2 : 1;
		struct racer racers[THREADS];
		int64_t made = 0, taken = 0;
		char left[32];
		struct bench b;

		bench_open(&b);
		run_race(&b, cases[i].requests, 2, racers);
		for (int t = 0; t < THREADS; t++) {
			if (t % 2 == 0)
				made += keys * racers[t].sum;
			else
				taken += cases[i].bulk ? (int64_t)racers[t].bulk : racers[t].sum;
		}
		snprintf(left, sizeof(left), ":%d\r\n", (int)(made - taken));
		assert_reply(&b, "dbsize", left);
		assert_true(made - taken == 0 || made - taken == keys);
		bench_close(&b);
	}
}

/* MSET of two keys and DEL of both are seen whole or not at all by a reader of both. */
static void test_reader_sees_pairs_whole(void **state)
{
	// The absent keys between the two make the time longer in which a careless reader errs.
	static const char *const readers[] = {
		"exists k a b c d e f g h i j m n o p q r s t u v w x y z l",
		"touch k a b c d e f g h i j m n o p q r s t u v w x y z l",
	};

	for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
		const char *const requests[] = {"mset k v l v", "del l k", readers[i]};
		struct racer racers[THREADS];
		struct bench b;

		bench_open(&b);
		run_race(&b, requests, 3, racers);
		assert_int_equal(racers[1].odd, 0);
		assert_int_equal(racers[2].odd, 0);
		bench_close(&b);
	}
}

/* The request itself is small enough to be admitted; its result finds no room. */
static void test_no_memory_for_result_leaves_key(void **state)
{
	static const char *const requests[] = {
		"setrange k 4000000 x",    "setrange new 4000000 x", "append long 1000000*x",
		"set k 1000000*x keepttl", "set new 1000000*x",      "mset a 1 k 1000000*x",
		"getset k 1000000*x",
	};
	static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
	struct table_stats stats;
	struct bench b;

	bench_open(&b);
	bench_run(&b, "set k v ex 100");
	bench_run(&b, "set long 1000000*y");
	table_stats(b.table, &stats);
	atomic_store(&table_limits(b.table)->maxmemory_bytes, stats.memory_bytes + 200000);
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		assert_reply(&b, requests[i], oom);
		assert_reply(&b, "get k", "$1\r\nv\r\n");
		assert_reply(&b, "ttl k", ":100\r\n");
		assert_reply(&b, "strlen long", ":1000000\r\n");
		assert_reply(&b, "exists new a", ":0\r\n");
	}
	// Nothing is left behind by the failures either.
	atomic_store(&table_limits(b.table)->maxmemory_bytes, 0);
	for (int i = 0; i < 100; i++) {
		rcu_wait();
		bench_run(&b, "ping");
	}
	uint64_t before = stats.memory_bytes;

	table_stats(b.table, &stats);
	assert_in_range(stats.memory_bytes, before - 10000, before + 10000);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_lose_no_change),
		cmocka_unit_test(test_threads_make_and_take_equally),
		cmocka_unit_test(test_reader_sees_pairs_whole),
		cmocka_unit_test(test_no_memory_for_result_leaves_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
