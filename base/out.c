/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/out.h"

#include "base/number.h"

/*
 * The parts of the reply sink that are not the common case: crossing from one block of room to the
 * next. Called from the protocol encoders, on the thread that owns the sink.
 */

void out_append_slow(struct out *out, struct slice data)
{
	while (data.len > 0 && !out->failed) {
		size_t room = (size_t)(out->end - out->pos);

		if (room == 0) {
			if (!out_reserve(out, 1))
				return;
			room = (size_t)(out->end - out->pos);
		}
		size_t part = data.len < room ? data.len : room;

		memcpy(out->pos, data.ptr, part);
		out->pos += part;
		data.ptr += part;
		data.len -= part;
	}
}

void out_append_u64(struct out *out, uint64_t value)
{
	uint8_t *to = out_reserve(out, NUMBER_TEXT_MAX);

	if (to)
		out->pos += number_encode_u64(value, to);
}

void out_append_i64(struct out *out, int64_t value)
{
	uint8_t *to = out_reserve(out, NUMBER_TEXT_MAX);

	if (to)
		out->pos += number_encode_i64(value, to);
}
