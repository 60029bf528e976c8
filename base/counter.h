/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * A number that one thread writes and any thread may read. Relaxed on both sides: a reader sees
 * some recent value, never a torn one, and orders nothing by it.
 */
typedef _Atomic uint64_t counter;

static inline void counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void counter_sub(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n,
			      memory_order_relaxed);
}

static inline void counter_set(counter *c, uint64_t value)
{
	atomic_store_explicit(c, value, memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *c)
{
	return atomic_load_explicit((counter *)(uintptr_t)c, memory_order_relaxed);
}
