/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* The memory of keys evicted from probation. */

enum {
	BUCKETS = 128 // whose ghosts fill a page
};

static void open_ghosts(struct fixture *f)
{
	fixture_open(
		f, &(struct table_config){.buckets_initial = BUCKETS, .buckets_max = 4 * BUCKETS});
	ghost__clock(f->t);
	f->t->ghosts_lost = 64; // as if so many had been
	ghost__grow(f->t);
}

/* Key number i, spread over the buckets as a hash would. */
static uint64_t hash_of(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ULL;
}

static void add(struct fixture *f, uint64_t i)
{
	ghost__clock(f->t);
	ghost__add(f->t, hash_of(i) % BUCKETS, hash_of(i));
}

static bool take(struct fixture *f, uint64_t i)
{
	ghost__clock(f->t);
	return ghost__take(f->t, hash_of(i) % BUCKETS, hash_of(i));
}

static void test_ghost_is_taken_once(void **state)
{
	struct fixture f;

	open_ghosts(&f);
	assert_false(take(&f, 1));
	add(&f, 1);
	assert_false(take(&f, 2));
	assert_true(take(&f, 1));
	assert_false(take(&f, 1));
	fixture_close(&f);
}

static void test_ghost_memory_is_counted(void **state)
{
	struct fixture f;

	open_ghosts(&f);
	for (uint64_t i = 0; i < 10 * BUCKETS; i++)
		add(&f, i);
	// Four bytes an entry, eight entries to a bucket.
	struct table_stats stats = fixture_stats(&f);

	assert_int_equal(stats.ghost_bytes, BUCKETS * 32);
	assert_int_equal(stats.memory_bytes, stats.index_bytes + BUCKETS * 32);
	fixture_close(&f);
}

/* About as many as items fit are remembered, the newer ones better than the older. */
static void test_ghost_old_ones_give_way(void **state)
{
	enum {
		ADDED = 24 * BUCKETS,
		EACH = 2 * BUCKETS
	};
	struct fixture f;
	uint32_t newest = 0, oldest = 0;

	open_ghosts(&f);
	for (uint64_t i = 0; i < ADDED; i++)
		add(&f, i);
	for (uint64_t i = 0; i < EACH; i++) {
		newest += take(&f, ADDED - 1 - i);
		oldest += take(&f, i);
	}
	print_message("%u of the newest, %u of the oldest %d\n", newest, oldest, EACH);
	assert_true(newest > EACH * 95 / 100);
	assert_int_equal(oldest, 0);
	fixture_close(&f);
}

static void test_ghost_memory_comes_by_pages(void **state)
{
	const uint64_t last = 4 * BUCKETS - 1;
	struct fixture f;

	open_ghosts(&f);
	for (uint64_t page = 1; page < 4; page++) {
		assert_int_equal(fixture_stats(&f).ghost_bytes, page * BUCKETS * 32);
		ghost__add(f.t, last, hash_of(1));
		assert_false(ghost__take(f.t, last, hash_of(1)));
		ghost__grow(f.t);
		assert_int_equal(fixture_stats(&f).ghost_bytes, page * BUCKETS * 32);
		for (int i = 0; i < 63; i++)
			ghost__add(f.t, last, hash_of(1));
		ghost__grow(f.t);
	}
	ghost__add(f.t, last, hash_of(1));
	assert_true(ghost__take(f.t, last, hash_of(1)));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ghost_is_taken_once),
		cmocka_unit_test(test_ghost_memory_is_counted),
		cmocka_unit_test(test_ghost_old_ones_give_way),
		cmocka_unit_test(test_ghost_memory_comes_by_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
