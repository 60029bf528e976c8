/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"

/*
 * Text that grows: a reply sink over one contiguous array, and printf into it. What the control
 * side builds as a whole before it sends it: INFO, metrics, CLIENT LIST. Owned by one thread.
 */
struct text {
	struct out out;
	uint8_t *bytes;
	size_t capacity;
	size_t limit; // bytes at which the sink refuses
};

void text_init(struct text *text, size_t limit);
void text_fini(struct text *text);

/* All that has been written. Check text->out.failed first: after a refusal it is incomplete. */
struct slice text_bytes(const struct text *text);

/* One piece of at most TEXT_PIECE_MAX bytes; a longer one is cut. */
#define TEXT_PIECE_MAX 512
void text_printf(struct text *text, const char *format, ...) PRINTF(2, 3);
