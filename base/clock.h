/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * The only clock in the house. It is read in two places: the worker loop, once per burst after rx,
 * and the control loop, once per turn. Everybody else is handed the time.
 */

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/*
 * Measures the TSC against CLOCK_MONOTONIC for about 20 ms. Main thread, once, before any other
 * call.
 */
void clock_init(void);

/* Cycles of the time stamp counter. Any thread. */
static inline uint64_t clock_tsc(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	extern uint64_t clock_tsc_portable(void);
	return clock_tsc_portable();
#endif
}

/* TSC cycles per second, as measured. */
uint64_t clock_tsc_hz(void);

/* Nanoseconds since clock_init(). Monotonic on one core. Any thread. */
uint64_t clock_ns_of_tsc(uint64_t tsc);

static inline uint64_t clock_now_ns(void)
{
	return clock_ns_of_tsc(clock_tsc());
}

/*
 * Unix time in microseconds for a time from clock_now_ns(): that plus an offset, which the control
 * thread renews with clock_sync_wall() about once a second, so that steps of the system's clock
 * arrive.
 */
uint64_t clock_wall_us(uint64_t now_ns);
void clock_sync_wall(void);
