/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/session.h"

#include "base/rcu.h"
#include "base/rng.h"
#include "dataplane/proto/batch.h"
#include "dataplane/proto/landing.h"
#include "dataplane/proto/stash.h"
#include "dataplane/table/table_internal.h"
#include "tests/fakes/fake_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * The session engine with real commands: order of replies, what is kept meanwhile, and what it may
 * cost.
 */

static int setup(void **state)
{
	struct fake_session *f = malloc(sizeof(*f));

	if (!f)
		return -1;
	fake_session_init(f, SESSION_RESP);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_session_fini(*state);
	free(*state);
	return 0;
}

static void assert_replies(struct fake_session *f, const char *expected)
{
	struct slice got = fake_session_take(f);

	if (!slice_equal(got, slice_of_text(expected)))
		fail_msg("expected \"%s\", got \"%.*s\"", expected, (int)got.len,
			 (const char *)got.ptr);
}

static void assert_holds_nothing(const struct fake_session *f)
{
	assert_null(f->session.stash);
	assert_null(f->session.partial);
	assert_int_equal(f->session.stash_capacity, 0);
}

static void send_text(struct fake_session *f, const char *text)
{
	fake_session_send(f, slice_of_text(text));
}

static uint64_t table_bytes(struct fake_session *f)
{
	struct table_stats stats;

	// Two grace periods at most until what has been replaced is gone.
	for (int i = 0; i < 3; i++) {
		rcu_quiescent();
		rcu_wait();
		while (table_housekeep(f->tt, 1000000))
			rcu_quiescent();
	}
	table_stats(f->table, &stats);
	return stats.memory_bytes;
}

/* Input of known content, without writing it down. */
static struct slice pattern(size_t len, uint64_t seed)
{
	struct rng rng = rng_seeded(seed);
	uint8_t *bytes = malloc(len + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rng_next(&rng);
	return slice_of(bytes, len);
}

static void append_bulk(struct out *out, struct slice bytes)
{
	OUT_LITERAL(out, "$");
	out_append_u64(out, bytes.len);
	OUT_LITERAL(out, "\r\n");
	out_append(out, bytes);
	OUT_LITERAL(out, "\r\n");
}

/*
 * Sends in pieces of random length up to `piece_max`, and returns the most that the stash ever had
 * room for.
 */
static size_t send_pieces(struct fake_session *f, struct slice bytes, size_t piece_max,
			  struct rng *rng)
{
	size_t capacity_max = 0;

	for (size_t at = 0, len; at < bytes.len; at += len) {
		len = 1 + rng_below(rng, (uint32_t)piece_max);
		if (len > bytes.len - at)
			len = bytes.len - at;
		(rng_below(rng, 4) ? fake_session_feed
				   : fake_session_send)(f, slice_of(bytes.ptr + at, len));
		if (f->session.stash_capacity > capacity_max)
			capacity_max = f->session.stash_capacity;
	}
	fake_session_send(f, slice_of(NULL, 0));
	return capacity_max;
}

static void test_landing_long_values_kept_by_reference(void **state)
{
	static const struct {
		size_t len, piece_max;
	} cases[] = {
		{SESSION_LANDING_MIN, 1000}, {SESSION_LANDING_MIN + 1, 7}, {1u << 20, 1448},
		{1u << 20, 40000},           {20u << 20, 65536},           {20u << 20, 1460},
	};
	struct fake_session *f = *state;
	struct rng rng = rng_seeded(7);

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct slice value = pattern(cases[i].len, i);
		struct table_key key = table_key(f->table, SLICE_LITERAL("k"));
		struct fake_out input;
		struct blob *blob;

		fake_out_init(&input);
		OUT_LITERAL(&input.out, "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n");
		append_bulk(&input.out, value);
		OUT_LITERAL(&input.out, "PING\r\n");
		fake_session_renew(f, SESSION_RESP);

		size_t capacity_max =
			send_pieces(f, fake_out_bytes(&input), cases[i].piece_max, &rng);

		assert_replies(f, "+PONG\r\n+OK\r\n+PONG\r\n");
		assert_true(capacity_max <= 2 * STASH_SMALL_BYTES);
		assert_holds_nothing(f);

		blob = item_blob(table_find(f->tt, &key));
		assert_non_null(blob);
		assert_int_equal(blob->capacity, value.len);
		assert_int_equal(atomic_load(&blob->refs), 1);
		assert_true(slice_equal(slice_of(blob->bytes, blob->len), value));
		fake_out_fini(&input);
		free((void *)(uintptr_t)value.ptr);
	}
	send_text(f, "DEL k\r\n");
}

static void test_landing_several_in_one_request_each_in_place(void **state)
{
	struct fake_session *f = *state;
	struct rng rng = rng_seeded(8);
	struct fake_out input, expected;

	fake_out_init(&input);
	fake_out_init(&expected);
	OUT_LITERAL(&input.out, "*21\r\n$4\r\nMSET\r\n");
	OUT_LITERAL(&expected.out, "+OK\r\n*10\r\n");
	for (uint8_t i = 0; i < 10; i++) {
		uint8_t key = (uint8_t)('0' + i);
		struct slice value = pattern(i % 3 ? 40000u + i : i, i);

		append_bulk(&input.out, slice_of(&key, 1));
		append_bulk(&input.out, value);
		append_bulk(&expected.out, value);
		free((void *)(uintptr_t)value.ptr);
	}
	OUT_LITERAL(&input.out, "MGET 0 1 2 3 4 5 6 7 8 9\r\n");
	for (size_t piece_max = 1; piece_max < 100000; piece_max = piece_max * 3 + 1) {
		fake_session_renew(f, SESSION_RESP);
		send_pieces(f, fake_out_bytes(&input), piece_max, &rng);
		assert_true(slice_equal(fake_session_take(f), fake_out_bytes(&expected)));
		assert_holds_nothing(f);
		send_text(f, "DEL 0 1 2 3 4 5 6 7 8 9\r\n");
	}
	fake_out_fini(&input);
	fake_out_fini(&expected);
}

/* Every place where a piece may end around a long argument. */
static void test_landing_every_split_near_the_ends_same_reply(void **state)
{
	static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$32768\r\n";
	struct fake_session *f = *state;
	struct slice value = pattern(32768, 3);
	struct fake_out input, expected;
	size_t value_at = sizeof(head) - 1;
	size_t value_end = value_at + value.len;

	fake_out_init(&input);
	fake_out_init(&expected);
	OUT_LITERAL(&input.out, head);
	out_append(&input.out, value);
	OUT_LITERAL(&input.out, "\r\nGET k\r\n");
	OUT_LITERAL(&expected.out, "+OK\r\n");
	append_bulk(&expected.out, value);

	struct slice bytes = fake_out_bytes(&input);

	for (size_t first = 0; first < value_at + 3; first++) {
		for (size_t second = value_end - 3; second < bytes.len; second++) {
			fake_session_renew(f, SESSION_RESP);
			fake_session_send(f, slice_of(bytes.ptr, first));
			fake_session_send(f, slice_of(bytes.ptr + first, second - first));
			fake_session_send(f, slice_of(bytes.ptr + second, bytes.len - second));
			if (!slice_equal(fake_session_take(f), fake_out_bytes(&expected)))
				fail_msg("split at %zu and %zu", first, second);
		}
	}
	fake_out_fini(&input);
	fake_out_fini(&expected);
	free((void *)(uintptr_t)value.ptr);
	send_text(f, "DEL k\r\n");
}

static void test_landing_without_memory_answers_oom_and_goes_on(void **state)
{
	struct fake_session *f = *state;
	struct rng rng = rng_seeded(9);
	struct slice value = pattern(4u << 20, 1);
	struct fake_out input;

	fake_out_init(&input);
	OUT_LITERAL(&input.out, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n");
	append_bulk(&input.out, value);
	OUT_LITERAL(&input.out, "GET big\r\n");

	uint64_t before = table_bytes(f);

	table_limits(f->table)->maxmemory_bytes = before + (2u << 20);
	for (size_t piece_max = 100; piece_max < 5000000; piece_max *= 20) {
		fake_session_renew(f, SESSION_RESP);
		send_pieces(f, fake_out_bytes(&input), piece_max, &rng);
		assert_replies(f, "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
				  "$-1\r\n");
		assert_false(f->session.closing);
		assert_holds_nothing(f);
	}
	table_limits(f->table)->maxmemory_bytes = 0;
	assert_int_equal(table_bytes(f), before);
	fake_out_fini(&input);
	free((void *)(uintptr_t)value.ptr);
}

static void test_landing_abandoned_gives_memory_back(void **state)
{
	struct fake_session *f = *state;
	uint64_t before = table_bytes(f);

	fake_session_renew(f, SESSION_RESP);
	send_text(f, "*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n$10000000\r\nthe beginning");
	assert_true(landing_receiving(&f->session));
	assert_true(table_bytes(f) >= before + 10000000);
	fake_session_renew(f, SESSION_RESP);
	assert_int_equal(table_bytes(f), before);
}

static void test_forwarded_every_split_keeps_order(void **state)
{
	static const char input[] =
		"PING\r\nCONFIG GET a\r\n*2\r\n$4\r\nECHO\r\n$1\r\n1\r\n"
		"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$1\r\nb\r\nCONFIG GET c\r\nECHO 2\r\n";
	struct fake_session *f = *state;

	for (size_t at = 0; at < sizeof(input); at++) {
		int forwarded = 0;

		fake_session_renew(f, SESSION_RESP);
		fake_session_send(f, slice_of(input, at));
		fake_session_send(f, slice_of(input + at, sizeof(input) - 1 - at));
		for (; f->forward; forwarded++) {
			assert_true(f->session.blocked);
			// The sink may drain meanwhile; that must not let a later request overtake.
			session_drained(&f->session);
			assert_true(f->session.blocked);
			fake_session_reply(f);
		}
		assert_int_equal(forwarded, 3);
		assert_replies(f, "+PONG\r\n*0\r\n$1\r\n1\r\n*0\r\n*0\r\n$1\r\n2\r\n");
		assert_holds_nothing(f);
	}
}

static void test_forwarded_holds_later_input(void **state)
{
	struct fake_session *f = *state;

	fake_session_renew(f, SESSION_RESP);
	send_text(f, "PING\r\nCONFIG GET a\r\nECHO 1\r\n");
	assert_replies(f, "+PONG\r\n");
	assert_int_equal(session_held(&f->session), 8);
	send_text(f, "ECHO 2\r\n");
	assert_replies(f, "");
	assert_int_equal(session_held(&f->session), 16);
	fake_session_reply(f);
	assert_replies(f, "*0\r\n$1\r\n1\r\n$1\r\n2\r\n");
	assert_int_equal(session_held(&f->session), 0);
	assert_holds_nothing(f);
}

static void test_forward_refused_answers_error(void **state)
{
	struct fake_session *f = *state;

	fake_session_renew(f, SESSION_RESP);
	f->refuse_forward = true;
	send_text(f, "CONFIG GET a\r\nPING\r\n");
	f->refuse_forward = false;
	assert_replies(f, "-ERR too many requests for the control thread, try again later\r\n"
			  "+PONG\r\n");
}

/* A host whose thread may not write forwards writes, long values too, which are then not landed. */
static void test_forward_of_writes_copies_arguments(void **state)
{
	struct fake_session *f = *state;
	struct slice value = pattern(100000, 5);
	struct rng rng = rng_seeded(5);
	struct fake_out input, expected;

	fake_out_init(&input);
	fake_out_init(&expected);
	OUT_LITERAL(&input.out, "*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n");
	append_bulk(&input.out, value);
	OUT_LITERAL(&input.out, "$1\r\nl\r\n$1\r\nv\r\nMGET k l\r\n");
	OUT_LITERAL(&expected.out, "+OK\r\n*2\r\n");
	append_bulk(&expected.out, value);
	OUT_LITERAL(&expected.out, "$1\r\nv\r\n");
	fake_session_renew(f, SESSION_RESP);
	f->host.forward_flags = CMD_WRITE;
	send_pieces(f, fake_out_bytes(&input), 3000, &rng);
	f->host.forward_flags = CMD_CONTROL | CMD_BACKGROUND;
	assert_non_null(f->forward);
	fake_session_reply(f);
	assert_true(slice_equal(fake_session_take(f), fake_out_bytes(&expected)));
	assert_holds_nothing(f);
	fake_out_fini(&input);
	fake_out_fini(&expected);
	free((void *)(uintptr_t)value.ptr);
	send_text(f, "DEL k l\r\n");
}

static void test_full_sink_stops_parsing_until_drained(void **state)
{
	enum {
		REQUESTS = 1000,
		LEN = 14,
		FULL = 500
	}; // *1 $4 PING is 14 bytes, +PONG is 7
	struct fake_session *f = *state;
	struct fake_out input;
	size_t replied = 0;

	fake_out_init(&input);
	for (int i = 0; i < REQUESTS; i++)
		OUT_LITERAL(&input.out, "*1\r\n$4\r\nPING\r\n");
	fake_session_renew(f, SESSION_RESP);
	f->full_bytes = FULL;
	fake_session_send(f, fake_out_bytes(&input));
	while (f->session.blocked) {
		struct slice got = fake_session_take(f);

		assert_true(got.len >= FULL && got.len <= FULL + 7 * SESSION_BATCH_MAX);
		replied += got.len / 7;
		assert_int_equal(session_held(&f->session), (REQUESTS - replied) * LEN);
		session_drained(&f->session);
	}
	replied += fake_session_take(f).len / 7;
	assert_int_equal(replied, REQUESTS);
	assert_holds_nothing(f);

	// While it is full nothing runs, and what comes in the meantime is behind what was there.
	f->full_bytes = 1;
	send_text(f, "ECHO 1\r\n");
	send_text(f, "ECHO 2\r\nECH");
	send_text(f, "O 3\r\n");
	assert_replies(f, "$1\r\n1\r\n");
	f->full_bytes = 0;
	session_drained(&f->session);
	assert_replies(f, "$1\r\n2\r\n$1\r\n3\r\n");
	assert_holds_nothing(f);
	fake_out_fini(&input);
}

static void test_quit_ignores_the_rest(void **state)
{
	struct fake_session *f = *state;

	fake_session_renew(f, SESSION_RESP);
	send_text(f, "SET k 1\r\nQUIT\r\nSET k 2\r\nSET k ");
	assert_true(f->session.closing);
	send_text(f, "3\r\n");
	assert_replies(f, "+OK\r\n+OK\r\n");
	assert_holds_nothing(f);
	fake_session_renew(f, SESSION_RESP);
	send_text(f, "GET k\r\nDEL k\r\n");
	assert_replies(f, "$1\r\n1\r\n:1\r\n");
}

static void test_protocol_error_counted_and_closed(void **state)
{
	struct fake_session *f = *state;
	uint64_t before = counter_read(&f->counters.resp_protocol_errors);

	fake_session_renew(f, SESSION_RESP);
	send_text(f, "PING\r\n*x\r\nPING\r\n");
	assert_replies(f, "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
	assert_true(f->session.closing);
	assert_int_equal(counter_read(&f->counters.resp_protocol_errors), before + 1);
}

static void test_query_limit_closes_in_silence(void **state)
{
	struct fake_session *f = *state;
	uint64_t before = counter_read(&f->counters.resp_protocol_errors);
	struct slice bytes = pattern(30000, 1);

	f->limits.query_max_bytes = 100000;
	fake_session_renew(f, SESSION_RESP);
	send_text(f, "*100\r\n");
	for (int i = 0; i < 5; i++) {
		assert_true(f->session.stash_capacity <= 200000);
		if (i < 3)
			assert_false(f->session.closing);
		send_text(f, "$30000\r\n");
		fake_session_send(f, bytes);
		send_text(f, "\r\n");
	}
	assert_true(f->session.closing);
	assert_replies(f, "");
	assert_int_equal(counter_read(&f->counters.resp_protocol_errors), before + 1);
	f->limits.query_max_bytes = 64u << 20;
	free((void *)(uintptr_t)bytes.ptr);
}

/* Requests that are cut at the end of each piece use one small buffer, over and over. */
static void test_stash_small_requests_reuse_one_buffer(void **state)
{
	struct fake_session *f = *state;
	struct fake_out input;

	fake_out_init(&input);
	for (int i = 0; i < 2000; i++)
		OUT_LITERAL(&input.out, "*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n");

	struct slice bytes = fake_out_bytes(&input);

	fake_session_renew(f, SESSION_RESP);
	for (size_t at = 0; at < bytes.len; at += 1000) {
		fake_session_send(
			f, slice_of(bytes.ptr + at, bytes.len - at < 1000 ? bytes.len - at : 1000));
		assert_true(f->session.stash_capacity <= STASH_SMALL_BYTES);
	}
	assert_int_equal(fake_session_take(f).len, 2000 * 7);
	assert_holds_nothing(f);
	assert_int_equal(f->host.batch->stash_free_count, 1);
	fake_out_fini(&input);
}

/*
 * Two sessions in one batch: what one has kept stays in place until it has run, whatever the other
 * does.
 */
static void test_two_sessions_in_one_batch_apart(void **state)
{
	struct fake_session *f = *state;
	struct fake_session *other = calloc(1, sizeof(*other));
	struct rng rng = rng_seeded(3);

	assert_non_null(other);
	fake_out_init(&other->out);
	fake_session_renew(f, SESSION_RESP);
	session_init(&other->session, &f->host, SESSION_RESP);
	other->session.user = other;

	static const char input[] = "*2\r\n$4\r\nECHO\r\n$5\r\nfirst\r\nECHO second\r\n"
				    "*2\r\n$4\r\nECHO\r\n$5\r\nthird\r\n";
	static const char expected[] = "$5\r\nfirst\r\n$6\r\nsecond\r\n$5\r\nthird\r\n";
	size_t at[2] = {0}, rounds = 0;

	while (rounds < 2000) {
		uint32_t who = rng_below(&rng, 2);
		size_t len = 1 + rng_below(&rng, 40);

		if (len > sizeof(input) - 1 - at[who])
			len = sizeof(input) - 1 - at[who];
		session_feed(who ? &other->session : &f->session, slice_of(input + at[who], len));
		at[who] += len;
		if (at[who] == sizeof(input) - 1) {
			at[who] = 0;
			rounds++;
		}
		if (rng_below(&rng, 8) == 0)
			session_run(&f->host);
	}
	session_run(&f->host);
	for (int who = 0; who < 2; who++) {
		struct slice got = fake_session_take(who ? other : f);

		for (size_t i = 0; i < got.len; i++)
			if (got.ptr[i] != expected[i % (sizeof(expected) - 1)])
				fail_msg("session %d: wrong reply at byte %zu", who, i);
	}
	session_fini(&other->session);
	fake_out_fini(&other->out);
	free(other);
}

static void test_key_positions_as_command_rows_say(void **state)
{
	static const struct {
		int first, last, step;
		uint32_t argc, expected;
	} cases[] = {
		{0, 0, 0, 5, 0},  {1, 1, 1, 1, 0},  {1, 1, 1, 2, 1},  {1, 1, 1, 9, 1},
		{1, -1, 1, 1, 0}, {1, -1, 1, 4, 3}, {1, -1, 2, 5, 2}, {1, -1, 2, 6, 3},
		{1, 2, 1, 2, 1},  {1, 2, 1, 3, 2},  {1, -2, 1, 2, 0}, {1, -2, 1, 4, 2},
		{2, 2, 1, 2, 0},  {2, 2, 1, 3, 1},  {1, -5, 1, 2, 0},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct cmd cmd = {.first_key = cases[i].first,
					.last_key = cases[i].last,
					.key_step = cases[i].step};

		assert_int_equal(session_key_count(&cmd, cases[i].argc), cases[i].expected);
	}
}

/* Names that the memory of recent commands must not mix up. */
static void test_similar_command_names_told_apart(void **state)
{
	struct fake_session *f = *state;

	fake_session_renew(f, SESSION_RESP);
	send_text(f, "MGET k\r\nMGETMGET k\r\nmget k\r\nMGET k\r\n");
	assert_replies(f, "*1\r\n$-1\r\n"
			  "-ERR unknown command 'MGETMGET', with args beginning with: 'k' \r\n"
			  "*1\r\n$-1\r\n*1\r\n$-1\r\n");
}

static void test_memcache_chosen_by_first_byte(void **state)
{
	struct fake_session *f = *state;
	struct slice value = pattern(100000, 5);
	struct rng rng = rng_seeded(1);
	struct fake_out input, expected;

	fake_out_init(&input);
	fake_out_init(&expected);
	OUT_LITERAL(&input.out, "set k 7 0 100000\r\n");
	out_append(&input.out, value);
	OUT_LITERAL(&input.out, "\r\nget k\r\n");
	OUT_LITERAL(&expected.out, "STORED\r\nVALUE k 7 100000\r\n");
	out_append(&expected.out, value);
	OUT_LITERAL(&expected.out, "\r\nEND\r\n");
	for (size_t piece_max = 1; piece_max < 200000; piece_max *= 7) {
		fake_session_renew(f, SESSION_MEMCACHE);
		size_t capacity_max = send_pieces(f, fake_out_bytes(&input), piece_max, &rng);

		assert_true(slice_equal(fake_session_take(f), fake_out_bytes(&expected)));
		assert_true(capacity_max <= 2 * STASH_SMALL_BYTES);
		assert_holds_nothing(f);
	}
	fake_out_fini(&input);
	fake_out_fini(&expected);
	free((void *)(uintptr_t)value.ptr);
}

/*
 * Of one long burst the items that were found are dropped batch by batch: or writers would have to
 * replace what they might store over.
 */
static void test_long_pipeline_does_not_keep_writers_from_storing_over(void **state)
{
	struct fake_session *f = *state;
	struct fake_out input;

	send_text(f, "SET k one\r\nSET k two\r\n"); // it may be stored over from here on
	assert_replies(f, "+OK\r\n+OK\r\n");
	fake_out_init(&input);
	for (int i = 0; i < 4000; i++)
		OUT_LITERAL(&input.out, "GET k\r\n");
	fake_session_send(f, fake_out_bytes(&input));
	assert_int_equal(fake_session_take(f).len, 4000 * strlen("$3\r\ntwo\r\n"));
	assert_int_equal(f->tt->copies_used, 0);
	assert_int_equal(f->table->holders, 0);
	fake_out_fini(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_pipeline_does_not_keep_writers_from_storing_over),
		cmocka_unit_test(test_landing_long_values_kept_by_reference),
		cmocka_unit_test(test_landing_several_in_one_request_each_in_place),
		cmocka_unit_test(test_landing_every_split_near_the_ends_same_reply),
		cmocka_unit_test(test_landing_without_memory_answers_oom_and_goes_on),
		cmocka_unit_test(test_landing_abandoned_gives_memory_back),
		cmocka_unit_test(test_forwarded_every_split_keeps_order),
		cmocka_unit_test(test_forwarded_holds_later_input),
		cmocka_unit_test(test_forward_refused_answers_error),
		cmocka_unit_test(test_forward_of_writes_copies_arguments),
		cmocka_unit_test(test_full_sink_stops_parsing_until_drained),
		cmocka_unit_test(test_quit_ignores_the_rest),
		cmocka_unit_test(test_protocol_error_counted_and_closed),
		cmocka_unit_test(test_query_limit_closes_in_silence),
		cmocka_unit_test(test_stash_small_requests_reuse_one_buffer),
		cmocka_unit_test(test_two_sessions_in_one_batch_apart),
		cmocka_unit_test(test_key_positions_as_command_rows_say),
		cmocka_unit_test(test_similar_command_names_told_apart),
		cmocka_unit_test(test_memcache_chosen_by_first_byte),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
