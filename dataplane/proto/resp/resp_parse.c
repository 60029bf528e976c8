/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp_internal.h"

#include "base/number.h"
#include "dataplane/proto/batch.h"
#include "dataplane/proto/landing.h"

/*
 * Requests as arrays of bulk strings: `*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n`. Called by session.c for
 * each request at the start of the input; arguments are slices of it. Like redis (networking.c of
 * 7.0) this wants a CR and any one byte behind a length, and does not look at the two bytes behind
 * an argument. Runs on the host's thread.
 */

// From here on an incomplete request remembers where it stands. Below, looking again is cheaper.
#define RESUME_MIN_BYTES 512

// "$0", CR LF, CR LF: what an argument takes at least.
#define ARGUMENT_MIN_BYTES 6

/* Redis' texts; clients' tests know some of them by heart. */
static const struct slice faults[] = {
	[RESP_NO_MEMORY] = SLICE_LITERAL("ERR out of memory"),
	[RESP_BIG_INLINE] = SLICE_LITERAL("ERR Protocol error: too big inline request"),
	[RESP_BIG_COUNT] = SLICE_LITERAL("ERR Protocol error: too big mbulk count string"),
	[RESP_BIG_LENGTH] = SLICE_LITERAL("ERR Protocol error: too big bulk count string"),
	[RESP_BAD_COUNT] = SLICE_LITERAL("ERR Protocol error: invalid multibulk length"),
	[RESP_BAD_LENGTH] = SLICE_LITERAL("ERR Protocol error: invalid bulk length"),
	[RESP_UNBALANCED] = SLICE_LITERAL("ERR Protocol error: unbalanced quotes in request"),
};

static enum parse_status refuse(struct request *request, const struct slice *text)
{
	request->detail = (void *)(uintptr_t)text;
	return PARSE_BAD;
}

enum parse_status resp_refuse(struct request *request, enum resp_fault fault)
{
	return refuse(request, &faults[fault]);
}

/* "ERR Protocol error: expected '$', got 'x'", as printf("%c") leaves it after redis' cleaning. */
static COLD enum parse_status refuse_type(struct request *request, uint8_t got)
{
	static const char text[] = "ERR Protocol error: expected '$', got '";
	struct slice *error =
		batch_alloc(request->session->host->batch, sizeof(*error) + sizeof(text) + 2);
	uint8_t *to = (uint8_t *)(error + 1);

	if (!error)
		return resp_refuse(request, RESP_NO_MEMORY);
	*error = slice_of(to, sizeof(text) - 1);
	memcpy(to, text, error->len);
	to[error->len++] = got == '\r' || got == '\n' ? ' ' : got;
	to[error->len++] = '\'';
	return refuse(request, error);
}

/* A line of a type byte and a number: at bytes[*at], past which it moves. */
struct length_line {
	uint8_t type;
	bool valid;
	int64_t value;
};

/* PARSE_BAD: there is no end of the line within SESSION_INLINE_MAX. */
static enum parse_status length_line_slow(struct slice bytes, size_t *at, struct length_line *line)
{
	const uint8_t *p = bytes.ptr + *at;
	size_t len = bytes.len - *at;
	size_t window = len < SESSION_INLINE_MAX + 1 ? len : SESSION_INLINE_MAX + 1;
	const uint8_t *cr = memchr(p, '\r', window);

	// Redis searches with strchr(), which a NUL ends.
	if (!cr || memchr(p, 0, (size_t)(cr - p)))
		return len > SESSION_INLINE_MAX ? PARSE_BAD : PARSE_MORE;
	if ((size_t)(cr - p) + 2 > len)
		return PARSE_MORE;
	line->type = p[0];
	line->valid =
		cr > p && number_parse_i64(slice_of(p + 1, (size_t)(cr - p) - 1), &line->value);
	*at += (size_t)(cr - p) + 2;
	return PARSE_OK;
}

/* Nearly all lengths have one or two digits. */
static ALWAYS_INLINE enum parse_status length_line(struct slice bytes, size_t *at, uint8_t type,
						   struct length_line *line)
{
	const uint8_t *p = bytes.ptr + *at;
	size_t len = bytes.len - *at;

	if (likely(len >= 5 && p[0] == type)) {
		uint8_t ones = (uint8_t)(p[1] - '0');

		line->type = type;
		line->valid = true;
		if (ones <= 9 && p[2] == '\r') {
			line->value = ones;
			*at += 4;
			return PARSE_OK;
		}
		uint8_t next = (uint8_t)(p[2] - '0');

		if (ones <= 9 && ones > 0 && next <= 9 && p[3] == '\r') {
			line->value = 10 * ones + next;
			*at += 5;
			return PARSE_OK;
		}
	}
	return length_line_slow(bytes, at, line);
}

/* Where a walk over the arguments stands. */
struct walk {
	size_t at;
	uint32_t left;
	struct slice *argv;  // NULL: only look whether they are all there
	struct blob **blobs; // NULL unless some have been landed
};

static void take_landed(struct request *request, struct walk *walk, const struct landing *landed)
{
	if (!landed->blob) {
		request->refused = true;
		*walk->argv = SLICE_LITERAL("");
		return;
	}
	*walk->argv = slice_of(landed->blob->bytes, landed->len);
	walk->blobs[request->argc - walk->left] = blob_ref(landed->blob);
}

static COLD enum parse_status refuse_length(struct request *request, const struct length_line *line)
{
	if (line->type != '$')
		return refuse_type(request, line->type);
	return resp_refuse(request, RESP_BAD_LENGTH);
}

static enum parse_status walk_arguments(struct slice bytes, struct request *request,
					struct walk *walk)
{
	struct session *session = request->session;
	int64_t max = (int64_t)session->host->limits->bulk_max_bytes;
	bool landings = session->partial && session->partial->landing_count > 0;

	for (; walk->left > 0; walk->left--) {
		const struct landing *landed;
		struct length_line line;
		size_t at = walk->at;
		enum parse_status status = length_line(bytes, &at, '$', &line);

		if (unlikely(status == PARSE_MORE))
			return status;
		if (unlikely(status == PARSE_BAD))
			return resp_refuse(request, RESP_BIG_LENGTH);
		if (unlikely(line.type != '$' || !line.valid || line.value < 0 || line.value > max))
			return refuse_length(request, &line);
		landed = unlikely(landings) ? landing_find(session, at) : NULL;

		size_t here = landed ? 0 : (size_t)line.value; // bytes of it that are in the input

		if (unlikely(bytes.len - at < here + 2)) {
			if (bytes.len - at < here)
				landing_want(session, at, here);
			return PARSE_MORE;
		}
		if (walk->argv) {
			if (unlikely(landed))
				take_landed(request, walk, landed);
			else
				*walk->argv = slice_of(bytes.ptr + at, here);
			walk->argv++;
		}
		walk->at = at + here + 2;
	}
	return PARSE_OK;
}

/* Remembers how far a long incomplete request is known to be fine. */
static void remember(struct session *session, const struct walk *walk)
{
	struct parse_state *state = session->partial;

	if (!state && walk->at >= RESUME_MIN_BYTES)
		state = landing_state(session);
	if (!state)
		return;
	state->scanned = walk->at;
	state->args_left = walk->left;
}

/* The count line. PARSE_OK with 0 arguments is an empty request. */
static enum parse_status count_line(struct slice bytes, struct request *request, size_t *at)
{
	struct length_line line;
	enum parse_status status = length_line(bytes, at, '*', &line);

	if (status == PARSE_MORE)
		return status;
	if (unlikely(status == PARSE_BAD))
		return resp_refuse(request, RESP_BIG_COUNT);
	if (unlikely(!line.valid || line.value > SESSION_ARGS_MAX))
		return resp_refuse(request, RESP_BAD_COUNT);
	request->argc = line.value > 0 ? (uint32_t)line.value : 0;
	return PARSE_OK;
}

/* Memory for the arguments, once it is plausible that they are all there. */
static bool allocate(struct request *request, struct walk *walk)
{
	struct batch *batch = request->session->host->batch;
	const struct parse_state *state = request->session->partial;

	walk->argv = batch_alloc(batch, request->argc * sizeof(*walk->argv));
	request->argv = walk->argv;
	if (!walk->argv)
		return false;
	if (likely(!state || state->landing_count == 0))
		return true;
	walk->blobs = batch_alloc(batch, request->argc * sizeof(*walk->blobs));
	if (!walk->blobs)
		return false;
	memset(walk->blobs, 0, request->argc * sizeof(*walk->blobs));
	request->blobs = walk->blobs;
	return true;
}

static enum parse_status parse_multibulk(struct session *session, struct slice bytes,
					 struct request *request, size_t *consumed)
{
	struct walk walk = {0};
	enum parse_status status = count_line(bytes, request, &walk.at);

	if (status != PARSE_OK)
		return status;
	if (request->argc == 0) {
		*consumed = walk.at;
		return PARSE_OK;
	}

	const struct walk first = {.at = walk.at, .left = request->argc};
	const struct parse_state *state = session->partial;

	walk.left = request->argc;
	if (unlikely(state && state->scanned > 0)) {
		// All but the end is known; take the arguments only when that is there too.
		walk = (struct walk){.at = state->scanned, .left = state->args_left};
		status = walk_arguments(bytes, request, &walk);
		if (status != PARSE_OK)
			goto incomplete;
		walk = first;
	}
	if (likely((bytes.len - walk.at) / ARGUMENT_MIN_BYTES >= request->argc) &&
	    unlikely(!allocate(request, &walk)))
		return resp_refuse(request, RESP_NO_MEMORY);
	status = walk_arguments(bytes, request, &walk);
	if (likely(status == PARSE_OK)) {
		*consumed = walk.at;
		return resp_resolve(request);
	}
incomplete:
	if (status == PARSE_MORE)
		remember(session, &walk);
	return status;
}

enum parse_status resp_parse(struct session *session, struct slice bytes, struct request *request,
			     size_t *consumed)
{
	if (likely(bytes.ptr[0] == '*'))
		return parse_multibulk(session, bytes, request, consumed);
	return resp_parse_inline(session, bytes, request, consumed);
}

/* Fills in the keys where the command's row says they are. */
static bool find_keys(struct request *request, const struct cmd *cmd)
{
	uint32_t count = session_key_count(cmd, request->argc);

	if (count == 0)
		return true;
	request->keys = batch_alloc(request->session->host->batch, count * sizeof(*request->keys));
	if (!request->keys)
		return false;
	for (uint32_t i = 0; i < count; i++)
		request->keys[i].bytes = request->argv[session_key_index(cmd, i)];
	request->key_count = count;
	return true;
}

/* A name of 3 to 8 bytes as a number; together with its length that is all of it. */
static uint64_t name_word(struct slice name)
{
	uint32_t low, high;

	if (name.len == 3)
		return name.ptr[0] | (uint32_t)name.ptr[1] << 8 | (uint32_t)name.ptr[2] << 16;
	memcpy(&low, name.ptr, 4);
	memcpy(&high, name.ptr + name.len - 4, 4);
	return (uint64_t)high << 32 | low;
}

/* The same few commands come all the time. What has its key in front is not a container. */
static const struct cmd *lookup(struct batch *batch, const struct request *request)
{
	struct slice name = request->argv[0];
	struct recent_cmd *recent;
	const struct cmd *cmd;
	uint64_t word;

	if (name.len < 3 || name.len > 8)
		return cmd_lookup(request->argv, request->argc);
	word = name_word(name);
	recent = &batch->recent[name.ptr[0] % BATCH_RECENT_COUNT];
	if (likely(recent->word == word && recent->len == name.len))
		return recent->cmd;
	cmd = cmd_lookup(request->argv, request->argc);
	if (cmd && cmd->first_key == 1)
		*recent = (struct recent_cmd){word, name.len, cmd};
	return cmd;
}

enum parse_status resp_resolve(struct request *request)
{
	const struct session_host *host = request->session->host;
	const struct cmd *cmd = lookup(host->batch, request);

	request->cmd = cmd;
	if (unlikely(!cmd))
		return PARSE_OK;
	request->alone = (cmd->flags & host->forward_flags) && host->ops->forward;
	if (unlikely(!find_keys(request, cmd)))
		return resp_refuse(request, RESP_NO_MEMORY);
	return PARSE_OK;
}
