/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rcu.h"

#include "base/rcu_backend.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/*
 * Grace periods by number. Workers read `started` and `completed` and leave a wish in `wanted`; the
 * housekeeping thread runs a grace period whenever a wish is open. It sleeps between them, so a
 * grace period costs the workers one more load per loop and nothing else.
 */

// Between two looks for an open wish; longer and longer while there is none, as each of them takes
// the core from somebody.
#define GP_PAUSE_NS      200000
#define GP_PAUSE_NS_IDLE (8 * GP_PAUSE_NS)

static _Atomic uint64_t started;
static _Atomic uint64_t completed;
static _Atomic uint64_t wanted;
static _Atomic bool stopping;
static pthread_mutex_t gp_lock = PTHREAD_MUTEX_INITIALIZER; // one grace period at a time
static pthread_t gp_thread;
static bool gp_thread_runs;

uint64_t rcu_tag(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	uint64_t tag = atomic_load_explicit(&started, memory_order_seq_cst);

	// A lost race leaves a lower wish; whoever still waits asks again in rcu_done().
	if (atomic_load_explicit(&wanted, memory_order_relaxed) < tag + 1)
		atomic_store_explicit(&wanted, tag + 1, memory_order_relaxed);
	return tag;
}

bool rcu_done(uint64_t tag)
{
	if (atomic_load_explicit(&completed, memory_order_acquire) > tag)
		return true;
	if (atomic_load_explicit(&wanted, memory_order_relaxed) < tag + 1)
		atomic_store_explicit(&wanted, tag + 1, memory_order_relaxed);
	return false;
}

void rcu_wait(void)
{
	rcu_offline();
	pthread_mutex_lock(&gp_lock);
	uint64_t number = atomic_fetch_add(&started, 1) + 1;

	rcu_backend_synchronize();
	atomic_store(&completed, number);
	pthread_mutex_unlock(&gp_lock);
	rcu_online();
}

static void *gp_main(void *arg)
{
	struct timespec pause = {.tv_nsec = GP_PAUSE_NS};

	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		if (atomic_load_explicit(&wanted, memory_order_relaxed) >
		    atomic_load_explicit(&completed, memory_order_relaxed)) {
			rcu_wait();
			pause.tv_nsec = GP_PAUSE_NS;
		} else if (pause.tv_nsec < GP_PAUSE_NS_IDLE) {
			pause.tv_nsec *= 2;
		}
		nanosleep(&pause, NULL);
	}
	return arg;
}

int rcu_start(void)
{
	sigset_t all, before;
	int error;

	atomic_store(&stopping, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	error = pthread_create(&gp_thread, NULL, gp_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(gp_thread, "rcu");
	gp_thread_runs = true;
	return 0;
}

void rcu_stop(void)
{
	if (!gp_thread_runs)
		return;
	atomic_store(&stopping, true);
	pthread_join(gp_thread, NULL);
	gp_thread_runs = false;
}
