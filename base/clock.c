/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"

#include "base/contract.h"

#include <stdatomic.h>
#include <time.h>

/*
 * TSC to nanoseconds by one multiplication and a shift. The rate is measured once at start: a wrong
 * rate only stretches time-outs, and the wall clock is corrected by clock_sync_wall().
 */

#define CALIBRATION_NS 20000000ULL

static uint64_t base_tsc;
static uint64_t tsc_hz = NS_PER_S;
static uint64_t ns_per_tsc_shifted = 1ULL << 32; // nanoseconds per cycle * 2^32
static _Atomic uint64_t wall_offset_us;

static uint64_t system_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#if !defined(__x86_64__)
uint64_t clock_tsc_portable(void);
uint64_t clock_tsc_portable(void)
{
	return system_ns(CLOCK_MONOTONIC);
}
#endif

void clock_init(void)
{
	uint64_t start_ns = system_ns(CLOCK_MONOTONIC_RAW);
	uint64_t start_tsc = clock_tsc();
	uint64_t ns, tsc;

	do {
		ns = system_ns(CLOCK_MONOTONIC_RAW) - start_ns;
		tsc = clock_tsc() - start_tsc;
	} while (ns < CALIBRATION_NS);
	base_tsc = start_tsc;
	tsc_hz = (uint64_t)((unsigned __int128)tsc * NS_PER_S / ns);
	ns_per_tsc_shifted = (uint64_t)(((unsigned __int128)NS_PER_S << 32) / tsc_hz);
	INVARIANT(ns_per_tsc_shifted > 0);
	clock_sync_wall();
}

uint64_t clock_tsc_hz(void)
{
	return tsc_hz;
}

uint64_t clock_ns_of_tsc(uint64_t tsc)
{
	return (uint64_t)(((unsigned __int128)(tsc - base_tsc) * ns_per_tsc_shifted) >> 32);
}

uint64_t clock_wall_us(uint64_t now_ns)
{
	return now_ns / NS_PER_US + atomic_load_explicit(&wall_offset_us, memory_order_relaxed);
}

void clock_sync_wall(void)
{
	uint64_t offset = system_ns(CLOCK_REALTIME) / NS_PER_US - clock_now_ns() / NS_PER_US;

	atomic_store_explicit(&wall_offset_us, offset, memory_order_relaxed);
}
