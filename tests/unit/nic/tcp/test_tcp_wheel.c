/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_wheel.h"

#include "base/compiler.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/*
 * The timer wheel against what it promises: never early, never late by more than a tick, never for
 * nothing.
 */

#define MS TCP_WHEEL_TICK_NS

struct delay_case {
	const char *name;
	uint64_t start_ms, delay_ms;
};

static const struct delay_case delays[] = {
	{"at once", 100, 0},
	{"next tick", 100, 1},
	{"end of the near level", 100, 1023},
	{"one turn", 100, 1024},
	{"one turn from its edge", 1023, 1},
	{"to an edge", 1000, 24},
	{"far", 100, 5000},
	{"end of the far level", 100, 511 * 1024},
	{"beyond the far level", 100, 3 * 512 * 1024 + 17},
	{"wrap of 32 bits of ms", (1ull << 32) - 10, 20},
};

static void test_fires_exactly_on_time(void **state)
{
	struct tcp_wheel *w = malloc(sizeof(*w));

	assert_non_null(w);
	for (size_t i = 0; i < ARRAY_COUNT(delays); i++) {
		const struct delay_case *c = &delays[i];
		uint64_t due = (c->start_ms + c->delay_ms) * MS;
		struct tcp_wheel_node node = {0};
		uint64_t now = c->start_ms * MS;

		print_message("case %s\n", c->name);
		tcp_wheel_init(w, now);
		tcp_wheel_arm(w, &node, due);
		// As an idle loop does: sleep until the next deadline.
		for (;;) {
			uint64_t next = tcp_wheel_next_ns(w);

			assert_true(next <= due);
			now = next > now ? next : now;
			if (tcp_wheel_pop(w, now))
				break;
			assert_true(now < due);
		}
		assert_int_equal(now, due);
		assert_null(tcp_wheel_pop(w, now + 10 * MS));
		assert_int_equal(tcp_wheel_next_ns(w), UINT64_MAX);
	}
	free(w);
}

static void test_rounds_up_never_early(void **state)
{
	struct tcp_wheel *w = malloc(sizeof(*w));
	struct tcp_wheel_node node = {0};

	assert_non_null(w);
	tcp_wheel_init(w, 0);
	tcp_wheel_arm(w, &node, 5 * MS + 1);
	assert_null(tcp_wheel_pop(w, 5 * MS + 999999));
	assert_ptr_equal(tcp_wheel_pop(w, 6 * MS), &node);
	free(w);
}

static void test_moved_and_disarmed_timers_do_not_fire(void **state)
{
	struct tcp_wheel *w = malloc(sizeof(*w));
	struct tcp_wheel_node a = {0}, b = {0};

	assert_non_null(w);
	tcp_wheel_init(w, 0);
	tcp_wheel_arm(w, &a, 10 * MS);
	tcp_wheel_arm(w, &b, 10 * MS);
	tcp_wheel_arm(w, &a, 2000 * MS);
	tcp_wheel_disarm(&b);
	tcp_wheel_disarm(&b);
	assert_null(tcp_wheel_pop(w, 1999 * MS));
	assert_ptr_equal(tcp_wheel_pop(w, 2000 * MS), &a);
	free(w);
}

static void test_random_timers_fire_in_their_tick(void **state)
{
	enum {
		COUNT = 500
	};

	struct rng rng = rng_seeded(3);
	struct tcp_wheel *w = malloc(sizeof(*w));
	static struct tcp_wheel_node nodes[COUNT];
	uint32_t fired = 0;
	uint64_t now = 0;

	assert_non_null(w);
	tcp_wheel_init(w, 0);
	for (uint32_t i = 0; i < COUNT; i++)
		tcp_wheel_arm(w, &nodes[i], (1 + rng_below(&rng, i % 3 ? 3000 : 900000)) * MS);
	while (fired < COUNT) {
		uint64_t before = now;
		struct tcp_wheel_node *node;

		now += (1 + rng_below(&rng, 700)) * MS;
		while ((node = tcp_wheel_pop(w, now))) {
			assert_true(node->tick * MS <= now && node->tick * MS > before);
			fired++;
		}
	}
	assert_null(tcp_wheel_pop(w, now + 10000000 * MS));
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fires_exactly_on_time),
		cmocka_unit_test(test_rounds_up_never_early),
		cmocka_unit_test(test_moved_and_disarmed_timers_do_not_fire),
		cmocka_unit_test(test_random_timers_fire_in_their_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
