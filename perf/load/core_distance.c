/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a cache line takes from one core to another and back. A host that moves the cores of a
 * virtual machine puts them on one complex of its processor at one time and on two at another,
 * which changes what a kernel's TCP costs by a quarter. Told what is near, it also asks for that:
 * two threads that wake each other from short naps are brought together by most schedulers.
 *
 * usage: core_distance CORE CORE [NEAR_NS NAPS_MAX]      prints nanoseconds, of the last look
 */
#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES        20 // the quickest of them counts: the others were interrupted
#define TRIPS        500
#define NAP_NS       1000000
#define NAPS_AT_ONCE 50 // each on both cores, before the next look

static _Alignas(128) atomic_uint ball; // odd: it is the other core's turn
static _Alignas(128) atomic_bool playing;
static sem_t to_other, to_main;

static bool pin(const char *core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(strtoul(core, NULL, 10), &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static void nap(void)
{
	struct timespec time = {.tv_nsec = NAP_NS};

	nanosleep(&time, NULL);
}

/* Returns the ball until the game is over, then sleeps and wakes the main thread; for ever. */
static void *other(void *core)
{
	(void)pin(core); // main() has tried
	for (;;) {
		sem_wait(&to_other);
		while (atomic_load(&playing)) {
			unsigned turn = atomic_load(&ball);

			if (turn & 1)
				atomic_store(&ball, turn + 1);
		}
		nap();
		sem_post(&to_main);
	}
	return NULL;
}

static uint64_t game_ns(void)
{
	uint64_t start_ns = clock_now_ns();

	for (int i = 0; i < TRIPS; i++) {
		atomic_fetch_add(&ball, 1);
		while (atomic_load(&ball) & 1)
			;
	}
	return (clock_now_ns() - start_ns) / TRIPS;
}

static uint64_t distance_ns(void)
{
	uint64_t best_ns = UINT64_MAX;

	atomic_store(&playing, true);
	sem_post(&to_other);
	for (int i = 0; i < TRIES; i++) {
		uint64_t ns = game_ns();

		best_ns = ns < best_ns ? ns : best_ns;
	}
	atomic_store(&playing, false);
	sem_wait(&to_main);
	return best_ns;
}

static void naps_in_turn(void)
{
	for (int i = 0; i < NAPS_AT_ONCE; i++) {
		sem_post(&to_other);
		sem_wait(&to_main);
		nap();
	}
}

int main(int argc, char **argv)
{
	uint64_t near_ns = argc > 4 ? strtoull(argv[3], NULL, 10) : UINT64_MAX, ns;
	unsigned long naps_left = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	pthread_t thread;

	if ((argc != 3 && argc != 5) || !strcmp(argv[1], argv[2])) {
		fprintf(stderr, "usage: core_distance CORE CORE [NEAR_NS NAPS_MAX]\n");
		return 2;
	}
	sem_init(&to_other, 0, 0);
	sem_init(&to_main, 0, 0);
	if (!pin(argv[2]) || !pin(argv[1]) || pthread_create(&thread, NULL, other, argv[2]) != 0) {
		fprintf(stderr, "core_distance: cannot run on cores %s and %s\n", argv[1], argv[2]);
		return 1;
	}
	ns = distance_ns();
	for (; ns > near_ns && naps_left >= NAPS_AT_ONCE; naps_left -= NAPS_AT_ONCE) {
		naps_in_turn();
		ns = distance_ns();
	}
	printf("%llu\n", (unsigned long long)ns);
	return 0;
}
