/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fakes/fake_out.h"

#include <stdlib.h>

/* The sink that unit tests and fuzzers read replies from. */

static bool grow(struct out *out, size_t min)
{
	struct fake_out *f = CONTAINER_OF(out, struct fake_out, out);
	size_t used = (size_t)(out->pos - f->bytes);
	size_t room = f->step > min ? f->step : min;

	if (f->step == 0)
		room = used + min + 4096;
	if (f->limit > 0 && used + room > f->limit)
		return false;
	if (used + room > f->capacity) {
		f->capacity = used + room;
		f->bytes = realloc(f->bytes, f->capacity);
		if (!f->bytes)
			abort();
	}
	out->pos = f->bytes + used;
	out->end = f->bytes + used + room;
	return true;
}

static bool append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	out_append(out, slice_of(blob->bytes + offset, len));
	return !out->failed;
}

static const struct out_ops fake_out_ops = {.grow = grow, .append_blob = append_blob};

void fake_out_init(struct fake_out *f)
{
	*f = (struct fake_out){.out.ops = &fake_out_ops};
}

void fake_out_fini(struct fake_out *f)
{
	free(f->bytes);
}

struct slice fake_out_bytes(const struct fake_out *f)
{
	return slice_of(f->bytes, (size_t)(f->out.pos - f->bytes));
}

void fake_out_clear(struct fake_out *f)
{
	f->out.pos = f->bytes;
	f->out.failed = false;
}
