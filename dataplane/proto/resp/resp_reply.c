/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp.h"

#include "base/number.h"
#include "dataplane/table/item.h"

#include <math.h>
#include <stdio.h>

/*
 * What commands answer, as RESP2 or RESP3. Called through reply_ops by the command engine; the
 * bytes go straight to the connection's send queue. Where the versions differ, the text is what
 * redis 7.0's addReply...() functions write. Any thread.
 */

#define HEADER_MAX (1 + NUMBER_TEXT_MAX + 2) // a type byte, a number and a line end

// A bulk of up to this is written with one look at the room.
#define BULK_SHORT_MAX (OUT_RESERVE_MAX - HEADER_MAX - 2)

static uint8_t *put_header(uint8_t *to, char type, int64_t value)
{
	*to++ = (uint8_t)type;
	if (likely((uint64_t)value < 10))
		*to++ = (uint8_t)('0' + value);
	else
		to += number_encode_i64(value, to);
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

static void header(struct reply *r, char type, int64_t value)
{
	uint8_t *to = out_reserve(r->out, HEADER_MAX);

	if (to)
		r->out->pos = put_header(to, type, value);
}

static void line(struct reply *r, char type, struct slice text)
{
	uint8_t *to;

	if (unlikely(text.len > OUT_RESERVE_MAX - 3)) {
		out_append(r->out, slice_of(&type, 1));
		out_append(r->out, text);
		OUT_LITERAL(r->out, "\r\n");
		return;
	}
	to = out_reserve(r->out, text.len + 3);
	if (!to)
		return;
	*to++ = (uint8_t)type;
	memcpy(to, text.ptr, text.len);
	to[text.len] = '\r';
	to[text.len + 1] = '\n';
	r->out->pos = to + text.len + 2;
}

static void reply_status_line(struct reply *r, struct slice text)
{
	line(r, '+', text);
}

static void reply_error_line(struct reply *r, struct slice text)
{
	line(r, '-', text);
}

static void reply_integer_line(struct reply *r, int64_t value)
{
	header(r, ':', value);
}

static void reply_bulk_bytes(struct reply *r, struct slice bytes)
{
	uint8_t *to;

	if (unlikely(bytes.len > BULK_SHORT_MAX)) {
		header(r, '$', (int64_t)bytes.len);
		out_append(r->out, bytes);
		OUT_LITERAL(r->out, "\r\n");
		return;
	}
	to = out_reserve(r->out, HEADER_MAX + bytes.len + 2);
	if (!to)
		return;
	to = put_header(to, '$', (int64_t)bytes.len);
	if (bytes.len > 0)
		memcpy(to, bytes.ptr, bytes.len);
	to[bytes.len] = '\r';
	to[bytes.len + 1] = '\n';
	r->out->pos = to + bytes.len + 2;
}

static void reply_item_bytes(struct reply *r, const struct item *item)
{
	struct blob *blob = item_blob(item);

	if (likely(!blob)) {
		reply_bulk_bytes(r, item_value(item));
		return;
	}
	header(r, '$', (int64_t)blob->len);
	out_append_blob(r->out, blob, 0, blob->len);
	OUT_LITERAL(r->out, "\r\n");
}

static COLD void reply_real_number(struct reply *r, double value)
{
	char text[40];
	int len;

	if (isinf(value))
		len = snprintf(text, sizeof(text), "%s", value > 0 ? "inf" : "-inf");
	else if (isnan(value))
		len = snprintf(text, sizeof(text), "nan");
	else
		len = snprintf(text, sizeof(text), "%.17g", value);
	if (r->resp >= 3)
		line(r, ',', slice_of(text, (size_t)len));
	else
		reply_bulk_bytes(r, slice_of(text, (size_t)len));
}

static void reply_truth(struct reply *r, bool value)
{
	if (r->resp >= 3)
		line(r, '#', value ? SLICE_LITERAL("t") : SLICE_LITERAL("f"));
	else
		header(r, ':', value);
}

static void reply_verbatim_text(struct reply *r, const char format[3], struct slice text)
{
	if (r->resp < 3) {
		reply_bulk_bytes(r, text);
		return;
	}
	header(r, '=', (int64_t)text.len + 4);
	out_append(r->out, slice_of(format, 3));
	OUT_LITERAL(r->out, ":");
	out_append(r->out, text);
	OUT_LITERAL(r->out, "\r\n");
}

static void reply_null_value(struct reply *r)
{
	if (r->resp >= 3)
		OUT_LITERAL(r->out, "_\r\n");
	else
		OUT_LITERAL(r->out, "$-1\r\n");
}

static void reply_null_list(struct reply *r)
{
	if (r->resp >= 3)
		OUT_LITERAL(r->out, "_\r\n");
	else
		OUT_LITERAL(r->out, "*-1\r\n");
}

static void reply_array_of(struct reply *r, uint32_t count)
{
	header(r, '*', count);
}

static void reply_map_of(struct reply *r, uint32_t pairs)
{
	if (r->resp >= 3)
		header(r, '%', pairs);
	else
		header(r, '*', 2 * (int64_t)pairs);
}

static void reply_set_of(struct reply *r, uint32_t count)
{
	header(r, r->resp >= 3 ? '~' : '*', count);
}

static void reply_push_of(struct reply *r, uint32_t count)
{
	header(r, r->resp >= 3 ? '>' : '*', count);
}

static const struct reply_ops resp_reply_ops = {
	.status = reply_status_line,
	.error = reply_error_line,
	.integer = reply_integer_line,
	.real = reply_real_number,
	.boolean = reply_truth,
	.bulk = reply_bulk_bytes,
	.verbatim = reply_verbatim_text,
	.item_value = reply_item_bytes,
	.null = reply_null_value,
	.null_array = reply_null_list,
	.array = reply_array_of,
	.map = reply_map_of,
	.set = reply_set_of,
	.push = reply_push_of,
};

struct reply resp_reply(struct out *out, uint8_t version)
{
	return (struct reply){.ops = &resp_reply_ops, .out = out, .resp = version};
}
