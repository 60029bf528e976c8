/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The control thread's event loop: descriptors, timers, signals, and a wake from other threads. It
 * reads no clock; the time comes in with each turn:
 *
 *	while (!loop_stopped(loop)) {
 *		loop_wait(loop, now_ns);      // may sleep: be RCU-offline around it
 *		now_ns = clock_now_ns();
 *		loop_dispatch(loop, now_ns);
 *	}
 *
 * All calls but loop_wake() come from the thread that runs the loop. Callbacks may add, change and
 * remove anything.
 */
struct loop;

/*
 * A descriptor that is watched. Embedded in its owner, which fills `fd` and `on_ready`; the
 * descriptor stays the owner's.
 */
struct loop_watch {
	int fd;
	// `events` are epoll's: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR.
	void (*on_ready)(struct loop_watch *watch, uint32_t events, uint64_t now_ns);
	uint32_t events; // that are asked for; 0 while not watched
	bool added;
};

/* A timer that fires once. Embedded in its owner, which fills `on_due`. */
struct loop_timer {
	void (*on_due)(struct loop_timer *timer, uint64_t now_ns);
	uint64_t due_ns;
	struct loop_timer *next; // in order of due_ns
	bool armed;
};

/* 0 or a negative errno. SIGPIPE is ignored from then on. */
int loop_new(struct loop **loop);

/* All watches and timers must have been removed, or never be used again. */
void loop_free(struct loop *loop);

/*
 * Starts to watch, or changes what is asked for. 0 or a negative errno. `events` may be 0: only
 * errors and hang-ups.
 */
MUST_USE int loop_watch(struct loop *loop, struct loop_watch *watch, uint32_t events);

/*
 * Stops watching; on_ready is not called again, not even for what has been seen already. Before
 * close(fd).
 */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* Arms the timer, or moves it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * SIGTERM, SIGINT and, unless it is ignored, SIGHUP call on_signal on this thread instead of ending
 * the process. They are blocked in the calling thread, and in threads that it starts afterwards. 0
 * or a negative errno.
 */
int loop_catch_signals(struct loop *loop, void (*on_signal)(void *arg, int number), void *arg);

/* Calls on_wake once per turn after any number of loop_wake(). */
void loop_on_wake(struct loop *loop, void (*on_wake)(void *arg, uint64_t now_ns), void *arg);

/* Any thread. Ends the wait of this turn or the next. */
void loop_wake(struct loop *loop);

/* Sleeps until something is ready or a timer is due. */
void loop_wait(struct loop *loop, uint64_t now_ns);

/* Calls back for what loop_wait() has seen and for timers that are due. */
void loop_dispatch(struct loop *loop, uint64_t now_ns);

/*
 * A non-blocking socket that listens on an IPv4 address of this host, or a negative errno. Port 0:
 * any free one. *bound is the port. The descriptor is the caller's.
 */
MUST_USE int loop_listen(const char *address, uint16_t port, uint16_t *bound);

void loop_stop(struct loop *loop);
bool loop_stopped(const struct loop *loop);
