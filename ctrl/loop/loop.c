/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/loop/loop.h"

#include "base/clock.h"
#include "base/contract.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/*
 * Level-triggered epoll with a sorted list of timers: the control side has a hundred of either at
 * most, so that nothing cleverer would be faster. Runs on the control thread (main.c); calls the
 * listeners of ctrl/admin and ctrl/metrics.
 */

#define EVENTS_PER_TURN 64
#define TIMERS_PER_TURN 256

struct loop {
	int epoll_fd;
	struct loop_timer *timers; // the earliest first
	struct epoll_event ready[EVENTS_PER_TURN];
	int ready_count;
	bool stopped;

	struct loop_watch wake; // an eventfd
	void (*on_wake)(void *arg, uint64_t now_ns);
	void *wake_arg;

	struct loop_watch signals; // a signalfd
	void (*on_signal)(void *arg, int number);
	void *signal_arg;
};

static void on_wake_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	struct loop *loop = CONTAINER_OF(watch, struct loop, wake);
	uint64_t count;

	// Cleared before the callback: a wake that comes during it is seen in the next turn.
	if (read(watch->fd, &count, sizeof(count)) == sizeof(count) && loop->on_wake)
		loop->on_wake(loop->wake_arg, now_ns);
}

static void on_signal_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	struct loop *loop = CONTAINER_OF(watch, struct loop, signals);
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
		loop->on_signal(loop->signal_arg, (int)info.ssi_signo);
}

int loop_new(struct loop **result)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->wake = (struct loop_watch){.fd = -1, .on_ready = on_wake_ready};
	loop->signals = (struct loop_watch){.fd = -1, .on_ready = on_signal_ready};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		err = -errno;
		goto err_free;
	}
	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake.fd < 0) {
		err = -errno;
		goto err_close;
	}
	err = loop_watch(loop, &loop->wake, EPOLLIN);
	if (err < 0)
		goto err_close_wake;
	// A peer that closed early is an error of write(), not the end of the process.
	signal(SIGPIPE, SIG_IGN);
	*result = loop;
	return 0;

err_close_wake:
	close(loop->wake.fd);
err_close:
	close(loop->epoll_fd);
err_free:
	free(loop);
	return err;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->signals.fd >= 0)
		close(loop->signals.fd);
	close(loop->wake.fd);
	close(loop->epoll_fd);
	free(loop);
}

int loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	int operation = watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	REQUIRE(watch->on_ready);
	if (watch->added && watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) != 0)
		return -errno;
	watch->added = true;
	watch->events = events;
	return 0;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->added)
		return;
	// Fails only for a descriptor that was closed too early, which is a bug of the owner.
	INVARIANT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
	watch->added = false;
	watch->events = 0;
	for (int i = 0; i < loop->ready_count; i++) {
		if (loop->ready[i].data.ptr == watch)
			loop->ready[i].data.ptr = NULL;
	}
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ns)
{
	struct loop_timer **at = &loop->timers;

	REQUIRE(timer->on_due);
	loop_timer_cancel(loop, timer);
	// Behind those that are due at the same time: first armed, first called.
	while (*at && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	timer->due_ns = due_ns;
	timer->next = *at;
	timer->armed = true;
	*at = timer;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->armed)
		return;
	for (struct loop_timer **at = &loop->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->next = NULL;
	timer->armed = false;
}

int loop_catch_signals(struct loop *loop, void (*on_signal)(void *arg, int number), void *arg)
{
	struct sigaction hangup;
	sigset_t set;
	int err;

	REQUIRE(loop->signals.fd < 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	// Under nohup a hang-up is ignored, but a blocked signal never is: then it stays out of it.
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	err = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (err != 0)
		return -err;
	loop->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signals.fd < 0)
		return -errno;
	loop->on_signal = on_signal;
	loop->signal_arg = arg;
	return loop_watch(loop, &loop->signals, EPOLLIN);
}

void loop_on_wake(struct loop *loop, void (*on_wake)(void *arg, uint64_t now_ns), void *arg)
{
	loop->on_wake = on_wake;
	loop->wake_arg = arg;
}

void loop_wake(struct loop *loop)
{
	const uint64_t one = 1;

	// It fails only when 2^64 - 2 wakes are waiting, and then one more changes nothing.
	if (write(loop->wake.fd, &one, sizeof(one)) < 0)
		return;
}

/*
 * Milliseconds to the next timer, rounded up so that the loop does not spin before it; -1: no
 * timer.
 */
static int wait_ms(const struct loop *loop, uint64_t now_ns)
{
	uint64_t left_ns;

	if (!loop->timers)
		return -1;
	if (loop->timers->due_ns <= now_ns)
		return 0;
	left_ns = loop->timers->due_ns - now_ns;
	if (left_ns >= 3600 * NS_PER_S)
		return 3600 * 1000;
	return (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void loop_wait(struct loop *loop, uint64_t now_ns)
{
	int count = loop->stopped ? 0
				  : epoll_wait(loop->epoll_fd, loop->ready, EVENTS_PER_TURN,
					       wait_ms(loop, now_ns));

	INVARIANT(count >= 0 || errno == EINTR);
	loop->ready_count = count < 0 ? 0 : count;
}

/*
 * At most TIMERS_PER_TURN of them: a timer that arms itself for the past again and again must not
 * keep the descriptors waiting.
 */
static void dispatch_timers(struct loop *loop, uint64_t now_ns)
{
	for (int count = 0; count < TIMERS_PER_TURN; count++) {
		struct loop_timer *timer = loop->timers;

		if (!timer || timer->due_ns > now_ns)
			return;
		loop_timer_cancel(loop, timer);
		timer->on_due(timer, now_ns);
	}
}

void loop_dispatch(struct loop *loop, uint64_t now_ns)
{
	for (int i = 0; i < loop->ready_count; i++) {
		struct loop_watch *watch = loop->ready[i].data.ptr;

		if (watch)
			watch->on_ready(watch, loop->ready[i].events, now_ns);
	}
	loop->ready_count = 0;
	dispatch_timers(loop, now_ns);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

bool loop_stopped(const struct loop *loop)
{
	return loop->stopped;
}
