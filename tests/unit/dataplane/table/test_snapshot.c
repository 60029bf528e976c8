/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/snapshot.h"

#include "tests/unit/dataplane/table/fixture.h"

#include "base/rng.h"

#include <stdlib.h>

/*
 * T8 on one thread: whatever is done between the steps of a walk, the snapshot is the table as of
 * the cut. A plain array is the oracle.
 */

enum {
	KEYS = 300,
	VALUE_MAX = 24,
	STEPS_MAX = 100000,
	BUFFER = 1 << 20,
	MS_TO_CUT = 5 // more than the cut is ahead
};

struct model {
	char value[KEYS][VALUE_MAX]; // empty: absent
};

struct taken {
	struct model model;
	uint32_t times[KEYS];
};

/* Has enough now and then. */
static bool note(void *arg, const struct item *item)
{
	struct taken *taken = arg;
	struct slice key = item_key(item), value = item_value(item);
	char text[VALUE_MAX];

	memcpy(text, key.ptr, key.len);
	text[key.len] = '\0';
	uint64_t number = strtoull(text + 4, NULL, 10);

	assert_true(number < KEYS && value.len < VALUE_MAX);
	memcpy(taken->model.value[number], value.ptr, value.len);
	taken->model.value[number][value.len] = '\0';
	taken->times[number]++;
	return number % 7 != 0;
}

static void set(struct fixture *f, struct model *m, uint64_t number, const char *value)
{
	const struct item_spec spec = {.key = slice_of_text(key_text(number).text)};
	struct key_text text = key_text(number);
	struct table_change change = {.key = fixture_key(f, text.text), .expected = TABLE_ANY};
	struct item_spec over = spec;
	enum table_status status;

	over.key = change.key.bytes;
	over.value = slice_of_text(value);
	if (!table_overwrite(f->t, &change, &over, &status))
		fixture_set(f, text.text, value);
	snprintf(m->value[number], VALUE_MAX, "%s", value);
}

static void delete (struct fixture *f, struct model *m, uint64_t number)
{
	fixture_delete(f, key_text(number).text);
	m->value[number][0] = '\0';
}

/* Two keys at once get the same value. */
static void set_two(struct fixture *f, struct model *m, uint64_t a, uint64_t b, const char *value)
{
	struct key_text texts[2] = {key_text(a), key_text(b)};
	struct table_change changes[2] = {{.expected = TABLE_ANY}, {.expected = TABLE_ANY}};

	for (int i = 0; i < 2; i++) {
		changes[i].key = fixture_key(f, texts[i].text);
		changes[i].item = fixture_item(f, texts[i].text, value, 0);
	}
	assert_int_equal(table_commit(f->t, changes, 2), TABLE_OK);
	snprintf(m->value[a], VALUE_MAX, "%s", value);
	snprintf(m->value[b], VALUE_MAX, "%s", value);
}

static void change_at_random(struct fixture *f, struct model *m, struct rng *rng)
{
	uint64_t a = rng_below(rng, KEYS), b = rng_below(rng, KEYS);
	char value[VALUE_MAX];

	// Of the same length often, so that they are stored over.
	snprintf(value, sizeof(value), "%llu", (unsigned long long)(1000 + rng_below(rng, 9500)));
	switch (rng_below(rng, 8)) {
	case 0:
	case 1:
		delete (f, m, a);
		break;
	case 2:
		set_two(f, m, a, b, value);
		break;
	default:
		set(f, m, a, value);
	}
}

static struct table_snapshot *begin(struct fixture *f, uint64_t buffer)
{
	struct table_snapshot *s = table_snapshot_begin(f->t, f->now_ns, buffer);

	assert_non_null(s);
	assert_null(table_snapshot_begin(f->t, f->now_ns, buffer));
	return s;
}

static void let_cut_come(struct fixture *f)
{
	fixture_tick(f, MS_TO_CUT);
	rcu_wait();
}

/* What is changed from here on is not in it. */
static struct table_snapshot *begin_walk(struct fixture *f, uint64_t buffer)
{
	struct table_snapshot *s = begin(f, buffer);

	assert_true(table_snapshot_confirm(s, f->now_ns));
	let_cut_come(f);
	return s;
}

static void assert_taken(const struct taken *taken, const struct model *expected)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		assert_int_equal(taken->times[i], expected->value[i][0] != '\0');
		assert_string_equal(taken->model.value[i], expected->value[i]);
	}
}

static void test_snapshot_is_the_table_as_of_the_cut(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rng rng = rng_seeded(seed);
		struct model now = {0}, at_cut;
		struct taken taken = {0};
		enum table_snapshot_state result;
		struct fixture f;

		// A second snapshot finds the colours as the first has left them.
		fixture_open_small(&f);
		for (uint32_t round = 0; round < 3; round++) {
			for (uint32_t i = 0; i < KEYS; i++)
				change_at_random(&f, &now, &rng);
			struct table_snapshot *s = begin(&f, BUFFER);

			memset(&taken, 0, sizeof(taken));
			assert_true(table_snapshot_confirm(s, f.now_ns));
			for (uint32_t i = 0; i < 20; i++)
				change_at_random(&f, &now, &rng);
			assert_int_equal(table_snapshot_step(s, f.t, note, &taken),
					 TABLE_SNAPSHOT_WAITS);
			at_cut = now;
			let_cut_come(&f);
			do {
				for (uint32_t i = rng_below(&rng, 300); i > 0; i--)
					change_at_random(&f, &now, &rng);
				fixture_tick(&f, 0);
				result = table_snapshot_step(s, f.t, note, &taken);
			} while (result == TABLE_SNAPSHOT_GOES_ON);
			assert_int_equal(result, TABLE_SNAPSHOT_DONE);
			table_snapshot_end(s, f.t);
			assert_taken(&taken, &at_cut);
		}
		fixture_settle(&f);
		assert_int_equal(fixture_stats(&f).limbo_items, 0);
		fixture_close(&f);
	}
}

static enum table_snapshot_state run(struct fixture *f, struct table_snapshot *s,
				     struct taken *taken)
{
	enum table_snapshot_state result;
	uint32_t steps = 0;

	do {
		assert_true(steps++ < STEPS_MAX);
		fixture_tick(f, 1);
		rcu_wait();
		result = table_snapshot_step(s, f->t, note, taken);
	} while (result == TABLE_SNAPSHOT_GOES_ON || result == TABLE_SNAPSHOT_WAITS);
	return result;
}

/* And the next one is as good as any. */
static void assert_next_is_good(struct fixture *f, const struct model *expected)
{
	struct taken taken = {0};
	struct table_snapshot *s = begin(f, BUFFER);

	assert_true(table_snapshot_confirm(s, f->now_ns));
	assert_int_equal(run(f, s, &taken), TABLE_SNAPSHOT_DONE);
	assert_int_equal(table_snapshot_failure(s), TABLE_SNAPSHOT_GOOD);
	table_snapshot_end(s, f->t);
	assert_taken(&taken, expected);
}

static void fill(struct fixture *f, struct model *m)
{
	memset(m, 0, sizeof(*m));
	fixture_open_small(f);
	for (uint32_t i = 0; i < KEYS; i++)
		set(f, m, i, "first");
}

static void test_snapshot_that_comes_late_fails(void **state)
{
	struct taken taken = {0};
	struct fixture f;
	struct model m;

	fill(&f, &m);
	struct table_snapshot *s = begin(&f, BUFFER);

	assert_false(table_snapshot_confirm(s, f.now_ns + 3000000));
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_FAILED);
	assert_int_equal(table_snapshot_failure(s), TABLE_SNAPSHOT_LATE);
	table_snapshot_end(s, f.t);
	assert_int_equal(taken.times[0], 0);
	assert_next_is_good(&f, &m);
	fixture_close(&f);
}

static void test_snapshot_is_ended_by_a_flush(void **state)
{
	struct taken taken = {0};
	struct fixture f;
	struct model m;

	fill(&f, &m);
	struct table_snapshot *s = begin_walk(&f, BUFFER);

	table_flush(f.t);
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_FAILED);
	assert_int_equal(table_snapshot_failure(s), TABLE_SNAPSHOT_FLUSHED);
	table_snapshot_end(s, f.t);
	memset(&m, 0, sizeof(m));
	set(&f, &m, 3, "after");
	assert_next_is_good(&f, &m);
	fixture_close(&f);
}

static void test_snapshot_after_a_flush_has_what_came_since(void **state)
{
	struct taken taken = {0};
	struct fixture f;
	struct model m;

	fill(&f, &m);
	struct table_snapshot *s = begin(&f, BUFFER);

	assert_true(table_snapshot_confirm(s, f.now_ns));
	table_flush(f.t); // before the cut
	memset(&m, 0, sizeof(m));
	set(&f, &m, 3, "after");
	let_cut_come(&f);
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_DONE);
	table_snapshot_end(s, f.t);
	assert_taken(&taken, &m);
	fixture_close(&f);
}

static void test_snapshot_fails_when_its_buffer_is_full(void **state)
{
	struct taken taken = {0};
	struct fixture f;
	struct model m;

	fill(&f, &m);
	struct table_snapshot *s = begin_walk(&f, 300);

	for (uint32_t i = 0; i < KEYS; i++)
		set(&f, &m, i, i % 2 ? "other" : "a longer one");
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_FAILED);
	assert_int_equal(table_snapshot_failure(s), TABLE_SNAPSHOT_OVERFLOW);
	assert_in_range(table_snapshot_peak_bytes(s), 1, 300);
	table_snapshot_end(s, f.t);
	assert_next_is_good(&f, &m);
	fixture_close(&f);
}

static void test_snapshot_that_is_cancelled_ends_soon(void **state)
{
	struct taken taken = {0};
	uint64_t passed, buckets;
	struct fixture f;
	struct model m;

	fill(&f, &m);
	struct table_snapshot *s = begin_walk(&f, BUFFER);

	for (uint32_t i = 0; i < KEYS; i++)
		set(&f, &m, i, "x");
	table_snapshot_cancel(s);
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_FAILED);
	table_snapshot_progress(s, &passed, &buckets);
	assert_int_equal(passed, buckets);
	table_snapshot_end(s, f.t);
	assert_int_equal(taken.times[0], 0);
	assert_next_is_good(&f, &m);
	fixture_close(&f);
}

static void test_snapshot_holds_back_merges(void **state)
{
	struct taken taken = {0};
	struct model at_cut, m;
	struct fixture f;

	fill(&f, &m);
	uint64_t merges = fixture_stats(&f).merges;
	struct table_snapshot *s = begin(&f, BUFFER);

	at_cut = m;
	assert_true(table_snapshot_confirm(s, f.now_ns));
	let_cut_come(&f);
	for (uint32_t i = 0; i < KEYS; i++)
		delete (&f, &m, i);
	fixture_settle(&f);
	assert_int_equal(fixture_stats(&f).merges, merges);
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_DONE);
	table_snapshot_end(s, f.t);
	assert_taken(&taken, &at_cut);
	fixture_settle(&f);
	assert_true(fixture_stats(&f).merges > merges);
	fixture_close(&f);
}

static void test_snapshot_has_what_is_evicted_meanwhile(void **state)
{
	static const enum table_policy policies[] = {TABLE_ALLKEYS_RANDOM, TABLE_ALLKEYS_S3};

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		struct taken taken = {0};
		struct fixture f;
		struct model m;

		fill(&f, &m);
		atomic_store(&table_limits(f.table)->policy, policies[i]);
		atomic_store(&table_limits(f.table)->maxmemory_bytes,
			     fixture_stats(&f).memory_bytes);
		struct table_snapshot *s = begin_walk(&f, BUFFER);

		for (uint32_t n = KEYS; n < 3 * KEYS; n++) {
			if (table_reserve(f.t, 200))
				fixture_set(&f, key_text(n).text, "more");
			fixture_settle(&f);
		}
		assert_true(fixture_stats(&f).evicted > KEYS / 2);
		assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_DONE);
		table_snapshot_end(s, f.t);
		assert_taken(&taken, &m);
		fixture_close(&f);
	}
}

static uint64_t long_bytes;

static bool note_long(void *arg, const struct item *item)
{
	struct slice value = item_value(item);

	for (size_t i = 0; i < value.len; i++)
		assert_int_equal(value.ptr[i], 'a');
	long_bytes += value.len;
	return true;
}

static void set_long(struct fixture *f, const char *key, size_t len, char fill)
{
	struct blob *blob = table_blob_new(f->t, len);

	assert_non_null(blob);
	memset(blob->bytes, fill, len);
	blob->len = len;
	struct item *item =
		table_item_new(f->t, &(struct item_spec){.key = slice_of_text(key), .blob = blob});

	assert_non_null(item);
	assert_int_equal(fixture_change(f, key, TABLE_ANY, item), TABLE_OK);
}

static void test_snapshot_shares_long_values(void **state)
{
	enum {
		LONG = 100000
	};
	enum table_snapshot_state result;
	struct fixture f;

	fixture_open_small(&f);
	set_long(&f, "one", LONG, 'a');
	set_long(&f, "two", LONG, 'a');
	struct table_snapshot *s = begin_walk(&f, BUFFER);

	set_long(&f, "one", LONG, 'b');
	fixture_delete(&f, "two");
	fixture_settle(&f);
	long_bytes = 0;
	do {
		fixture_tick(&f, 1);
		result = table_snapshot_step(s, f.t, note_long, NULL);
	} while (result == TABLE_SNAPSHOT_GOES_ON);
	assert_int_equal(result, TABLE_SNAPSHOT_DONE);
	assert_int_equal(long_bytes, 2 * LONG);
	table_snapshot_end(s, f.t);
	fixture_close(&f);
}

static void test_snapshot_leaves_out_what_has_expired(void **state)
{
	struct taken taken = {0};
	struct model m = {0};
	struct fixture f;

	fixture_open_small(&f);
	fixture_set_expiring(&f, key_text(0).text, "over", f.wall_ms + 2);
	fixture_set_expiring(&f, key_text(1).text, "later", f.wall_ms + 1000);
	snprintf(m.value[1], VALUE_MAX, "later");
	struct table_snapshot *s = begin_walk(&f, BUFFER);

	fixture_set(&f, key_text(0).text, "new"); // in place of one that is over
	fixture_set(&f, key_text(1).text, "new");
	assert_int_equal(run(&f, s, &taken), TABLE_SNAPSHOT_DONE);
	table_snapshot_end(s, f.t);
	assert_taken(&taken, &m);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_is_the_table_as_of_the_cut),
		cmocka_unit_test(test_snapshot_that_comes_late_fails),
		cmocka_unit_test(test_snapshot_is_ended_by_a_flush),
		cmocka_unit_test(test_snapshot_after_a_flush_has_what_came_since),
		cmocka_unit_test(test_snapshot_fails_when_its_buffer_is_full),
		cmocka_unit_test(test_snapshot_that_is_cancelled_ends_soon),
		cmocka_unit_test(test_snapshot_holds_back_merges),
		cmocka_unit_test(test_snapshot_has_what_is_evicted_meanwhile),
		cmocka_unit_test(test_snapshot_shares_long_values),
		cmocka_unit_test(test_snapshot_leaves_out_what_has_expired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
