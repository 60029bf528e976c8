/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/slot_find.h"

#include "base/rng.h"
#include "tests/unit/dataplane/table/fixture.h"

#ifdef HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

/* The vectors and the plain loop see the same, whatever the words hold. */
static void test_match_equals_its_plain_twin(void **state)
{
	struct rng rng = rng_seeded(7);
	struct bucket b;

	for (int round = 0; round < 200000; round++) {
		uint64_t tag = 1 + rng_below(&rng, round % 2 ? 3 : (1 << 14) - 1);

		atomic_init(&b.hdr, rng_next(&rng));
		for (int i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t word = rng_below(&rng, 4) ? rng_next(&rng) : 0;

			if (rng_below(&rng, 3) == 0)
				word = tag << SLOT_TAG_SHIFT |
				       (word & ~(UINT64_MAX << SLOT_TAG_SHIFT));
			atomic_init(&b.slot[i], word);
		}
		assert_int_equal(bucket_match(&b, tag), bucket_match_plain(&b, tag));
		assert_int_equal(bucket_free(&b), bucket_free_plain(&b));
	}
}

static void test_header_is_no_slot(void **state)
{
	struct bucket b = {.hdr = UINT64_MAX};

	assert_int_equal(bucket_match(&b, (1 << 14) - 1), 0);
	for (int i = 0; i < BUCKET_SLOTS; i++) {
		atomic_store(&b.slot[i], 5ULL << SLOT_TAG_SHIFT | SLOT_PTR);
		assert_int_equal(bucket_match(&b, 5), (1U << (i + 1)) - 1);
	}
}

#ifdef HAVE_JEMALLOC
static void test_sizes_are_those_of_the_allocator(void **state)
{
	for (size_t size = 1; size <= 1 << 17; size++)
		assert_int_equal(table__usable_bytes(size), nallocx(size, 0));
	for (size_t size = 1 << 17; size < 1ULL << 33; size += size / 37 + 1) {
		assert_int_equal(table__usable_bytes(size), nallocx(size, 0));
		assert_int_equal(table__usable_bytes(size - 1), nallocx(size - 1, 0));
	}
}
#endif

/* Every length of key, and every byte of it that may differ. */
static void test_keys_are_compared_to_the_last_byte(void **state)
{
	struct fixture f;
	uint8_t bytes[301];

	fixture_open_small(&f);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len < sizeof(bytes); len += len < 40 ? 1 : 65) {
		struct item *item =
			table_item_new(f.t, &(struct item_spec){.key = slice_of(bytes, len)});

		assert_true(item__key_equal(item, slice_of(bytes, len)));
		assert_false(item__key_equal(item, slice_of(bytes, len + 1)));
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= 0x20;
			assert_false(item__key_equal(item, slice_of(bytes, len)));
			bytes[i] ^= 0x20;
		}
		table_item_discard(f.t, item);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_equals_its_plain_twin),
		cmocka_unit_test(test_header_is_no_slot),
#ifdef HAVE_JEMALLOC
		cmocka_unit_test(test_sizes_are_those_of_the_allocator),
#endif
		cmocka_unit_test(test_keys_are_compared_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
