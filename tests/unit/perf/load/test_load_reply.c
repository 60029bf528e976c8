/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_reply.h"

#include "tests/fakes/fake_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/*
 * Requests as they go out and replies as they come in, whole and cut at every place. In a reply,
 * @n stands for the value of the n-th key of the request and #n for its length.
 */

#define TEXT_MAX 4096

static const struct load_options options = {.key_max = 99,
					    .data_min = 17,
					    .data_max = 17,
					    .key_prefix = "k",
					    .key_bytes = 4,
					    .verify = LOAD_VERIFY_HITS};

struct encode_case {
	const struct load_proto *proto;
	enum load_op op;
	uint16_t keys;
	const char *text;
};

static const struct encode_case encode_cases[] = {
	{&load_resp, LOAD_GET, 1, "*2\r\n$3\r\nGET\r\n$4\r\nk000\r\n"},
	{&load_resp, LOAD_GET, 2, "*3\r\n$4\r\nMGET\r\n$4\r\nk000\r\n$4\r\nk001\r\n"},
	{&load_resp, LOAD_SET, 1, "*3\r\n$3\r\nSET\r\n$4\r\nk000\r\n$#0\r\n@0\r\n"},
	{&load_mc_text, LOAD_GET, 1, "get k000\r\n"},
	{&load_mc_text, LOAD_GET, 3, "get k000 k001 k002\r\n"},
	{&load_mc_text, LOAD_SET, 1, "set k000 0 0 #0\r\n@0\r\n"},
	{&load_mc_meta, LOAD_GET, 1, "mg k000 v\r\n"},
	{&load_mc_meta, LOAD_SET, 1, "ms k000 #0\r\n@0\r\n"},
};

struct reply_case {
	const struct load_proto *proto;
	enum load_op op;
	uint16_t keys;
	const char *text;
	enum load_reply_status status;
	uint32_t hits, misses;
	bool wrong, refused;
};

#define DONE LOAD_REPLY_DONE
#define BAD  LOAD_REPLY_BAD
#define GET  LOAD_GET
#define SET  LOAD_SET

static const struct reply_case reply_cases[] = {
	{&load_resp, GET, 1, "$#0\r\n@0\r\n", DONE, 1, 0, false, false},
	{&load_resp, GET, 1, "$-1\r\n", DONE, 0, 1, true, false},
	{&load_resp, GET, 1, "$#0\r\n@1\r\n", DONE, 1, 0, true, false},
	{&load_resp, GET, 1, "$2\r\nab\r\n", DONE, 1, 0, true, false},
	{&load_resp, GET, 1, "-ERR no\r\n", DONE, 0, 0, false, true},
	{&load_resp, GET, 1, "+OK\r\n", BAD, 0, 0, false, true},
	{&load_resp, GET, 1, ":1\r\n", BAD, 0, 0, false, true},
	{&load_resp, GET, 1, "$x\r\n", BAD, 0, 0, false, true},
	{&load_resp, GET, 1, "\r\n", BAD, 0, 0, false, true},
	{&load_resp, GET, 1, "*1\r\n", BAD, 0, 0, false, true},
	{&load_resp, SET, 1, "+OK\r\n", DONE, 0, 0, false, false},
	{&load_resp, SET, 1, "$-1\r\n", BAD, 0, 0, false, true},
	{&load_resp, SET, 1, "-OOM command\r\n", DONE, 0, 0, false, true},
	{&load_resp, GET, 2, "*2\r\n$#0\r\n@0\r\n$#1\r\n@1\r\n", DONE, 2, 0, false, false},
	{&load_resp, GET, 2, "*2\r\n$-1\r\n$#1\r\n@1\r\n", DONE, 1, 1, true, false},
	{&load_resp, GET, 2, "*2\r\n$#0\r\n@0\r\n$-1\r\n", DONE, 1, 1, true, false},
	{&load_resp, GET, 2, "*3\r\n", BAD, 0, 0, false, true},
	{&load_mc_text, GET, 1, "VALUE k000 0 #0\r\n@0\r\nEND\r\n", DONE, 1, 0, false, false},
	{&load_mc_text, GET, 1, "END\r\n", DONE, 0, 1, true, false},
	{&load_mc_text, GET, 1, "VALUE k000 0 #0\r\n@1\r\nEND\r\n", DONE, 1, 0, true, false},
	{&load_mc_text, GET, 1, "VALUE k001 0 #1\r\n@1\r\nEND\r\n", BAD, 0, 1, true, true},
	{&load_mc_text, GET, 1, "VALUE k000 0\r\n", BAD, 0, 0, false, true},
	{&load_mc_text, GET, 1, "SERVER_ERROR busy\r\n", DONE, 0, 0, false, true},
	{&load_mc_text, GET, 3, "VALUE k000 0 #0\r\n@0\r\nVALUE k002 0 #2\r\n@2\r\nEND\r\n", DONE,
	 2, 1, true, false},
	{&load_mc_text, SET, 1, "STORED\r\n", DONE, 0, 0, false, false},
	{&load_mc_text, SET, 1, "NOT_STORED\r\n", DONE, 0, 0, false, true},
	{&load_mc_text, SET, 1, "END\r\n", BAD, 0, 0, false, true},
	{&load_mc_meta, GET, 1, "VA #0\r\n@0\r\n", DONE, 1, 0, false, false},
	{&load_mc_meta, GET, 1, "VA #0 f0\r\n@0\r\n", DONE, 1, 0, false, false},
	{&load_mc_meta, GET, 1, "EN\r\n", DONE, 0, 1, true, false},
	{&load_mc_meta, GET, 1, "HD\r\n", BAD, 0, 0, false, true},
	{&load_mc_meta, SET, 1, "HD\r\n", DONE, 0, 0, false, false},
	{&load_mc_meta, SET, 1, "NS\r\n", DONE, 0, 0, false, true},
};

static struct load_space space;
static uint64_t keys[] = {0, 1, 2};

/* Fills in @n and #n. Returns the length. */
static size_t fill_in(const char *text, char *to)
{
	char *at = to;

	for (; *text; text++) {
		struct slice value;

		if (*text != '@' && *text != '#') {
			*at++ = *text;
			continue;
		}
		value = load_space_value(&space, (uint64_t)(text[1] - '0'));
		if (*text == '@')
			at += sprintf(at, "%.*s", (int)value.len, (const char *)value.ptr);
		else
			at += sprintf(at, "%zu", value.len);
		text++;
	}
	return (size_t)(at - to);
}

static void test_requests_are_what_the_protocols_say(void **state)
{
	for (size_t i = 0; i < sizeof(encode_cases) / sizeof(encode_cases[0]); i++) {
		const struct encode_case *c = &encode_cases[i];
		struct load_request request = {
			.op = (uint8_t)c->op, .keys = keys, .keys_count = c->keys};
		struct fake_out out;
		char expected[TEXT_MAX];
		size_t len = fill_in(c->text, expected);
		struct slice written;

		print_message("%s\n", c->text);
		fake_out_init(&out);
		c->proto->encode(&space, &request, &out.out);
		written = fake_out_bytes(&out);
		assert_int_equal(written.len, len);
		assert_memory_equal(written.ptr, expected, len);
		fake_out_fini(&out);
	}
}

/* Fed in two parts, and byte by byte when cut is 0. */
static void check_reply(const struct reply_case *c, char *text, size_t len, size_t cut)
{
	struct load_request request = {.op = (uint8_t)c->op, .keys = keys, .keys_count = c->keys};
	enum load_reply_status status = LOAD_REPLY_MORE;
	struct load_reader reader;
	size_t at = 0;

	load_reader_init(&reader, &space, c->proto);
	while (at < len && status == LOAD_REPLY_MORE) {
		size_t part = cut == 0 ? 1 : at == 0 ? cut : len - at;
		struct slice data = slice_of(text + at, part);

		status = load_reader_feed(&reader, &request, &data);
		at += part - data.len;
	}
	assert_int_equal(status, c->status);
	if (status == LOAD_REPLY_DONE)
		assert_int_equal(at, len);
	assert_int_equal(reader.hits, c->hits);
	assert_int_equal(reader.misses, c->misses);
	assert_int_equal(reader.wrong, c->wrong);
	assert_int_equal(reader.refused, c->refused);
	assert_int_equal(reader.why[0] != '\0', c->wrong || c->refused);
}

static void test_replies_are_understood_however_they_are_cut(void **state)
{
	for (size_t i = 0; i < sizeof(reply_cases) / sizeof(reply_cases[0]); i++) {
		char text[TEXT_MAX];
		size_t len = fill_in(reply_cases[i].text, text);

		print_message("%s\n", reply_cases[i].text);
		for (size_t cut = 0; cut <= len; cut++)
			check_reply(&reply_cases[i], text, len, cut);
	}
}

/* One bit of the value, anywhere in it. */
static void test_a_single_wrong_bit_is_found(void **state)
{
	static const struct reply_case lie = {&load_resp, GET, 1, "", DONE, 1, 0, true, false};
	char text[TEXT_MAX];
	size_t len = fill_in("$#0\r\n@0\r\n", text);
	size_t value_at = (size_t)(strchr(text, '\n') - text) + 1;

	for (size_t i = value_at; i < len; i++) {
		text[i] ^= 1;
		check_reply(&lie, text, len, 0);
		check_reply(&lie, text, len, len);
		text[i] ^= 1;
	}
}

static void test_a_line_without_end_is_no_reply(void **state)
{
	struct load_request request = {.op = GET, .keys = keys, .keys_count = 1};
	struct load_reader reader;

	load_reader_init(&reader, &space, &load_resp);
	for (int i = 0; i < 10000; i++) {
		struct slice data = SLICE_LITERAL("$11111111111111111");

		assert_int_equal(load_reader_feed(&reader, &request, &data), LOAD_REPLY_MORE);
	}
	struct slice end = SLICE_LITERAL("\r\n");

	assert_int_equal(load_reader_feed(&reader, &request, &end), LOAD_REPLY_BAD);
}

static int setup(void **state)
{
	return load_space_init(&space, &options) ? 0 : -1;
}

static int teardown(void **state)
{
	load_space_fini(&space);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_what_the_protocols_say),
		cmocka_unit_test(test_replies_are_understood_however_they_are_cut),
		cmocka_unit_test(test_a_single_wrong_bit_is_found),
		cmocka_unit_test(test_a_line_without_end_is_no_reply),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
