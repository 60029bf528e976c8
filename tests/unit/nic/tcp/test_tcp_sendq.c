/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_sendq.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The extents of the send queue against a plain array that holds the same stream. */

#define STREAM_MAX (1 << 16)

static struct tcp_sendq_pool pool;
static struct tcp_sendq q;

static bool grow(struct out *out, size_t min)
{
	return tcp_sendq_grow(&pool, &q, out, min);
}

static bool append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	return tcp_sendq_append_blob(&pool, &q, out, blob, slice_of(blob->bytes + offset, len));
}

static const struct out_ops ops = {.grow = grow, .append_blob = append_blob};
static uint32_t blobs_live;

static void release(struct blob *blob)
{
	blobs_live--;
	free(blob);
}

static void append_copy_as_blob(struct out *out, struct slice bytes)
{
	struct blob *blob = malloc(sizeof(*blob) + bytes.len);

	assert_non_null(blob);
	blobs_live++;
	*blob = (struct blob){.refs = 1, .release = release, .len = bytes.len};
	memcpy(blob->bytes, bytes.ptr, bytes.len);
	out_append_blob(out, blob, 0, bytes.len);
	blob_unref(blob);
}

static void expect_gather(tcp_seq from, uint32_t len, const uint8_t *expected, bool advance)
{
	struct slice slices[TCP_SEGMENT_SLICES_MAX];
	uint32_t count, at = 0;
	uint32_t total = tcp_sendq_gather(&q, from, len, advance, slices, &count);

	assert_true(total <= len && total > 0);
	assert_true(total == len || count == TCP_SEGMENT_SLICES_MAX);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(slices[i].len > 0);
		assert_memory_equal(slices[i].ptr, expected + at, slices[i].len);
		at += (uint32_t)slices[i].len;
	}
	assert_int_equal(at, total);
}

static void test_random_stream_is_gathered_and_trimmed_like_an_array(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		static uint8_t stream[STREAM_MAX];
		struct rng rng = rng_seeded(seed);
		struct out out = {.ops = &ops};
		tcp_seq first = 0xffffff00 + (uint32_t)seed;
		uint32_t written = 0, acked = 0;

		assert_true(tcp_sendq_pool_init(&pool, 1 << 18));
		tcp_sendq_init(&q, first);
		for (int step = 0; step < 400; step++) {
			uint32_t len = 1 + rng_below(&rng, rng_below(&rng, 3) ? 30 : 3000);

			if (written + len <= STREAM_MAX && rng_below(&rng, 3)) {
				for (uint32_t i = 0; i < len; i++)
					stream[written + i] = (uint8_t)rng_next(&rng);
				if (rng_below(&rng, 3) == 0)
					append_copy_as_blob(&out, slice_of(stream + written, len));
				else
					out_append(&out, slice_of(stream + written, len));
				assert_false(out.failed);
				written += len;
			}
			tcp_sendq_sync(&q, &out);
			assert_int_equal(q.end, first + written);
			if (written > acked) {
				uint32_t at = acked + rng_below(&rng, written - acked);

				expect_gather(first + at, written - at, stream + at,
					      rng_below(&rng, 2));
				expect_gather(first + at, 1, stream + at, false);
			}
			if (rng_below(&rng, 3) == 0) {
				acked += rng_below(&rng, written - acked + 1);
				tcp_sendq_trim(&pool, &q, &out, first + acked);
			}
		}
		tcp_sendq_trim(&pool, &q, &out, first + written);
		assert_int_equal(pool.extents.used, 0);
		assert_int_equal(pool.chunks.used, 0);
		assert_int_equal(q.copied_bytes + q.referenced_bytes, 0);
		assert_int_equal(blobs_live, 0);
		tcp_sendq_pool_fini(&pool);
	}
}

static void test_empty_pool_refuses_and_recovers(void **state)
{
	struct out out = {.ops = &ops};
	uint8_t bytes[TCP_CHUNK_BYTES] = {1};

	assert_true(tcp_sendq_pool_init(&pool, 2 * TCP_CHUNK_BYTES));
	tcp_sendq_init(&q, 0);
	out_append(&out, slice_of(bytes, TCP_CHUNK_BYTES));
	out_append(&out, slice_of(bytes, TCP_CHUNK_BYTES));
	assert_false(out.failed);
	out_append(&out, slice_of(bytes, 1));
	assert_true(out.failed);
	tcp_sendq_sync(&q, &out);
	assert_int_equal(q.end, 2 * TCP_CHUNK_BYTES);
	tcp_sendq_trim(&pool, &q, &out, TCP_CHUNK_BYTES);
	out.failed = false;
	out_append(&out, slice_of(bytes, 100));
	assert_false(out.failed);
	tcp_sendq_clear(&pool, &q, &out);
	assert_int_equal(pool.extents.used, 0);
	assert_int_equal(pool.chunks.used, 0);
	tcp_sendq_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_stream_is_gathered_and_trimmed_like_an_array),
		cmocka_unit_test(test_empty_pool_refuses_and_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
