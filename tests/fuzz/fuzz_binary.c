/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/rng.h"
#include "dataplane/proto/memcache/mc_binary.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/memcache/mc_binary_cases.h"

#include <stdlib.h>

/*
 * Packets of a memcached client through a session, the engine and the table, twice from an empty
 * keyspace: in one piece, and cut to shreds. The input picks conversations of the parser's test,
 * changes bytes of them and mixes in bytes of its own.
 *
 * Oracles: the sanitizers; the same answers but for uniques, and the same end of the connection,
 * however the bytes were cut.
 */

#define STREAM_MAX (64u << 10)
#define RAW_MAX    255
#define CAS_AT     16
#define CAS_BYTES  8

struct input {
	const uint8_t *at;
	size_t left;
};

static struct fake_session f;

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static size_t next_piece(struct input *input, uint8_t *to)
{
	size_t kind = next_byte(input) % (ARRAY_COUNT(mc_binary_cases) + 4);
	size_t len;

	if (kind >= ARRAY_COUNT(mc_binary_cases)) {
		len = next_byte(input) % RAW_MAX;
		for (size_t i = 0; i < len; i++)
			to[i] = next_byte(input);
		return len;
	}
	len = mc_binary_cases[kind].input.len;
	memcpy(to, mc_binary_cases[kind].input.ptr, len);
	for (int patches = next_byte(input) % 4; patches > 0 && len > 0; patches--) {
		size_t at = next_byte(input);

		to[(at | (size_t)next_byte(input) << 8) % len] = next_byte(input);
	}
	return len;
}

struct outcome {
	uint8_t *bytes;
	size_t len;
	bool closing;
};

/* Uniques are blanked out, and so are the figures of `stat`, which tell the time. */
static struct outcome take(void)
{
	struct slice got = fake_session_take(&f);
	struct outcome o = {malloc(got.len + 1), 0, f.session.closing};

	INVARIANT(o.bytes);
	for (size_t at = 0; at < got.len;) {
		const struct mc_binary_header *h = (const void *)(got.ptr + at);
		size_t len = sizeof(*h);

		INVARIANT(got.len - at >= len && h->magic == MC_BINARY_RESPONSE);
		len += be32_to_host(h->body_len);
		INVARIANT(got.len - at >= len);
		INVARIANT((size_t)h->extras_len + be16_to_host(h->key_len) <=
			  be32_to_host(h->body_len));
		if (h->opcode != MC_BINARY_STAT) {
			memcpy(o.bytes + o.len, got.ptr + at, len);
			memset(o.bytes + o.len + CAS_AT, 0, CAS_BYTES);
			o.len += len;
		}
		at += len;
	}
	return o;
}

static struct outcome send(struct slice stream, struct rng *rng, uint32_t step_max)
{
	table_flush(f.tt);
	fake_session_renew(&f, SESSION_MEMCACHE);
	// The first packet chooses the protocol.
	fake_session_send(&f, slice_of("\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24));
	while (stream.len > 0) {
		size_t step = step_max ? 1 + rng_below(rng, step_max) : stream.len;

		if (step > stream.len)
			step = stream.len;
		fake_session_send(&f, slice_of(stream.ptr, step));
		while (f.forward)
			fake_session_reply(&f);
		stream = slice_of(stream.ptr + step, stream.len - step);
	}
	return take();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With the table gone, whatever is left has leaked. */
static void finish(void)
{
	fake_session_fini(&f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	// Uniques far from any that the input is likely to name.
	table_set_time(f.tt, f.cmd.now_ms, 1ULL << 50);
	return atexit(finish);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stream[STREAM_MAX];
	struct input input = {data, size};
	struct rng rng = rng_seeded(next_byte(&input));
	uint32_t step_max = 1 + next_byte(&input);
	struct outcome whole, cut;
	size_t len = 0;

	while (input.left > 0 && len < STREAM_MAX / 2)
		len += next_piece(&input, stream + len);
	whole = send(slice_of(stream, len), &rng, 0);
	cut = send(slice_of(stream, len), &rng, step_max);
	REQUIRE(whole.len == cut.len && memcmp(whole.bytes, cut.bytes, whole.len) == 0);
	REQUIRE(whole.closing == cut.closing);
	free(whole.bytes);
	free(cut.bytes);
	return 0;
}
