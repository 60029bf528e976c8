/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/table/fixture.h"

/* What goes into an item comes out of it, whichever optional fields it has. */

struct item_case {
	const char *name;
	size_t key_len, value_len, tail_len;
	uint64_t expire_ms;
	uint32_t mc_flags;
	bool blob;
};

static const struct item_case cases[] = {
	{"plain", 5, 10, 0, 0, 0, false},
	{"empty key and value", 0, 0, 0, 0, 0, false},
	{"expiry", 16, 32, 0, 1234567890123, 0, false},
	{"flags", 16, 32, 0, 0, 0xdeadbeef, false},
	{"expiry and flags", 16, 32, 0, 1, 1, false},
	{"longest short key", 255, 3, 0, 5, 6, false},
	{"shortest long key", 256, 3, 0, 0, 0, false},
	{"long key, everything", 70000, 3, 4, 5, 6, false},
	{"tail", 3, 100, 50, 0, 0, false},
	{"tail alone", 3, 0, 50, 0, 7, false},
	{"longest inline", 3, 4000, 96, 0, 0, false},
	{"shortest blob", 3, 4000, 97, 0, 0, true},
	{"blob, everything", 300, 100000, 5, 7, 8, true},
};

static uint8_t bytes[1 << 18];

static void test_item_fields_round_trip(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct item_case *c = &cases[i];

		print_message("%s\n", c->name);
		struct item *item = table_item_new(
			f.t, &(struct item_spec){
				     .key = slice_of(bytes, c->key_len),
				     .value = slice_of(bytes + 1, c->value_len),
				     .value_tail = slice_of(bytes + 1 + c->value_len, c->tail_len),
				     .expire_ms = c->expire_ms,
				     .mc_flags = c->mc_flags});

		assert_non_null(item);
		assert_true(slice_equal(item_key(item), slice_of(bytes, c->key_len)));
		assert_true(slice_equal(item_value(item),
					slice_of(bytes + 1, c->value_len + c->tail_len)));
		assert_int_equal(item_expire_ms(item), c->expire_ms);
		assert_int_equal(item_mc_flags(item), c->mc_flags);
		assert_int_equal(item_blob(item) != NULL, c->blob);
		assert_in_range(item_memory_bytes(item), c->key_len + c->value_len + c->tail_len,
				(c->key_len + c->value_len + c->tail_len) * 5 / 4 + 128);
		table_item_discard(f.t, item);
	}
	fixture_close(&f);
}

static void test_item_idle_time_follows_finds_not_peeks(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "k", "v");
	struct table_key key = fixture_key(&f, "k");

	fixture_tick(&f, 10000);
	assert_int_equal(item_idle_s(table_peek(f.t, &key), f.wall_ms), 10);
	fixture_tick(&f, 5000);
	assert_non_null(table_find(f.t, &key));
	assert_int_equal(item_idle_s(table_peek(f.t, &key), f.wall_ms), 0);
	fixture_tick(&f, 3000);
	assert_int_equal(item_idle_s(table_peek(f.t, &key), f.wall_ms), 3);
	fixture_close(&f);
}

static void test_item_too_large_is_refused(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	// Refused by its length, before a byte of it is touched.
	assert_null(table_item_new(
		f.t, &(struct item_spec){.value = slice_of(bytes, ITEM_VALUE_MAX + 1)}));
	assert_null(
		table_item_new(f.t, &(struct item_spec){.key = slice_of(bytes, ITEM_KEY_MAX + 1)}));
	assert_null(table_blob_new(f.t, ITEM_VALUE_MAX + 1));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_item_fields_round_trip),
		cmocka_unit_test(test_item_idle_time_follows_finds_not_peeks),
		cmocka_unit_test(test_item_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
