/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_udp.h"

#include "base/compiler.h"
#include "tests/fakes/fake_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* memcached's datagrams, over the real engine and table; where they would go is an array. */

static struct fake_session f;
static struct mc_udp *udp;

/* What has been sent: the datagrams one after the other, and to whom. */
static uint8_t sent[4u << 20];
static size_t sent_len;

static struct {
	uint32_t exchange;
	size_t at, len;
} datagrams[4096];

static uint32_t datagram_count;

static void send(void *env, uint32_t exchange, struct slice header, struct slice payload)
{
	assert_true(datagram_count < ARRAY_COUNT(datagrams));
	assert_int_equal(header.len, MC_UDP_HEADER_BYTES);
	datagrams[datagram_count].exchange = exchange;
	datagrams[datagram_count].at = sent_len;
	datagrams[datagram_count++].len = header.len + payload.len;
	assert_true(sent_len + header.len + payload.len <= sizeof(sent));
	memcpy(sent + sent_len, header.ptr, header.len);
	memcpy(sent + sent_len + header.len, payload.ptr, payload.len);
	sent_len += header.len + payload.len;
}

static int setup(void **state)
{
	fake_session_init(&f, SESSION_MEMCACHE);
	udp = mc_udp_new(&(struct mc_udp_config){.cmd = &f.cmd, .limits = &f.limits, .send = send});
	assert_non_null(udp);
	datagram_count = 0;
	sent_len = 0;
	return 0;
}

static int teardown(void **state)
{
	mc_udp_free(udp);
	fake_session_fini(&f);
	return 0;
}

/* In memory of its own, freed after the run: nobody may keep a slice of it. */
static void ask(const char *frame_header, struct slice requests, bool may_amplify)
{
	uint8_t *bytes = malloc(MC_UDP_HEADER_BYTES + requests.len);

	assert_non_null(bytes);
	memcpy(bytes, frame_header, MC_UDP_HEADER_BYTES);
	memcpy(bytes + MC_UDP_HEADER_BYTES, requests.ptr, requests.len);
	mc_udp_input(udp, slice_of(bytes, MC_UDP_HEADER_BYTES + requests.len), may_amplify);
	mc_udp_run(udp);
	free(bytes);
}

#define FRAME     "\x12\x34\0\0\0\1\0\0"
#define ASK(text) ask(FRAME, SLICE_LITERAL(text), true)

/* The one datagram that was sent since the last look. */
static struct slice one_reply(void)
{
	struct slice payload;

	assert_int_equal(datagram_count, 1);
	assert_memory_equal(sent, FRAME, MC_UDP_HEADER_BYTES);
	payload = slice_of(sent + MC_UDP_HEADER_BYTES, sent_len - MC_UDP_HEADER_BYTES);
	datagram_count = 0;
	sent_len = 0;
	return payload;
}

#define ASSERT_REPLY(text) assert_true(slice_equal(one_reply(), SLICE_LITERAL(text)))

static void test_requests(void **state)
{
	ASK("set k 7 0 2\r\nhi\r\n");
	ASSERT_REPLY("STORED\r\n");
	ASK("get k nobody k\r\n");
	ASSERT_REPLY("VALUE k 7 2\r\nhi\r\nVALUE k 7 2\r\nhi\r\nEND\r\n");
	ASK("get k\r\nmg k v\r\nbogus\r\n");
	ASSERT_REPLY("VALUE k 7 2\r\nhi\r\nEND\r\nVA 2\r\nhi\r\nERROR\r\n");
	ASK("\x80\x00\x00\x01\0\0\0\0\0\0\0\x01"
	    "abcd"
	    "\0\0\0\0\0\0\0\0"
	    "k");
	assert_int_equal(one_reply().len, 24 + 4 + 2);
	ASK("stats\r\n");
	ASSERT_REPLY("SERVER_ERROR not by UDP\r\n");
	assert_int_equal(counter_read(&f.counters.mc_udp_requests), 5);
	assert_int_equal(counter_read(&f.counters.mc_udp_replies), 5);
	assert_int_equal(counter_read(&f.counters.mc_udp_bad), 0);
}

/* Nothing is sent where nothing is said. */
static void test_silence(void **state)
{
	static const struct slice cases[] = {
		SLICE_LITERAL("set k 0 0 1 noreply\r\nx\r\n"),
		SLICE_LITERAL("quit\r\n"),
		SLICE_LITERAL("mg nobody q\r\n"),
		SLICE_LITERAL("GET / HTTP/1.1\r\n"),
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		ask(FRAME, cases[i], true);
		assert_int_equal(datagram_count, 0);
	}
}

static void test_bad_frames(void **state)
{
	static const struct {
		const char *header;
		struct slice requests;
	} cases[] = {
		{FRAME, SLICE_LITERAL("")},                    // nothing in it
		{"\0\1\0\1\0\1\0\0", SLICE_LITERAL("mn\r\n")}, // not the first
		{"\0\1\0\0\0\2\0\0", SLICE_LITERAL("mn\r\n")}, // of several
		{"\0\1\0\0\0\0\0\0", SLICE_LITERAL("mn\r\n")}, // of none
		{FRAME, SLICE_LITERAL("get k")},               // without its end
		{FRAME, SLICE_LITERAL("set k 0 0 9\r\nx\r\n")},
		{FRAME, SLICE_LITERAL("set k 0 0 100000\r\nx\r\n")}, // that would be landed
		{FRAME, SLICE_LITERAL("\x80\x01\0\1")},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		ask(cases[i].header, cases[i].requests, true);
		assert_int_equal(datagram_count, 0);
		assert_int_equal(counter_read(&f.counters.mc_udp_bad), i + 1);
	}
	mc_udp_input(udp, SLICE_LITERAL("\0\1\0"), true);
	assert_int_equal(counter_read(&f.counters.mc_udp_bad), ARRAY_COUNT(cases) + 1);
	ASK("mn\r\nget k");
	ASSERT_REPLY("MN\r\n"); // what came before the cut is answered
	ASK("mn\r\n");
	ASSERT_REPLY("MN\r\n");
}

static void store(const char *key, size_t value_len)
{
	char head[64];
	char *value = malloc(value_len + 2);

	assert_non_null(value);
	for (size_t i = 0; i < value_len; i++)
		value[i] = (char)('a' + i % 23);
	memcpy(value + value_len, "\r\n", 2);
	snprintf(head, sizeof(head), "set %s 0 0 %zu\r\n", key, value_len);
	fake_session_send(&f, slice_of_text(head));
	fake_session_send(&f, slice_of(value, value_len + 2));
	assert_true(slice_equal(fake_session_take(&f), SLICE_LITERAL("STORED\r\n")));
	free(value);
}

/* Replies about as long as one datagram, and longer: counted, full but for the last, in order. */
static void test_long_replies(void **state)
{
	static const size_t sizes[] = {1, 1371, 1372, 1373, 5000, 100000, 1000000};

	f.limits.mc_item_max_bytes = 4u << 20;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		size_t payload = 0, head;
		char line[64];

		store("big", sizes[i]);
		ASK("get big\r\n");
		head = (size_t)snprintf(line, sizeof(line), "VALUE big 0 %zu\r\n", sizes[i]);
		for (uint32_t k = 0; k < datagram_count; k++) {
			const uint8_t *d = sent + datagrams[k].at;

			assert_memory_equal(d, "\x12\x34", 2);
			assert_int_equal(d[2] << 8 | d[3], k);
			assert_int_equal(d[4] << 8 | d[5], datagram_count);
			assert_true(k + 1 == datagram_count
					    ? datagrams[k].len <= MC_UDP_DATAGRAM_MAX
					    : datagrams[k].len == MC_UDP_DATAGRAM_MAX);
			payload += datagrams[k].len - MC_UDP_HEADER_BYTES;
		}
		assert_int_equal(payload, head + sizes[i] + 2 + 5);
		assert_memory_equal(sent + MC_UDP_HEADER_BYTES, line, head);
		datagram_count = 0;
		sent_len = 0;
	}
}

static void test_too_long(void **state)
{
	f.limits.mc_item_max_bytes = 4u << 20;
	store("big", 1500000);
	ASK("get big big\r\n");
	ASSERT_REPLY("SERVER_ERROR object too large for UDP\r\n");
	assert_int_equal(counter_read(&f.counters.mc_udp_too_long), 1);
	ASK("mn\r\nget big big\r\n"); // what stands before it is whole
	ASSERT_REPLY("MN\r\nSERVER_ERROR object too large for UDP\r\n");
	ASK("mn\r\n");
	ASSERT_REPLY("MN\r\n");
}

/* Where the sender may be forged a reply is as long as the request at most. */
static void test_no_amplification(void **state)
{
	store("k", 100);
	ask(FRAME, SLICE_LITERAL("get k\r\n"), false);
	assert_int_equal(datagram_count, 0);
	assert_int_equal(counter_read(&f.counters.mc_udp_amplifying), 1);
	ask(FRAME, SLICE_LITERAL("get x\r\n"), false); // END is no longer than that
	assert_int_equal(one_reply().len, 5);
	ask(FRAME, SLICE_LITERAL("bogus\r\n"), false);
	assert_int_equal(one_reply().len, 7);
}

/* Long replies of one turn may not take all buffers: beyond a limit they are not sent. */
static void test_too_many(void **state)
{
	static const struct slice frame = SLICE_LITERAL(FRAME "get big\r\n");

	f.limits.mc_item_max_bytes = 4u << 20;
	store("big", 1000000);
	for (int i = 0; i < 5; i++)
		mc_udp_input(udp, frame, true);
	mc_udp_run(udp);
	assert_true(datagram_count > 1000 && datagram_count <= MC_UDP_RUN_MAX);
	assert_int_equal(counter_read(&f.counters.mc_udp_too_many), 3);
	datagram_count = 0;
	sent_len = 0;
	ASK("mn\r\n");
	ASSERT_REPLY("MN\r\n");
}

/* More in one go than there is room for, and each answer to who has asked. */
static void test_many(void **state)
{
	enum {
		COUNT = 3 * MC_UDP_EXCHANGES + 5
	};

	static uint8_t frames[COUNT][MC_UDP_HEADER_BYTES + 16];
	uint32_t expected[COUNT];

	for (uint32_t i = 0; i < COUNT; i++) {
		size_t len =
			MC_UDP_HEADER_BYTES +
			(size_t)snprintf((char *)frames[i] + MC_UDP_HEADER_BYTES, 16, "mn\r\n");

		memset(frames[i], 0, MC_UDP_HEADER_BYTES);
		frames[i][1] = (uint8_t)i;
		frames[i][5] = 1;
		expected[i] = mc_udp_next(udp);
		assert_true(expected[i] < MC_UDP_EXCHANGES);
		mc_udp_input(udp, slice_of(frames[i], len), true);
	}
	mc_udp_run(udp);
	assert_int_equal(datagram_count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(datagrams[i].exchange, expected[i]);
		assert_int_equal(sent[datagrams[i].at + 1], (uint8_t)i);
	}
}

/* A path that takes less gets smaller datagrams. */
static void test_small_path(void **state)
{
	mc_udp_free(udp);
	udp = mc_udp_new(&(struct mc_udp_config){
		.cmd = &f.cmd, .limits = &f.limits, .send = send, .datagram_max = 500});
	store("k", 1000);
	ASK("get k\r\n");
	assert_int_equal(datagram_count, 3);
	assert_int_equal(datagrams[0].len, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_amplification, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
