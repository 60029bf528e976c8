/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/batch.h"
#include "dataplane/proto/memcache/mc_auth.h"
#include "dataplane/proto/memcache/mc_internal.h"

#include "dataplane/command/kv_number.h"

/*
 * The text protocol of a client that has not said yet who it is (memcached -Y, doc/protocol.txt
 * "Authentication"): "set KEY FLAGS EXPTIME BYTES", whatever key, flags and exptime are, and a
 * block of a name and a password. Everything else is refused. Behaviour of memcached 1.6.18, but
 * that what comes with a refused line is answered, too, and that a block is bounded.
 */

#define WORDS_NEEDED 5

static const struct mc_line line_unauthenticated = {
	.op = MC_REPLY,
	.text = SLICE_LITERAL("CLIENT_ERROR unauthenticated"),
	.malformed = true,
};
static const struct mc_line line_too_long = {.op = MC_QUIT, .malformed = true};

static enum parse_status answer(struct request *r, const struct mc_line *line)
{
	r->detail = (void *)(uintptr_t)line;
	return PARSE_OK;
}

/* set KEY FLAGS EXPTIME BYTES; a line end of CR LF leaves its CR behind the number. */
static bool announces(struct slice text, uint32_t *bytes)
{
	struct slice word[WORDS_NEEDED];

	if (text.len > 0 && text.ptr[text.len - 1] == '\r')
		text.len--;
	for (uint32_t i = 0; i < WORDS_NEEDED; i++)
		word[i] = mc_token(&text);
	return slice_equal(word[0], SLICE_LITERAL("set")) && kv_number_u32(word[4], bytes) &&
	       *bytes <= MC_AUTH_DATA_MAX;
}

enum parse_status mc__auth_parse(struct session *s, struct slice bytes, struct request *r,
				 size_t *consumed)
{
	const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
	size_t at = end ? (size_t)(end - bytes.ptr) + 1 : 0;
	uint32_t len;

	if (!end && bytes.len <= MC_LINE_MAX)
		return PARSE_MORE;
	if (!end || at > MC_LINE_MAX + 1) {
		answer(r, &line_too_long);
		return PARSE_BAD;
	}
	if (!announces(slice_of(bytes.ptr, at - 1), &len)) {
		*consumed = at;
		return answer(r, &line_unauthenticated);
	}
	if (bytes.len - at < len + 2)
		return PARSE_MORE;
	*consumed = at + len + 2;
	struct mc_line *line = batch_alloc(s->host->batch, sizeof(*line));

	if (!line)
		return answer(r, &line_unauthenticated);
	*line = (struct mc_line){.op = MC_AUTH, .text = slice_of(bytes.ptr + at, len)};
	line->malformed = memcmp(bytes.ptr + at + len, "\r\n", 2) != 0;
	r->alone = true; // what comes behind it depends on the outcome
	return answer(r, line);
}

void mc__auth_run(const struct mc_call *c)
{
	struct client *client = &c->request->session->client;
	const struct mc_users *users = mc__users(c->host);
	enum mc_auth_result result = MC_AUTH_GOOD; // nobody is asked any more

	if (c->line->malformed) {
		MC_ANSWER(c, "CLIENT_ERROR bad command line termination");
		return;
	}
	if (users)
		result = mc_auth_words(users, c->line->text);
	if (result == MC_AUTH_NO_PAIR) {
		MC_ANSWER(c, "CLIENT_ERROR bad authentication token format");
		return;
	}
	mc__count_auth(c->counters, result == MC_AUTH_GOOD);
	if (result == MC_AUTH_GOOD) {
		client->authenticated = users != NULL;
		MC_ANSWER(c, "STORED");
	} else {
		MC_ANSWER(c, "CLIENT_ERROR authentication failure");
	}
}
