/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

/*
 * Contracts between pieces of our own code. They are never applied to bytes from the wire, a disk,
 * a configuration or a peer: those are results with a counter, not bugs.
 *
 * REQUIRE     the caller's duty, checked always
 * INVARIANT   our own duty, checked always
 * HOT_ASSERT  either, on the hot path: only in debug, fuzz and simulation builds
 */
__attribute__((noreturn, cold)) void contract_failed(const char *kind, const char *expression,
						     const char *file, int line);

#define CONTRACT_CHECK(kind, e) \
	(likely(e) ? (void)0 : contract_failed(kind, #e, __FILE__, __LINE__))

#define REQUIRE(e)   CONTRACT_CHECK("REQUIRE", e)
#define INVARIANT(e) CONTRACT_CHECK("INVARIANT", e)

#ifdef HOT_ASSERTS
#define HOT_ASSERT(e) CONTRACT_CHECK("HOT_ASSERT", e)
#else
#define HOT_ASSERT(e) ((void)sizeof(e))
#endif
