/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_reply.h"

#include <stdio.h>

/*
 * The reader of replies. The engine feeds it what a connection receives; it asks the protocol what
 * each line means and checks bodies itself.
 */

#define CRLF_BYTES 2

void load_reader_init(struct load_reader *r, const struct load_space *space,
		      const struct load_proto *proto)
{
	r->space = space;
	r->proto = proto;
	load_reader_next(r);
}

void load_reader_next(struct load_reader *r)
{
	r->lines = r->keys_done = r->left = r->hits = r->misses = 0;
	r->wrong = r->refused = r->in_body = r->last = false;
	r->line_len = 0;
	r->why[0] = '\0';
}

static void find_wrong(struct load_reader *r, uint64_t key, const char *what)
{
	uint8_t text[LOAD_KEY_BYTES_MAX];
	uint32_t len = load_space_key(r->space, key, text);

	if (!r->wrong)
		snprintf(r->why, sizeof(r->why), "%.*s: %s", (int)(len < 64 ? len : 64),
			 (const char *)text, what);
	r->wrong = true;
}

enum load_line load_reader_hit(struct load_reader *r, uint64_t key, uint64_t len, bool last)
{
	r->hits++;
	r->keys_done++;
	r->in_body = true;
	r->last = last;
	r->body_len = len + CRLF_BYTES;
	r->body_at = 0;
	r->expected = load_space_value(r->space, key);
	if (r->space->options->verify == LOAD_VERIFY_NONE)
		r->expected.len = 0;
	else if (r->expected.len != len)
		find_wrong(r, key, "the value has another length");
	return LOAD_LINE_BODY;
}

void load_reader_miss(struct load_reader *r, uint64_t key)
{
	r->misses++;
	r->keys_done++;
	if (r->space->options->verify == LOAD_VERIFY_HITS)
		find_wrong(r, key, "there is no such key");
}

void load_reader_error(struct load_reader *r, struct slice line)
{
	if (line.len == 0)
		line = SLICE_LITERAL("an empty line");
	if (!r->refused)
		snprintf(r->why, sizeof(r->why), "%.*s", (int)(line.len < 120 ? line.len : 120),
			 (const char *)line.ptr);
	r->refused = true;
}

/* A part of a body, which ends in CRLF. */
static void check_body(struct load_reader *r, const struct load_request *request, struct slice part)
{
	static const uint8_t crlf[] = "\r\n";
	uint64_t value_len = r->body_len - CRLF_BYTES;
	uint64_t key = request->keys[r->keys_done - 1];

	if (r->body_at < value_len) {
		size_t len = part.len < value_len - r->body_at ? part.len
							       : (size_t)(value_len - r->body_at);

		if (r->body_at + len <= r->expected.len &&
		    memcmp(part.ptr, r->expected.ptr + r->body_at, len) != 0)
			find_wrong(r, key, "the value has other bytes");
		part.ptr += len;
		part.len -= len;
		r->body_at += len;
	}
	if (part.len == 0)
		return;
	if (memcmp(part.ptr, crlf + (r->body_at - value_len), part.len) != 0)
		find_wrong(r, key, "the value does not end where it should");
	r->body_at += part.len;
}

/* One line out of *data: whole where it lies, or put together in r->line. False: more is needed. */
static bool take_line(struct load_reader *r, struct slice *data, struct slice *line)
{
	const uint8_t *end = memchr(data->ptr, '\n', data->len);
	size_t len = end ? (size_t)(end - data->ptr) + 1 : data->len;

	*line = slice_of(data->ptr, len);
	if (r->line_len > 0 || !end) {
		size_t room = sizeof(r->line) - r->line_len;
		size_t part = len < room ? len : room; // what is longer is no line of ours anyway

		memcpy(r->line + r->line_len, data->ptr, part);
		r->line_len += (uint32_t)part;
		*line = slice_of(r->line, r->line_len);
	}
	data->ptr += len;
	data->len -= len;
	if (!end)
		return false;
	r->line_len = 0;
	while (line->len > 0 &&
	       (line->ptr[line->len - 1] == '\n' || line->ptr[line->len - 1] == '\r'))
		line->len--;
	return true;
}

enum load_reply_status load_reader_feed(struct load_reader *r, const struct load_request *request,
					struct slice *data)
{
	while (data->len > 0) {
		struct slice line;

		if (r->in_body) {
			uint64_t left = r->body_len - r->body_at;
			size_t len = data->len < left ? data->len : (size_t)left;

			check_body(r, request, slice_of(data->ptr, len));
			data->ptr += len;
			data->len -= len;
			if (len < left)
				return LOAD_REPLY_MORE;
			r->in_body = false;
			if (r->last)
				return LOAD_REPLY_DONE;
			continue;
		}
		if (!take_line(r, data, &line))
			return LOAD_REPLY_MORE;
		switch (r->proto->line(r, request, line)) {
		case LOAD_LINE_NEXT:
		case LOAD_LINE_BODY:
			r->lines++;
			break;
		case LOAD_LINE_END:
			return LOAD_REPLY_DONE;
		case LOAD_LINE_BAD:
			load_reader_error(r, line);
			return LOAD_REPLY_BAD;
		}
	}
	return LOAD_REPLY_MORE;
}
