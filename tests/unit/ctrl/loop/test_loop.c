/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/loop/loop.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* The loop over socket pairs and a clock that the test moves. */

struct fixture {
	struct loop *loop;
	uint64_t now_ns;
	char log[64]; // a letter per callback, in order
};

static struct fixture f;

static void note(char letter)
{
	size_t len = strlen(f.log);

	assert_true(len + 1 < sizeof(f.log));
	f.log[len] = letter;
}

struct named_timer {
	struct loop_timer timer;
	char letter;
	uint64_t again_ns; // re-arm for this long after
};

static void on_due(struct loop_timer *timer, uint64_t now_ns)
{
	struct named_timer *t = CONTAINER_OF(timer, struct named_timer, timer);

	assert_true(now_ns >= timer->due_ns);
	note(t->letter);
	if (t->again_ns)
		loop_timer_set(f.loop, timer, now_ns + t->again_ns);
}

struct end {
	struct loop_watch watch;
	char letter;
	uint32_t events;       // seen last
	struct end *to_remove; // unwatched by the callback
};

static void on_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	struct end *end = CONTAINER_OF(watch, struct end, watch);
	char byte;

	end->events = events;
	note(end->letter);
	if (events & EPOLLIN && recv(watch->fd, &byte, 1, MSG_DONTWAIT) < 0)
		end->events |= EPOLLERR;
	if (end->to_remove)
		loop_unwatch(f.loop, &end->to_remove->watch);
}

static void turn(uint64_t advance_ns)
{
	f.now_ns += advance_ns;
	// The wait must not block: a callback that never comes is a failure, not a hang.
	struct named_timer limit = {.timer.on_due = on_due, .letter = '.'};

	loop_timer_set(f.loop, &limit.timer, f.now_ns);
	loop_wait(f.loop, f.now_ns);
	loop_timer_cancel(f.loop, &limit.timer);
	loop_dispatch(f.loop, f.now_ns);
}

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.now_ns = 1000 * NS_PER_S;
	return loop_new(&f.loop);
}

static int teardown(void **state)
{
	loop_free(f.loop);
	return 0;
}

static void make_pair(struct end *end, char letter, int *other)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*end = (struct end){.watch = {.fd = fds[0], .on_ready = on_ready}, .letter = letter};
	*other = fds[1];
}

static void test_watch_readable_calls_back_until_read(void **state)
{
	struct end a;
	int other;

	make_pair(&a, 'a', &other);
	assert_int_equal(loop_watch(f.loop, &a.watch, EPOLLIN), 0);
	turn(0);
	assert_string_equal(f.log, "");
	assert_int_equal(write(other, "xy", 2), 2);
	turn(0);
	turn(0);
	turn(0);
	assert_string_equal(f.log, "aa");

	// Asking for nothing is quiet, but a hang-up is always told.
	assert_int_equal(write(other, "z", 1), 1);
	assert_int_equal(loop_watch(f.loop, &a.watch, 0), 0);
	turn(0);
	assert_string_equal(f.log, "aa");
	close(other);
	turn(0);
	assert_string_equal(f.log, "aaa");
	assert_true(a.events & EPOLLHUP);
	loop_unwatch(f.loop, &a.watch);
	loop_unwatch(f.loop, &a.watch);
	turn(0);
	assert_string_equal(f.log, "aaa");
	close(a.watch.fd);
}

static void test_unwatch_in_callback_drops_seen_events(void **state)
{
	struct end a, b;
	int other_a, other_b;

	make_pair(&a, 'a', &other_a);
	make_pair(&b, 'b', &other_b);
	a.to_remove = &b;
	b.to_remove = &a;
	assert_int_equal(loop_watch(f.loop, &a.watch, EPOLLIN), 0);
	assert_int_equal(loop_watch(f.loop, &b.watch, EPOLLIN), 0);
	assert_int_equal(write(other_a, "x", 1), 1);
	assert_int_equal(write(other_b, "x", 1), 1);
	turn(0);
	assert_int_equal(strlen(f.log), 1);
	loop_unwatch(f.loop, &a.watch);
	loop_unwatch(f.loop, &b.watch);
	close(a.watch.fd);
	close(b.watch.fd);
	close(other_a);
	close(other_b);
}

static void test_timers_fire_in_order_of_time(void **state)
{
	struct named_timer a = {.timer.on_due = on_due, .letter = 'a'};
	struct named_timer b = {.timer.on_due = on_due, .letter = 'b'};
	struct named_timer c = {.timer.on_due = on_due, .letter = 'c'};

	loop_timer_set(f.loop, &c.timer, f.now_ns + 30);
	loop_timer_set(f.loop, &a.timer, f.now_ns + 10);
	loop_timer_set(f.loop, &b.timer, f.now_ns + 10);
	turn(9);
	assert_string_equal(f.log, "");
	turn(1);
	assert_string_equal(f.log, "ab");
	loop_timer_set(f.loop, &c.timer, f.now_ns + 100); // moved
	turn(50);
	assert_string_equal(f.log, "ab");
	loop_timer_cancel(f.loop, &c.timer);
	loop_timer_cancel(f.loop, &c.timer);
	turn(100);
	assert_string_equal(f.log, "ab");
}

static void test_timer_armed_for_now_does_not_hold_the_turn(void **state)
{
	struct named_timer a = {.timer.on_due = on_due, .letter = 'a', .again_ns = 1};

	loop_timer_set(f.loop, &a.timer, f.now_ns);
	turn(0);
	turn(0);
	assert_string_equal(f.log, "a");
	turn(1);
	assert_string_equal(f.log, "aa");
	loop_timer_cancel(f.loop, &a.timer);
}

static void test_wait_sleeps_no_longer_than_to_the_timer(void **state)
{
	struct named_timer a = {.timer.on_due = on_due, .letter = 'a'};

	// Returns at all: without a look at the timer it would wait for ever.
	loop_timer_set(f.loop, &a.timer, f.now_ns + NS_PER_MS / 2);
	loop_wait(f.loop, f.now_ns);
	loop_dispatch(f.loop, f.now_ns + NS_PER_MS);
	assert_string_equal(f.log, "a");
}

static void on_wake(void *arg, uint64_t now_ns)
{
	note(*(char *)arg);
}

static void *wake_from_thread(void *arg)
{
	loop_wake(arg);
	loop_wake(arg);
	return NULL;
}

static void test_wake_from_thread_ends_the_wait_once(void **state)
{
	char letter = 'w';
	pthread_t thread;

	loop_on_wake(f.loop, on_wake, &letter);
	assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, f.loop), 0);
	loop_wait(f.loop, f.now_ns); // no timer: only the wake ends this
	assert_int_equal(pthread_join(thread, NULL), 0);
	loop_dispatch(f.loop, f.now_ns);
	turn(0);
	assert_true(strcmp(f.log, "w") == 0 || strcmp(f.log, "ww") == 0);
	turn(0);
	assert_true(strlen(f.log) <= 2);
}

static void on_signal(void *arg, int number)
{
	note(number == SIGTERM ? 'T' : number == SIGHUP ? 'H' : 'I');
	loop_stop(f.loop);
}

static void test_signals_call_back_and_stop(void **state)
{
	assert_int_equal(loop_catch_signals(f.loop, on_signal, NULL), 0);
	assert_false(loop_stopped(f.loop));
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(0);
	assert_string_equal(f.log, "T");
	assert_true(loop_stopped(f.loop));
	loop_wait(f.loop, f.now_ns); // stopped: returns at once
}

static void test_hangup_stops_unless_ignored(void **state)
{
	assert_int_equal(loop_catch_signals(f.loop, on_signal, NULL), 0);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	turn(0);
	assert_string_equal(f.log, "H");
	assert_true(loop_stopped(f.loop));
}

static void test_ignored_hangup_stays_ignored(void **state)
{
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(loop_catch_signals(f.loop, on_signal, NULL), 0);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	turn(0);
	signal(SIGHUP, SIG_DFL);
	assert_string_equal(f.log, "");
	assert_false(loop_stopped(f.loop));
}

static void test_write_to_closed_peer_is_an_error_not_a_signal(void **state)
{
	struct end a;
	int other;

	make_pair(&a, 'a', &other);
	close(other);
	assert_int_equal(write(a.watch.fd, "x", 1), -1);
	close(a.watch.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch_readable_calls_back_until_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_unwatch_in_callback_drops_seen_events, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_timers_fire_in_order_of_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_armed_for_now_does_not_hold_the_turn,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_sleeps_no_longer_than_to_the_timer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wake_from_thread_ends_the_wait_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_ignored_hangup_stays_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_call_back_and_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangup_stops_unless_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_to_closed_peer_is_an_error_not_a_signal,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
