/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/out.h"

#include "tests/fakes/fake_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The reply sink across room boundaries and at its limit. */

static void test_append_every_step_same_bytes(void **state)
{
	for (size_t step = 0; step < 12; step++) {
		struct fake_out f;

		fake_out_init(&f);
		f.step = step;
		OUT_LITERAL(&f.out, "hello ");
		out_append_u64(&f.out, 1234567890123ULL);
		OUT_LITERAL(&f.out, " ");
		out_append_i64(&f.out, -42);
		assert_true(slice_equal(fake_out_bytes(&f),
					SLICE_LITERAL("hello 1234567890123 -42")));
		assert_false(f.out.failed);
		fake_out_fini(&f);
	}
}

static void test_append_over_limit_fails_and_stays_failed(void **state)
{
	struct fake_out f;

	fake_out_init(&f);
	f.step = 1;
	f.limit = 4;
	OUT_LITERAL(&f.out, "12345");
	assert_true(f.out.failed);
	OUT_LITERAL(&f.out, "6");
	assert_null(out_reserve(&f.out, 1));
	assert_true(slice_equal(fake_out_bytes(&f), SLICE_LITERAL("1234")));
	fake_out_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_every_step_same_bytes),
		cmocka_unit_test(test_append_over_limit_fails_and_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
