/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/effects.h"
#include "tests/unit/dataplane/table/fixture.h"

#include "base/rng.h"

#include <pthread.h>
#include <stdlib.h>

/* T9: what is noted of changes, and in which order; two threads' changes applied to a model. */

#define RING (1U << 16)
#define KEYS 64

/* Effects as text, e.g. "set a=1 5; del b; flush; ", "+" before one that another follows. */
static const char *drain(struct table_effects *effects)
{
	static char text[4096];
	struct table_effect effect;
	size_t len = 0;

	text[0] = '\0';
	while (table_effects_next(effects, &effect) == TABLE_EFFECTS_ONE) {
		static const char *const words[] = {"set", "del", "flush"};

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %.*s",
					effect.more ? "+" : "", words[effect.kind],
					(int)effect.key.len, (const char *)effect.key.ptr);
		if (effect.kind == TABLE_EFFECT_SET)
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, "=%.*s %llu %u",
				(int)effect.value.len, (const char *)effect.value.ptr,
				(unsigned long long)effect.expire_ms, effect.mc_flags);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "; ");
	}
	return text;
}

static struct table_effects *begin(struct fixture *f)
{
	struct table_effects *effects = table_effects_begin(f->table, RING);

	assert_non_null(effects);
	fixture_tick(f, 1);
	return effects;
}

static void test_effects_of_changes(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "before", "0");
	struct table_effects *effects = begin(&f);

	assert_string_equal(drain(effects), "");
	fixture_set(&f, "a", "1");
	fixture_set_expiring(&f, "b", "2", f.wall_ms + 5);
	fixture_delete(&f, "a");
	fixture_delete(&f, "a"); // is not there
	fixture_delete(&f, "before");
	// Not yet: the thread may still take a version that is lower than another's.
	assert_string_equal(drain(effects), "");
	fixture_tick(&f, 0);
	char expected[128];

	snprintf(expected, sizeof(expected), "set a=1 0 0; set b=2 %llu 0; del a; del before; ",
		 (unsigned long long)f.wall_ms + 5);
	assert_string_equal(drain(effects), expected);
	table_effects_end(effects);
	fixture_close(&f);
}

static void test_effects_of_what_goes_by_itself(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set_expiring(&f, "late", "1", f.wall_ms + 5);
	fixture_set_expiring(&f, "over", "1", f.wall_ms + 5);
	struct table_effects *effects = begin(&f);

	fixture_tick(&f, 100);
	fixture_set(&f, "over", "2"); // what had expired is not deleted first
	fixture_settle(&f);
	assert_string_equal(drain(effects), "set over=2 0 0; del late; ");
	table_flush(f.t);
	fixture_set(&f, "after", "1");
	fixture_settle(&f);
	assert_string_equal(drain(effects), "flush ; set after=1 0 0; ");
	table_effects_end(effects);
	fixture_close(&f);
}

static void test_effects_of_evictions(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "a", "1");
	fixture_set(&f, "b", "1");
	struct table_effects *effects = begin(&f);

	atomic_store(&table_limits(f.table)->policy, TABLE_ALLKEYS_RANDOM);
	atomic_store(&table_limits(f.table)->maxmemory_bytes, 1);
	assert_false(table_reserve(f.t, 1 << 20));
	fixture_tick(&f, 1);
	const char *found = drain(effects);

	assert_non_null(strstr(found, "del a; "));
	assert_non_null(strstr(found, "del b; "));
	table_effects_end(effects);
	fixture_close(&f);
}

/* Changes of one commit stand together, and are marked so. */
static void test_effects_of_a_commit(void **state)
{
	struct fixture f;

	fixture_open_small(&f);
	fixture_set(&f, "c", "0");
	struct table_effects *effects = begin(&f);
	struct table_change changes[] = {
		{.key = fixture_key(&f, "a"),
		 .expected = TABLE_ANY,
		 .item = fixture_item(&f, "a", "1", 0)},
		{.key = fixture_key(&f, "a"),
		 .expected = TABLE_ANY,
		 .item = fixture_item(&f, "a", "2", 0)},
		{.key = fixture_key(&f, "c"), .expected = TABLE_ANY},
	};

	assert_int_equal(table_commit(f.t, changes, ARRAY_COUNT(changes)), TABLE_OK);
	fixture_set(&f, "z", "3");
	fixture_tick(&f, 1);
	const char *found = drain(effects);

	assert_null(strstr(found, "a=1"));
	assert_true(strcmp(found, "+set a=2 0 0; del c; set z=3 0 0; ") == 0 ||
		    strcmp(found, "+del c; set a=2 0 0; set z=3 0 0; ") == 0);
	table_effects_end(effects);
	fixture_close(&f);
}

static void test_effects_of_overwrites_flags_and_long_values(void **state)
{
	struct item_spec spec = {.value = SLICE_LITERAL("two"), .mc_flags = 7};
	struct table_effect effect;
	enum table_status status;
	struct fixture f;

	fixture_open_small(&f);
	struct table_effects *effects = begin(&f);
	struct table_change change = {.key = fixture_key(&f, "k"), .expected = TABLE_ANY};

	spec.key = change.key.bytes;
	for (uint32_t i = 0; i < 2; i++) {
		change.item = table_item_new(f.t, &spec);
		assert_int_equal(table_commit_one(f.t, &change), TABLE_OK);
	}
	spec.value = SLICE_LITERAL("th");
	spec.value_tail = SLICE_LITERAL("r");
	assert_true(table_overwrite(f.t, &change, &spec, &status));
	fixture_tick(&f, 1);
	assert_string_equal(drain(effects), "set k=two 0 7; set k=two 0 7; set k=thr 0 7; ");

	struct blob *blob = table_blob_new(f.t, 100000);

	memset(blob->bytes, 'x', 100000);
	blob->len = 100000;
	change.item =
		table_item_new(f.t, &(struct item_spec){.key = change.key.bytes, .blob = blob});
	assert_int_equal(table_commit_one(f.t, &change), TABLE_OK);
	fixture_delete(&f, "k");
	fixture_settle(&f); // the value is kept from being freed
	assert_int_equal(table_effects_next(effects, &effect), TABLE_EFFECTS_ONE);
	assert_int_equal(effect.value.len, 100000);
	assert_memory_equal(effect.value.ptr, "xxxxxxxx", 8);
	table_effects_end(effects);
	fixture_close(&f);
}

/* Nobody reads: the ring is full one day, which is said, and is no matter to the table. */
static void test_effects_that_nobody_reads(void **state)
{
	struct table_effect effect;
	char key[32];
	struct fixture f;

	fixture_open_small(&f);
	struct table_effects *effects = begin(&f);

	assert_null(table_effects_begin(f.table, RING)); // one at a time
	for (uint32_t i = 0; i < RING / 40; i++) {
		snprintf(key, sizeof(key), "key:%u", i);
		fixture_set(&f, key, "value");
		fixture_tick(&f, 0);
	}
	assert_int_equal(table_effects_next(effects, &effect), TABLE_EFFECTS_BROKEN);
	assert_value(&f, key, "value");
	table_effects_end(effects);
	// And the next one is as good as any.
	effects = begin(&f);
	fixture_set(&f, "a", "1");
	fixture_tick(&f, 0);
	assert_string_equal(drain(effects), "set a=1 0 0; ");
	table_effects_end(effects);
	fixture_close(&f);
}

/* Records of many sizes go round the ring many times. */
static void test_effects_go_round_the_ring(void **state)
{
	static char value[4000];
	struct rng rng = rng_seeded(9);
	struct table_effect effect;
	struct fixture f;

	memset(value, 'v', sizeof(value) - 1);
	fixture_open_small(&f);
	struct table_effects *effects = begin(&f);

	for (uint32_t i = 0; i < 3000; i++) {
		size_t len = rng_below(&rng, sizeof(value) - 1);

		value[len] = '\0';
		fixture_set(&f, key_text(i % KEYS).text, value);
		value[len] = 'v';
		fixture_tick(&f, 0);
		assert_int_equal(table_effects_next(effects, &effect), TABLE_EFFECTS_ONE);
		assert_int_equal(effect.value.len, len);
		assert_true(slice_equal(effect.key, slice_of_text(key_text(i % KEYS).text)));
		if (i % 16 == 0)
			fixture_settle(&f);
	}
	assert_int_equal(table_effects_waiting_bytes(effects) > 0, true); // the last one
	assert_int_equal(table_effects_next(effects, &effect), TABLE_EFFECTS_NONE);
	assert_int_equal(table_effects_waiting_bytes(effects), 0);
	table_effects_end(effects);
	fixture_close(&f);
}

/* --- two threads --- */

#define CHANGES 20000

struct writer {
	struct table *table;
	uint64_t seed;
	pthread_t thread;
	_Atomic bool *go;
};

static void change_at_random(struct fixture *f, struct rng *rng, uint32_t number)
{
	uint64_t first = rng_below(rng, KEYS), second = rng_below(rng, KEYS);
	char value[16];

	snprintf(value, sizeof(value), "%u", number);
	switch (rng_below(rng, 8)) {
	case 0:
		fixture_delete(f, key_text(first).text);
		return;
	case 1: {
		struct table_change changes[] = {
			{.key = fixture_key(f, key_text(first).text),
			 .expected = TABLE_ANY,
			 .item = fixture_item(f, key_text(first).text, value, 0)},
			{.key = fixture_key(f, key_text(second).text), .expected = TABLE_ANY},
		};

		assert_int_equal(table_commit(f->t, changes, 2), TABLE_OK);
		return;
	}
	case 2:
		if (rng_below(rng, 200) == 0)
			table_flush(f->t);
		return;
	default:
		fixture_set(f, key_text(first).text, value);
	}
}

static void *write_some(void *arg)
{
	struct writer *w = arg;
	struct rng rng = rng_seeded(w->seed);
	struct fixture f = {.table = w->table,
			    .t = table_thread_open(w->table, true),
			    .wall_ms = FIXTURE_WALL_MS,
			    .now_ns = 1000000 + w->seed * 5000};

	fixture_tick(&f, 0);
	rcu_offline();
	while (!atomic_load(w->go))
		;
	rcu_online();
	for (uint32_t i = 0; i < CHANGES; i++) {
		if (i % 8 == 0) {
			rcu_quiescent();
			fixture_tick(&f, 0);
			(void)table_housekeep(f.t, 20000);
		}
		change_at_random(&f, &rng, i);
	}
	table_thread_close(f.t);
	return NULL;
}

struct model {
	bool there[KEYS];
	char value[KEYS][16];
	uint64_t version;
};

static void apply(struct model *m, const struct table_effect *effect)
{
	assert_true(effect->version >= m->version);
	m->version = effect->version;
	if (effect->kind == TABLE_EFFECT_FLUSH) {
		memset(m->there, 0, sizeof(m->there));
		return;
	}
	struct key_text key = {{0}};

	assert_true(effect->key.len < sizeof(key));
	memcpy(key.text, effect->key.ptr, effect->key.len);
	uint32_t i = (uint32_t)strtoul(key.text + 4, NULL, 10);

	assert_true(i < KEYS);
	m->there[i] = effect->kind == TABLE_EFFECT_SET;
	snprintf(m->value[i], sizeof(m->value[i]), "%.*s", (int)effect->value.len,
		 (const char *)effect->value.ptr);
}

static void run_two(uint64_t seed)
{
	_Atomic bool go = false;
	struct writer writers[2];
	struct table_effect effect;
	struct model m = {0};
	struct fixture f;
	uint32_t ended = 0;

	fixture_open_small(&f);
	for (uint32_t i = 0; i < 2; i++) {
		writers[i] = (struct writer){f.table, seed * 2 + i, 0, &go};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_some, &writers[i]),
				 0);
	}
	rcu_offline();
	while (atomic_load(&f.table->thread_count) < 3)
		;
	struct table_effects *effects = table_effects_begin(f.table, 1 << 22);

	assert_non_null(effects);
	atomic_store(&go, true);
	while (ended < 2) {
		if (pthread_tryjoin_np(writers[ended].thread, NULL) == 0)
			ended++;
		rcu_online();
		fixture_tick(&f, 0); // this thread may write as well, so it says how far it is
		rcu_offline();
		while (table_effects_next(effects, &effect) == TABLE_EFFECTS_ONE)
			apply(&m, &effect);
	}
	rcu_online();
	f.now_ns += 1000000000;
	fixture_tick(&f, 0);
	enum table_effects_state state;

	while ((state = table_effects_next(effects, &effect)) == TABLE_EFFECTS_ONE)
		apply(&m, &effect);
	assert_int_equal(state, TABLE_EFFECTS_NONE);
	table_effects_end(effects);
	for (uint32_t i = 0; i < KEYS; i++)
		assert_value(&f, key_text(i).text, m.there[i] ? m.value[i] : NULL);
	fixture_close(&f);
}

static void test_effects_of_two_threads(void **state)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		run_two(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_effects_of_changes),
		cmocka_unit_test(test_effects_of_what_goes_by_itself),
		cmocka_unit_test(test_effects_of_evictions),
		cmocka_unit_test(test_effects_of_a_commit),
		cmocka_unit_test(test_effects_of_overwrites_flags_and_long_values),
		cmocka_unit_test(test_effects_that_nobody_reads),
		cmocka_unit_test(test_effects_go_round_the_ring),
		cmocka_unit_test(test_effects_of_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
