/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_space.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* Which keys a load asks for, and how often, against the laws they are said to follow. */

#define KEYS  1000
#define DRAWS 400000

static struct load_options options_of(uint64_t from)
{
	return (struct load_options){.key_min = from,
				     .key_max = from + KEYS - 1,
				     .clients = 3,
				     .zipf_exponent = 0.99,
				     .data_min = 5,
				     .data_max = 90,
				     .key_prefix = "k",
				     .key_bytes = 16};
}

static uint32_t *drawn(enum load_pattern pattern, uint64_t from)
{
	struct load_options o = options_of(from);
	struct rng rng = rng_seeded(1);
	uint32_t *counts = calloc(KEYS, sizeof(*counts));
	struct load_draw draw;

	assert_non_null(counts);
	load_draw_init(&draw, &o, pattern, 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t key = load_draw_next(&draw, &rng);

		assert_in_range(key, from, from + KEYS - 1);
		counts[key - from]++;
	}
	return counts;
}

static int more(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x > y ? -1 : x < y;
}

static void test_uniform_draws_all_alike(void **state)
{
	uint32_t *counts = drawn(LOAD_UNIFORM, 7);
	double expected = (double)DRAWS / KEYS, chi2 = 0;

	for (int i = 0; i < KEYS; i++)
		chi2 += pow(counts[i] - expected, 2) / expected;
	assert_true(chi2 < KEYS + 6 * sqrt(2.0 * KEYS));
	free(counts);
}

static void test_zipf_follows_its_law(void **state)
{
	uint32_t *counts = drawn(LOAD_ZIPF, 0);
	double sum = 0, chi2 = 0;

	qsort(counts, KEYS, sizeof(*counts), more);
	for (int i = 1; i <= KEYS; i++)
		sum += pow(i, -0.99);
	// The frequent ranks, whose order in the sample is that of the law.
	for (int i = 1; i <= 10; i++) {
		double expected = DRAWS * pow(i, -0.99) / sum;

		chi2 += pow(counts[i - 1] - expected, 2) / expected;
	}
	assert_true(chi2 < 40);
	free(counts);
}

static void test_gauss_has_its_mean_and_deviation(void **state)
{
	uint32_t *counts = drawn(LOAD_GAUSS, 0);
	double mean = 0, variance = 0;

	for (int i = 0; i < KEYS; i++)
		mean += (double)i * counts[i] / DRAWS;
	for (int i = 0; i < KEYS; i++)
		variance += pow(i - mean, 2) * counts[i] / DRAWS;
	assert_true(fabs(mean - KEYS / 2.0) < 3);
	assert_true(fabs(sqrt(variance) - KEYS / 6.0) < 4);
	free(counts);
}

/* Clients that share a range go through all of it, each key once. */
static void test_parallel_covers_the_range_once(void **state)
{
	struct load_options o = options_of(0);
	struct rng rng = rng_seeded(1);
	uint8_t seen[KEYS] = {0};

	for (uint32_t client = 0; client < o.clients; client++) {
		struct load_draw draw;

		load_draw_init(&draw, &o, LOAD_PARALLEL, client);
		for (uint64_t i = 0; i < draw.count; i++)
			seen[load_draw_next(&draw, &rng)]++;
	}
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(seen[i], 1);
}

static void test_values_depend_on_the_key_alone(void **state)
{
	struct load_options o = options_of(0), longer = o;
	struct load_space space, other;
	uint32_t equal = 0;

	longer.big_clients = 1;
	longer.big_bytes = 1 << 20;
	assert_true(load_space_init(&space, &o));
	assert_true(load_space_init(&other, &longer));
	for (uint64_t key = 0; key < KEYS; key++) {
		struct slice value = load_space_value(&space, key);
		struct slice next = load_space_value(&space, key + 1);

		assert_in_range(value.len, o.data_min, o.data_max);
		assert_true(slice_equal(value, load_space_value(&other, key)));
		equal += slice_equal(value, next);
	}
	assert_int_equal(equal, 0);
	load_space_fini(&space);
	load_space_fini(&other);
}

static void test_keys_have_their_length(void **state)
{
	struct load_options o = options_of(0);
	struct load_space space;
	uint8_t text[LOAD_KEY_BYTES_MAX];

	assert_true(load_space_init(&space, &o));
	assert_int_equal(load_space_key(&space, 42, text), 16);
	assert_memory_equal(text, "k000000000000042", 16);
	o.key_bytes = 0;
	assert_int_equal(load_space_key(&space, 42, text), 3);
	assert_memory_equal(text, "k42", 3);
	load_space_fini(&space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uniform_draws_all_alike),
		cmocka_unit_test(test_zipf_follows_its_law),
		cmocka_unit_test(test_gauss_has_its_mean_and_deviation),
		cmocka_unit_test(test_parallel_covers_the_range_once),
		cmocka_unit_test(test_values_depend_on_the_key_alone),
		cmocka_unit_test(test_keys_have_their_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
