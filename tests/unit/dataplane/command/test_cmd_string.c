/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* The string commands against the wire. Replies are what redis-server 7.0.15 answered. */

#define SYNTAX   "-ERR syntax error\r\n"
#define NOT_INT  "-ERR value is not an integer or out of range\r\n"
#define TOO_LONG "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"

static const struct bench_case cases[] = {
	CASE("get of nothing", NULL, "get k", "$-1\r\n"),
	CASE3("get of nothing, resp3", NULL, "get k", "_\r\n"),
	CASE("set and get", "set k v", "get k", "$1\r\nv\r\n"),
	CASE("set answers ok", NULL, "SeT k v", "+OK\r\n"),
	CASE("empty key and value", "set \"\" \"\"", "get \"\"", "$0\r\n\r\n"),
	CASE("binary value", "set k a\\0\\r\\nb", "get k", "$5\r\na\0\r\nb\r\n"),
	CASE("set nx on nothing", NULL, "set k v nx", "+OK\r\n"),
	CASE("set nx on something", "set k v", "set k w NX", "$-1\r\n"),
	CASE("set nx leaves the value", "set k v;set k w nx", "get k", "$1\r\nv\r\n"),
	CASE("set xx on nothing", NULL, "set k v xx", "$-1\r\n"),
	CASE("set xx on something", "set k v;set k w xx", "get k", "$1\r\nw\r\n"),
	CASE("set nx xx", NULL, "set k v nx xx", SYNTAX),
	CASE("set get on nothing", NULL, "set k v get", "$-1\r\n"),
	CASE("set get on something", "set k v", "set k w get", "$1\r\nv\r\n"),
	CASE("set nx get on something", "set k v", "set k w nx get", "$1\r\nv\r\n"),
	CASE("set nx get keeps", "set k v;set k w nx get", "get k", "$1\r\nv\r\n"),
	CASE("set xx get on nothing", NULL, "set k v xx get", "$-1\r\n"),
	CASE("set ex", "set k v ex 100", "ttl k", ":100\r\n"),
	CASE("set px", "set k v px 100", "pttl k", ":100\r\n"),
	CASE("set exat", "set k v exat 1800000000", "expiretime k", ":1800000000\r\n"),
	CASE("set pxat", "set k v pxat 1800000000123", "pexpiretime k", ":1800000000123\r\n"),
	CASE("set pxat in the past", "set k v pxat 1", "get k", "$-1\r\n"),
	CASE("set pxat in the past answers ok", NULL, "set k v pxat 1", "+OK\r\n"),
	CASE("set pxat in the past deletes", "set k v;set k w pxat 1", "dbsize", ":0\r\n"),
	CASE("set nx pxat in the past answers ok", NULL, "set k v nx pxat 1", "+OK\r\n"),
	CASE("set xx pxat in the past answers ok", "set k v", "set k w xx pxat 1", "+OK\r\n"),
	CASE("set xx pxat in the past on nothing", NULL, "set k w xx pxat 1", "$-1\r\n"),
	CASE("set get pxat in the past", "set k v", "set k w get pxat 1", "$1\r\nv\r\n"),
	CASE("set drops the deadline", "set k v ex 100;set k v", "ttl k", ":-1\r\n"),
	CASE("set keepttl", "set k v ex 100;set k w keepttl", "ttl k", ":100\r\n"),
	CASE("set ex twice", "set k v ex 100 ex 50", "ttl k", ":50\r\n"),
	CASE("set ex px", NULL, "set k v ex 100 px 50", SYNTAX),
	CASE("set keepttl ex", NULL, "set k v keepttl ex 50", SYNTAX),
	CASE("set ex keepttl", NULL, "set k v ex 50 keepttl", SYNTAX),
	CASE("set ex without a number", NULL, "set k v ex", SYNTAX),
	CASE("set persist", NULL, "set k v persist", SYNTAX),
	CASE("set ex 0", NULL, "set k v ex 0", "-ERR invalid expire time in 'set' command\r\n"),
	CASE("set ex negative", NULL, "set k v ex -1",
	     "-ERR invalid expire time in 'set' command\r\n"),
	CASE("set ex word", NULL, "set k v ex ten", NOT_INT),
	CASE("set ex overflow in seconds", NULL, "set k v ex 9223372036854776",
	     "-ERR invalid expire time in 'set' command\r\n"),
	CASE("set px overflow by now", NULL, "set k v px 9223372036854775807",
	     "-ERR invalid expire time in 'set' command\r\n"),
	CASE("set pxat largest", "set k v pxat 9223372036854775807", "pexpiretime k",
	     ":9223372036854775807\r\n"),
	CASE("set pxat largest in seconds", "set k v pxat 9223372036854775807", "expiretime k",
	     ":9223372036854776\r\n"),
	CASE("set arity", NULL, "set k", "-ERR wrong number of arguments for 'set' command\r\n"),
	CASE("setnx", NULL, "setnx k v", ":1\r\n"),
	CASE("setnx again", "setnx k v", "setnx k w", ":0\r\n"),
	CASE("setex", "setex k 100 v", "ttl k", ":100\r\n"),
	CASE("setex 0", NULL, "setex k 0 v", "-ERR invalid expire time in 'setex' command\r\n"),
	CASE("psetex -1", NULL, "psetex k -1 v",
	     "-ERR invalid expire time in 'psetex' command\r\n"),
	CASE("psetex word", NULL, "psetex k x v", NOT_INT),
	CASE("getset", "set k v ex 100", "getset k w", "$1\r\nv\r\n"),
	CASE("getset drops the deadline", "set k v ex 100;getset k w", "ttl k", ":-1\r\n"),
	CASE("getdel", "set k v", "getdel k", "$1\r\nv\r\n"),
	CASE("getdel deletes", "set k v;getdel k", "exists k", ":0\r\n"),
	CASE("getdel of nothing", NULL, "getdel k", "$-1\r\n"),
	CASE("getex leaves the deadline", "set k v ex 100;getex k", "ttl k", ":100\r\n"),
	CASE("getex ex", "set k v;getex k ex 50", "ttl k", ":50\r\n"),
	CASE("getex answers", "set k v", "getex k ex 50", "$1\r\nv\r\n"),
	CASE("getex persist", "set k v ex 100;getex k persist", "ttl k", ":-1\r\n"),
	CASE("getex in the past answers", "set k v", "getex k pxat 1", "$1\r\nv\r\n"),
	CASE("getex in the past deletes", "set k v;getex k pxat 1", "exists k", ":0\r\n"),
	CASE("getex of nothing, bad number", NULL, "getex k ex abc", "$-1\r\n"),
	CASE("getex bad number", "set k v", "getex k ex abc", NOT_INT),
	CASE("getex ex 0", "set k v", "getex k ex 0",
	     "-ERR invalid expire time in 'getex' command\r\n"),
	CASE("getex nx", "set k v", "getex k nx", SYNTAX),
	CASE("getex ex persist", "set k v", "getex k ex 1 persist", SYNTAX),
	CASE("append to nothing", NULL, "append k abc", ":3\r\n"),
	CASE("append", "set k abc;append k de", "get k", "$5\r\nabcde\r\n"),
	CASE("append keeps the deadline", "set k abc ex 100;append k de", "ttl k", ":100\r\n"),
	CASE("append nothing", "set k abc", "append k \"\"", ":3\r\n"),
	CASE("append nothing to nothing makes a key", "append k \"\"", "exists k", ":1\r\n"),
	CASE("append over the item's size", "set k 4000*a;append k 200*b", "strlen k", ":4200\r\n"),
	CASE("append within a blob", "set k 5000*a;append k 2*b;append k c", "getrange k 4999 -1",
	     "$4\r\nabbc\r\n"),
	CASE("strlen of nothing", NULL, "strlen k", ":0\r\n"),
	CASE("getrange whole", "set k hello", "getrange k 0 -1", "$5\r\nhello\r\n"),
	CASE("getrange middle", "set k hello", "getrange k 1 3", "$3\r\nell\r\n"),
	CASE("getrange negative", "set k hello", "getrange k -3 -2", "$2\r\nll\r\n"),
	CASE("getrange crossed negatives", "set k hello", "getrange k -2 -3", "$0\r\n\r\n"),
	CASE("getrange far out", "set k hello", "getrange k -100 100", "$5\r\nhello\r\n"),
	CASE("getrange both before the start", "set k hello", "getrange k -100 -50", "$1\r\nh\r\n"),
	CASE("getrange behind the end", "set k hello", "getrange k 5 10", "$0\r\n\r\n"),
	CASE("getrange of nothing", NULL, "getrange k 0 -1", "$0\r\n\r\n"),
	CASE("getrange smallest integers", "set k hello",
	     "getrange k -9223372036854775808 9223372036854775807", "$5\r\nhello\r\n"),
	CASE("getrange bad number", "set k hello", "getrange k 0 x", NOT_INT),
	CASE("substr", "set k hello", "substr k 0 1", "$2\r\nhe\r\n"),
	CASE("setrange", "set k hello;setrange k 1 EY", "get k", "$5\r\nhEYlo\r\n"),
	CASE("setrange beyond the end", "set k ab;setrange k 4 c", "get k", "$5\r\nab\0\0c\r\n"),
	CASE("setrange on nothing", NULL, "setrange k 2 x", ":3\r\n"),
	CASE("setrange nothing on nothing", NULL, "setrange k 5 \"\"", ":0\r\n"),
	CASE("setrange nothing makes no key", "setrange k 5 \"\"", "exists k", ":0\r\n"),
	CASE("setrange nothing", "set k hello", "setrange k 100 \"\"", ":5\r\n"),
	CASE("setrange keeps the deadline", "set k hello ex 100;setrange k 0 J", "ttl k",
	     ":100\r\n"),
	CASE("setrange into a blob", "setrange k 5000 x;setrange k 4999 yz", "getrange k 4998 -1",
	     "$3\r\n\0yz\r\n"),
	CASE("setrange negative", NULL, "setrange k -1 x", "-ERR offset is out of range\r\n"),
	CASE("setrange word", NULL, "setrange k x x", NOT_INT),
	CASE("setrange too far", NULL, "setrange k 536870912 x", TOO_LONG),
	CASE("setrange overflow", NULL, "setrange k 9223372036854775807 x", TOO_LONG),
};

static void test_string_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

static void release_malloced(struct blob *blob)
{
	free(blob);
}

/*
 * A value that was received into a blob is stored as that blob: SET, SETNX, APPEND to nothing,
 * MSET.
 */
static void test_landed_argument_stored_without_copy(void **state)
{
	static const char *const words[][3] = {
		{"set", "k", NULL},  {"setnx", "k", NULL},  {"append", "k", NULL},
		{"mset", "k", NULL}, {"getset", "k", NULL},
	};

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		struct bench b;
		struct blob *blob = malloc(sizeof(*blob) + 50000);

		assert_non_null(blob);
		bench_open(&b);
		*blob = (struct blob){
			.refs = 1, .release = release_malloced, .len = 50000, .capacity = 50000};
		memset(blob->bytes, 'v', 50000);

		struct slice argv[3] = {slice_of_text(words[i][0]), slice_of_text(words[i][1]),
					slice_of(blob->bytes, 50000)};
		struct blob *blobs[3] = {NULL, NULL, blob};
		struct table_key key = table_key(b.table, argv[1]);

		bench_run_argv(&b, argv, 3, blobs);
		struct item *item = table_peek(b.thread.tt, &key);

		assert_non_null(item);
		assert_ptr_equal(item_blob(item), blob);
		assert_int_equal(blob->refs, 2);
		// A new deadline shares the blob too.
		bench_run(&b, "expire k 100");
		item = table_peek(b.thread.tt, &key);
		assert_ptr_equal(item_blob(item), blob);
		bench_close(&b);
		assert_int_equal(blob->refs, 1);
		blob_unref(blob);
	}
}

static void test_reads_count_hits_and_misses(void **state)
{
	static const struct {
		const char *request;
		uint64_t hits, misses;
	} reads[] = {
		{"get k", 1, 0},
		{"get x", 0, 1},
		{"mget k x k", 2, 1},
		{"strlen k", 1, 0},
		{"getrange k 0 1", 1, 0},
		{"exists k x", 1, 1},
		{"ttl x", 0, 1},
		{"getex k", 1, 0},
		{"type k", 1, 0},
		{"set k v get", 1, 0},
		{"set k v", 0, 0},
		{"incr n", 0, 0},
		{"append a b", 0, 0},
		{"expire x 1", 0, 0},
		{"getset k v", 1, 0},
		{"getdel x", 0, 1},
		{"object encoding k", 1, 0},
	};
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
		uint64_t hits = counter_read(&b.counters.hits);
		uint64_t misses = counter_read(&b.counters.misses);

		bench_run(&b, "set k v");
		bench_run(&b, reads[i].request);
		if (counter_read(&b.counters.hits) - hits != reads[i].hits ||
		    counter_read(&b.counters.misses) - misses != reads[i].misses)
			fail_msg("%s", reads[i].request);
	}
	bench_close(&b);
}

/* An expired item is absent to every condition, and its place can be taken. */
static void test_expired_key_counts_as_absent(void **state)
{
	static const struct {
		const char *request;
		const char *reply;
	} requests[] = {
		{"get k", "$-1\r\n"},         {"set k w xx", "$-1\r\n"}, {"set k w nx", "+OK\r\n"},
		{"setnx k w", ":1\r\n"},      {"append k w", ":1\r\n"},  {"incr k", ":1\r\n"},
		{"del k", ":0\r\n"},          {"del k k", ":0\r\n"},     {"msetnx k w", ":1\r\n"},
		{"expire k 10", ":0\r\n"},    {"ttl k", ":-2\r\n"},      {"persist k", ":0\r\n"},
		{"getdel k", "$-1\r\n"},      {"keys *", "*0\r\n"},      {"randomkey", "$-1\r\n"},
		{"setrange k 1 x", ":2\r\n"},
	};

	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		struct bench b;

		bench_open(&b);
		bench_run(&b, "set k v px 50");
		bench_set_time(&b, BENCH_NOW_MS + 49);
		assert_true(slice_equal(bench_run(&b, "strlen k"), SLICE_LITERAL(":1\r\n")));
		bench_set_time(&b, BENCH_NOW_MS + 51);
		if (!slice_equal(bench_run(&b, requests[i].request),
				 slice_of_text(requests[i].reply)))
			fail_msg("%s", requests[i].request);
		bench_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_string_case_answers_as_redis),
		cmocka_unit_test(test_landed_argument_stored_without_copy),
		cmocka_unit_test(test_reads_count_hits_and_misses),
		cmocka_unit_test(test_expired_key_counts_as_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
