/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* Storing over an item, and the copies that look-ups make of those that may be stored over. */

#define LONG_VALUE                                                                                 \
	"a value of which an item would have more than a hundred and twenty-eight bytes, "         \
	"together with its header and its key, which is as long as they are"

enum expects {
	ANY,
	ABSENT,
	FOUND,
	OUTDATED
};

struct overwrite_case {
	const char *name, *before; // value, NULL: none
	uint64_t before_expire_ms; // from now
	bool first;                // of its key
	struct item_spec spec;     // what is stored
	enum expects expects;
	bool fits;
	enum table_status status;
};

#define TEXT(literal)                                                                              \
	{                                                                                          \
		.ptr = (const uint8_t *)(literal), .len = sizeof(literal) - 1                      \
	}

static const struct overwrite_case cases[] = {
	{"same length", "old", 0, false, {.value = TEXT("new")}, ANY, true, TABLE_OK},
	{"in two pieces",
	 "older",
	 0,
	 false,
	 {.value = TEXT("ne"), .value_tail = TEXT("wer")},
	 ANY,
	 true,
	 TABLE_OK},
	{"of no bytes", "", 0, false, {.value = TEXT("")}, ANY, true, TABLE_OK},
	{"as it was found", "old", 0, false, {.value = TEXT("new")}, FOUND, true, TABLE_OK},
	{"changed since", "old", 0, false, {.value = TEXT("new")}, OUTDATED, true, TABLE_CONFLICT},
	{"over absence", "old", 0, false, {.value = TEXT("new")}, ABSENT, true, TABLE_CONFLICT},
	{"longer", "old", 0, false, {.value = TEXT("newer")}, ANY, false, TABLE_OK},
	{"shorter", "old", 0, false, {.value = TEXT("n")}, ANY, false, TABLE_OK},
	{"first of its key", "old", 0, true, {.value = TEXT("new")}, ANY, false, TABLE_OK},
	{"nothing there", NULL, 0, false, {.value = TEXT("new")}, ANY, false, TABLE_OK},
	{"long", LONG_VALUE, 0, false, {.value = TEXT(LONG_VALUE)}, ANY, false, TABLE_OK},
	{"a time to live more",
	 "old",
	 0,
	 false,
	 {.value = TEXT("new"), .expire_ms = 1},
	 ANY,
	 false,
	 TABLE_OK},
	{"a time to live less", "old", 50, false, {.value = TEXT("new")}, ANY, false, TABLE_OK},
	{"another time to live",
	 "old",
	 50,
	 false,
	 {.value = TEXT("new"), .expire_ms = 90},
	 ANY,
	 true,
	 TABLE_OK},
	{"memcached's flags",
	 "old",
	 0,
	 false,
	 {.value = TEXT("new"), .mc_flags = 7},
	 ANY,
	 false,
	 TABLE_OK},
	{"another encoding",
	 "old",
	 0,
	 false,
	 {.value = TEXT("new"), .encoding = ITEM_EDITED},
	 ANY,
	 true,
	 TABLE_OK},
};

static void run_case(const struct overwrite_case *c)
{
	struct fixture f;
	struct item_spec spec = c->spec;
	enum table_status status = TABLE_OK;

	fixture_open_small(&f);
	for (int i = 0; c->before && i < (c->first ? 1 : 2); i++)
		fixture_set_expiring(&f, "k", c->before,
				     c->before_expire_ms ? f.wall_ms + c->before_expire_ms : 0);
	struct table_change change = {.key = fixture_key(&f, "k"), .expected = TABLE_ANY};
	struct item *found = table_find(f.t, &change.key);
	uint64_t version = found ? item_version(found) : 0, limbo = counter_read(&f.t->limbo_items);

	if (c->expects == ABSENT)
		change.expected = TABLE_ABSENT;
	if (c->expects == FOUND || c->expects == OUTDATED)
		change.expected = found;
	if (c->expects == OUTDATED)
		fixture_set(&f, "k", "mid");
	spec.key = change.key.bytes;
	spec.expire_ms += spec.expire_ms ? f.wall_ms : 0;
	assert_int_equal(table_overwrite(f.t, &change, &spec, &status), c->fits);
	if (c->fits)
		assert_int_equal(status, c->status);

	struct item *after = table_find(f.t, &change.key);

	if (c->fits && c->status == TABLE_OK) {
		assert_true(item_version(after) > version && item_version(after) == change.version);
		assert_int_equal(item_value(after).len, spec.value.len + spec.value_tail.len);
		assert_memory_equal(item_value(after).ptr, spec.value.ptr, spec.value.len);
		assert_memory_equal(item_value(after).ptr + spec.value.len, spec.value_tail.ptr,
				    spec.value_tail.len);
		assert_int_equal(item_expire_ms(after), spec.expire_ms);
		assert_int_equal(item_encoding(after), spec.encoding);
		assert_int_equal(counter_read(&f.t->limbo_items), limbo); // nothing to reclaim
	} else if (c->expects != OUTDATED) {
		assert_value(&f, "k", c->before);
	}
	assert_int_equal(table_count(f.table), c->before != NULL);
	fixture_close(&f);
}

static void test_overwrite_what_fits(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		print_message("%s\n", cases[i].name);
		run_case(&cases[i]);
	}
}

static bool overwritten(struct fixture *f, const char *key, const char *value)
{
	struct table_change change = {.key = fixture_key(f, key), .expected = TABLE_ANY};
	const struct item_spec spec = {.key = change.key.bytes, .value = slice_of_text(value)};
	enum table_status status;

	return table_overwrite(f->t, &change, &spec, &status) && status == TABLE_OK;
}

static void test_found_item_stays_as_it_was(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "k", "zeros");
	fixture_set(&f, "k", "first");
	struct item *first = fixture_find(&f, "k");

	assert_true(overwritten(&f, "k", "other"));
	struct item *other = fixture_find(&f, "k");

	assert_memory_equal(item_value(first).ptr, "first", 5);
	assert_memory_equal(item_value(other).ptr, "other", 5);
	assert_true(item_version(other) > item_version(first));
	assert_ptr_equal(stable__original(f.t, first), stable__original(f.t, other));
	fixture_close(&f);
}

/* As many as one asks for: when there is no more room for copies, values are replaced instead. */
static void test_nothing_is_overwritten_without_room_for_copies(void **state)
{
	enum {
		FOUND_COUNT = 2 * COPIES_BYTES / 64
	};
	static struct item *found[FOUND_COUNT];
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "k", "00000");
	fixture_set(&f, "k", "00000");
	for (uint32_t i = 0; i < FOUND_COUNT; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%05u", i);
		if (!overwritten(&f, "k", text))
			fixture_set(&f, "k", text);
		found[i] = fixture_find(&f, "k");
	}
	assert_int_equal(f.table->holders, 1);
	assert_false(overwritten(&f, "k", "xxxxx"));
	for (uint32_t i = 0; i < FOUND_COUNT; i++) {
		char text[8];

		snprintf(text, sizeof(text), "%05u", i);
		assert_memory_equal(item_value(found[i]).ptr, text, 5);
	}
	fixture_tick(&f, 0);
	assert_int_equal(f.table->holders, 0);
	assert_true(overwritten(&f, "k", "xxxxx"));
	fixture_close(&f);
}

static void test_sooner_expiry_is_kept(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (int i = 0; i < 2; i++)
		fixture_set_expiring(&f, "k", "old", f.wall_ms + 1000000);
	struct table_change change = {.key = fixture_key(&f, "k"), .expected = TABLE_ANY};
	const struct item_spec spec = {
		.key = change.key.bytes, .value = TEXT("new"), .expire_ms = f.wall_ms + 20};
	enum table_status status;

	assert_true(table_overwrite(f.t, &change, &spec, &status));
	fixture_tick(&f, 40);
	fixture_settle(&f); // nobody asks for it
	assert_int_equal(table_count(f.table), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overwrite_what_fits),
		cmocka_unit_test(test_found_item_stays_as_it_was),
		cmocka_unit_test(test_nothing_is_overwritten_without_room_for_copies),
		cmocka_unit_test(test_sooner_expiry_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
