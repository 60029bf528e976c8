/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/rcu.h"
#include "base/rcu_backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/*
 * RCU by C11 atomics alone, for builds under ThreadSanitizer, which cannot see the barriers inside
 * liburcu. Each thread has a slot with the number of the last grace period it has seen, or 0 when
 * it is offline. A grace period takes the next number and waits until every slot holds 0 or at
 * least that number.
 */

#define RCU_THREADS_MAX 256

static CACHE_ALIGNED struct {
	_Atomic uint64_t seen;
	_Atomic bool used;
} slots[RCU_THREADS_MAX];

static _Atomic uint64_t current = 1;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int own_slot = -1;

void rcu_register_thread(void)
{
	REQUIRE(own_slot < 0);
	pthread_mutex_lock(&slots_lock);
	for (int i = 0; i < RCU_THREADS_MAX && own_slot < 0; i++) {
		if (!atomic_load(&slots[i].used)) {
			atomic_store(&slots[i].used, true);
			own_slot = i;
		}
	}
	pthread_mutex_unlock(&slots_lock);
	INVARIANT(own_slot >= 0);
	rcu_online();
}

void rcu_unregister_thread(void)
{
	REQUIRE(own_slot >= 0);
	rcu_offline();
	atomic_store(&slots[own_slot].used, false);
	own_slot = -1;
}

void rcu_quiescent(void)
{
	HOT_ASSERT(own_slot >= 0);
	atomic_store(&slots[own_slot].seen, atomic_load(&current));
}

void rcu_offline(void)
{
	if (own_slot >= 0)
		atomic_store(&slots[own_slot].seen, 0);
}

void rcu_online(void)
{
	if (own_slot >= 0)
		rcu_quiescent();
}

void rcu_backend_synchronize(void)
{
	const struct timespec pause = {.tv_nsec = 20000};
	uint64_t number = atomic_fetch_add(&current, 1) + 1;

	for (int i = 0; i < RCU_THREADS_MAX; i++) {
		uint64_t seen = atomic_load(&slots[i].seen);

		while (seen != 0 && seen < number) {
			nanosleep(&pause, NULL);
			seen = atomic_load(&slots[i].seen);
		}
	}
}
