/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_binary.h"

#include "dataplane/command/kv.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/memcache/mc_binary_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The binary protocol from bytes to answers, over the real session engine and table. */

#define CAS_AT    16
#define BODY_AT   8
#define HEADER    sizeof(struct mc_binary_header)
#define REPLY_MAX 65536

static struct fake_session f;

static int setup(void **state)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	return 0;
}

static int teardown(void **state)
{
	fake_session_fini(&f);
	return 0;
}

/* Uniques become 1, as the cases have them. */
static struct slice level(struct slice answers, uint8_t *to)
{
	assert_true(answers.len <= REPLY_MAX);
	memcpy(to, answers.ptr, answers.len);
	for (size_t at = 0; at + HEADER <= answers.len;
	     at += HEADER + be32_load(to + at + BODY_AT)) {
		bool has_unique = be32_load(to + at + CAS_AT) | be32_load(to + at + CAS_AT + 4);

		be32_store(to + at + CAS_AT, 0);
		be32_store(to + at + CAS_AT + 4, has_unique);
	}
	return slice_of(to, answers.len);
}

static void check_case(const struct mc_case *c, size_t cut, size_t step)
{
	static uint8_t levelled[REPLY_MAX];
	struct slice got;

	table_flush(f.tt);
	fake_session_renew(&f, SESSION_MEMCACHE);
	for (size_t at = 0; at < c->input.len;) {
		size_t len = at == 0 && cut > 0 ? cut : step;

		if (len > c->input.len - at)
			len = c->input.len - at;
		fake_session_send(&f, slice_of(c->input.ptr + at, len));
		while (f.forward)
			fake_session_reply(&f);
		at += len;
	}
	got = level(fake_session_take(&f), levelled);
	assert_int_equal(got.len, c->reply.len);
	assert_memory_equal(got.ptr, c->reply.ptr, got.len);
	assert_int_equal(f.session.closing, c->closes);
}

static void test_cases_whole_and_byte_by_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(mc_binary_cases); i++) {
		print_message("%s\n", mc_binary_cases[i].name);
		check_case(&mc_binary_cases[i], 0, SIZE_MAX);
		check_case(&mc_binary_cases[i], 0, 1);
	}
}

static void test_cases_at_every_split(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(mc_binary_cases); i++)
		for (size_t cut = 1; cut < mc_binary_cases[i].input.len; cut++)
			check_case(&mc_binary_cases[i], cut, SIZE_MAX);
}

static struct mc_binary_header header_of(uint8_t opcode, uint32_t extras, uint32_t key,
					 uint32_t value)
{
	return (struct mc_binary_header){
		.magic = MC_BINARY_REQUEST,
		.opcode = opcode,
		.key_len = be16_from_host((uint16_t)key),
		.extras_len = (uint8_t)extras,
		.body_len = be32_from_host(extras + key + value),
	};
}

/* A set of `len` bytes in pieces, then a get; returns the status of the first answer. */
static uint16_t store_and_read(size_t len, size_t step, size_t *read)
{
	struct mc_binary_header set = header_of(MC_BINARY_SET, 8, 1, (uint32_t)len);
	struct mc_binary_header get = header_of(MC_BINARY_GET, 0, 1, 0);
	uint8_t *value = malloc(len + 1);
	struct slice got;
	uint16_t status;

	assert_non_null(value);
	memset(value, 'v', len);
	fake_session_send(&f, slice_of(&set, sizeof(set)));
	fake_session_send(&f, slice_of("\0\0\0\0\0\0\0\0k", 9));
	for (size_t at = 0; at < len; at += step)
		fake_session_send(&f, slice_of(value + at, len - at < step ? len - at : step));
	got = fake_session_take(&f);
	status = be16_load(got.ptr + 6);
	fake_session_send(&f, slice_of(&get, sizeof(get)));
	fake_session_send(&f, SLICE_LITERAL("k"));
	got = fake_session_take(&f);
	*read = be16_load(got.ptr + 6) == MC_BINARY_OK ? got.len - HEADER - 4 : SIZE_MAX;
	if (*read != SIZE_MAX)
		assert_memory_equal(got.ptr + HEADER + 4, value, *read);
	free(value);
	return status;
}

/* Copied, in a blob, landed, and too large, which also takes the old value away. */
static void test_values_of_every_size(void **state)
{
	static const size_t lens[] = {0, 1, 4096, 4097, 32768, 200000, 1048000};
	size_t read;

	for (size_t i = 0; i < ARRAY_COUNT(lens); i++)
		for (size_t step = 1448; step <= 1448 * 1000; step *= 1000) {
			assert_int_equal(store_and_read(lens[i], step, &read), MC_BINARY_OK);
			assert_int_equal(read, lens[i]);
		}
	assert_int_equal(store_and_read(1048577, 65536, &read), MC_BINARY_E2BIG);
	assert_int_equal(read, SIZE_MAX);
	assert_false(f.session.closing);
}

static void test_other_magic_closes_and_counts(void **state)
{
	struct mc_binary_header noop = header_of(MC_BINARY_NOOP, 0, 0, 0);

	fake_session_send(&f, slice_of(&noop, sizeof(noop)));
	assert_int_equal(fake_session_take(&f).len, HEADER);
	fake_session_send(&f, SLICE_LITERAL("get k\r\n"));
	assert_true(f.session.closing);
	assert_int_equal(fake_session_take(&f).len, 0);
	assert_int_equal(counter_read(&f.counters.mc_protocol_errors), 1);
}

/* Over the bytes of the figures the packets must add up, and end with an empty one. */
static void test_stat_is_a_packet_per_figure(void **state)
{
	struct mc_binary_header stat = header_of(MC_BINARY_STAT, 0, 0, 0);
	struct slice got;
	size_t at = 0, packets = 0;

	stat.opaque = 0x01020304;
	fake_session_send(&f, slice_of(&stat, sizeof(stat)));
	while (f.forward)
		fake_session_reply(&f);
	got = fake_session_take(&f);
	for (uint32_t body = 1; body > 0; packets++, at += HEADER + body) {
		const struct mc_binary_header *h = (const void *)(got.ptr + at);

		assert_true(got.len - at >= HEADER);
		body = be32_to_host(h->body_len);
		assert_int_equal(h->opcode, MC_BINARY_STAT);
		assert_int_equal(h->opaque, stat.opaque);
		assert_true(body == 0 || be16_to_host(h->key_len) > 0);
		assert_true(got.len - at >= HEADER + body);
	}
	assert_int_equal(at, got.len);
	assert_in_range(packets, 40, 200);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cases_whole_and_byte_by_byte), TEST(test_cases_at_every_split),
		TEST(test_values_of_every_size),         TEST(test_other_magic_closes_and_counts),
		TEST(test_stat_is_a_packet_per_figure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
