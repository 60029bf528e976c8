/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/resp/resp.h"

#include "tests/fakes/fake_out.h"
#include "tests/fakes/fake_session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Every kind of reply in both versions, through sinks with every amount of room. */

static void write_status(struct reply *r)
{
	reply_ok(r);
}

static void write_error(struct reply *r)
{
	REPLY_ERROR(r, "WRONGTYPE no");
}

static void write_integers(struct reply *r)
{
	reply_integer(r, 0);
	reply_integer(r, 9);
	reply_integer(r, 10);
	reply_integer(r, -1);
	reply_integer(r, INT64_MIN);
	reply_integer(r, INT64_MAX);
}

static void write_bulks(struct reply *r)
{
	reply_bulk_text(r, "");
	reply_bulk(r, slice_of(NULL, 0));
	reply_bulk(r, SLICE_LITERAL("a\r\n\0b"));
	reply_bulk_text(r, "0123456789");
}

static void write_reals(struct reply *r)
{
	r->ops->real(r, 0);
	r->ops->real(r, -2.5);
	r->ops->real(r, 0.1);
	r->ops->real(r, 1e300);
	r->ops->real(r, INFINITY);
	r->ops->real(r, -INFINITY);
	r->ops->real(r, -NAN);
}

static void write_truth(struct reply *r)
{
	r->ops->boolean(r, true);
	r->ops->boolean(r, false);
}

static void write_verbatim(struct reply *r)
{
	r->ops->verbatim(r, "txt", SLICE_LITERAL("Some text"));
}

static void write_nulls(struct reply *r)
{
	reply_null(r);
	r->ops->null_array(r);
}

static void write_aggregates(struct reply *r)
{
	reply_array(r, 0);
	reply_array(r, 1048576);
	reply_map(r, 3);
	reply_map(r, 3000000000u);
	r->ops->set(r, 12);
	r->ops->push(r, 2);
}

static const struct {
	const char *name;
	void (*write)(struct reply *r);
	struct slice resp2, resp3;
} cases[] = {
	{"status", write_status, SLICE_LITERAL("+OK\r\n"), SLICE_LITERAL("+OK\r\n")},
	{"error", write_error, SLICE_LITERAL("-WRONGTYPE no\r\n"),
	 SLICE_LITERAL("-WRONGTYPE no\r\n")},
	{"integers", write_integers,
	 SLICE_LITERAL(
		 ":0\r\n:9\r\n:10\r\n:-1\r\n:-9223372036854775808\r\n:9223372036854775807\r\n"),
	 SLICE_LITERAL(
		 ":0\r\n:9\r\n:10\r\n:-1\r\n:-9223372036854775808\r\n:9223372036854775807\r\n")},
	{"bulks", write_bulks,
	 SLICE_LITERAL("$0\r\n\r\n$0\r\n\r\n$5\r\na\r\n\0b\r\n$10\r\n0123456789\r\n"),
	 SLICE_LITERAL("$0\r\n\r\n$0\r\n\r\n$5\r\na\r\n\0b\r\n$10\r\n0123456789\r\n")},
	{"reals", write_reals,
	 SLICE_LITERAL(
		 "$1\r\n0\r\n$4\r\n-2.5\r\n$19\r\n0.10000000000000001\r\n"
		 "$23\r\n1.0000000000000001e+300\r\n$3\r\ninf\r\n$4\r\n-inf\r\n$3\r\nnan\r\n"),
	 SLICE_LITERAL(",0\r\n,-2.5\r\n,0.10000000000000001\r\n,1.0000000000000001e+300\r\n"
		       ",inf\r\n,-inf\r\n,nan\r\n")},
	{"truth", write_truth, SLICE_LITERAL(":1\r\n:0\r\n"), SLICE_LITERAL("#t\r\n#f\r\n")},
	{"verbatim", write_verbatim, SLICE_LITERAL("$9\r\nSome text\r\n"),
	 SLICE_LITERAL("=13\r\ntxt:Some text\r\n")},
	{"nulls", write_nulls, SLICE_LITERAL("$-1\r\n*-1\r\n"), SLICE_LITERAL("_\r\n_\r\n")},
	{"aggregates", write_aggregates,
	 SLICE_LITERAL("*0\r\n*1048576\r\n*6\r\n*6000000000\r\n*12\r\n*2\r\n"),
	 SLICE_LITERAL("*0\r\n*1048576\r\n%3\r\n%3000000000\r\n~12\r\n>2\r\n")},
};

static void test_reply_every_room_as_redis(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (int room = 0; room < 80; room++) {
			for (uint8_t version = 2; version <= 3; version++) {
				struct slice expected =
					version == 2 ? cases[i].resp2 : cases[i].resp3;
				struct fake_out out;

				fake_out_init(&out);
				out.step = (size_t)room;

				struct reply r = resp_reply(&out.out, version);

				cases[i].write(&r);
				if (!slice_equal(fake_out_bytes(&out), expected))
					fail_msg("%s, version %d, room %d: \"%.*s\"", cases[i].name,
						 version, room, (int)fake_out_bytes(&out).len,
						 (const char *)fake_out_bytes(&out).ptr);
				fake_out_fini(&out);
			}
		}
	}
}

/* Lengths around every boundary within the encoder and the sink. */
static void test_reply_bulk_lengths_whole(void **state)
{
	static uint8_t bytes[3 * OUT_RESERVE_MAX];

	memset(bytes, 'v', sizeof(bytes));
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct fake_out out;
		char head[32];
		size_t head_len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len);

		fake_out_init(&out);
		out.step = 1 + len % 7;

		struct reply r = resp_reply(&out.out, 2);

		reply_bulk(&r, slice_of(bytes, len));
		reply_error(&r, slice_of(bytes, len));

		struct slice got = fake_out_bytes(&out);

		assert_int_equal(got.len, head_len + len + 2 + 1 + len + 2);
		assert_memory_equal(got.ptr, head, head_len);
		assert_memory_equal(got.ptr + head_len, bytes, len);
		assert_memory_equal(got.ptr + head_len + len, "\r\n-", 3);
		assert_memory_equal(got.ptr + head_len + len + 3, bytes, len);
		assert_memory_equal(got.ptr + got.len - 2, "\r\n", 2);
		assert_int_equal(r.errors, 1);
		fake_out_fini(&out);
	}
}

/* Values inline in the item and in a blob, on both sides of the boundary. */
static void test_reply_item_value_inline_and_blob_whole(void **state)
{
	struct fake_session *f = malloc(sizeof(*f));
	uint8_t *bytes = malloc(2 * ITEM_VALUE_INLINE_MAX);

	assert_non_null(f);
	assert_non_null(bytes);
	memset(bytes, 'v', 2 * ITEM_VALUE_INLINE_MAX);
	fake_session_init(f, SESSION_RESP);
	for (size_t len = 0; len <= 2 * ITEM_VALUE_INLINE_MAX; len += len < 8 ? 1 : 509) {
		struct blob *blob = len > ITEM_VALUE_INLINE_MAX ? table_blob_new(f->tt, len) : NULL;
		struct item *item;
		char head[32];
		size_t head_len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len);

		if (blob) {
			memcpy(blob->bytes, bytes, len);
			blob->len = len;
		}
		item = table_item_new(f->tt, &(struct item_spec){.key = SLICE_LITERAL("k"),
								 .value = slice_of(bytes, len),
								 .blob = blob});
		assert_non_null(item);

		struct reply r = resp_reply(&f->out.out, 2);

		reply_item_value(&r, item);

		struct slice got = fake_session_take(f);

		assert_int_equal(got.len, head_len + len + 2);
		assert_memory_equal(got.ptr, head, head_len);
		assert_memory_equal(got.ptr + head_len, bytes, len);
		assert_memory_equal(got.ptr + got.len - 2, "\r\n", 2);
		table_item_discard(f->tt, item);
	}
	fake_session_fini(f);
	free(f);
	free(bytes);
}

/* A sink at its limit takes nothing more, whatever is written. */
static void test_reply_full_sink_fails(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct fake_out out;

		fake_out_init(&out);
		out.step = 1;
		out.limit = 3;

		struct reply r = resp_reply(&out.out, 3);

		cases[i].write(&r);
		assert_true(out.out.failed);
		assert_true(fake_out_bytes(&out).len <= 3);
		fake_out_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_every_room_as_redis),
		cmocka_unit_test(test_reply_bulk_lengths_whole),
		cmocka_unit_test(test_reply_item_value_inline_and_blob_whole),
		cmocka_unit_test(test_reply_full_sink_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
