/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A sequence number. The space wraps (RFC 9293 3.4), so these are the only comparisons there are.
 */
typedef uint32_t tcp_seq;

static inline bool tcp_seq_lt(tcp_seq a, tcp_seq b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool tcp_seq_le(tcp_seq a, tcp_seq b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool tcp_seq_gt(tcp_seq a, tcp_seq b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool tcp_seq_ge(tcp_seq a, tcp_seq b)
{
	return (int32_t)(a - b) >= 0;
}

static inline tcp_seq tcp_seq_max(tcp_seq a, tcp_seq b)
{
	return tcp_seq_gt(a, b) ? a : b;
}

/* seq in [from, from + len). */
static inline bool tcp_seq_within(tcp_seq seq, tcp_seq from, uint32_t len)
{
	return (uint32_t)(seq - from) < len;
}
