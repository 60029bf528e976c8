/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/kv_number.h"

/*
 * The number syntax of memcached's text protocol and of its counters (safe_strtoull() and its
 * sisters in util.c of memcached 1.6.18), on slices instead of terminated strings. Called by kv.c
 * for a counter's value and by proto/memcache for the arguments of a line.
 */

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Sign and magnitude; false when there is no number, when it exceeds 64 bits or when something
 * else is stuck to it.
 */
static bool scan(struct slice text, bool *negative, uint64_t *magnitude)
{
	size_t i = 0;
	uint64_t n = 0;

	while (i < text.len && is_space(text.ptr[i]))
		i++;
	*negative = i < text.len && text.ptr[i] == '-';
	if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+'))
		i++;
	size_t first = i;

	for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text.ptr[i] - '0'), &n))
			return false;
	}
	if (i == first || (i < text.len && text.ptr[i] != 0 && !is_space(text.ptr[i])))
		return false;
	*magnitude = n;
	return true;
}

bool kv_number_u64(struct slice text, uint64_t *value)
{
	bool negative;
	uint64_t n;

	if (!scan(text, &negative, &n))
		return false;
	if (negative)
		n = 0 - n;
	if ((int64_t)n < 0 && memchr(text.ptr, '-', text.len))
		return false;
	*value = n;
	return true;
}

bool kv_number_u32(struct slice text, uint32_t *value)
{
	uint64_t n;

	if (!kv_number_u64(text, &n))
		return false;
	*value = (uint32_t)n;
	return true;
}

bool kv_number_i32(struct slice text, int32_t *value)
{
	bool negative;
	uint64_t n;

	if (!scan(text, &negative, &n) || n > (uint64_t)INT64_MAX + negative)
		return false;
	*value = (int32_t)(uint32_t)(negative ? 0 - n : n);
	return true;
}
