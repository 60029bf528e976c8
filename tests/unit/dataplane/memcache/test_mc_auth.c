/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_auth.h"

#include "base/compiler.h"
#include "dataplane/proto/memcache/mc_line.h"
#include "tests/fakes/fake_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Users of memcached's protocols: the list, and conversations that have to begin by it. */

#define LIST "# who may\njoe:secret\r\n\nann:pass:word\n"

static struct fake_session f;
static struct mc_users *users;

static int setup(void **state)
{
	uint32_t line;

	users = mc_users_parse(SLICE_LITERAL(LIST), &line);
	assert_non_null(users);
	fake_session_init(&f, SESSION_MEMCACHE);
	atomic_store(&f.limits.mc_users, users);
	return 0;
}

static int teardown(void **state)
{
	fake_session_fini(&f);
	mc_users_free(users);
	return 0;
}

static void test_list(void **state)
{
	static const struct {
		const char *user, *password;
		bool good;
	} cases[] = {
		{"joe", "secret", true},   {"ann", "pass:word", true}, {"joe", "secre", false},
		{"joe", "secrets", false}, {"jo", "secret", false},    {"ann", "secret", false},
		{"", "", false},           {"nobody", "x", false},     {"joe", "", false},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(mc_users_check(users, slice_of_text(cases[i].user),
						slice_of_text(cases[i].password)),
				 cases[i].good);
}

static void test_bad_lists(void **state)
{
	static const struct {
		const char *text;
		uint32_t line; // at fault
	} cases[] = {
		{"", 0},          {"# nobody\n", 0}, {"joe\n", 1},           {"joe:\n", 1},
		{":secret\n", 1}, {"a:b\nno\n", 2},  {"a:b\n\nx:y\n:\n", 4},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t line = 99;

		assert_null(mc_users_parse(slice_of_text(cases[i].text), &line));
		assert_int_equal(line, cases[i].line);
	}
}

static void test_list_limits(void **state)
{
	static char text[(MC_USERS_MAX + 1) * 4 + 1];
	static char longest[MC_USER_MAX + MC_PASSWORD_MAX + 3];
	struct mc_users *many;
	uint32_t line;

	for (int i = 0; i <= MC_USERS_MAX; i++)
		memcpy(text + (size_t)i * 4, "u:p\n", 4);
	many = mc_users_parse(slice_of(text, MC_USERS_MAX * 4), &line);
	assert_non_null(many);
	mc_users_free(many);
	assert_null(mc_users_parse(slice_of(text, sizeof(text) - 1), &line));
	assert_int_equal(line, MC_USERS_MAX + 1);

	memset(longest, 'x', sizeof(longest));
	longest[MC_USER_MAX] = ':';
	many = mc_users_parse(slice_of(longest, MC_USER_MAX + 1 + MC_PASSWORD_MAX), &line);
	assert_non_null(many);
	assert_true(mc_users_check(many, slice_of(longest, MC_USER_MAX),
				   slice_of(longest, MC_PASSWORD_MAX)));
	mc_users_free(many);
	assert_null(mc_users_parse(slice_of(longest, MC_USER_MAX + 2 + MC_PASSWORD_MAX), &line));
}

#define PLAIN(text, result)                                                                        \
	{                                                                                          \
		SLICE_LITERAL(text), result                                                        \
	}

static void test_plain(void **state)
{
	static const struct {
		struct slice data;
		enum mc_auth_result result;
	} cases[] = {
		PLAIN("\0joe\0secret", MC_AUTH_GOOD),
		PLAIN("joe\0joe\0secret", MC_AUTH_GOOD),
		PLAIN("ann\0joe\0secret", MC_AUTH_BAD),
		PLAIN("\0joe\0secret\0", MC_AUTH_BAD),
		PLAIN("\0joe", MC_AUTH_NO_PAIR),
		PLAIN("joe secret", MC_AUTH_NO_PAIR),
		PLAIN("", MC_AUTH_NO_PAIR),
		PLAIN("\0", MC_AUTH_NO_PAIR),
		PLAIN("\0\0", MC_AUTH_BAD),
		PLAIN("\0joe\0", MC_AUTH_BAD),
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(mc_auth_plain(users, cases[i].data), cases[i].result);
}

#define REFUSED "CLIENT_ERROR unauthenticated\r\n"

/* Recorded from memcached 1.6.18 -Y, but for what it leaves unanswered in one piece. */
static const struct {
	const char *input, *reply;
} conversations[] = {
	{"get a\r\n", REFUSED},
	{"get a\r\nversion\r\n", REFUSED REFUSED},
	{"mg a v\r\nms a 1\r\n", REFUSED REFUSED},
	{"quit\r\n", REFUSED},
	{"\r\n", REFUSED},
	{"set a 0 0\r\n", REFUSED},
	{"set a 0 0 -5\r\n", REFUSED},
	{"set a 0 0 99999\r\n", REFUSED},
	{"add a 0 0 10\r\n", REFUSED},
	{"set a 0 0 3\r\njoe\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
	{"set a 0 0 0\r\n\r\n", "CLIENT_ERROR bad authentication token format\r\n"},
	{"set a 0 0 10\r\njoe secretXX", "CLIENT_ERROR bad command line termination\r\n"},
	{"set a 0 0 5\r\njoe x\r\n", "CLIENT_ERROR authentication failure\r\n"},
	{"set a b c 10 noreply\r\njoe secret\r\nget a\r\n", "STORED\r\nEND\r\n"},
	{"set a 0 0 13\njoe secret xy\r\nset k 5 0 1\r\nx\r\nget k\r\n",
	 "STORED\r\nSTORED\r\nVALUE k 5 1\r\nx\r\nEND\r\n"},
	{"set a 0 0 5\r\njoe x\r\nset a 0 0 13\r\nann pass:word\r\nget a\r\n",
	 "CLIENT_ERROR authentication failure\r\nSTORED\r\nEND\r\n"},
};

/* Whole, and byte by byte. */
static void test_text(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(conversations); i++) {
		struct slice input = slice_of_text(conversations[i].input);

		for (size_t step = 1; step <= input.len;
		     step += input.len > 1 ? input.len - 1 : 1) {
			table_flush(f.tt);
			fake_session_renew(&f, SESSION_MEMCACHE);
			for (size_t at = 0; at < input.len; at += step)
				fake_session_send(&f,
						  slice_of(input.ptr + at, input.len - at < step
										   ? input.len - at
										   : step));
			struct slice got = fake_session_take(&f);

			if (!slice_equal(got, slice_of_text(conversations[i].reply)))
				fail_msg("'%s' in steps of %zu: '%.*s'", conversations[i].input,
					 step, (int)got.len, (const char *)got.ptr);
		}
	}
}

/* A line without an end is junk, and the connection ends. */
static void test_junk(void **state)
{
	static char junk[MC_LINE_MAX + 1];

	memset(junk, 'x', sizeof(junk));
	fake_session_send(&f, slice_of(junk, sizeof(junk)));
	assert_int_equal(fake_session_take(&f).len, 0);
	assert_true(f.session.closing);
}

/* The list is taken away while a client is half way in: it is let in. */
static void test_users_go(void **state)
{
	fake_session_send(&f, SLICE_LITERAL("set a 0 0 3\r\njo"));
	atomic_store(&f.limits.mc_users, NULL);
	fake_session_send(&f, SLICE_LITERAL("e\r\nget a\r\n"));
	assert_true(slice_equal(fake_session_take(&f),
				SLICE_LITERAL("STORED\r\nVALUE a 0 3\r\njoe\r\nEND\r\n")));
}

static void test_counts(void **state)
{
	fake_session_send(&f,
			  SLICE_LITERAL("set a 0 0 5\r\njoe x\r\nset a 0 0 10\r\njoe secret\r\n"));
	assert_int_equal(counter_read(&f.counters.mc_auth_cmds), 2);
	assert_int_equal(counter_read(&f.counters.mc_auth_errors), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_list_limits),
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_junk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_users_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
