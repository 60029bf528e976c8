/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/rng.h"
#include "dataplane/proto/batch.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/resp/resp_cases.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Bytes of a RESP client through a session and the whole engine: raw ones, the cases of the
 * parser's test with some bytes changed, commands with long values. Once in one piece, once in
 * random pieces with forwarded requests, a sink that is full again and again, and several feeds
 * per run.
 *
 * Oracles: the sanitizers (each piece is an allocation that is gone after its run); both ways
 * give the same replies and the same end; nothing is kept of a session that has no incomplete
 * request.
 */

#define STREAM_MAX   (96u << 10)
#define PIECES_MAX   1000 // of a stream: time goes into the small ones
#define PATCHES_MAX  4
#define LONG_MAX     70000
#define MEMORY_BYTES (64u << 20)

/* The fuzzer's bytes as they are used up; zeros behind their end. */
struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

/* Of the order in which keys are listed nothing is promised, so walks look for one key only. */
static const char *const commands[] = {
	"SET k v\r\n",
	"GET k\r\n",
	"MGET k l k\r\n",
	"MSET k 1 l 2\r\n",
	"APPEND k abc\r\n",
	"INCR k\r\n",
	"DEL k l\r\n",
	"HELLO 3\r\n",
	"HELLO 2\r\n",
	"CONFIG GET save\r\n",
	"KEYS k*\r\n",
	"SCAN 0 MATCH k COUNT 100000\r\n",
	"GETRANGE k 2 -2\r\n",
	"CLIENT LIST\r\n",
	"COMMAND COUNT\r\n",
	"FLUSHALL\r\n",
	"SET k v PX 100 GET\r\n",
	"OBJECT ENCODING k\r\n",
	"QUIT\r\n",
	"CLIENT INFO\r\n",
};

static void add_raw(struct input *input, struct out *out)
{
	for (uint32_t left = next_byte(input); left > 0 && input->left > 0; left--) {
		uint8_t byte = next_byte(input);

		out_append(out, slice_of(&byte, 1));
	}
}

static void add_case(struct input *input, struct out *out)
{
	const struct resp_case *c = &resp_cases[next_byte(input) % ARRAY_COUNT(resp_cases)];
	uint32_t patches = next_byte(input) % PATCHES_MAX;
	uint8_t *bytes = malloc(c->input.len);

	INVARIANT(bytes);
	memcpy(bytes, c->input.ptr, c->input.len);
	for (; patches > 0; patches--) {
		size_t at = next_byte(input) % c->input.len;

		bytes[at] = next_byte(input);
	}
	out_append(out, slice_of(bytes, c->input.len));
	free(bytes);
}

/* SET or MSET with values around SESSION_LANDING_MIN, or cut short. */
static void add_long(struct input *input, struct out *out)
{
	static uint8_t value[LONG_MAX];
	uint32_t values = 1 + next_byte(input) % 2;

	OUT_LITERAL(out, "*");
	out_append_u64(out, 1 + 2 * values);
	OUT_LITERAL(out, "\r\n$4\r\nMSET\r\n");
	for (; values > 0; values--) {
		uint8_t key = next_byte(input), fill = next_byte(input);
		uint32_t len = (next_byte(input) * 257u + key) % LONG_MAX;

		OUT_LITERAL(out, "$1\r\n");
		out_append(out, slice_of(&key, 1));
		OUT_LITERAL(out, "\r\n$");
		out_append_u64(out, len);
		OUT_LITERAL(out, "\r\n");
		if (fill == 0)
			len /= 2;
		memset(value, fill, len);
		out_append(out, slice_of(value, len));
		OUT_LITERAL(out, "\r\n");
	}
}

static void build_stream(struct input *input, struct fake_out *stream)
{
	while (input->left > 0 && fake_out_bytes(stream).len < STREAM_MAX) {
		uint8_t kind = next_byte(input) % 8;

		if (kind == 0)
			add_raw(input, &stream->out);
		else if (kind <= 3)
			add_case(input, &stream->out);
		else if (kind == 4)
			add_long(input, &stream->out);
		else
			out_append(
				&stream->out,
				slice_of_text(commands[next_byte(input) % ARRAY_COUNT(commands)]));
	}
}

/* Lets everything that waits go on, and collects what has been replied. */
static void settle(struct fake_session *f, struct out *replies)
{
	do {
		out_append(replies, fake_session_take(f));
		if (f->forward)
			fake_session_reply(f);
		else
			session_drained(&f->session);
	} while (f->session.blocked);
	out_append(replies, fake_session_take(f));
}

/* One client's life. Returns whether the session wanted to close. */
static bool run(struct slice stream, struct rng *rng, struct out *replies)
{
	struct fake_session *f = malloc(sizeof(*f));
	uint32_t piece_min = (uint32_t)(stream.len / PIECES_MAX) + 1;
	uint32_t piece_max = rng ? piece_min + rng_below(rng, 1u << rng_below(rng, 17)) : 0;
	bool closing;

	INVARIANT(f);
	fake_session_init(f, SESSION_RESP);
	table_limits(f->table)->maxmemory_bytes = MEMORY_BYTES;
	f->full_bytes = rng ? rng_below(rng, 200) : 0;
	for (size_t at = 0, len; at < stream.len; at += len) {
		len = rng ? 1 + rng_below(rng, piece_max) : stream.len;
		if (len > stream.len - at)
			len = stream.len - at;
		if (rng && rng_below(rng, 3) == 0) {
			fake_session_feed(f, slice_of(stream.ptr + at, len));
			continue;
		}
		fake_session_send(f, slice_of(stream.ptr + at, len));
		settle(f, replies);
	}
	fake_session_send(f, slice_of(NULL, 0));
	settle(f, replies);
	closing = f->session.closing;
	INVARIANT(f->host.batch->count == 0);
	INVARIANT(!closing || (!f->session.stash && !f->session.partial));
	fake_session_fini(f);
	free(f);
	return closing;
}

static bool contains(struct slice text, const char *word)
{
	return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static void compare(const struct fake_out *whole, const struct fake_out *pieces)
{
	struct slice a = fake_out_bytes(whole), b = fake_out_bytes(pieces);

	// Where memory ends depends on how soon replaced values are freed.
	if (slice_equal(a, b) || contains(a, "-OOM") || contains(b, "-OOM"))
		return;
	fprintf(stderr, "whole:  %.*s\npieces: %.*s\n", (int)a.len, (const char *)a.ptr, (int)b.len,
		(const char *)b.ptr);
	contract_failed("ORACLE", "same replies whatever the pieces", __FILE__, __LINE__);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct rng rng = rng_seeded(next_byte(&input));
	struct fake_out stream, whole, pieces;

	fake_out_init(&stream);
	fake_out_init(&whole);
	fake_out_init(&pieces);
	build_stream(&input, &stream);

	bool closed_whole = run(fake_out_bytes(&stream), NULL, &whole.out);
	bool closed_pieces = run(fake_out_bytes(&stream), &rng, &pieces.out);

	compare(&whole, &pieces);
	INVARIANT(closed_whole == closed_pieces);
	fake_out_fini(&stream);
	fake_out_fini(&whole);
	fake_out_fini(&pieces);
	return 0;
}
