/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_reply.h"

#include "base/number.h"

/*
 * memcached's text protocol (get, set) and its meta commands (mg, ms): doc/protocol.txt of
 * memcached 1.6.
 */

static void append_key(const struct load_space *space, uint64_t key, struct out *out)
{
	uint8_t text[LOAD_KEY_BYTES_MAX];

	out_append(out, slice_of(text, load_space_key(space, key, text)));
}

static void append_value(const struct load_space *space, uint64_t key, struct out *out)
{
	out_append_u64(out, load_space_value_len(space, key));
	OUT_LITERAL(out, "\r\n");
	load_space_append_value(space, key, out);
	OUT_LITERAL(out, "\r\n");
}

static void text_encode(const struct load_space *space, const struct load_request *request,
			struct out *out)
{
	if (request->op == LOAD_SET) {
		OUT_LITERAL(out, "set ");
		append_key(space, request->keys[0], out);
		OUT_LITERAL(out, " 0 0 ");
		append_value(space, request->keys[0], out);
		return;
	}
	OUT_LITERAL(out, "get");
	for (uint32_t i = 0; i < request->keys_count; i++) {
		OUT_LITERAL(out, " ");
		append_key(space, request->keys[i], out);
	}
	OUT_LITERAL(out, "\r\n");
}

static void meta_encode(const struct load_space *space, const struct load_request *request,
			struct out *out)
{
	if (request->op == LOAD_SET) {
		OUT_LITERAL(out, "ms ");
		append_key(space, request->keys[0], out);
		OUT_LITERAL(out, " ");
		append_value(space, request->keys[0], out);
		return;
	}
	OUT_LITERAL(out, "mg ");
	append_key(space, request->keys[0], out);
	OUT_LITERAL(out, " v\r\n");
}

/* The next word of a line; the line begins behind it then. Empty at the end. */
static struct slice word(struct slice *line)
{
	struct slice w = *line;
	const uint8_t *space;

	while (w.len > 0 && w.ptr[0] == ' ') {
		w.ptr++;
		w.len--;
	}
	space = memchr(w.ptr, ' ', w.len);
	*line = slice_of(space ? space : w.ptr + w.len,
			 space ? w.len - (size_t)(space - w.ptr) : 0);
	w.len -= line->len;
	return w;
}

static bool is_error(struct slice line)
{
	static const char *const starts[] = {"ERROR",      "CLIENT_ERROR", "SERVER_ERROR",
					     "NOT_STORED", "NS",           "EXISTS"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		size_t len = strlen(starts[i]);

		if (line.len >= len && memcmp(line.ptr, starts[i], len) == 0)
			return true;
	}
	return false;
}

/* "VALUE key flags len": keys that the server passes over, it does not have. */
static enum load_line value_line(struct load_reader *r, const struct load_request *request,
				 struct slice rest)
{
	struct slice name = word(&rest), flags = word(&rest), len = word(&rest);
	uint64_t bytes, ignored;

	if (!number_parse_u64(flags, &ignored) || !number_parse_u64(len, &bytes))
		return LOAD_LINE_BAD;
	while (r->keys_done < request->keys_count) {
		uint8_t text[LOAD_KEY_BYTES_MAX];
		uint64_t key = request->keys[r->keys_done];

		if (slice_equal(name, slice_of(text, load_space_key(r->space, key, text))))
			return load_reader_hit(r, key, bytes, false);
		load_reader_miss(r, key);
	}
	return LOAD_LINE_BAD; // a key that was not asked for
}

static enum load_line text_line(struct load_reader *r, const struct load_request *request,
				struct slice line)
{
	struct slice rest = line;

	if (is_error(line)) {
		load_reader_error(r, line);
		return LOAD_LINE_END;
	}
	if (request->op == LOAD_SET)
		return slice_equal(line, SLICE_LITERAL("STORED")) ? LOAD_LINE_END : LOAD_LINE_BAD;
	if (slice_equal(line, SLICE_LITERAL("END"))) {
		while (r->keys_done < request->keys_count)
			load_reader_miss(r, request->keys[r->keys_done]);
		return LOAD_LINE_END;
	}
	if (!slice_equal(word(&rest), SLICE_LITERAL("VALUE")))
		return LOAD_LINE_BAD;
	return value_line(r, request, rest);
}

static enum load_line meta_line(struct load_reader *r, const struct load_request *request,
				struct slice line)
{
	struct slice rest = line, code = word(&rest);
	uint64_t bytes;

	if (is_error(line)) {
		load_reader_error(r, line);
		return LOAD_LINE_END;
	}
	if (request->op == LOAD_SET)
		return slice_equal(code, SLICE_LITERAL("HD")) ? LOAD_LINE_END : LOAD_LINE_BAD;
	if (slice_equal(code, SLICE_LITERAL("EN"))) {
		load_reader_miss(r, request->keys[0]);
		return LOAD_LINE_END;
	}
	if (!slice_equal(code, SLICE_LITERAL("VA")) || !number_parse_u64(word(&rest), &bytes))
		return LOAD_LINE_BAD;
	return load_reader_hit(r, request->keys[0], bytes, true);
}

const struct load_proto load_mc_text = {.encode = text_encode, .line = text_line};
const struct load_proto load_mc_meta = {.encode = meta_encode, .line = meta_line};
