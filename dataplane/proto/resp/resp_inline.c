/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp_internal.h"

#include "dataplane/proto/batch.h"

/*
 * Requests as lines of words, for people with telnet and for redis-benchmark's first PING. Quoting
 * is that of redis' sdssplitargs(): "..." with escapes, '...' with \' only, and a closing quote
 * ends its word. Called by resp_parse() for input that does not begin with '*'. Runs on the host's
 * thread.
 */

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Text to split, and what has been split off. Beyond its end a line reads as NUL. */
struct splitter {
	struct slice line;
	size_t at;
	uint8_t *to; // unescaped bytes go here; the line's length suffices
};

static uint8_t peek(const struct splitter *s, size_t ahead)
{
	return s->at + ahead < s->line.len ? s->line.ptr[s->at + ahead] : 0;
}

/* A backslash within double quotes, with what it stands for. */
static void unescape(struct splitter *s)
{
	static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
	uint8_t c = peek(s, 1);
	int high = hex_digit(peek(s, 2)), low = hex_digit(peek(s, 3));

	if (c == 'x' && high >= 0 && low >= 0) {
		*s->to++ = (uint8_t)(high << 4 | low);
		s->at += 4;
		return;
	}
	const char *escape = strchr(from, c);

	*s->to++ = escape ? (uint8_t)to[escape - from] : c;
	s->at += 2;
}

/* The rest of a word, from behind its opening quote. False: the quotes are not balanced. */
static bool split_quoted(struct splitter *s, uint8_t quote)
{
	for (;;) {
		uint8_t c = peek(s, 0);

		if (c == 0)
			return false;
		if (c == '\\' && quote == '"' && peek(s, 1) != 0) {
			unescape(s);
		} else if (c == '\\' && quote == '\'' && peek(s, 1) == '\'') {
			*s->to++ = '\'';
			s->at += 2;
		} else if (c == quote) {
			s->at++;
			return peek(s, 0) == 0 || is_blank(peek(s, 0));
		} else {
			*s->to++ = c;
			s->at++;
		}
	}
}

/* One word. False: the quotes are not balanced. */
static bool split_word(struct splitter *s)
{
	for (;;) {
		uint8_t c = peek(s, 0);

		if (c == 0 || c == ' ' || c == '\n' || c == '\r' || c == '\t')
			return true;
		s->at++;
		if (c == '"' || c == '\'')
			return split_quoted(s, c);
		*s->to++ = c;
	}
}

/* Splits the line into argv, or only counts the words when that is NULL. */
static bool split(struct slice line, uint8_t *text, struct slice *argv, uint32_t *argc)
{
	struct splitter s = {.line = line, .to = text};

	for (*argc = 0;; ++*argc) {
		while (is_blank(peek(&s, 0)))
			s.at++;
		if (peek(&s, 0) == 0)
			return true;

		uint8_t *word = s.to;

		if (!split_word(&s))
			return false;
		if (argv)
			argv[*argc] = slice_of(word, (size_t)(s.to - word));
	}
}

static enum parse_status take_words(struct slice line, struct request *request)
{
	struct batch *batch = request->session->host->batch;
	uint8_t *text = batch_alloc(batch, line.len + 1);
	struct slice *argv;

	if (!text)
		return resp_refuse(request, RESP_NO_MEMORY);
	if (!split(line, text, NULL, &request->argc))
		return resp_refuse(request, RESP_UNBALANCED);
	if (request->argc == 0)
		return PARSE_OK;
	argv = batch_alloc(batch, request->argc * sizeof(*argv));
	if (!argv)
		return resp_refuse(request, RESP_NO_MEMORY);
	split(line, text, argv, &request->argc);
	request->argv = argv;
	return resp_resolve(request);
}

enum parse_status resp_parse_inline(struct session *session, struct slice bytes,
				    struct request *request, size_t *consumed)
{
	size_t window = bytes.len < SESSION_INLINE_MAX + 1 ? bytes.len : SESSION_INLINE_MAX + 1;
	const uint8_t *end = memchr(bytes.ptr, '\n', window);
	size_t len;

	// Redis searches with strchr(), which a NUL ends.
	if (!end || memchr(bytes.ptr, 0, (size_t)(end - bytes.ptr))) {
		if (bytes.len > SESSION_INLINE_MAX)
			return resp_refuse(request, RESP_BIG_INLINE);
		return PARSE_MORE;
	}
	len = (size_t)(end - bytes.ptr);
	*consumed = len + 1;
	if (len > 0 && bytes.ptr[len - 1] == '\r')
		len--;
	return take_words(slice_of(bytes.ptr, len), request);
}
