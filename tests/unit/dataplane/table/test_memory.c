/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/*
 * Memory: what is counted comes back, what shares a blob is counted once, a region that is full
 * is a result and not an end, and an allocation that fails, whichever it is, leaves the table as
 * it was.
 */

enum {
	MIB = 1 << 20
};

/* Linked with --wrap=table__alloc: the allocation after `allocations_left` more fails. */
void *__real_table__alloc(struct table_thread *t, size_t size_bytes);
void *__wrap_table__alloc(struct table_thread *t, size_t size_bytes);

static uint64_t allocations_left = UINT64_MAX;

void *__wrap_table__alloc(struct table_thread *t, size_t size_bytes)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return __real_table__alloc(t, size_bytes);
}

static uint64_t used_bytes(struct fixture *f)
{
	struct table_stats stats = fixture_stats(f);

	return stats.memory_bytes - stats.index_bytes;
}

static char *long_text(size_t len)
{
	char *text = test_malloc(len + 1);

	memset(text, 'x', len);
	text[len] = 0;
	return text;
}

struct baseline_case {
	const char *name;
	size_t value_len;
	uint64_t keys;
	bool flush; // or delete one by one
};

static const struct baseline_case baseline_cases[] = {
	{"small values, flushed", 32, 20000, true},
	{"small values, deleted", 32, 20000, false},
	{"longest inline, flushed", ITEM_VALUE_INLINE_MAX, 500, true},
	{"shortest blobs, flushed", ITEM_VALUE_INLINE_MAX + 1, 500, true},
	{"shortest blobs, deleted", ITEM_VALUE_INLINE_MAX + 1, 500, false},
	{"large blobs, flushed", 3 * MIB, 20, true},
};

static void test_memory_returns_to_baseline(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(baseline_cases); i++) {
		const struct baseline_case *c = &baseline_cases[i];
		char *value = long_text(c->value_len);
		struct fixture f;

		print_message("%s\n", c->name);
		fixture_open_small(&f);
		fixture_set(&f, "first", "one"); // a thread keeps a limbo chunk from then on
		fixture_delete(&f, "first");
		fixture_settle(&f);
		uint64_t before = used_bytes(&f);

		for (uint64_t k = 0; k < c->keys; k++)
			fixture_set(&f, key_text(k).text, value);
		assert_true(used_bytes(&f) > before + c->keys * c->value_len);
		for (uint64_t k = 0; k < c->keys && !c->flush; k++)
			fixture_delete(&f, key_text(k).text);
		if (c->flush)
			table_flush(f.t);
		assert_int_equal(table_count(f.table), 0);
		fixture_settle(&f);
		assert_int_equal(used_bytes(&f), before);
		assert_int_equal(fixture_stats(&f).limbo_items, 0);
		test_free(value);
		fixture_close(&f);
	}
}

/* A new expiry on a large value is a new item around the same blob. */
static void test_item_shares_blob_with_its_successor(void **state)
{
	char *value = long_text(MIB);
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "k", value);
	uint64_t one = used_bytes(&f);

	for (int i = 0; i < 10; i++) {
		struct item *found = fixture_find(&f, "k");
		struct blob *blob = blob_ref(item_blob(found));
		struct item *item = table_item_new(f.t, &(struct item_spec){
								.key = item_key(found),
								.blob = blob,
								.expire_ms = f.wall_ms + 1000,
							});

		assert_int_equal(fixture_change(&f, "k", found, item), TABLE_OK);
	}
	assert_true(used_bytes(&f) < one + 300000);
	assert_value(&f, "k", value);
	fixture_settle(&f);
	assert_true(used_bytes(&f) < one + 200000); // the timer wheel
	struct blob *kept = blob_ref(item_blob(fixture_find(&f, "k")));

	fixture_delete(&f, "k");
	fixture_settle(&f);
	assert_int_equal(kept->len, MIB);
	assert_true(used_bytes(&f) > MIB);
	blob_unref(kept);
	assert_true(used_bytes(&f) < 200000);
	test_free(value);
	fixture_close(&f);
}

/* The region is filled to the brim without eviction, emptied, and filled with another size. */
static void test_region_full_is_refused_and_reused(void **state)
{
	static const size_t lens[] = {32, 1000, 100000, 64};
	struct fixture f;

	fixture_open(&f, &(struct table_config){.buckets_initial = 1,
						.hash_key = {1, 2},
						.region_bytes = 32 * MIB});
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		char *value = long_text(lens[i]);
		uint64_t stored = 0;

		while (table_reserve(f.t, lens[i] + 64)) {
			struct key_text k = key_text(stored);
			struct item *item = table_item_new(
				f.t, &(struct item_spec){.key = slice_of_text(k.text),
							 .value = slice_of_text(value)});

			if (!item)
				break;
			if (fixture_change(&f, k.text, TABLE_ANY, item) != TABLE_OK) {
				table_item_discard(f.t, item);
				break;
			}
			stored++;
			if (stored % 256 == 0) {
				rcu_wait();
				table_housekeep(f.t, 1000000);
			}
		}
		print_message("%zu bytes: %llu stored, %llu used\n", lens[i],
			      (unsigned long long)stored, (unsigned long long)used_bytes(&f));
#ifdef HAVE_JEMALLOC
		assert_true(stored * lens[i] > 9 * MIB);
#endif
		assert_int_equal(table_count(f.table), stored);
		table_flush(f.t);
		fixture_settle(&f);
		test_free(value);
	}
	fixture_close(&f);
}

/* A cache that has to evict for each write, in a region, with sizes that change. */
static void test_region_with_eviction_always_stores(void **state)
{
	struct rng rng = rng_seeded(5);
	char *value = long_text(20000);
	uint64_t refused = 0;
	struct fixture f;

	fixture_open(&f, &(struct table_config){.buckets_initial = 1,
						.hash_key = {1, 2},
						.region_bytes = 32 * MIB});
	table_limits(f.table)->policy = TABLE_ALLKEYS_LRU;
	for (uint64_t i = 0; i < 30000; i++) {
		size_t len = i < 10000 ? 100 : i < 20000 ? 10000 : rng_below(&rng, 20000);
		struct key_text k = key_text(i);
		struct item *item = NULL;

		if (table_reserve(f.t, len + 64))
			item = table_item_new(f.t,
					      &(struct item_spec){.key = slice_of_text(k.text),
								  .value = slice_of(value, len)});
		if (!item || fixture_change(&f, k.text, TABLE_ANY, item) != TABLE_OK) {
			table_item_discard(f.t, item);
			refused++;
		}
		if (i % 16 == 0) {
			rcu_wait();
			table_housekeep(f.t, 50000);
		}
	}
	print_message("%llu of 30000 refused, %llu evicted\n", (unsigned long long)refused,
		      (unsigned long long)fixture_stats(&f).evicted);
	assert_true(refused < 150); // half a percent, in a region of only 32 MiB
	test_free(value);
	fixture_close(&f);
}

/*
 * One run of a small program of changes, with the n-th allocation failing. True when none failed.
 */
static bool run_with_failure(uint64_t n)
{
	struct fixture f;
	bool failed = false;

	fixture_open_small(&f);
	f.table->hash_mask = 0xf; // chains, so nodes are needed too
	allocations_left = n;
	for (uint64_t i = 0; i < 40; i++) {
		struct key_text k = key_text(i % 30);
		struct item_spec spec = {.key = slice_of_text(k.text),
					 .value = SLICE_LITERAL("value"),
					 .expire_ms = i % 3 ? 0 : f.wall_ms + 50};
		struct item *item = table_item_new(f.t, &spec);
		struct table_change changes[2] = {
			{.key = fixture_key(&f, k.text), .expected = TABLE_ANY, .item = item},
			{.key = fixture_key(&f, "gone"), .expected = TABLE_ANY},
		};

		if (item && table_commit(f.t, changes, 1 + i % 2) == TABLE_OK)
			continue;
		failed = true;
		table_item_discard(f.t, item);
	}
	fixture_tick(&f, 100);
	for (int i = 0; i < 10; i++) {
		rcu_wait();
		table_housekeep(f.t, 100000);
	}
	failed = failed || allocations_left == 0;
	allocations_left = UINT64_MAX;
	uint64_t found = 0;

	for (uint64_t i = 0; i < 30; i++)
		found += fixture_find(&f, key_text(i).text) != NULL;
	assert_int_equal(table_count(f.table), found);
	table_flush(f.t);
	fixture_settle(&f);
	assert_true(used_bytes(&f) < 300000);
	fixture_close(&f);
	return !failed;
}

static void test_any_failed_allocation_is_survived(void **state)
{
	uint64_t n = 0;

	while (!run_with_failure(n))
		n++;
	print_message("%llu allocations\n", (unsigned long long)n);
	assert_in_range(n, 40, 1000);
}

/* 16-byte keys and 32-byte values, as the memory goal counts them. */
static void test_overhead_per_small_item(void **state)
{
	enum {
		KEYS = 200000
	};
	struct fixture f;

	fixture_open_small(&f);
	uint64_t before = fixture_stats(&f).memory_bytes;

	for (uint64_t i = 0; i < KEYS; i++) {
		char key[24];

		snprintf(key, sizeof(key), "key:%012llu", (unsigned long long)i);
		fixture_set(&f, key, "01234567890123456789012345678901");
		if (i % 256 == 0) {
			rcu_wait();
			table_housekeep(f.t, 100000);
		}
	}
	fixture_settle(&f);
	double overhead = (double)(fixture_stats(&f).memory_bytes - before) / KEYS - 48;

	print_message("%.2f bytes\n", overhead);
#ifdef HAVE_JEMALLOC
	assert_true(overhead <= 30);
#endif
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_returns_to_baseline),
		cmocka_unit_test(test_item_shares_blob_with_its_successor),
		cmocka_unit_test(test_region_full_is_refused_and_reused),
		cmocka_unit_test(test_region_with_eviction_always_stores),
		cmocka_unit_test(test_any_failed_allocation_is_survived),
		cmocka_unit_test(test_overhead_per_small_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
