/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp.h"

#include "base/rng.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/resp/resp_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * Requests from bytes, whatever the pieces they come in. What was parsed is written down, not
 * executed.
 */

static void record_run(struct session_host *host, struct request *r)
{
	struct out *out = host->ops->out(r->session);

	if (r->detail) {
		OUT_LITERAL(out, "-");
		out_append(out, *(const struct slice *)r->detail);
		OUT_LITERAL(out, "\nclosed\n");
		r->session->closing = true;
		return;
	}
	for (uint32_t i = 0; i < r->argc; i++) {
		if (i > 0)
			OUT_LITERAL(out, " ");
		out_append_u64(out, r->argv[i].len);
		OUT_LITERAL(out, ":");
		out_append(out, r->argv[i]);
	}
	OUT_LITERAL(out, "\n");
}

static struct proto recorder = {.name = "recorder", .run = record_run};

static int setup(void **state)
{
	struct fake_session *f = malloc(sizeof(*f));

	if (!f)
		return -1;
	recorder.parse = resp_proto.parse;
	fake_session_init(f, SESSION_RESP);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_session_fini(*state);
	free(*state);
	return 0;
}

static void renew(struct fake_session *f)
{
	fake_session_renew(f, SESSION_RESP);
	f->session.proto = &recorder;
}

static void expect(struct fake_session *f, const char *name, size_t split, struct slice expected)
{
	struct slice got = fake_session_take(f);

	if (!slice_equal(got, expected))
		fail_msg("%s, split at %zu: expected \"%.*s\", got \"%.*s\"", name, split,
			 (int)expected.len, (const char *)expected.ptr, (int)got.len,
			 (const char *)got.ptr);
}

static void test_parse_whole_as_expected(void **state)
{
	struct fake_session *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(resp_cases); i++) {
		const struct resp_case *c = &resp_cases[i];

		renew(f);
		fake_session_send(f, c->input);
		expect(f, c->name, c->input.len, slice_of_text(c->expected));
	}
}

static void test_parse_byte_by_byte_as_whole(void **state)
{
	struct fake_session *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(resp_cases); i++) {
		const struct resp_case *c = &resp_cases[i];

		for (int together = 0; together < 2; together++) {
			renew(f);
			for (size_t at = 0; at < c->input.len; at++)
				(together ? fake_session_feed
					  : fake_session_send)(f, slice_of(c->input.ptr + at, 1));
			fake_session_send(f, slice_of(NULL, 0));
			expect(f, c->name, 1, slice_of_text(c->expected));
		}
	}
}

static void test_parse_every_split_as_whole(void **state)
{
	struct fake_session *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(resp_cases); i++) {
		const struct resp_case *c = &resp_cases[i];

		for (size_t at = 0; at <= c->input.len; at++) {
			renew(f);
			fake_session_send(f, slice_of(c->input.ptr, at));
			fake_session_send(f, slice_of(c->input.ptr + at, c->input.len - at));
			expect(f, c->name, at, slice_of_text(c->expected));
		}
	}
}

static void append_request(struct out *out, struct rng *rng)
{
	uint32_t argc = 1 + rng_below(rng, rng_below(rng, 50) == 0 ? 200 : 5);
	uint8_t bytes[700];

	if (rng_below(rng, 10) == 0) {
		OUT_LITERAL(out, "inline \"with quotes\" and words\r\n");
		return;
	}
	OUT_LITERAL(out, "*");
	out_append_u64(out, argc);
	OUT_LITERAL(out, "\r\n");
	for (uint32_t i = 0; i < argc; i++) {
		uint32_t len = rng_below(rng, rng_below(rng, 20) == 0 ? sizeof(bytes) : 30);

		memset(bytes, 'a' + (int)rng_below(rng, 26), len);
		OUT_LITERAL(out, "$");
		out_append_u64(out, len);
		OUT_LITERAL(out, "\r\n");
		out_append(out, slice_of(bytes, len));
		OUT_LITERAL(out, "\r\n");
	}
}

static void test_parse_pipeline_random_splits_as_whole(void **state)
{
	struct fake_session *f = *state;
	struct rng rng = rng_seeded(42);
	struct fake_out input, whole;

	fake_out_init(&input);
	fake_out_init(&whole);
	for (int i = 0; i < 1000; i++)
		append_request(&input.out, &rng);
	struct slice bytes = fake_out_bytes(&input);

	renew(f);
	fake_session_send(f, bytes);
	out_append(&whole.out, fake_session_take(f));
	for (int round = 0; round < 30; round++) {
		uint32_t piece_max = 1 + rng_below(&rng, round % 2 ? 3000 : 60);

		renew(f);
		for (size_t at = 0, len; at < bytes.len; at += len) {
			len = 1 + rng_below(&rng, piece_max);
			if (len > bytes.len - at)
				len = bytes.len - at;
			(rng_below(&rng, 3) ? fake_session_feed
					    : fake_session_send)(f, slice_of(bytes.ptr + at, len));
		}
		fake_session_send(f, slice_of(NULL, 0));
		expect(f, "pipeline", piece_max, fake_out_bytes(&whole));
		assert_null(f->session.stash);
		assert_null(f->session.partial);
	}
	fake_out_fini(&input);
	fake_out_fini(&whole);
}

/* Lines at and beyond SESSION_INLINE_MAX, in one piece and in two. */
static void test_parse_long_lines_limited(void **state)
{
	static const struct {
		const char *prefix, *expected_beyond;
	} cases[] = {
		{"x", "-ERR Protocol error: too big inline request\nclosed\n"},
		{"*", "-ERR Protocol error: too big mbulk count string\nclosed\n"},
		{"*1\r\n$", "-ERR Protocol error: too big bulk count string\nclosed\n"},
	};
	struct fake_session *f = *state;
	size_t len = SESSION_INLINE_MAX + 1;
	uint8_t *bytes = malloc(len + 8);

	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		size_t prefix = strlen(cases[i].prefix);

		memset(bytes, '1', len + 8);
		memcpy(bytes, cases[i].prefix, prefix);
		renew(f);
		// The line itself starts one byte before the end of the prefix.
		fake_session_send(f, slice_of(bytes, prefix - 1 + len - 1));
		expect(f, cases[i].prefix, 0, slice_of(NULL, 0));
		fake_session_send(f, slice_of(bytes, 1));
		expect(f, cases[i].prefix, 1, slice_of_text(cases[i].expected_beyond));

		renew(f);
		fake_session_send(f, slice_of(bytes, prefix - 1 + len));
		expect(f, cases[i].prefix, len, slice_of_text(cases[i].expected_beyond));
	}
	free(bytes);
}

/* proto-max-bulk-len is the limit of the day, not a constant. */
static void test_parse_bulk_limit_followed(void **state)
{
	struct fake_session *f = *state;

	f->limits.bulk_max_bytes = 5;
	renew(f);
	fake_session_send(f, SLICE_LITERAL("*1\r\n$5\r\nhello\r\n*1\r\n$6\r\nhello!\r\n"));
	expect(f, "limit", 0,
	       SLICE_LITERAL("5:hello\n-ERR Protocol error: invalid bulk length\nclosed\n"));
	f->limits.bulk_max_bytes = 512u << 20;
}

/*
 * A million arguments in small pieces, in time that is linear; nothing is allocated for a mere
 * claim.
 */
static void test_parse_many_arguments_linear(void **state)
{
	struct fake_session *f = *state;
	struct fake_out input;
	struct slice bytes;

	fake_out_init(&input);
	OUT_LITERAL(&input.out, "*1048576\r\n");
	renew(f);
	fake_session_send(f, fake_out_bytes(&input));
	assert_true(f->session.stash_capacity <= 4096);
	for (int i = 0; i < 1048576; i++)
		OUT_LITERAL(&input.out, "$1\r\nx\r\n");
	bytes = fake_out_bytes(&input);
	for (size_t at = 10; at < bytes.len; at += 1400)
		fake_session_send(
			f, slice_of(bytes.ptr + at, bytes.len - at < 1400 ? bytes.len - at : 1400));
	assert_int_equal(fake_session_take(f).len, 4 * 1048576);
	assert_null(f->session.stash);
	fake_out_fini(&input);

	renew(f);
	fake_session_send(f, SLICE_LITERAL("*1048577\r\n"));
	expect(f, "too many", 0,
	       SLICE_LITERAL("-ERR Protocol error: invalid multibulk length\nclosed\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_whole_as_expected),
		cmocka_unit_test(test_parse_byte_by_byte_as_whole),
		cmocka_unit_test(test_parse_every_split_as_whole),
		cmocka_unit_test(test_parse_pipeline_random_splits_as_whole),
		cmocka_unit_test(test_parse_long_lines_limited),
		cmocka_unit_test(test_parse_bulk_limit_followed),
		cmocka_unit_test(test_parse_many_arguments_linear),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
