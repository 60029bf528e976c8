/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include "base/clock.h"
#include "base/rcu.h"

#include <time.h>

/*
 * What a worker does after a turn that found nothing. On a core of its own it polls on (poll-idle
 * busy). On a virtual device, where the client needs the same processors, it backs off: spin for a
 * while, then sleep in steps that grow with the silence. It goes RCU-offline first, so a sleeping
 * worker delays no grace period. Called by the loop between turns, which is the only place where a
 * worker may sleep.
 */

#define SPIN_NS        (50 * NS_PER_US) // of silence before the first sleep
#define SLEEP_FIRST_NS (20 * NS_PER_US)
#define SLEEP_LAST_NS  (500 * NS_PER_US)
#define SLEEP_SHIFT    6 // sleep 1/64 of the silence so far

static uint64_t sleep_for_ns(const struct worker *w, uint64_t silence_ns)
{
	uint64_t sleep_ns = silence_ns >> SLEEP_SHIFT;
	uint64_t deadline_ns = tcp_next_deadline_ns(w->tcp);

	if (sleep_ns < SLEEP_FIRST_NS)
		sleep_ns = SLEEP_FIRST_NS;
	if (sleep_ns > SLEEP_LAST_NS)
		sleep_ns = SLEEP_LAST_NS;
	if (deadline_ns <= w->now_ns)
		return 0;
	return deadline_ns - w->now_ns < sleep_ns ? deadline_ns - w->now_ns : sleep_ns;
}

void worker_idle(struct worker *w, bool worked)
{
	if (worked) {
		w->empty_turns = 0;
		return;
	}
	if (w->empty_turns++ == 0)
		w->idle_since_ns = w->now_ns;
	if (w->config.idle == WORKER_IDLE_BUSY) {
		cpu_relax();
		return;
	}
	uint64_t silence_ns = w->now_ns - w->idle_since_ns;

	if (silence_ns < SPIN_NS) {
		cpu_relax();
		return;
	}
	const struct timespec pause = {.tv_nsec = (long)sleep_for_ns(w, silence_ns)};

	if (pause.tv_nsec == 0) // something is due, or a large reply is not all out
		return;
	counter_add(&w->stats.count[WORKER_COUNT_SLEEPS], 1);
	rcu_offline();
	nanosleep(&pause, NULL);
	rcu_online();
}
