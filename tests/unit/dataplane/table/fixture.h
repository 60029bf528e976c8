/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/rcu.h"
#include "dataplane/table/stable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

/* A table with one writer thread on a clock of its own, and words for what the tests do with it. */
struct fixture {
	struct table *table;
	struct table_thread *t;
	uint64_t wall_ms, now_ns;
};

#define FIXTURE_WALL_MS 1800000000000ULL

static inline void fixture_tick(struct fixture *f, uint64_t ms)
{
	f->wall_ms += ms;
	f->now_ns += ms * 1000000 + 1000;
	table_set_time(f->t, f->wall_ms, f->now_ns);
}

static inline void fixture_open(struct fixture *f, const struct table_config *config)
{
	char why[TABLE_WHY_MAX];

	assert_int_equal(table_new(config, &f->table, why), 0);
	f->t = table_thread_open(f->table, true);
	assert_non_null(f->t);
	f->wall_ms = FIXTURE_WALL_MS;
	f->now_ns = 1000000;
	fixture_tick(f, 0);
}

static inline void fixture_open_small(struct fixture *f)
{
	fixture_open(f, &(struct table_config){.buckets_initial = 1, .hash_key = {1, 2}});
}

static inline void fixture_close(struct fixture *f)
{
	table_thread_close(f->t);
	table_free(f->table);
}

/* Lets grace periods pass and the upkeep finish. */
static inline void fixture_settle(struct fixture *f)
{
	for (int i = 0; i < 1000; i++) {
		rcu_wait();
		f->now_ns += 1000000;
		fixture_tick(f, 0);
		if (!table_housekeep(f->t, 1000000) && counter_read(&f->t->limbo_items) == 0 &&
		    !table_housekeep(f->t, 1000000))
			break;
	}
}

struct key_text {
	char text[32];
};

static inline struct key_text key_text(uint64_t number)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "key:%llu", (unsigned long long)number);
	return k;
}

static inline struct table_key fixture_key(struct fixture *f, const char *text)
{
	return table_key(f->table, slice_of_text(text));
}

static inline struct item *fixture_item(struct fixture *f, const char *key, const char *value,
					uint64_t expire_ms)
{
	struct item *item = table_item_new(f->t, &(struct item_spec){
							 .key = slice_of_text(key),
							 .value = slice_of_text(value),
							 .expire_ms = expire_ms,
						 });

	assert_non_null(item);
	return item;
}

static inline enum table_status fixture_change(struct fixture *f, const char *key,
					       const struct item *expected, struct item *item)
{
	struct table_change change = {
		.key = fixture_key(f, key),
		.expected = expected,
		.item = item,
	};

	return table_commit_one(f->t, &change);
}

static inline void fixture_set(struct fixture *f, const char *key, const char *value)
{
	assert_int_equal(fixture_change(f, key, TABLE_ANY, fixture_item(f, key, value, 0)),
			 TABLE_OK);
}

static inline void fixture_set_expiring(struct fixture *f, const char *key, const char *value,
					uint64_t expire_ms)
{
	assert_int_equal(fixture_change(f, key, TABLE_ANY, fixture_item(f, key, value, expire_ms)),
			 TABLE_OK);
}

static inline void fixture_delete(struct fixture *f, const char *key)
{
	assert_int_equal(fixture_change(f, key, TABLE_ANY, NULL), TABLE_OK);
}

static inline struct item *fixture_find(struct fixture *f, const char *key)
{
	struct table_key k = fixture_key(f, key);

	return table_find(f->t, &k);
}

static inline void assert_value(struct fixture *f, const char *key, const char *value)
{
	struct item *item = fixture_find(f, key);

	if (!value) {
		assert_null(item);
		return;
	}
	assert_non_null(item);
	assert_int_equal(item_value(item).len, strlen(value));
	assert_memory_equal(item_value(item).ptr, value, strlen(value));
}

static inline struct table_stats fixture_stats(struct fixture *f)
{
	struct table_stats stats;

	table_stats(f->table, &stats);
	return stats;
}
