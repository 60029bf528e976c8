/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/reply.h"

#include "dataplane/proto/resp/resp.h"
#include "tests/fakes/fake_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Errors that quote a client: one line, bounded, counted. */

static void test_error_quotes_on_one_bounded_line(void **state)
{
	static char long_text[REPLY_ARG_WHOLE_MAX + 1000];

	static const struct {
		const char *arg;
		size_t reply_len;
		const char *reply; // its start
	} cases[] = {
		{"x", 10, "-ERR 'x'\r\n"},
		{"a\r\nb\nc", 15, "-ERR 'a  b c'\r\n"},
		{"", 9, "-ERR ''\r\n"},
		{long_text, 1 + REPLY_ARG_WHOLE_MAX + 511 + 2, "-ERR 'zzz"},
	};

	memset(long_text, 'z', sizeof(long_text) - 1);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct fake_out out;
		struct reply reply;

		fake_out_init(&out);
		reply = resp_reply(&out.out, 2);
		reply_error_format(&reply, "ERR '%s'", cases[i].arg);
		assert_int_equal(fake_out_bytes(&out).len, cases[i].reply_len);
		assert_memory_equal(fake_out_bytes(&out).ptr, cases[i].reply,
				    strlen(cases[i].reply));
		assert_int_equal(reply.errors, 1);
		fake_out_fini(&out);
	}
}

static void test_error_line_ends_at_the_end_trimmed(void **state)
{
	struct fake_out out;
	struct reply reply;

	fake_out_init(&out);
	reply = resp_reply(&out.out, 2);
	reply_error_format(&reply, "ERR %.*s", REPLY_ARG(SLICE_LITERAL("a\r\n\r\n")));
	assert_true(slice_equal(fake_out_bytes(&out), SLICE_LITERAL("-ERR a\r\n")));
	fake_out_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_quotes_on_one_bounded_line),
		cmocka_unit_test(test_error_line_ends_at_the_end_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
