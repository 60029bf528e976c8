/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/evict/sim_model.h"

#include "base/compiler.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* LRU and Belady's choice, on traces whose hits were counted by hand or by trying everything. */

static struct sim_trace trace_of(const char *letters, uint32_t *keys)
{
	struct sim_trace trace = {.keys = keys, .count = strlen(letters)};

	for (size_t i = 0; i < trace.count; i++) {
		keys[i] = (uint32_t)(letters[i] - 'a');
		if (keys[i] >= trace.footprint)
			trace.footprint = keys[i] + 1;
	}
	return trace;
}

static void test_model_case_counts_hits(void **state)
{
	static const struct {
		const char *letters;
		uint32_t items;
		uint32_t lru, belady; // hits
	} cases[] = {
		{"aaaa", 1, 3, 3},         {"abab", 1, 0, 1},
		{"abcabcabc", 2, 0, 4}, // c never gets in
		{"abcabcabc", 3, 6, 6},    {"abacada", 2, 3, 3},
		{"abcdabeabcde", 3, 2, 5}, {"abcdabeabcde", 4, 4, 6},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t keys[32];
		struct sim_trace trace = trace_of(cases[i].letters, keys);
		double count = (double)trace.count;

		print_message("%s, %u items\n", cases[i].letters, cases[i].items);
		assert_int_equal(sim_model_lru(&trace, cases[i].items) * count + 0.5, cases[i].lru);
		assert_int_equal(sim_model_belady(&trace, cases[i].items) * count + 0.5,
				 cases[i].belady);
	}
}

/* The most hits that any sequence of choices gives: tries each key that could go. */
static uint32_t best_hits(const struct sim_trace *trace, uint32_t items, size_t at, uint32_t held)
{
	uint32_t hits = 0, best = 0;

	for (; at < trace->count && held >> trace->keys[at] & 1; at++)
		hits++;
	if (at == trace->count)
		return hits;
	held |= 1U << trace->keys[at];
	if ((uint32_t)__builtin_popcount(held) <= items)
		return hits + best_hits(trace, items, at + 1, held);
	for (uint32_t key = 0; key < trace->footprint; key++) {
		if (!(held >> key & 1))
			continue;
		uint32_t found = best_hits(trace, items, at + 1, held & ~(1U << key));

		best = found > best ? found : best;
	}
	return hits + best;
}

static void test_belady_is_the_best_there_is(void **state)
{
	struct rng rng = rng_seeded(1);

	for (int round = 0; round < 50; round++) {
		uint32_t keys[12];
		struct sim_trace trace = {.keys = keys, .count = 12, .footprint = 5};

		for (size_t i = 0; i < trace.count; i++)
			keys[i] = rng_below(&rng, trace.footprint);
		for (uint32_t items = 1; items <= 4; items++)
			assert_int_equal(sim_model_belady(&trace, items) * 12 + 0.5,
					 best_hits(&trace, items, 0, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model_case_counts_hits),
		cmocka_unit_test(test_belady_is_the_best_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
