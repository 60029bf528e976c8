/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_log.h"

#include "tests/fakes/fake_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What workers note for watchers, and the lines that are made of it. */

static struct fake_session f;

static int setup(void **state)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	f.cmd.log = mc_log_new();
	assert_non_null(f.cmd.log);
	f.session.client.id = 42;
	return 0;
}

static int teardown(void **state)
{
	mc_log_free(f.cmd.log);
	fake_session_fini(&f);
	return 0;
}

/* The next line without its time; "" when there is none. */
static struct slice next_line(void)
{
	static struct fake_out out;
	const struct mc_log_record *record = mc_log_oldest(f.cmd.log);

	fake_out_fini(&out);
	fake_out_init(&out);
	if (!record)
		return SLICE_LITERAL("");
	mc_log_encode(record, 7, &out.out);
	mc_log_next(f.cmd.log);
	struct slice line = fake_out_bytes(&out);
	const uint8_t *rest = memchr(line.ptr, ' ', line.len);

	assert_memory_equal(line.ptr, "ts=", 3);
	assert_non_null(rest);
	return slice_of(rest + 1, line.len - (size_t)(rest + 1 - line.ptr));
}

#define ASSERT_LINE(text)                                                                          \
	do {                                                                                       \
		struct slice got = next_line();                                                    \
		if (!slice_equal(got, SLICE_LITERAL(text)))                                        \
			fail_msg("'%.*s'", (int)got.len, (const char *)got.ptr);                   \
	} while (0)

static void send_text(const char *text)
{
	fake_session_send(&f, slice_of_text(text));
	(void)fake_session_take(&f);
}

static void test_lines(void **state)
{
	f.limits.mc_watched = MC_WATCH_FETCHERS | MC_WATCH_MUTATIONS;
	send_text(
		"set a%b 0 100 5\r\nhello\r\nadd a%b 0 0 1\r\nx\r\nget a%b nobody\r\nmg a%b v\r\n");
	ASSERT_LINE("gid=7 type=item_store key=a%25b status=stored "
		    "cmd=set ttl=100 clsid=1 cfd=42 size=5\n");
	ASSERT_LINE("gid=7 type=item_store key=a%25b status=not_stored "
		    "cmd=add ttl=0 clsid=1 cfd=42 size=1\n");
	ASSERT_LINE("gid=7 type=item_get key=a%25b status=found clsid=1 cfd=42 size=5\n");
	ASSERT_LINE("gid=7 type=item_get key=nobody status=not_found clsid=1 cfd=42 size=0\n");
	ASSERT_LINE("gid=7 type=item_get key=a%25b status=found clsid=1 cfd=42 size=5\n");
	ASSERT_LINE("");
}

static void test_only_what_is_watched(void **state)
{
	send_text("set a 0 0 1\r\nx\r\nget a\r\n");
	assert_int_equal(mc_log_written(f.cmd.log), 0);
	f.limits.mc_watched = MC_WATCH_MUTATIONS;
	send_text("set a 0 0 1\r\nx\r\nget a\r\n");
	assert_int_equal(mc_log_written(f.cmd.log), 1);
	assert_int_equal(mc_log_watch(mc_log_oldest(f.cmd.log)), MC_WATCH_MUTATIONS);
}

/* A thread without a log, as that of the admin listener, notes nothing. */
static void test_no_log(void **state)
{
	mc_log_free(f.cmd.log);
	f.cmd.log = NULL;
	f.limits.mc_watched = MC_WATCH_FETCHERS | MC_WATCH_MUTATIONS;
	send_text("set a 0 0 1\r\nx\r\nget a\r\n");
}

/* Full is a normal state: what finds no room is counted, and there is room again afterwards. */
static void test_full(void **state)
{
	uint64_t kept = 0;

	for (int i = 0; i < 2000; i++) {
		struct mc_log_record *r = mc_log_begin(f.cmd.log, MC_LOG_GET, SLICE_LITERAL("key"));

		if (!r)
			continue;
		r->status = "found";
		mc_log_commit(f.cmd.log);
		kept++;
	}
	assert_true(kept >= 256 && kept < 2000);
	assert_int_equal(mc_log_written(f.cmd.log), kept);
	assert_int_equal(mc_log_dropped(f.cmd.log), 2000 - kept);
	for (uint64_t i = 0; i < kept; i++) {
		assert_non_null(mc_log_oldest(f.cmd.log));
		mc_log_next(f.cmd.log);
	}
	assert_null(mc_log_oldest(f.cmd.log));
	assert_non_null(mc_log_begin(f.cmd.log, MC_LOG_GET, SLICE_LITERAL("key")));
}

/* RESP's keys may be longer than memcached's: the line has their beginning. */
static void test_long_key(void **state)
{
	static uint8_t key[1000];
	struct mc_log_record *r;

	memset(key, 'k', sizeof(key));
	r = mc_log_begin(f.cmd.log, MC_LOG_EVICTION, slice_of(key, sizeof(key)));
	assert_int_equal(r->key_len, MC_KEY_MAX);
	r->fetched = true;
	r->ttl_s = -1;
	r->idle_s = 3;
	r->value_len = 9;
	mc_log_commit(f.cmd.log);
	struct slice line = next_line();

	assert_memory_equal(line.ptr + line.len - 39, "k fetch=yes ttl=-1 la=3 clsid=1 size=9\n",
			    39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_is_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_key, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
