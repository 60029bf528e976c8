/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_reply.h"

#include "base/number.h"

/*
 * RESP2 (the Redis serialisation protocol): GET, MGET and SET as arrays of bulk strings, and what
 * comes back.
 */

static void append_bulk_key(const struct load_space *space, uint64_t key, struct out *out)
{
	uint8_t text[LOAD_KEY_BYTES_MAX];
	uint32_t len = load_space_key(space, key, text);

	OUT_LITERAL(out, "$");
	out_append_u64(out, len);
	OUT_LITERAL(out, "\r\n");
	out_append(out, slice_of(text, len));
	OUT_LITERAL(out, "\r\n");
}

static void resp_encode(const struct load_space *space, const struct load_request *request,
			struct out *out)
{
	if (request->op == LOAD_SET) {
		OUT_LITERAL(out, "*3\r\n$3\r\nSET\r\n");
		append_bulk_key(space, request->keys[0], out);
		OUT_LITERAL(out, "$");
		out_append_u64(out, load_space_value_len(space, request->keys[0]));
		OUT_LITERAL(out, "\r\n");
		load_space_append_value(space, request->keys[0], out);
		OUT_LITERAL(out, "\r\n");
		return;
	}
	if (request->keys_count == 1) {
		OUT_LITERAL(out, "*2\r\n$3\r\nGET\r\n");
	} else {
		OUT_LITERAL(out, "*");
		out_append_u64(out, request->keys_count + 1u);
		OUT_LITERAL(out, "\r\n$4\r\nMGET\r\n");
	}
	for (uint32_t i = 0; i < request->keys_count; i++)
		append_bulk_key(space, request->keys[i], out);
}

/* "$len" or "$-1": the value of the next key. */
static enum load_line bulk(struct load_reader *r, const struct load_request *request, int64_t len)
{
	uint64_t key;

	if (request->op != LOAD_GET || r->keys_done == request->keys_count || len < -1)
		return LOAD_LINE_BAD;
	key = request->keys[r->keys_done];
	if (len >= 0)
		return load_reader_hit(r, key, (uint64_t)len,
				       r->keys_done + 1 == request->keys_count);
	load_reader_miss(r, key);
	return r->keys_done == request->keys_count ? LOAD_LINE_END : LOAD_LINE_NEXT;
}

static enum load_line resp_line(struct load_reader *r, const struct load_request *request,
				struct slice line)
{
	bool several = request->op == LOAD_GET && request->keys_count > 1;
	int64_t number = 0;

	if (line.len == 0)
		return LOAD_LINE_BAD;
	if (line.ptr[0] == '-' && r->lines == 0) {
		load_reader_error(r, line);
		return LOAD_LINE_END;
	}
	if (slice_equal(line, SLICE_LITERAL("+OK")))
		return request->op == LOAD_SET ? LOAD_LINE_END : LOAD_LINE_BAD;
	if (!number_parse_i64(slice_of(line.ptr + 1, line.len - 1), &number))
		return LOAD_LINE_BAD;
	if (line.ptr[0] == '*')
		return several && r->lines == 0 && number == request->keys_count ? LOAD_LINE_NEXT
										 : LOAD_LINE_BAD;
	if (line.ptr[0] != '$' || several != (r->lines > 0))
		return LOAD_LINE_BAD;
	return bulk(r, request, number);
}

const struct load_proto load_resp = {.encode = resp_encode, .line = resp_line};
