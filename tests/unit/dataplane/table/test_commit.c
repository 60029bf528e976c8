/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

#include <stdlib.h>

/* Changes of one key and of several, on one thread. The threads are in tests/stress. */

enum present {
	NOTHING,
	VALUE,
	EXPIRED,
	FLUSHED,
};

enum expects {
	ANY,
	ABSENT,
	FOUND, // the item that is there, whether it counts as live or not
	OTHER, // an item that is not there
};

struct commit_case {
	const char *name;
	enum present present;
	enum expects expects;
	bool deletes;
	enum table_status status;
	bool has_old;
	const char *after;
};

static const struct commit_case cases[] = {
	{"set on nothing", NOTHING, ANY, false, TABLE_OK, false, "new"},
	{"set on a value", VALUE, ANY, false, TABLE_OK, true, "new"},
	{"set on an expired value", EXPIRED, ANY, false, TABLE_OK, false, "new"},
	{"set on a flushed value", FLUSHED, ANY, false, TABLE_OK, false, "new"},
	{"add on nothing", NOTHING, ABSENT, false, TABLE_OK, false, "new"},
	{"add on a value", VALUE, ABSENT, false, TABLE_CONFLICT, false, "old"},
	{"add on an expired value", EXPIRED, ABSENT, false, TABLE_OK, false, "new"},
	{"add on a flushed value", FLUSHED, ABSENT, false, TABLE_OK, false, "new"},
	{"replace the one found", VALUE, FOUND, false, TABLE_OK, true, "new"},
	{"replace one that expired meanwhile", EXPIRED, FOUND, false, TABLE_CONFLICT, false, NULL},
	{"replace one that was flushed meanwhile", FLUSHED, FOUND, false, TABLE_CONFLICT, false,
	 NULL},
	{"replace another one", VALUE, OTHER, false, TABLE_CONFLICT, false, "old"},
	{"replace where nothing is", NOTHING, OTHER, false, TABLE_CONFLICT, false, NULL},
	{"delete nothing", NOTHING, ANY, true, TABLE_OK, false, NULL},
	{"delete a value", VALUE, ANY, true, TABLE_OK, true, NULL},
	{"delete an expired value", EXPIRED, ANY, true, TABLE_OK, false, NULL},
	{"delete a flushed value", FLUSHED, ANY, true, TABLE_OK, false, NULL},
	{"delete the one found", VALUE, FOUND, true, TABLE_OK, true, NULL},
	{"delete another one", VALUE, OTHER, true, TABLE_CONFLICT, false, "old"},
};

static const struct item *expectation(struct fixture *f, enum expects expects,
				      const struct item *found)
{
	switch (expects) {
	case ANY:
		return TABLE_ANY;
	case ABSENT:
		return TABLE_ABSENT;
	case FOUND:
		return found;
	case OTHER:
		return fixture_find(f, "other");
	}
	return NULL;
}

static struct item *prepare(struct fixture *f, enum present present)
{
	struct item *found = NULL;

	if (present != NOTHING) {
		fixture_set_expiring(f, "k", "old", present == EXPIRED ? f->wall_ms + 10 : 0);
		found = stable__original(f->t, fixture_find(f, "k"));
	}
	if (present == EXPIRED)
		fixture_tick(f, 20);
	if (present == FLUSHED)
		table_flush(f->t);
	fixture_set(f, "other", "something");
	return found;
}

/* Each case alone and as a part of a commit of three keys, of which it must decide all. */
static void run_case(const struct commit_case *c, bool several)
{
	struct fixture f;

	fixture_open_small(&f);
	struct item *found = prepare(&f, c->present);
	struct item *item = c->deletes ? NULL : fixture_item(&f, "k", "new", 0);
	struct table_change changes[] = {
		{.key = fixture_key(&f, "k"),
		 .expected = expectation(&f, c->expects, found),
		 .item = item},
		{.key = fixture_key(&f, "a"),
		 .expected = TABLE_ANY,
		 .item = fixture_item(&f, "a", "1", 0)},
		{.key = fixture_key(&f, "b"),
		 .expected = TABLE_ABSENT,
		 .item = fixture_item(&f, "b", "2", 0)},
	};
	enum table_status status =
		several ? table_commit(f.t, changes, 3) : table_commit_one(f.t, changes);

	assert_int_equal(status, c->status);
	if (status == TABLE_OK)
		assert_ptr_equal(changes[0].old, c->has_old ? found : NULL);
	else
		table_item_discard(f.t, item);
	assert_value(&f, "k", c->after);
	assert_value(&f, "a", several && status == TABLE_OK ? "1" : NULL);
	assert_value(&f, "b", several && status == TABLE_OK ? "2" : NULL);
	for (int i = 1; i < 3; i++)
		if (!several || status != TABLE_OK)
			table_item_discard(f.t, changes[i].item);
	uint64_t expected = 1 + (c->after != NULL) + (several && status == TABLE_OK ? 2 : 0);

	fixture_settle(&f);
	assert_int_equal(table_count(f.table), expected);
	fixture_close(&f);
}

static void test_commit_expectation_decides(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		print_message("%s\n", cases[i].name);
		run_case(&cases[i], false);
		run_case(&cases[i], true);
	}
}

static void test_commit_repeated_key_last_change_counts(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "k", "before");
	struct item *before = stable__original(f.t, fixture_find(&f, "k"));
	struct table_change changes[] = {
		{.key = fixture_key(&f, "k"),
		 .expected = TABLE_ANY,
		 .item = fixture_item(&f, "k", "1", 0)},
		{.key = fixture_key(&f, "x"),
		 .expected = TABLE_ANY,
		 .item = fixture_item(&f, "x", "y", 0)},
		{.key = fixture_key(&f, "k"), .expected = TABLE_ANY, .item = NULL},
		{.key = fixture_key(&f, "k"),
		 .expected = before,
		 .item = fixture_item(&f, "k", "3", 0)},
	};

	assert_int_equal(table_commit(f.t, changes, 4), TABLE_OK);
	assert_value(&f, "k", "3");
	assert_value(&f, "x", "y");
	assert_int_equal(table_count(f.table), 2);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(changes[i].version, changes[0].version);
		assert_ptr_equal(changes[i].old, i == 1 ? NULL : before);
	}
	fixture_close(&f);
}

/*
 * As many as one MSET may bring. Looking at each pair of them would take minutes: the suite's
 * limit.
 */
static void test_commit_key_repeated_half_a_million_times_is_looked_at_once_each(void **state)
{
	const uint32_t count = TABLE_MANY_MAX / 2;
	struct table_change *changes = calloc(count, sizeof(*changes));
	struct fixture f;

	fixture_open_small(&f);
	assert_non_null(changes);
	for (uint32_t i = 0; i < count; i++) {
		changes[i].key = fixture_key(&f, "k");
		changes[i].expected = TABLE_ANY;
	}
	changes[count - 1].item = fixture_item(&f, "k", "last", 0);
	assert_int_equal(table_commit(f.t, changes, count), TABLE_OK);
	assert_value(&f, "k", "last");
	assert_null(changes[0].old);
	fixture_close(&f);
	free(changes);
}

static void test_commit_version_rises_and_is_shared(void **state)
{
	struct fixture f;
	uint64_t last = 0;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < 100; i++) {
		struct key_text a = key_text(i % 7), b = key_text(100 + i % 5);
		struct table_change changes[] = {
			{.key = fixture_key(&f, a.text),
			 .expected = TABLE_ANY,
			 .item = fixture_item(&f, a.text, "1", 0)},
			{.key = fixture_key(&f, b.text), .expected = TABLE_ANY, .item = NULL},
		};

		assert_int_equal(table_commit(f.t, changes, 2), TABLE_OK);
		assert_true(changes[0].version > last);
		assert_int_equal(item_version(changes[0].item), changes[0].version);
		assert_int_equal(changes[1].version, changes[0].version);
		last = changes[0].version;
	}
	fixture_close(&f);
}

static void test_commit_thousands_of_keys_at_once(void **state)
{
	enum {
		COUNT = 5000
	};
	static struct table_change changes[COUNT];
	static struct key_text keys[COUNT];
	static struct table_key lookups[COUNT];
	static struct item *items[COUNT];
	struct fixture f;

	fixture_open_small(&f);
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < COUNT; i++) {
			keys[i] = key_text(i);
			lookups[i] = fixture_key(&f, keys[i].text);
			changes[i] = (struct table_change){
				.key = lookups[i],
				.expected = round ? TABLE_ANY : TABLE_ABSENT,
				.item = fixture_item(&f, keys[i].text, "value", 0),
			};
		}
		assert_int_equal(table_commit(f.t, changes, COUNT), TABLE_OK);
		table_find_many(f.t, lookups, COUNT, items);
		for (uint64_t i = 0; i < COUNT; i++)
			assert_ptr_equal(items[i], changes[i].item);
		fixture_settle(&f);
	}
	assert_int_equal(table_count(f.table), COUNT);
	fixture_close(&f);
}

static uint64_t restored(struct fixture *f, const char *key, uint64_t version)
{
	struct table_change change = {.key = fixture_key(f, key),
				      .expected = TABLE_ABSENT,
				      .item = fixture_item(f, key, "v", 0)};

	assert_int_equal(table_restore_one(f->t, &change, version), TABLE_OK);
	assert_int_equal(item_version(fixture_find(f, key)), change.version);
	return change.version;
}

/* Versions of the past stay; what comes after them, in their bucket too, is newer (T4). */
static void test_restore_keeps_versions_of_the_past(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	const uint64_t now = counter_read(&f.t->clock);

	assert_int_equal(restored(&f, "one", now - 5), now - 5);
	assert_int_equal(restored(&f, "two", 1), 1);
	assert_int_equal(restored(&f, "three", now), now);
	assert_true(restored(&f, "none", 0) > now);
	assert_true(restored(&f, "future", VERSION_MAX) < now + 100);
	fixture_set(&f, "two", "w");
	assert_true(item_version(fixture_find(&f, "two")) > now);
	struct table_change again = {.key = fixture_key(&f, "one"),
				     .expected = TABLE_ABSENT,
				     .item = fixture_item(&f, "one", "v", 0)};

	assert_int_equal(table_restore_one(f.t, &again, 7), TABLE_CONFLICT);
	table_item_discard(f.t, again.item);
	table_flush(f.t);
	assert_true(restored(&f, "four", 9) > now); // a flush hides what is older
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit_expectation_decides),
		cmocka_unit_test(test_commit_repeated_key_last_change_counts),
		cmocka_unit_test(
			test_commit_key_repeated_half_a_million_times_is_looked_at_once_each),
		cmocka_unit_test(test_commit_version_rises_and_is_shared),
		cmocka_unit_test(test_commit_thousands_of_keys_at_once),
		cmocka_unit_test(test_restore_keeps_versions_of_the_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
