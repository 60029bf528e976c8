/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/text/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The growing array behind INFO, metrics and CLIENT LIST. Control thread. */

#define FIRST_BYTES 4096

static bool grow(struct out *out, size_t min)
{
	struct text *text = CONTAINER_OF(out, struct text, out);
	size_t used = text->bytes ? (size_t)(out->pos - text->bytes) : 0;
	size_t capacity = text->capacity ? text->capacity * 2 : FIRST_BYTES;
	uint8_t *bytes;

	while (capacity < used + min)
		capacity *= 2;
	if (capacity > text->limit)
		capacity = text->limit;
	if (capacity < used + min)
		return false;
	bytes = realloc(text->bytes, capacity);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->capacity = capacity;
	out->pos = bytes + used;
	out->end = bytes + capacity;
	return true;
}

static bool append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	out_append(out, slice_of(blob->bytes + offset, len));
	return !out->failed;
}

static const struct out_ops ops = {.grow = grow, .append_blob = append_blob};

void text_init(struct text *text, size_t limit)
{
	*text = (struct text){.out.ops = &ops, .limit = limit};
}

void text_fini(struct text *text)
{
	free(text->bytes);
	text->bytes = NULL;
}

struct slice text_bytes(const struct text *text)
{
	return slice_of(text->bytes, text->bytes ? (size_t)(text->out.pos - text->bytes) : 0);
}

void text_printf(struct text *text, const char *format, ...)
{
	char piece[TEXT_PIECE_MAX];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	if (len > 0)
		out_append(&text->out, slice_of(piece, len < TEXT_PIECE_MAX ? (size_t)len
									    : TEXT_PIECE_MAX - 1));
}
