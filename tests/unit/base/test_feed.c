/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/feed.h"

#include "base/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The chunked stream: others read what one thread writes, each from where it likes. */

#define STREAM_BYTES (4U << 20)

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 2654435761U >> 11);
}

static void write_some(struct feed *feed, uint64_t len)
{
	uint8_t bytes[1000];

	while (len > 0) {
		uint64_t some = len < sizeof(bytes) ? len : sizeof(bytes);

		for (uint64_t i = 0; i < some; i++)
			bytes[i] = byte_at(feed->end + i);
		feed_write(feed, slice_of(bytes, some));
		len -= some;
	}
}

/* Reads up to `max` bytes from `offset` on; returns how many were there. */
static uint64_t read_some(struct feed_place *place, uint64_t offset, uint64_t max,
			  enum feed_state *state)
{
	uint64_t total = 0, from, len;
	struct blob *blob;

	while (total < max &&
	       (*state = feed_read(place, max - total, &blob, &from, &len)) == FEED_BYTES) {
		for (uint64_t i = 0; i < len; i++)
			assert_int_equal(blob->bytes[from + i], byte_at(offset + total + i));
		total += len;
	}
	return total;
}

static void test_feed_is_read_as_it_was_written(void **state)
{
	struct rng rng = rng_seeded(4);
	struct feed_place place = {0};
	uint64_t read = 0;
	enum feed_state now;
	struct feed feed;

	feed_init(&feed, 0, 0);
	assert_true(feed_place_at(&feed, 0, &place));
	for (uint32_t i = 0; i < 2000; i++) {
		write_some(&feed, rng_below(&rng, 3000));
		read += read_some(&place, read, rng_below(&rng, 6000), &now);
	}
	read += read_some(&place, read, UINT64_MAX, &now);
	assert_int_equal(read, feed.end);
	assert_int_equal(now, FEED_WAITS);
	feed_end(&feed);
	assert_int_equal(read_some(&place, read, 1, &now), 0);
	assert_int_equal(now, FEED_ENDED);
	feed_place_drop(&place);
	feed_fini(&feed);
}

static void test_feed_keeps_what_it_shall(void **state)
{
	struct feed_place place = {0}, copy;
	enum feed_state now;
	struct feed feed;

	feed_init(&feed, 5000, 100000);
	assert_int_equal(feed_start(&feed), 5000);
	assert_false(feed_place_at(&feed, 4999, &place));
	assert_false(feed_place_at(&feed, 5001, &place));
	write_some(&feed, 1000000);
	assert_true(feed.end - feed_start(&feed) >= 100000);
	assert_true(feed.end - feed_start(&feed) < 100000 + 2 * 65536);
	assert_false(feed_place_at(&feed, feed_start(&feed) - 1, &place));
	for (uint64_t at = feed_start(&feed); at <= feed.end; at += 4999) {
		assert_true(feed_place_at(&feed, at, &place));
		assert_int_equal(read_some(&place, at, UINT64_MAX, &now), feed.end - at);
		feed_place_drop(&place);
	}
	// Whoever has a place keeps what follows, although the feed has let it go, and even itself.
	uint64_t start = feed_start(&feed);

	assert_true(feed_place_at(&feed, start, &place));
	copy = feed_place_copy(&place);
	write_some(&feed, 1000000);
	assert_true(feed_start(&feed) > start);
	assert_int_equal(read_some(&copy, start, UINT64_MAX, &now), feed.end - start);
	feed_place_drop(&copy);
	feed_end(&feed);
	feed_fini(&feed);
	assert_int_equal(read_some(&place, start, UINT64_MAX, &now), feed.end - start);
	assert_int_equal(now, FEED_ENDED);
	feed_place_drop(&place);
}

/* A long one that nobody holds is freed without depth. */
static void test_feed_of_many_chunks_is_freed(void **state)
{
	struct feed_place place = {0};
	struct feed feed;

	feed_init(&feed, 0, 0);
	assert_true(feed_place_at(&feed, 0, &place));
	write_some(&feed, 20U << 20);
	feed_fini(&feed);
	feed_place_drop(&place);
	feed_place_drop(&place);
}

struct reader {
	struct feed_place place;
	uint64_t read;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	enum feed_state now;

	do
		reader->read += read_some(&reader->place, reader->read, 10000, &now);
	while (now != FEED_ENDED);
	feed_place_drop(&reader->place);
	return NULL;
}

static void test_feed_between_threads(void **state)
{
	struct reader readers[2] = {0};
	pthread_t threads[2];
	struct feed feed;

	feed_init(&feed, 0, 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(feed_place_at(&feed, 0, &readers[i].place));
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
	}
	write_some(&feed, STREAM_BYTES);
	feed_end(&feed);
	feed_fini(&feed);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].read, STREAM_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_feed_is_read_as_it_was_written),
		cmocka_unit_test(test_feed_keeps_what_it_shall),
		cmocka_unit_test(test_feed_of_many_chunks_is_freed),
		cmocka_unit_test(test_feed_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
