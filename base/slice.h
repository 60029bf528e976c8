/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A run of bytes that somebody else owns. How long it lives is said where one is handed over. */
struct slice {
	const uint8_t *ptr;
	size_t len; // bytes
};

#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){(const uint8_t *)ptr, len};
}

static inline struct slice slice_of_text(const char *text)
{
	return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters only, as both protocols compare command words. `lower` must be lower case. */
static inline bool slice_equal_nocase(struct slice a, const char *lower)
{
	size_t i = 0;

	for (; i < a.len; i++) {
		uint8_t c = a.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (c != (uint8_t)lower[i] || c == 0)
			return false;
	}
	return lower[i] == 0;
}
