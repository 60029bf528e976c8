/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_hist.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The latency histogram against the sorted values themselves. */

#define VALUES 20000

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct load_hist *filled(uint64_t *values, uint64_t bits)
{
	struct load_hist *h = malloc(sizeof(*h));
	struct rng rng = rng_seeded(bits);

	assert_non_null(h);
	load_hist_init(h);
	for (size_t i = 0; i < VALUES; i++) {
		values[i] = rng_next(&rng) >> (64 - bits + rng_below(&rng, (uint32_t)bits / 2));
		load_hist_add(h, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), compare);
	return h;
}

static void test_quantiles_are_within_the_promised_error(void **state)
{
	static const double quantiles[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
	static uint64_t values[VALUES];

	for (uint64_t bits = 4; bits <= 41; bits++) {
		struct load_hist *h = filled(values, bits);

		for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
			size_t rank = (size_t)(quantiles[i] * VALUES + 0.999999);
			uint64_t exact = values[rank > 0 ? rank - 1 : 0];
			uint64_t got = load_hist_quantile(h, quantiles[i]);

			assert_true(got >= exact);
			assert_true((double)(got - exact) <= (double)exact * 0.004);
		}
		assert_true(load_hist_quantile(h, 1) == values[VALUES - 1]);
		assert_true(h->min_ns == values[0]);
		free(h);
	}
}

static void test_extremes_are_counted(void **state)
{
	struct load_hist *h = malloc(sizeof(*h));

	assert_non_null(h);
	load_hist_init(h);
	assert_true(load_hist_quantile(h, 0.5) == 0);
	load_hist_add(h, 0);
	load_hist_add(h, UINT64_MAX);
	assert_true(h->count == 2);
	assert_true(load_hist_quantile(h, 0.5) == 0);
	assert_true(h->max_ns == UINT64_MAX);
	free(h);
}

/* As the tools that plot such files read them: a value, a rising quantile, a count, per line. */
static void test_printed_distribution_rises_to_one(void **state)
{
	static uint64_t values[VALUES];
	struct load_hist *h = filled(values, 30);
	char *text = NULL, *line, *save;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	double last_quantile = -1, last_value = -1;
	int lines = 0;

	assert_non_null(file);
	load_hist_print(h, file);
	fclose(file);
	line = strtok_r(text, "\n", &save);
	assert_non_null(strstr(line, "Percentile"));
	while ((line = strtok_r(NULL, "\n", &save)) && line[0] != '#') {
		double value, quantile;
		unsigned long long count;

		assert_int_equal(sscanf(line, "%lf %lf %llu", &value, &quantile, &count), 3);
		assert_true(value >= last_value && quantile > last_quantile);
		last_value = value;
		last_quantile = quantile;
		lines++;
	}
	assert_true(last_quantile == 1);
	assert_true(lines > 20 && lines < 200);
	assert_non_null(line);
	free(text);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles_are_within_the_promised_error),
		cmocka_unit_test(test_extremes_are_counted),
		cmocka_unit_test(test_printed_distribution_rises_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
