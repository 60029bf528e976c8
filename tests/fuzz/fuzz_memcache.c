/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_auth.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/memcache/mc_cases.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Bytes of a memcached client through a session, the engine and the table, twice from an empty
 * keyspace: in one piece, and cut to shreds. The input picks conversations of the parser's test,
 * changes bytes of them and mixes in bytes of its own. In some the client has to say first who it
 * is.
 *
 * Oracles: the sanitizers; the same replies, the same end of the connection and the same values
 * left behind however the bytes were cut.
 */

#define STREAM_MAX  (64u << 10) // bytes of one conversation
#define RAW_MAX     255
#define PATCHES_MAX 8
#define SHOWN       200 // bytes before a difference, and behind it
#define USER        "joe:secret\n"
#define LOGIN       "set a 0 0 10\r\njoe secret\r\n"

/* The fuzzer's bytes as they are used up; zeros behind their end. */
struct input {
	const uint8_t *at;
	size_t left;
};

static struct fake_session f;
static struct mc_users *users;

static uint8_t next_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

/* The next piece of the conversation, at `to`; returns its length. */
static size_t next_piece(struct input *input, uint8_t *to)
{
	size_t kind = next_byte(input) % (ARRAY_COUNT(mc_cases) + 16);
	size_t len;

	if (kind == ARRAY_COUNT(mc_cases)) {
		memcpy(to, LOGIN, sizeof(LOGIN) - 1);
		return sizeof(LOGIN) - 1;
	}
	if (kind > ARRAY_COUNT(mc_cases)) {
		len = next_byte(input) % RAW_MAX;
		for (size_t i = 0; i < len; i++)
			to[i] = next_byte(input);
		return len;
	}
	len = mc_cases[kind].input.len;
	memcpy(to, mc_cases[kind].input.ptr, len);
	for (int patches = next_byte(input) % PATCHES_MAX; patches > 0 && len > 0; patches--) {
		size_t at = next_byte(input);

		to[(at | (size_t)next_byte(input) << 8) % len] = next_byte(input);
	}
	return len;
}

/* What one way of cutting has come to. */
struct outcome {
	struct slice reply; // an allocation
	bool closing;
};

/* Where the engine forwards a request, its reply is awaited before going on, as a host does. */
static void send_piece(struct slice piece)
{
	fake_session_send(&f, piece);
	while (f.forward)
		fake_session_reply(&f);
}

static void append(struct outcome *o, struct slice reply)
{
	uint8_t *bytes = realloc((void *)(uintptr_t)o->reply.ptr, o->reply.len + reply.len + 1);

	if (!bytes)
		abort();
	if (reply.len > 0)
		memcpy(bytes + o->reply.len, reply.ptr, reply.len);
	o->reply = slice_of(bytes, o->reply.len + reply.len);
}

/* Sends all of it from an empty keyspace, in pieces of up to step_max bytes; 0: in one piece. */
static struct outcome converse(struct slice stream, uint32_t step_max, struct rng *rng)
{
	kv_flush_schedule(0);
	table_flush(f.tt);
	fake_session_renew(&f, SESSION_MEMCACHE);
	while (stream.len > 0) {
		size_t step = step_max > 0 ? 1 + rng_below(rng, step_max) : stream.len;

		if (step > stream.len)
			step = stream.len;
		send_piece(slice_of(stream.ptr, step));
		stream = slice_of(stream.ptr + step, stream.len - step);
	}
	struct slice reply = fake_session_take(&f);
	struct outcome outcome = {.closing = f.session.closing};

	append(&outcome, reply);
	fake_session_renew(&f, SESSION_MEMCACHE);
	send_piece(SLICE_LITERAL("get a b c n\r\n"));
	append(&outcome, fake_session_take(&f));
	return outcome;
}

/*
 * Uniques and statistics may depend on the turns of housekeeping: where that last word of a line
 * begins, or 0.
 */
static size_t varying_word(struct slice reply, size_t at)
{
	bool value = reply.len - at > 6 && memcmp(reply.ptr + at, "VALUE ", 6) == 0;
	bool stat = reply.len - at > 5 && memcmp(reply.ptr + at, "STAT ", 5) == 0;
	int blanks = value ? 4 : 2;

	if (!value && !stat)
		return 0;
	for (size_t i = at; i < reply.len && reply.ptr[i] != '\r'; i++)
		if (reply.ptr[i] == ' ' && --blanks == 0)
			return i;
	return 0;
}

/* The same of a meta command's answer: whether digits begin here that are a unique. */
static bool unique_begins(struct slice reply, size_t at)
{
	if (at < 4 || reply.ptr[at] < '0' || reply.ptr[at] > '9')
		return false;
	return memcmp(reply.ptr + at - 2, " c", 2) == 0 ||
	       memcmp(reply.ptr + at - 4, "cas=", 4) == 0;
}

static size_t skip_digits(struct slice reply, size_t at)
{
	while (at < reply.len && reply.ptr[at] >= '0' && reply.ptr[at] <= '9')
		at++;
	return at;
}

/* Dumps list keys in the order of the index, which is as large as earlier inputs have left it. */
static size_t skip_dump(struct slice reply, size_t at)
{
	while ((reply.len - at > 4 && memcmp(reply.ptr + at, "key=", 4) == 0) ||
	       (reply.len - at > 3 && memcmp(reply.ptr + at, "mg ", 3) == 0)) {
		const uint8_t *end = memchr(reply.ptr + at, '\n', reply.len - at);

		if (!end)
			return at;
		at = (size_t)(end + 1 - reply.ptr);
	}
	return at;
}

/* What differs, for whoever looks into it: some of both before and behind the place. */
static void require_equal(struct slice a, size_t i, struct slice b, size_t j)
{
	if (i < a.len && j < b.len && a.ptr[i] == b.ptr[j])
		return;
	size_t a_from = i > SHOWN ? i - SHOWN : 0, b_from = j > SHOWN ? j - SHOWN : 0;

	fprintf(stderr, "in one piece: '%.*s'\nin shreds: '%.*s'\n",
		(int)(a.len - a_from < 2 * SHOWN ? a.len - a_from : 2 * SHOWN),
		(const char *)a.ptr + a_from,
		(int)(b.len - b_from < 2 * SHOWN ? b.len - b_from : 2 * SHOWN),
		(const char *)b.ptr + b_from);
	REQUIRE(!"the same replies");
}

static void require_same(struct slice a, struct slice b)
{
	size_t i = 0, j = 0, word_i = 0, word_j = 0;

	while (i < a.len && j < b.len) {
		if (i == 0 || a.ptr[i - 1] == '\n') {
			i = skip_dump(a, i);
			j = skip_dump(b, j);
			if (i == a.len || j == b.len)
				break;
			word_i = varying_word(a, i);
			word_j = varying_word(b, j);
			REQUIRE((word_i > 0) == (word_j > 0));
		}
		if (unique_begins(a, i) && unique_begins(b, j)) {
			i = skip_digits(a, i);
			j = skip_digits(b, j);
			continue;
		}
		require_equal(a, i, b, j);
		if (i == word_i && i > 0) {
			while (i + 1 < a.len && a.ptr[i + 1] != '\r')
				i++;
			while (j + 1 < b.len && b.ptr[j + 1] != '\r')
				j++;
		}
		i++;
		j++;
	}
	REQUIRE(i == a.len && j == b.len);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * With the table gone, whatever is left has leaked; before, its tagged pointers hide what it
 * holds.
 */
static void finish(void)
{
	fake_session_fini(&f);
	mc_users_free(users);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint32_t line;

	users = mc_users_parse(SLICE_LITERAL(USER), &line);
	REQUIRE(users);
	fake_session_init(&f, SESSION_MEMCACHE);
	// Uniques far from any that the input is likely to name.
	table_set_time(f.tt, f.cmd.now_ms, 1ULL << 50);
	return atexit(finish);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stream[STREAM_MAX];
	struct input input = {data, size};
	uint8_t seed = next_byte(&input);
	struct rng rng = rng_seeded(seed);
	uint32_t step_max = 1 + next_byte(&input);
	size_t len = 0;

	atomic_store(&f.limits.mc_users, seed % 8 == 7 ? users : NULL);
	while (input.left > 0 && len < STREAM_MAX / 2)
		len += next_piece(&input, stream + len);
	struct outcome whole = converse(slice_of(stream, len), 0, &rng);
	struct outcome cut = converse(slice_of(stream, len), step_max, &rng);

	REQUIRE(whole.closing == cut.closing);
	require_same(whole.reply, cut.reply);
	free((void *)(uintptr_t)whole.reply.ptr);
	free((void *)(uintptr_t)cut.reply.ptr);
	return 0;
}
