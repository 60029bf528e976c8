/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/linear/linear_check.h"

#include "base/compiler.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * The checker itself: histories known to be good and known to be bad, and thousands of random small
 * ones whose verdict is compared with that of trying every order.
 */

/* Words for the tables: when it was called and returned, and what it did. */
#define GET(from, to, key, value)                                                                  \
	{                                                                                          \
		.kind = LINEAR_GET, .called = from, .returned = to, .key_count = 1, .keys = {key}, \
		.seen = {                                                                          \
			value                                                                      \
		}                                                                                  \
	}
#define SET(from, to, key, value, before)                                                          \
	{                                                                                          \
		.kind = LINEAR_SET, .called = from, .returned = to, .key_count = 1, .keys = {key}, \
		.stored = {value}, .seen = {                                                       \
			before                                                                     \
		}                                                                                  \
	}
#define DELETE(from, to, key, before)                                                              \
	{                                                                                          \
		.kind = LINEAR_DELETE, .called = from, .returned = to, .key_count = 1,             \
		.keys = {key}, .seen = {                                                           \
			before                                                                     \
		}                                                                                  \
	}
#define CAS(from, to, key, old, new, result)                                                       \
	{                                                                                          \
		.kind = LINEAR_CAS, .called = from, .returned = to, .key_count = 1, .keys = {key}, \
		.wanted = {old}, .stored = {new}, .done = result                                   \
	}
#define INCR(from, to, key, after)                                                                 \
	{                                                                                          \
		.kind = LINEAR_INCR, .called = from, .returned = to, .key_count = 1,               \
		.keys = {key}, .seen = {                                                           \
			after                                                                      \
		}                                                                                  \
	}
/* Keys 0 and 1. */
#define MGET(from, to, first, second)                                                              \
	{                                                                                          \
		.kind = LINEAR_GET, .called = from, .returned = to, .key_count = 2,                \
		.keys = {0, 1}, .seen = {                                                          \
			first,                                                                     \
			second                                                                     \
		}                                                                                  \
	}
#define MSET(from, to, value, first, second)                                                       \
	{                                                                                          \
		.kind = LINEAR_SET, .called = from, .returned = to, .key_count = 2,                \
		.keys = {0, 1}, .stored = {value, value}, .seen = {                                \
			first,                                                                     \
			second                                                                     \
		}                                                                                  \
	}
#define MCAS(from, to, old, new, result)                                                           \
	{                                                                                          \
		.kind = LINEAR_CAS, .called = from, .returned = to, .key_count = 2,                \
		.keys = {0, 1}, .wanted = {old, old}, .stored = {new, new}, .done = result         \
	}
#define FLUSH(from, to)                                                                            \
	{                                                                                          \
		.kind = LINEAR_FLUSH, .called = from, .returned = to, .key_count = 2, .keys = {    \
			0,                                                                         \
			1                                                                          \
		}                                                                                  \
	}
/* Clocks: the thread's own, and everybody's afterwards. */
#define GET_AT(from, to, now, after, value)                                                        \
	{                                                                                          \
		.kind = LINEAR_GET, .called = from, .returned = to, .key_count = 1, .clock = now,  \
		.clock_after = after, .seen = {                                                    \
			value                                                                      \
		}                                                                                  \
	}
#define SET_UNTIL(from, to, time, value)                                                           \
	{                                                                                          \
		.kind = LINEAR_SET, .called = from, .returned = to, .key_count = 1,                \
		.stored = {value}, .expires = time                                                 \
	}

struct linear_case {
	const char *name;
	enum linear_verdict verdict;
	uint32_t evictions_max;
	struct linear_op ops[8];
};

static const struct linear_case cases[] = {
	{"nothing", LINEAR_HOLDS, 0, {{0}}},
	{"a key that nobody set is absent", LINEAR_HOLDS, 0, {GET(1, 2, 0, 0)}},
	{"a value from nowhere", LINEAR_VIOLATED, 0, {GET(1, 2, 0, 7)}},
	{"read what was set", LINEAR_HOLDS, 0, {SET(1, 2, 0, 5, 0), GET(3, 4, 0, 5)}},
	{"a set that has returned is missed",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), GET(3, 4, 0, 0)}},
	{"a set under way is missed", LINEAR_HOLDS, 0, {SET(1, 4, 0, 5, 0), GET(2, 3, 0, 0)}},
	{"a set under way is seen", LINEAR_HOLDS, 0, {SET(1, 4, 0, 5, 0), GET(2, 3, 0, 5)}},
	{"seen, then missed",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 8, 0, 5, 0), GET(2, 3, 0, 5), GET(4, 5, 0, 0)}},
	{"stale by one",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), SET(3, 4, 0, 6, 5), GET(5, 6, 0, 5)}},
	{"two sets at a time, either last",
	 LINEAR_HOLDS,
	 0,
	 {SET(1, 4, 0, 5, 6), SET(2, 3, 0, 6, 0), GET(5, 6, 0, 5)}},
	{"both sets found the key absent",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 4, 0, 5, 0), SET(2, 3, 0, 6, 0)}},
	{"deleted and still there",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), DELETE(3, 4, 0, 5), GET(5, 6, 0, 5)}},
	{"deleted by two",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), DELETE(3, 6, 0, 5), DELETE(4, 5, 0, 5)}},
	{"deleted by one of two",
	 LINEAR_HOLDS,
	 0,
	 {SET(1, 2, 0, 5, 0), DELETE(3, 6, 0, 0), DELETE(4, 5, 0, 5)}},
	{"two cas of the same value",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), CAS(3, 6, 0, 5, 7, true), CAS(4, 5, 0, 5, 8, true)}},
	{"one of two cas",
	 LINEAR_HOLDS,
	 0,
	 {SET(1, 2, 0, 5, 0), CAS(3, 6, 0, 5, 7, true), CAS(4, 5, 0, 5, 8, false)}},
	{"a cas refused for no reason",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), CAS(3, 4, 0, 5, 7, false)}},
	{"an add to a key that is there",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), CAS(3, 4, 0, 0, 7, true)}},
	{"a lost update",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 0, 5, 0), INCR(3, 6, 0, 6), INCR(4, 5, 0, 6)}},
	{"counted in any order",
	 LINEAR_HOLDS,
	 0,
	 {SET(1, 2, 0, 5, 0), INCR(3, 6, 0, 7), INCR(4, 5, 0, 6)}},
	{"a counter created by incr", LINEAR_VIOLATED, 0, {INCR(1, 2, 0, 1)}},
	{"keys do not touch one another",
	 LINEAR_HOLDS,
	 0,
	 {SET(1, 2, 0, 5, 0), SET(3, 4, 1, 6, 0), GET(5, 6, 0, 5), GET(7, 8, 1, 6)}},
	{"half of an mset",
	 LINEAR_VIOLATED,
	 0,
	 {MSET(1, 2, 5, 0, 0), MSET(3, 6, 6, 5, 5), MGET(4, 5, 6, 5)}},
	{"half of an mset, key after key",
	 LINEAR_VIOLATED,
	 0,
	 {MSET(1, 2, 5, 0, 0), MSET(3, 8, 6, 5, 5), GET(4, 5, 0, 6), GET(6, 7, 1, 5)}},
	{"the other half first is not half",
	 LINEAR_HOLDS,
	 0,
	 {MSET(1, 2, 5, 0, 0), MSET(3, 8, 6, 5, 5), GET(4, 5, 0, 5), GET(6, 7, 1, 6)}},
	{"two readers disagree about the order of two sets",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 10, 0, 5, 0), SET(2, 11, 1, 6, 0), MGET(3, 4, 5, 0), MGET(5, 6, 0, 6)}},
	{"msetnx over a key that is there",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 1, 5, 0), MCAS(3, 4, 0, 6, true)}},
	{"msetnx of two at a time",
	 LINEAR_VIOLATED,
	 0,
	 {MCAS(1, 4, 0, 5, true), MCAS(2, 3, 0, 6, true)}},
	{"msetnx refused by the other",
	 LINEAR_HOLDS,
	 0,
	 {MCAS(1, 4, 0, 5, true), MCAS(2, 3, 0, 6, false), MGET(5, 6, 5, 5)}},
	{"msetnx refused and still stored",
	 LINEAR_VIOLATED,
	 0,
	 {SET(1, 2, 1, 5, 0), MCAS(3, 4, 0, 6, false), GET(5, 6, 0, 6)}},
	{"flushed and still there",
	 LINEAR_VIOLATED,
	 0,
	 {MSET(1, 2, 5, 0, 0), FLUSH(3, 4), GET(5, 6, 1, 5)}},
	{"flushed by halves",
	 LINEAR_VIOLATED,
	 0,
	 {MSET(1, 2, 5, 0, 0), FLUSH(3, 6), MGET(4, 5, 0, 5)}},
	{"there until its time", LINEAR_HOLDS, 0, {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 9, 9, 5)}},
	{"gone before its time",
	 LINEAR_VIOLATED,
	 0,
	 {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 9, 9, 0)}},
	{"there after its time",
	 LINEAR_VIOLATED,
	 0,
	 {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 10, 10, 5)}},
	{"absent after its time",
	 LINEAR_HOLDS,
	 0,
	 {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 10, 10, 0)}},
	{"a clock that is late, and another thread has removed it",
	 LINEAR_HOLDS,
	 0,
	 {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 9, 10, 0)}},
	{"removed and back",
	 LINEAR_VIOLATED,
	 0,
	 {SET_UNTIL(1, 2, 9, 5), GET_AT(3, 4, 9, 10, 0), GET_AT(5, 6, 9, 10, 5)}},
	{"evicted", LINEAR_HOLDS, 1, {SET(1, 2, 0, 5, 0), GET(3, 4, 0, 0)}},
	{"evicted twice, counted once",
	 LINEAR_VIOLATED,
	 1,
	 {SET(1, 2, 0, 5, 0), GET(3, 4, 0, 0), SET(5, 6, 0, 6, 0), GET(7, 8, 0, 0)}},
	{"evicted by two keys, counted once",
	 LINEAR_VIOLATED,
	 1,
	 {SET(1, 2, 0, 5, 0), GET(3, 4, 0, 0), SET(5, 6, 1, 6, 0), GET(7, 8, 1, 0)}},
	{"an eviction brings nothing back",
	 LINEAR_VIOLATED,
	 9,
	 {SET(1, 2, 0, 5, 0), SET(3, 4, 0, 6, 0), GET(5, 6, 0, 5)}},
};

static bool has_one_key_each(const struct linear_history *h)
{
	for (uint32_t i = 0; i < h->count; i++)
		if (h->ops[i].key_count != 1)
			return false;
	return true;
}

static void test_known_histories(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct linear_case *c = &cases[i];
		struct linear_history h = {0};

		for (; h.count < ARRAY_COUNT(c->ops) && c->ops[h.count].returned; h.count++)
			h.ops[h.count] = c->ops[h.count];
		print_message("%s\n", c->name);
		assert_int_equal(linear_check(&h, c->evictions_max), c->verdict);
		if (has_one_key_each(&h))
			assert_int_equal(linear_check_keys(&h, c->evictions_max), c->verdict);
	}
}

/*
 * The same question by trying all orders. Plain values only: neither expiry nor eviction, so that
 * this stays simple enough to be believed.
 */
enum {
	SMALL_OPS = 5
};

static bool runs_in_order(const struct linear_history *h, const uint32_t *order)
{
	uint32_t map[2] = {0};

	for (uint32_t at = 0; at < h->count; at++) {
		const struct linear_op *op = &h->ops[order[at]];
		bool as_wanted = true;

		for (uint32_t later = at + 1; later < h->count; later++)
			if (h->ops[order[later]].returned < op->called)
				return false;
		for (uint32_t i = 0; i < op->key_count; i++) {
			uint32_t *value = &map[op->keys[i]];

			as_wanted = as_wanted && *value == op->wanted[i];
			if (op->kind != LINEAR_CAS && op->seen[i] != *value)
				return false;
			if (op->kind == LINEAR_SET)
				*value = op->stored[i];
			else if (op->kind == LINEAR_DELETE)
				*value = 0;
		}
		if (op->kind != LINEAR_CAS)
			continue;
		if (op->done != as_wanted)
			return false;
		for (uint32_t i = 0; i < op->key_count && op->done; i++)
			map[op->keys[i]] = op->stored[i];
	}
	return true;
}

/* Of all orders of h->count numbers, the one with this rank. */
static void order_of_rank(uint32_t rank, uint32_t count, uint32_t *order)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = rank % (i + 1);

		rank /= i + 1;
		for (uint32_t j = i; j > at; j--)
			order[j] = order[j - 1];
		order[at] = i;
	}
}

static bool holds_in_some_order(const struct linear_history *h)
{
	uint32_t orders = 1;

	for (uint32_t i = 2; i <= h->count; i++)
		orders *= i;
	for (uint32_t rank = 0; rank < orders; rank++) {
		uint32_t order[SMALL_OPS];

		order_of_rank(rank, h->count, order);
		if (runs_in_order(h, order))
			return true;
	}
	return false;
}

/* Intervals and results at random: about half of them turn out to hold. */
static void random_history(struct rng *rng, struct linear_history *h)
{
	static const enum linear_kind kinds[] = {LINEAR_GET, LINEAR_SET, LINEAR_DELETE, LINEAR_CAS};

	*h = (struct linear_history){.count = 2 + rng_below(rng, SMALL_OPS - 1)};
	for (uint32_t i = 0; i < h->count; i++) {
		struct linear_op *op = &h->ops[i];
		uint32_t first = rng_below(rng, 2);

		op->kind = kinds[rng_below(rng, ARRAY_COUNT(kinds))];
		op->called = 1 + rng_below(rng, 12) * 16 + i;
		op->returned = op->called + 16 * (1 + rng_below(rng, 8)) - 8;
		op->key_count = 1 + rng_below(rng, 2);
		op->done = rng_below(rng, 2);
		for (uint32_t k = 0; k < op->key_count; k++) {
			op->keys[k] = (first + k) % 2;
			op->stored[k] = 1 + rng_below(rng, 2);
			if (op->kind == LINEAR_CAS)
				op->wanted[k] = rng_below(rng, 3);
			else if (rng_below(rng, 3) == 0)
				op->seen[k] = 1 + rng_below(rng, 2);
		}
	}
}

static void test_random_histories_agree_with_all_orders(void **state)
{
	struct rng rng = rng_seeded(1);
	uint32_t holding = 0, all = 40000;

	for (uint32_t i = 0; i < all; i++) {
		struct linear_history h;

		random_history(&rng, &h);
		bool expected = holds_in_some_order(&h);

		holding += expected;
		if (linear_check(&h, 0) != (expected ? LINEAR_HOLDS : LINEAR_VIOLATED))
			linear_print(stdout, &h);
		assert_int_equal(linear_check(&h, 0), expected ? LINEAR_HOLDS : LINEAR_VIOLATED);
	}
	print_message("%u of %u hold\n", holding, all);
	assert_in_range(holding, all / 20, all - all / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_histories),
		cmocka_unit_test(test_random_histories_agree_with_all_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
