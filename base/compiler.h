/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stddef.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MUST_USE     __attribute__((warn_unused_result))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define COLD         __attribute__((cold, noinline))
#define NOINLINE     __attribute__((noinline))
#define UNUSED       __attribute__((unused))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#define CACHE_LINE_BYTES 64
#define CACHE_ALIGNED    __attribute__((aligned(CACHE_LINE_BYTES)))

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

static ALWAYS_INLINE void prefetch_read(const void *ptr)
{
	__builtin_prefetch(ptr, 0, 3);
}

static ALWAYS_INLINE void prefetch_write(const void *ptr)
{
	__builtin_prefetch(ptr, 1, 3);
}

/* Tells the processor that this is a spin loop. */
static ALWAYS_INLINE void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}
