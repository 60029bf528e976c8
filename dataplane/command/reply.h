/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/out.h"
#include "base/slice.h"

#include <stdint.h>

struct item;

/*
 * What a command answers, before it has a wire form. The protocol that read the request supplies
 * the ops; the bytes go to `out`. Aggregates announce their element count first, as the wire
 * does.
 */
struct reply;

struct reply_ops {
	void (*status)(struct reply *r, struct slice text); // +OK
	void (*error)(struct reply *r, struct slice text);  // "ERR ...", no line ends inside
	void (*integer)(struct reply *r, int64_t value);
	void (*real)(struct reply *r, double value);
	void (*boolean)(struct reply *r, bool value);
	void (*bulk)(struct reply *r, struct slice bytes);
	void (*verbatim)(struct reply *r, const char format[3], struct slice text);
	void (*item_value)(struct reply *r,
			   const struct item *item); // a long one is sent by reference
	void (*null)(struct reply *r);               // RESP2 $-1
	void (*null_array)(struct reply *r);         // RESP2 *-1
	void (*array)(struct reply *r, uint32_t count);
	void (*map)(struct reply *r, uint32_t pairs);
	void (*set)(struct reply *r, uint32_t count);
	void (*push)(struct reply *r, uint32_t count);
};

struct reply {
	const struct reply_ops *ops;
	struct out *out;
	uint8_t resp;    // protocol version, 2 or 3
	uint32_t errors; // error replies so far; for failed_calls
};

static inline void reply_status(struct reply *r, struct slice text)
{
	r->ops->status(r, text);
}

static inline void reply_ok(struct reply *r)
{
	r->ops->status(r, SLICE_LITERAL("OK"));
}

static inline void reply_error(struct reply *r, struct slice text)
{
	r->errors++;
	r->ops->error(r, text);
}

#define REPLY_ERROR(r, literal) reply_error((r), SLICE_LITERAL(literal))

static inline void reply_integer(struct reply *r, int64_t value)
{
	r->ops->integer(r, value);
}

static inline void reply_bulk(struct reply *r, struct slice bytes)
{
	r->ops->bulk(r, bytes);
}

static inline void reply_bulk_text(struct reply *r, const char *text)
{
	r->ops->bulk(r, slice_of_text(text));
}

static inline void reply_item_value(struct reply *r, const struct item *item)
{
	r->ops->item_value(r, item);
}

static inline void reply_null(struct reply *r)
{
	r->ops->null(r);
}

static inline void reply_array(struct reply *r, uint32_t count)
{
	r->ops->array(r, count);
}

static inline void reply_map(struct reply *r, uint32_t pairs)
{
	r->ops->map(r, pairs);
}

/* For a slice that came from outside, as the argument of "%.*s": at most 128 bytes, up to a NUL. */
#define REPLY_ARG(s) (int)((s).len < 128 ? (s).len : 128), (const char *)(s).ptr

/* The same for the few texts in which redis repeats an argument whole. */
#define REPLY_ARG_WHOLE_MAX 8192 // bytes
#define REPLY_ARG_WHOLE(s)                                                                         \
	(int)((s).len < REPLY_ARG_WHOLE_MAX ? (s).len : REPLY_ARG_WHOLE_MAX), (const char *)(s).ptr

/* printf into an error reply of at most 8.5 KiB; line ends become blanks. Not for hot paths. */
void reply_error_format(struct reply *r, const char *format, ...) PRINTF(2, 3);
