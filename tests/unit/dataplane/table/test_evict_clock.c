/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/slot_find.h"
#include "tests/unit/dataplane/table/fixture.h"

/* allkeys-s3: who is on probation, who goes, and who comes back as what. */

#define VALUE "0123456789012345678901234567890123456789"

enum {
	KEYS = 4000
};

static void open_s3(struct fixture *f)
{
	fixture_open_small(f);
	table_limits(f->table)->policy = TABLE_ALLKEYS_S3;
	fixture_tick(f, 1);
}

static uint64_t word_of(struct fixture *f, const char *text)
{
	struct table_key key = fixture_key(f, text);
	uint64_t buckets = atomic_load(&f->table->buckets), word;

	if (!table__slot_find(&f->table->index[geometry_home(key.hash, buckets)], &key, &word))
		return 0;
	return word;
}

static uint32_t freq(struct fixture *f, const char *text)
{
	return (uint32_t)((word_of(f, text) & SLOT_FREQ) / SLOT_FREQ_ONE);
}

static bool on_probation(struct fixture *f, const char *text)
{
	assert_true(word_of(f, text) != 0);
	return word_of(f, text) & SLOT_PROBATION;
}

/* Sets a key as a command does, while the rest of the world goes on. */
static void set(struct fixture *f, uint64_t number)
{
	assert_true(table_reserve(f->t, 96));
	fixture_set(f, key_text(number).text, VALUE);
	fixture_tick(f, 0);
	if (number % 32 == 0) {
		rcu_wait();
		table_housekeep(f->t, 20000);
	}
}

static void limit_here(struct fixture *f)
{
	struct table_stats stats = fixture_stats(f);

	table_limits(f->table)->maxmemory_bytes = stats.memory_bytes - stats.limbo_bytes;
}

/* The bytes of all items on probation, by a look at each. */
static uint64_t probation_by_hand(struct fixture *f)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < atomic_load(&f->table->buckets); i++) {
		struct line line = bucket_line(&f->table->index[i]);

		do {
			for (uint32_t s = 0; s < line.count; s++)
				if (slot_is_item(line.slots[s]) && line.slots[s] & SLOT_PROBATION)
					bytes += item_memory_bytes(slot_item(line.slots[s]));
		} while (line_next(&line));
	}
	return bytes;
}

static void test_frequency_fills_and_stays(void **state)
{
	struct fixture f;

	open_s3(&f);
	fixture_set(&f, "k", "v");
	assert_true(on_probation(&f, "k"));
	for (uint32_t hits = 0; hits < 10; hits++) {
		assert_int_equal(freq(&f, "k"), hits < 3 ? hits : 3);
		assert_non_null(fixture_find(&f, "k"));
	}
	uint64_t word = word_of(&f, "k");

	for (uint32_t hits = 0; hits < 10; hits++)
		assert_non_null(fixture_find(&f, "k"));
	assert_int_equal(word_of(&f, "k"), word);
	fixture_close(&f);
}

static void test_frequency_other_policies_leave_the_slot(void **state)
{
	static const enum table_policy policies[] = {TABLE_NOEVICTION, TABLE_ALLKEYS_LRU,
						     TABLE_ALLKEYS_LFU};

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		struct fixture f;

		fixture_open_small(&f);
		table_limits(f.table)->policy = policies[i];
		fixture_tick(&f, 1);
		fixture_set(&f, "k", "v");
		uint64_t word = word_of(&f, "k");

		assert_non_null(fixture_find(&f, "k"));
		assert_int_equal(word_of(&f, "k"), word);
		assert_int_equal(word & (SLOT_FREQ | SLOT_PROBATION), 0);
		fixture_close(&f);
	}
}

static void test_value_replaced_keeps_standing(void **state)
{
	struct fixture f;

	open_s3(&f);
	fixture_set(&f, "k", "v");
	fixture_set(&f, "k", "w"); // an access: nobody looked it up
	assert_int_equal(freq(&f, "k"), 1);
	assert_true(on_probation(&f, "k"));
	struct item *found = fixture_find(&f, "k");

	assert_int_equal(fixture_change(&f, "k", found, fixture_item(&f, "k", "x", 0)), TABLE_OK);
	assert_int_equal(freq(&f, "k"), 2);
	fixture_delete(&f, "k");
	fixture_set(&f, "k", "v");
	assert_int_equal(freq(&f, "k"), 0);
	fixture_close(&f);
}

static void test_many_keys_found_at_once_are_noted(void **state)
{
	struct fixture f;
	struct item *items[2];

	open_s3(&f);
	fixture_set(&f, "a", "1");
	fixture_set(&f, "b", "2");
	struct table_key keys[] = {fixture_key(&f, "a"), fixture_key(&f, "b")};

	table_find_many(f.t, keys, 2, items);
	assert_int_equal(freq(&f, "a"), 1);
	assert_int_equal(freq(&f, "b"), 1);
	fixture_close(&f);
}

static void test_asked_for_stays_and_becomes_main(void **state)
{
	struct fixture f;
	uint32_t left = 0, main_items = 0;

	open_s3(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set(&f, key_text(i).text, VALUE);
	for (uint64_t i = 0; i < KEYS / 8; i++)
		fixture_find(&f, key_text(i).text);
	limit_here(&f);
	for (uint64_t i = KEYS; i < 2 * KEYS; i++)
		set(&f, i);
	for (uint64_t i = 0; i < KEYS / 8; i++) {
		if (word_of(&f, key_text(i).text)) {
			left++;
			main_items += !on_probation(&f, key_text(i).text);
		}
	}
	print_message("%u of %d left, %u main items\n", left, KEYS / 8, main_items);
	assert_true(left > KEYS / 8 * 95 / 100);
	assert_true(main_items > left * 95 / 100);
	fixture_close(&f);
}

static void test_ghost_comes_back_as_main(void **state)
{
	struct fixture f;
	uint32_t gone = 0, main_items = 0;

	open_s3(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set(&f, key_text(i).text, VALUE);
	limit_here(&f);
	for (uint64_t i = KEYS; i < 3 * KEYS / 2; i++)
		set(&f, i);
	for (uint64_t i = 0; i < KEYS && gone < KEYS / 8; i++) {
		if (word_of(&f, key_text(i).text))
			continue;
		gone++;
		set(&f, i);
		main_items += !on_probation(&f, key_text(i).text);
	}
	print_message("%u of %u that came back\n", main_items, gone);
	assert_int_equal(gone, KEYS / 8);
	// The first ones found no memory to be remembered in.
	assert_true(main_items > gone * 70 / 100);
	fixture_close(&f);
}

/* Under a load of new keys main items keep nine tenths of the memory, and the count is exact. */
static void test_probation_keeps_to_its_share(void **state)
{
	struct fixture f;

	open_s3(&f);
	for (uint64_t i = 0; i < KEYS; i++) {
		fixture_set(&f, key_text(i).text, VALUE);
		fixture_find(&f, key_text(i).text);
	}
	limit_here(&f);
	for (uint64_t i = KEYS; i < 6 * KEYS; i++) {
		set(&f, i);
		if (i % 7 == 0)
			fixture_find(&f, key_text(i).text);
		if (i % 11 == 0)
			fixture_delete(&f, key_text(i - 3).text);
		if (i % 13 == 0)
			fixture_set(&f, key_text(i - 5).text, "shorter");
	}
	struct table_stats stats = fixture_stats(&f);
	uint64_t items =
		stats.memory_bytes - stats.index_bytes - stats.ghost_bytes - stats.limbo_bytes;
	uint64_t probation = probation_by_hand(&f);

	print_message("%llu of %llu bytes\n", (unsigned long long)probation,
		      (unsigned long long)items);
	assert_int_equal(counter_read(&f.t->probation_bytes), probation);
	assert_in_range(probation, items * 7 / 100, items * 12 / 100);
	fixture_close(&f);
}

/* Expiry, flush and a change of policy take items off probation too. */
static void test_probation_count_survives_what_happens(void **state)
{
	struct fixture f;

	open_s3(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set_expiring(&f, key_text(i).text, VALUE,
				     i % 2 ? FIXTURE_WALL_MS + 1000 : 0);
	fixture_tick(&f, 2000);
	fixture_settle(&f);
	assert_int_equal(counter_read(&f.t->probation_bytes), probation_by_hand(&f));
	limit_here(&f);
	table_limits(f.table)->policy = TABLE_ALLKEYS_RANDOM;
	fixture_tick(&f, 1);
	for (uint64_t i = KEYS; i < 3 * KEYS / 2; i++)
		set(&f, i);
	assert_true(fixture_stats(&f).evicted > KEYS / 4);
	assert_int_equal(counter_read(&f.t->probation_bytes), probation_by_hand(&f));
	table_flush(f.t);
	fixture_settle(&f);
	assert_int_equal(counter_read(&f.t->probation_bytes), 0);
	fixture_close(&f);
}

/* Items from before, of whatever policy, are main items that nobody has asked for. */
static void test_policy_chosen_at_run_time_evicts_what_is_there(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	for (uint64_t i = 0; i < KEYS; i++)
		fixture_set(&f, key_text(i).text, VALUE);
	limit_here(&f);
	assert_false(table_reserve(f.t, 1000));
	table_limits(f.table)->policy = TABLE_ALLKEYS_S3;
	fixture_tick(&f, 1);
	for (uint64_t i = KEYS; i < 2 * KEYS; i++)
		set(&f, i);
	assert_true(fixture_stats(&f).evicted > KEYS / 2);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frequency_fills_and_stays),
		cmocka_unit_test(test_frequency_other_policies_leave_the_slot),
		cmocka_unit_test(test_value_replaced_keeps_standing),
		cmocka_unit_test(test_many_keys_found_at_once_are_noted),
		cmocka_unit_test(test_asked_for_stays_and_becomes_main),
		cmocka_unit_test(test_ghost_comes_back_as_main),
		cmocka_unit_test(test_probation_keeps_to_its_share),
		cmocka_unit_test(test_probation_count_survives_what_happens),
		cmocka_unit_test(test_policy_chosen_at_run_time_evicts_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
