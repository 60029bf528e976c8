/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc.h"

#include "dataplane/command/kv.h"
#include "dataplane/proto/memcache/mc_line.h"
#include "tests/fakes/fake_session.h"
#include "tests/unit/dataplane/memcache/mc_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The text protocol from bytes to replies, over the real session engine and table. */

static struct fake_session f;
static uint64_t now_ns;

/* Linked with --wrap=table__alloc. */
void *__real_table__alloc(struct table_thread *t, size_t size_bytes);
void *__wrap_table__alloc(struct table_thread *t, size_t size_bytes);

static bool no_memory;

void *__wrap_table__alloc(struct table_thread *t, size_t size_bytes)
{
	return no_memory ? NULL : __real_table__alloc(t, size_bytes);
}

static int setup(void **state)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	now_ns = 1;
	return 0;
}

static int teardown(void **state)
{
	fake_session_fini(&f);
	return 0;
}

static void send_text(const char *text)
{
	fake_session_send(&f, slice_of_text(text));
}

static void assert_reply(struct slice expected)
{
	struct slice got = fake_session_take(&f);

	if (!slice_equal(got, expected))
		fail_msg("reply '%.*s' instead of '%.*s'", (int)got.len, (const char *)got.ptr,
			 (int)expected.len, (const char *)expected.ptr);
}

#define ASSERT_REPLY(text) assert_reply(SLICE_LITERAL(text))

static void exchange(const char *request, const char *reply)
{
	send_text(request);
	assert_reply(slice_of_text(reply));
}

static void advance_ms(uint64_t ms)
{
	f.cmd.now_ms += ms;
	f.cmd.now_us += 1000 * ms;
	now_ns += 1000000 * ms;
	table_set_time(f.tt, f.cmd.now_ms, now_ns);
}

static void start_afresh(void)
{
	table_flush(f.tt);
	fake_session_renew(&f, SESSION_MEMCACHE);
}

/* Where the engine forwards a request, its reply is awaited before going on, as a host does. */
static void send_piece(struct slice piece)
{
	fake_session_send(&f, piece);
	while (f.forward)
		fake_session_reply(&f);
}

static void check_case(const struct mc_case *c, size_t cut, size_t step)
{
	start_afresh();
	for (size_t at = 0; at < c->input.len;) {
		size_t len = at == 0 && cut > 0 ? cut : step;

		if (len > c->input.len - at)
			len = c->input.len - at;
		send_piece(slice_of(c->input.ptr + at, len));
		at += len;
	}
	assert_reply(c->reply);
	assert_int_equal(f.session.closing, c->closes);
}

static void test_cases_whole_and_byte_by_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(mc_cases); i++) {
		print_message("%s\n", mc_cases[i].name);
		check_case(&mc_cases[i], 0, SIZE_MAX);
		check_case(&mc_cases[i], 0, 1);
	}
}

static void test_cases_at_every_split(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(mc_cases); i++)
		for (size_t cut = 1; cut < mc_cases[i].input.len; cut++)
			check_case(&mc_cases[i], cut, SIZE_MAX);
}

/* The unique of the only item in a `gets` reply. */
static uint64_t take_unique(void)
{
	struct slice reply = fake_session_take(&f);
	unsigned long long unique = 0;
	char text[128] = "";

	memcpy(text, reply.ptr, reply.len < sizeof(text) ? reply.len : sizeof(text) - 1);
	assert_int_equal(sscanf(text, "VALUE %*s %*u %*u %llu", &unique), 1);
	return unique;
}

static uint64_t unique_of(const char *key)
{
	char line[64];

	snprintf(line, sizeof(line), "gets %s\r\n", key);
	send_text(line);
	return take_unique();
}

static void test_cas_stores_once_per_unique(void **state)
{
	char line[128];

	exchange("set a 0 0 1\r\nx\r\n", "STORED\r\n");
	uint64_t unique = unique_of("a");

	assert_true(unique == unique_of("a"));
	snprintf(line, sizeof(line), "cas a 0 0 1 %llu\r\ny\r\n", (unsigned long long)unique);
	exchange(line, "STORED\r\n");
	exchange(line, "EXISTS\r\n");
	assert_true(unique_of("a") > unique);
	exchange("delete a\r\n", "DELETED\r\n");
	exchange(line, "NOT_FOUND\r\n");
	assert_int_equal(counter_read(&f.counters.mc_cas_hits), 1);
	assert_int_equal(counter_read(&f.counters.mc_cas_badval), 1);
	assert_int_equal(counter_read(&f.counters.mc_cas_misses), 1);
}

static void test_every_change_renews_the_unique(void **state)
{
	static const char *const changes[] = {
		"set n 0 0 1\r\n5\r\n", "append n 0 0 1\r\n1\r\n", "incr n 1\r\n",
		"decr n 1\r\n",         "touch n 100\r\n",
	};

	send_text("set n 0 0 1\r\n5\r\n");
	fake_session_take(&f);
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		uint64_t before = unique_of("n");

		print_message("%s", changes[i]);
		send_text(changes[i]);
		fake_session_take(&f);
		assert_true(unique_of("n") > before);
	}
}

static void test_touch_to_the_same_expiry_keeps_the_unique(void **state)
{
	send_text("set a 0 0 1\r\nx\r\n");
	fake_session_take(&f);
	uint64_t before = unique_of("a");

	exchange("touch a 0\r\n", "TOUCHED\r\n");
	assert_true(unique_of("a") == before);
}

static void test_expiry_to_the_millisecond(void **state)
{
	exchange("set a 0 10 1\r\nx\r\nset b 0 0 1\r\ny\r\ntouch b 10\r\n",
		 "STORED\r\nSTORED\r\nTOUCHED\r\n");
	advance_ms(10000);
	exchange("get a b\r\n", "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n");
	exchange("gat 5 b\r\n", "VALUE b 0 1\r\ny\r\nEND\r\n");
	advance_ms(1);
	exchange("get a b\r\n", "VALUE b 0 1\r\ny\r\nEND\r\n");
	advance_ms(5000);
	exchange("get b\r\nadd b 0 0 1\r\nz\r\n", "END\r\nSTORED\r\n");
}

static void test_flush_all_later(void **state)
{
	exchange("set a 0 0 1\r\nx\r\nflush_all 10\r\n", "STORED\r\nOK\r\n");
	advance_ms(9999);
	exchange("get a\r\nset b 0 0 1\r\ny\r\n", "VALUE a 0 1\r\nx\r\nEND\r\nSTORED\r\n");
	advance_ms(1);
	exchange("get a b\r\nset a 0 0 1\r\nz\r\n", "END\r\nSTORED\r\n");
	advance_ms(100000);
	exchange("get a\r\n", "VALUE a 0 1\r\nz\r\nEND\r\n");
}

static void test_flush_all_replaces_the_pending_one(void **state)
{
	exchange("flush_all 10\r\nflush_all 20\r\nset a 0 0 1\r\nx\r\n", "OK\r\nOK\r\nSTORED\r\n");
	advance_ms(15000);
	exchange("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
	exchange("flush_all 0\r\nset a 0 0 1\r\ny\r\n", "OK\r\nSTORED\r\n");
	advance_ms(15000);
	exchange("get a\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n");
}

static void test_flush_all_forbidden(void **state)
{
	f.limits.mc_flush_enabled = false;
	exchange("set a 0 0 1\r\nx\r\nflush_all\r\nflush_all noreply\r\nflush_all 5\r\nget a\r\n",
		 "STORED\r\nCLIENT_ERROR flush_all not allowed\r\nCLIENT_ERROR flush_all not "
		 "allowed\r\n"
		 "VALUE a 0 1\r\nx\r\nEND\r\n");
	assert_int_equal(counter_read(&f.counters.mc_cmd_flush), 3);
}

/* A storage command with a value of `len` bytes, in pieces of `step` bytes. */
static void send_value(const char *line, size_t len, size_t step)
{
	size_t line_len = strlen(line), total = line_len + len + 2;
	uint8_t *bytes = malloc(total);

	assert_non_null(bytes);
	memcpy(bytes, line, line_len);
	for (size_t i = 0; i < len; i++)
		bytes[line_len + i] = (uint8_t)(i * 7 + i / 251);
	memcpy(bytes + line_len + len, "\r\n", 2);
	for (size_t at = 0; at < total; at += step)
		fake_session_send(&f, slice_of(bytes + at, step < total - at ? step : total - at));
	free(bytes);
}

static void assert_value(const char *head, size_t len)
{
	struct slice reply = fake_session_take(&f);
	size_t head_len = strlen(head);

	assert_int_equal(reply.len, head_len + len + 7);
	assert_memory_equal(reply.ptr, head, head_len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(reply.ptr[head_len + i], (uint8_t)(i * 7 + i / 251));
	assert_memory_equal(reply.ptr + head_len + len, "\r\nEND\r\n", 7);
}

static void test_values_of_every_kind_come_back(void **state)
{
	static const size_t lens[] = {100,
				      440,
				      441,
				      512,
				      ITEM_VALUE_INLINE_MAX,
				      ITEM_VALUE_INLINE_MAX + 1,
				      SESSION_LANDING_MIN - 1,
				      SESSION_LANDING_MIN,
				      200000};
	static const size_t steps[] = {SIZE_MAX / 2, 1448, 65536};

	for (size_t i = 0; i < ARRAY_COUNT(lens) * ARRAY_COUNT(steps); i++) {
		size_t len = lens[i / ARRAY_COUNT(steps)];
		char line[64], head[64];

		start_afresh();
		snprintf(line, sizeof(line), "set a 9 0 %zu\r\n", len);
		snprintf(head, sizeof(head), "VALUE a 9 %zu\r\n", len);
		print_message("%zu bytes in pieces of %zu\n", len, steps[i % ARRAY_COUNT(steps)]);
		send_value(line, len, steps[i % ARRAY_COUNT(steps)]);
		ASSERT_REPLY("STORED\r\n");
		send_text("get a\r\n");
		assert_value(head, len);
	}
}

static void test_long_values_grow_and_are_touched(void **state)
{
	send_value("set a 1 0 5000\r\n", 5000, 1448);
	ASSERT_REPLY("STORED\r\n");
	exchange("touch a 100\r\n", "TOUCHED\r\n");
	send_text("get a\r\n");
	assert_value("VALUE a 1 5000\r\n", 5000);
	exchange("incr a 1\r\n",
		 "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
	exchange("set b 0 0 1\r\nx\r\n", "STORED\r\n");
	send_value("append b 0 0 100000\r\n", 100000, 1448);
	ASSERT_REPLY("STORED\r\n");
	send_text("get b\r\n");
	struct slice reply = fake_session_take(&f);

	assert_memory_equal(reply.ptr, "VALUE b 0 100001\r\nx\0\7", 21);
}

static void test_bad_end_of_a_landed_block(void **state)
{
	send_value("set a 0 0 99999\r\n", 100000, 1448);
	struct slice reply = fake_session_take(&f);

	assert_memory_equal(reply.ptr, "CLIENT_ERROR bad data chunk\r\n", 29);
	start_afresh();
	exchange("get a\r\n", "END\r\n");
}

static void test_too_large_is_swallowed_and_drops_the_old_value(void **state)
{
	static const struct {
		const char *line;
		size_t len;
		const char *reply;
	} steps[] = {
		{"set a 0 0 1048516\r\n", 1048516, "STORED\r\n"}, // memcached's very limit
		{"set a 1 0 1048512\r\n", 1048512, "STORED\r\n"},
		{"append a 0 0 1\r\n", 1, "STORED\r\n"},
		{"add a 0 0 2000000\r\n", 2000000, "SERVER_ERROR object too large for cache\r\n"},
		{"set a 0 0 1048517\r\n", 1048517, "SERVER_ERROR object too large for cache\r\n"},
		{"set a 1 0 2000000 noreply\r\n", 2000000, ""},
	};

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		print_message("%s", steps[i].line);
		send_value(steps[i].line, steps[i].len, 60000);
		assert_reply(slice_of_text(steps[i].reply));
		send_text("version\r\n");
		ASSERT_REPLY("VERSION " MC_VERSION "\r\n");
		send_text("get a\r\n");
		assert_int_equal(fake_session_take(&f).len > 5, i < 4);
	}
}

static void test_append_beyond_the_limit_not_stored(void **state)
{
	send_value("set a 0 0 600000\r\n", 600000, 60000);
	send_value("append a 0 0 600000\r\n", 600000, 60000);
	ASSERT_REPLY("STORED\r\nNOT_STORED\r\n");
}

static void test_no_memory_refuses_and_drops_the_old_value(void **state)
{
	exchange("set a 0 0 1\r\nx\r\nset n 0 0 1\r\n5\r\n", "STORED\r\nSTORED\r\n");
	atomic_store(&table_limits(f.table)->maxmemory_bytes, 1);
	exchange("set a 0 0 1\r\ny\r\nget a\r\nadd b 0 0 1\r\nx\r\n",
		 "SERVER_ERROR out of memory storing object\r\nEND\r\nSERVER_ERROR out of memory "
		 "storing object\r\n");
	exchange("incr n 1\r\ntouch n 100\r\nget n\r\ngat 100 n\r\n",
		 "SERVER_ERROR out of memory\r\nSERVER_ERROR out of memory\r\nVALUE n 0 "
		 "1\r\n5\r\nEND\r\n"
		 "VALUE n 0 1\r\n5\r\nEND\r\n");
	send_value("set n 0 0 100000\r\n", 100000, 1448);
	ASSERT_REPLY("SERVER_ERROR out of memory storing object\r\n");
	exchange("get n\r\n", "END\r\n");
}

/* Sends the line for each of some numbered keys at once. */
static void send_for_keys(const char *format)
{
	enum {
		KEYS = 600
	};

	static char text[KEYS * 40];
	size_t len = 0;

	for (int i = 0; i < KEYS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, format, i);
	fake_session_send(&f, slice_of(text, len));
}

/* What is deleted waits in chunks of 254 for a grace period, and chunks are memory. */
static void test_delete_without_memory_is_an_error(void **state)
{
	send_for_keys("set key:%d 0 0 1 noreply\r\nx\r\n");
	no_memory = true;
	send_for_keys("delete key:%d\r\n");
	no_memory = false;
	struct slice got = fake_session_take(&f);

	assert_non_null(memmem(got.ptr, got.len, "SERVER_ERROR out of memory\r\n", 28));
	exchange("get key:599\r\n", "VALUE key:599 0 1\r\nx\r\nEND\r\n");
	exchange("delete key:599\r\n", "DELETED\r\n");
	exchange("get key:599\r\n", "END\r\n");
}

static void test_line_without_an_end_closes(void **state)
{
	char line[MC_LINE_MAX + 2];

	memset(line, 'x', sizeof(line));
	fake_session_send(&f, slice_of(line, MC_LINE_MAX - 1));
	assert_false(f.session.closing);
	send_text("\r\n");
	ASSERT_REPLY("ERROR\r\n");
	for (size_t split = 1; split <= MC_LINE_MAX + 1; split += MC_LINE_MAX) {
		start_afresh();
		fake_session_send(&f, slice_of(line, split));
		fake_session_send(&f, slice_of(line, MC_LINE_MAX + 1 - split));
		assert_true(f.session.closing);
		ASSERT_REPLY("");
	}
}

/* "get k0 k1 ...": far more than a bound on lines would let through, in pieces. */
static void test_get_of_many_keys(void **state)
{
	size_t len = 0, capacity = 200000;
	char *line = malloc(capacity);

	exchange("set k7 0 0 1\r\nx\r\nset k9999 0 0 1\r\ny\r\n", "STORED\r\nSTORED\r\n");
	len += (size_t)snprintf(line, capacity, "get");
	for (int i = 0; i < 20000; i++)
		len += (size_t)snprintf(line + len, capacity - len, " k%d", i);
	len += (size_t)snprintf(line + len, capacity - len, "\r\n");
	for (size_t at = 0; at < len; at += 1000)
		fake_session_send(&f, slice_of(line + at, len - at < 1000 ? len - at : 1000));
	ASSERT_REPLY("VALUE k7 0 1\r\nx\r\nVALUE k9999 0 1\r\ny\r\nEND\r\n");
	assert_int_equal(counter_read(&f.counters.mc_cmd_get), 20000);
	free(line);
}

static void test_get_line_without_bound_closes(void **state)
{
	static char piece[65536];

	memset(piece, 'k', sizeof(piece));
	send_text("get ");
	for (int i = 0; i < 200 && !f.session.closing; i++)
		fake_session_send(&f, slice_of(piece, sizeof(piece)));
	assert_true(f.session.closing);
	ASSERT_REPLY("");
}

/* One of all who have found the same value is the first to mark it, and nobody marks another. */
static void test_mark_is_first_once_and_on_that_value(void **state)
{
	struct table_key a = table_key(f.cmd.table, SLICE_LITERAL("a"));
	struct table_key b = table_key(f.cmd.table, SLICE_LITERAL("b"));
	struct item *item_a, *item_b;

	send_text("set a 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\n");
	item_a = table_peek(f.tt, &a);
	item_b = table_peek(f.tt, &b);
	assert_false(table_mark_first(f.tt, &a, item_b, ITEM_WON));
	assert_int_equal(item_marks(item_a), 0);
	assert_true(table_mark_first(f.tt, &a, item_a, ITEM_WON));
	assert_false(table_mark_first(f.tt, &a, item_a, ITEM_WON));
	assert_true(table_mark_first(f.tt, &a, item_a, ITEM_FETCHED));
	assert_int_equal(item_marks(item_a), ITEM_WON | ITEM_FETCHED);
	assert_int_equal(item_marks(item_b), 0);
}

static void test_stats_waits_for_the_control_thread(void **state)
{
	send_text("version\r\nstats\r\nversion\r\n");
	ASSERT_REPLY("VERSION " MC_VERSION "\r\n");
	assert_non_null(f.forward);
	assert_true(f.session.blocked);
	fake_session_reply(&f);
	struct slice reply = fake_session_take(&f);
	const char *end = "END\r\nVERSION " MC_VERSION "\r\n";

	assert_memory_equal(reply.ptr, "STAT pid ", 9);
	assert_memory_equal(reply.ptr + reply.len - strlen(end), end, strlen(end));
	f.refuse_forward = true;
	exchange("stats\r\n", "SERVER_ERROR too many requests for the control thread\r\n");
}

static void test_one_keyspace_with_resp(void **state)
{
	fake_session_renew(&f, SESSION_RESP);
	exchange("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n10\r\n", "+OK\r\n");
	fake_session_renew(&f, SESSION_MEMCACHE);
	exchange("get a\r\nincr a 5\r\nset b 7 0 2\r\nhi\r\n",
		 "VALUE a 0 2\r\n10\r\nEND\r\n15\r\nSTORED\r\n");
	fake_session_renew(&f, SESSION_RESP);
	exchange("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n",
		 "$2\r\n15\r\n$2\r\nhi\r\n");
}

static void test_counters_of_hits_and_misses(void **state)
{
	struct cmd_counters *n = &f.counters;

	send_text("set a 0 0 1\r\n1\r\nget a b a\r\ntouch a 0\r\ntouch b 0\r\ndelete b\r\nincr a "
		  "1\r\nincr b 1\r\n"
		  "decr a 1\r\ndecr b 1\r\ngat 0 a b\r\ndelete a\r\nnonsense\r\n");
	assert_int_equal(counter_read(&n->mc_cmd_set), 1);
	assert_int_equal(counter_read(&n->mc_cmd_get), 3);
	assert_int_equal(counter_read(&n->mc_get_hits), 2);
	assert_int_equal(counter_read(&n->mc_get_misses), 1);
	assert_int_equal(counter_read(&n->mc_cmd_touch), 4); // gat's too
	assert_int_equal(counter_read(&n->mc_touch_hits), 2);
	assert_int_equal(counter_read(&n->mc_touch_misses), 2);
	assert_int_equal(counter_read(&n->mc_delete_hits), 1);
	assert_int_equal(counter_read(&n->mc_delete_misses), 1);
	assert_int_equal(counter_read(&n->mc_incr_hits), 1);
	assert_int_equal(counter_read(&n->mc_incr_misses), 1);
	assert_int_equal(counter_read(&n->mc_decr_hits), 1);
	assert_int_equal(counter_read(&n->mc_decr_misses), 1);
	assert_int_equal(counter_read(&n->mc_protocol_errors), 1);
	assert_int_equal(counter_read(&n->commands), 12);
}

static void test_a_sink_that_refuses_closes(void **state)
{
	exchange("set a 0 0 1\r\nx\r\n", "STORED\r\n");
	fake_out_clear(&f.out);
	f.out.limit = 1;
	f.out.step = 1;
	f.out.out.end = f.out.out.pos;
	send_text("get a\r\nget a\r\n");
	assert_true(f.session.closing);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cases_whole_and_byte_by_byte),
		TEST(test_cases_at_every_split),
		TEST(test_cas_stores_once_per_unique),
		TEST(test_every_change_renews_the_unique),
		TEST(test_touch_to_the_same_expiry_keeps_the_unique),
		TEST(test_expiry_to_the_millisecond),
		TEST(test_flush_all_later),
		TEST(test_flush_all_replaces_the_pending_one),
		TEST(test_flush_all_forbidden),
		TEST(test_values_of_every_kind_come_back),
		TEST(test_long_values_grow_and_are_touched),
		TEST(test_bad_end_of_a_landed_block),
		TEST(test_too_large_is_swallowed_and_drops_the_old_value),
		TEST(test_append_beyond_the_limit_not_stored),
		TEST(test_no_memory_refuses_and_drops_the_old_value),
		TEST(test_delete_without_memory_is_an_error),
		TEST(test_line_without_an_end_closes),
		TEST(test_get_of_many_keys),
		TEST(test_get_line_without_bound_closes),
		TEST(test_mark_is_first_once_and_on_that_value),
		TEST(test_stats_waits_for_the_control_thread),
		TEST(test_one_keyspace_with_resp),
		TEST(test_counters_of_hits_and_misses),
		TEST(test_a_sink_that_refuses_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
