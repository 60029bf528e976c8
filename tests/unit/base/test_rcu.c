/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rcu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Tags and grace periods, on one thread. The threads are in tests/stress. */

static void test_tag_without_grace_period_not_done(void **state)
{
	rcu_register_thread();
	assert_false(rcu_done(rcu_tag()));
	rcu_unregister_thread();
}

static void test_tag_after_grace_period_done(void **state)
{
	rcu_register_thread();
	uint64_t before = rcu_tag();

	rcu_wait();
	uint64_t after = rcu_tag();

	assert_true(rcu_done(before));
	assert_false(rcu_done(after));
	rcu_wait();
	assert_true(rcu_done(after));
	rcu_unregister_thread();
}

static void test_housekeeping_thread_serves_tags(void **state)
{
	rcu_register_thread();
	assert_int_equal(rcu_start(), 0);
	uint64_t tag = rcu_tag();

	while (!rcu_done(tag))
		rcu_quiescent();
	rcu_stop();
	rcu_unregister_thread();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag_without_grace_period_not_done),
		cmocka_unit_test(test_tag_after_grace_period_done),
		cmocka_unit_test(test_housekeeping_thread_serves_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
