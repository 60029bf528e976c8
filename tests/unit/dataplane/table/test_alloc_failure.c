/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

#include <stdlib.h>
#include <sys/mman.h>

/*
 * Every allocation of a change fails once, whoever makes it: the item, its blob, a chunk of limbo,
 * an overflow node, the arrays of a large commit, a further piece of the index. The change takes
 * place as a whole or reports that there is no memory and leaves everything as it was; then nothing
 * has been lost, and the same change succeeds.
 */

/*
 * Linked with --wrap for each of these: mallocx() is where the table's memory comes from, and
 * mmap() goes by this name with 64-bit offsets.
 */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

static uint64_t allocations_left = UINT64_MAX; // before the one that fails
static bool one_failed;

static bool fails(void)
{
	if (allocations_left == UINT64_MAX)
		return false;
	if (allocations_left-- > 0)
		return false;
	allocations_left = UINT64_MAX;
	one_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : __real_mmap64(addr, len, prot, flags, fd, offset);
}

#ifdef HAVE_JEMALLOC
void *__real_mallocx(size_t size, int flags);
void *__wrap_mallocx(size_t size, int flags);

void *__wrap_mallocx(size_t size, int flags)
{
	return fails() ? NULL : __real_mallocx(size, flags);
}
#endif

enum {
	KEYS_BEFORE = 6,
	KEYS_MAX = 200,
};

/* A change: keys from `first` on get values of this length, at once or one by one. */
struct failure_case {
	const char *name;
	uint32_t first, count;
	size_t value_len;
	bool at_once; // in one commit
	bool only_absent;
	bool delete;   // instead of storing
	bool expires;  // in a minute
	bool one_home; // all keys in one bucket, so that it chains
	uint32_t failures_min;
};

static const struct failure_case cases[] = {
	{.name = "set", .first = 100, .count = 1, .value_len = 30, .failures_min = 1},
	{.name = "replace", .first = 0, .count = 1, .value_len = 30, .failures_min = 1},
	{.name = "set, long value", .first = 100, .count = 1, .value_len = 9000, .failures_min = 2},
	{.name = "set with an expiry",
	 .first = 100,
	 .count = 1,
	 .value_len = 30,
	 .expires = true,
	 .failures_min = 1},
	{.name = "set into a full bucket",
	 .first = 100,
	 .count = 8,
	 .value_len = 30,
	 .one_home = true,
	 .failures_min = 9},
	{.name = "delete", .first = 0, .count = 6, .delete = true, .one_home = true},
	{.name = "mset, some keys there",
	 .first = 3,
	 .count = 6,
	 .value_len = 30,
	 .at_once = true,
	 .failures_min = 6},
	{.name = "mset, more than fit on the stack",
	 .first = 100,
	 .count = 60,
	 .value_len = 30,
	 .at_once = true,
	 .failures_min = 61},
	{.name = "mset into one bucket",
	 .first = 0,
	 .count = 20,
	 .value_len = 30,
	 .at_once = true,
	 .one_home = true,
	 .failures_min = 24},
	{.name = "mset of long values",
	 .first = 100,
	 .count = 4,
	 .value_len = 9000,
	 .at_once = true,
	 .failures_min = 8},
	{.name = "msetnx",
	 .first = 100,
	 .count = 5,
	 .value_len = 30,
	 .only_absent = true,
	 .at_once = true,
	 .failures_min = 5},
	{.name = "splits and merges",
	 .first = 100,
	 .count = 150,
	 .value_len = 8,
	 .failures_min = 150},
};

static char value_text[10000];

/* The change's own part of the keys. False: no memory, and the item was not made. */
static bool build(struct fixture *f, const struct failure_case *c, uint32_t number,
		  struct key_text *text, struct table_change *change)
{
	*text = key_text(number);
	*change = (struct table_change){.key = fixture_key(f, text->text),
					.expected = c->only_absent ? TABLE_ABSENT : TABLE_ANY};
	if (c->delete)
		return true;
	change->item =
		table_item_new(f->t, &(struct item_spec){
					     .key = slice_of_text(text->text),
					     .value = slice_of(value_text, c->value_len),
					     .expire_ms = c->expires ? f->wall_ms + 60000 : 0,
				     });
	return change->item != NULL;
}

static void discard(struct fixture *f, struct table_change *changes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		table_item_discard(f->t, changes[i].item);
}

/* The number of keys that have been changed. */
static uint32_t run_at_once(struct fixture *f, const struct failure_case *c)
{
	static struct table_change changes[KEYS_MAX];
	static struct key_text texts[KEYS_MAX];

	for (uint32_t i = 0; i < c->count; i++) {
		if (!build(f, c, c->first + i, &texts[i], &changes[i])) {
			discard(f, changes, i);
			return 0;
		}
	}
	enum table_status status = table_commit(f->t, changes, c->count);

	assert_true(status == TABLE_OK || status == TABLE_NO_MEMORY);
	if (status == TABLE_OK)
		return c->count;
	assert_true(one_failed);
	discard(f, changes, c->count);
	return 0;
}

static uint32_t run_one_by_one(struct fixture *f, const struct failure_case *c)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct table_change change;
		struct key_text text;

		if (!build(f, c, c->first + i, &text, &change))
			return i;
		enum table_status status = table_commit_one(f->t, &change);

		assert_true(status == TABLE_OK || status == TABLE_NO_MEMORY);
		if (status == TABLE_OK)
			continue;
		assert_true(one_failed);
		discard(f, &change, 1);
		return i;
	}
	return c->count;
}

static void assert_keys(struct fixture *f, const struct failure_case *c, uint32_t changed)
{
	uint64_t there = 0;

	for (uint32_t i = 0; i < KEYS_BEFORE || i < c->first + c->count; i++) {
		bool is_changed = i >= c->first && i < c->first + changed;
		const struct item *item = fixture_find(f, key_text(i).text);

		if (is_changed ? c->delete : i >= KEYS_BEFORE) {
			assert_null(item);
			continue;
		}
		assert_non_null(item);
		there++;
		if (is_changed)
			assert_int_equal(item_value(item).len, c->value_len);
		else
			assert_int_equal(item_value(item).len, strlen("before"));
	}
	assert_int_equal(table_count(f->table), there);
}

static uint64_t bytes_after_delete(struct fixture *f, uint32_t keys)
{
	for (uint32_t i = 0; i < keys; i++)
		fixture_delete(f, key_text(i).text);
	fixture_settle(f);
	struct table_stats stats = fixture_stats(f);

	assert_int_equal(stats.limbo_items, 0);
	return stats.memory_bytes - stats.index_bytes;
}

static void prepare(struct fixture *f, const struct failure_case *c)
{
	if (c->one_home) {
		fixture_open(f, &(struct table_config){.buckets_initial = 1,
						       .buckets_max = 1,
						       .hash_key = {1, 2}});
	} else {
		fixture_open_small(f);
	}
	for (uint32_t i = 0; i < KEYS_BEFORE; i++)
		fixture_set(f, key_text(i).text, "before");
}

/* False when there were no more than n allocations. */
static bool run_with_failure(const struct failure_case *c, uint64_t n)
{
	struct fixture f;

	prepare(&f, c);
	one_failed = false;
	allocations_left = n;
	uint32_t changed = c->at_once ? run_at_once(&f, c) : run_one_by_one(&f, c);

	allocations_left = UINT64_MAX;
	assert_true(changed == c->count || one_failed);
	assert_keys(&f, c, changed);
	if (changed < c->count)
		assert_int_equal(c->at_once ? run_at_once(&f, c) : run_one_by_one(&f, c), c->count);
	assert_keys(&f, c, c->count);
	uint64_t bytes = bytes_after_delete(&f, c->first + c->count);

	// What stays is a thread's spare chunk of limbo and its wheel of timers.
	assert_in_range(bytes, 0, c->expires ? 90000 : 2 * 4096);
	fixture_close(&f);
	return one_failed;
}

static void test_every_allocation_may_fail(void **state)
{
	memset(value_text, 'v', sizeof(value_text));
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint64_t n = 0;

		while (run_with_failure(&cases[i], n))
			n++;
		print_message("%s: %llu allocations\n", cases[i].name, (unsigned long long)n);
		assert_true(n >= cases[i].failures_min);
	}
}

/* A full piece of the index: the table goes on with chains, and grows when it can. */
static void test_index_without_memory_stays_as_it_is(void **state)
{
	struct fixture f;

	fixture_open(&f, &(struct table_config){.buckets_initial = 1024, .hash_key = {1, 2}});
	for (uint32_t i = 0; i < 100; i++)
		fixture_set(&f, key_text(i).text, "v");
	one_failed = false;
	allocations_left = 0;
	assert_false(table__resize_step(f.t, UINT64_MAX / 8, 1));
	assert_true(one_failed);
	assert_int_equal(fixture_stats(&f).buckets, 1024);
	assert_true(table__resize_step(f.t, UINT64_MAX / 8, 1));
	assert_int_equal(fixture_stats(&f).buckets, 1025);
	for (uint32_t i = 0; i < 100; i++)
		assert_value(&f, key_text(i).text, "v");
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_without_memory_stays_as_it_is),
		cmocka_unit_test(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
