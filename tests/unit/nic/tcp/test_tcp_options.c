/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_options.h"

#include "base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/*
 * The option parser on good and bad bytes (RFC 9293 3.2, 7323, 2018), and the encoders against it.
 */

struct option_case {
	const char *name;
	uint8_t bytes[TCP_OPTIONS_MAX];
	uint32_t len;
	bool ok;
	struct tcp_options expected;
};

static const struct option_case cases[] = {
	{"none", {0}, 0, true, {0}},
	{"end stops it", {0, 8, 0, 0}, 4, true, {0}},
	{"only padding", {1, 1, 1, 1}, 4, true, {0}},
	{"mss", {2, 4, 0x05, 0xb4}, 4, true, {.has_mss = true, .mss = 1460}},
	{"wscale", {1, 3, 3, 7}, 4, true, {.has_wscale = true, .wscale = 7}},
	{"wscale above 14 is 14", {3, 3, 255, 0}, 4, true, {.has_wscale = true, .wscale = 14}},
	{"sack permitted", {4, 2, 0, 0}, 4, true, {.sack_permitted = true}},
	{"timestamps aligned",
	 {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
	 12,
	 true,
	 {.has_timestamp = true, .tsval = 1, .tsecr = 2}},
	{"timestamps unaligned",
	 {8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1},
	 12,
	 true,
	 {.has_timestamp = true, .tsval = 1, .tsecr = 2}},
	{"sack block",
	 {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9},
	 12,
	 true,
	 {.sack_count = 1, .sack = {{1, 9}}}},
	{"sack of odd length is ignored", {5, 9, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1}, 12, true, {0}},
	{"unknown is skipped", {254, 4, 9, 9, 2, 4, 1, 0}, 8, true, {.has_mss = true, .mss = 256}},
	{"mss of wrong length is ignored", {2, 3, 5, 1}, 4, true, {0}},
	{"length 0", {8, 0, 1, 1}, 4, false, {0}},
	{"length 1", {8, 1, 1, 1}, 4, false, {0}},
	{"length missing", {1, 1, 1, 2}, 4, false, {0}},
	{"one byte past the end", {1, 2, 4, 5}, 4, false, {0}},
	{"far past the end", {2, 255, 0, 0}, 4, false, {0}},
};

static void test_parse_table_holds(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct option_case *c = &cases[i];
		// An exact copy: a read past its end is caught by the sanitizer.
		uint8_t *exact = malloc(c->len + (c->len == 0));
		struct tcp_options o;

		print_message("case %s\n", c->name);
		assert_non_null(exact);
		memcpy(exact, c->bytes, c->len);
		assert_int_equal(tcp_options_parse(exact, c->len, &o), c->ok);
		free(exact);
		if (!c->ok)
			continue;
		assert_int_equal(o.has_mss, c->expected.has_mss);
		assert_int_equal(o.mss, c->expected.mss);
		assert_int_equal(o.has_wscale, c->expected.has_wscale);
		assert_int_equal(o.wscale, c->expected.wscale);
		assert_int_equal(o.sack_permitted, c->expected.sack_permitted);
		assert_int_equal(o.has_timestamp, c->expected.has_timestamp);
		assert_int_equal(o.tsval, c->expected.tsval);
		assert_int_equal(o.tsecr, c->expected.tsecr);
		assert_int_equal(o.sack_count, c->expected.sack_count);
		assert_memory_equal(o.sack, c->expected.sack, 8u * o.sack_count);
	}
}

static void test_parse_any_prefix_of_any_case_is_safe(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		for (uint32_t len = 0; len <= cases[i].len; len++) {
			uint8_t *exact = malloc(len + (len == 0));
			struct tcp_options o;

			assert_non_null(exact);
			memcpy(exact, cases[i].bytes, len);
			if (tcp_options_parse(exact, len, &o))
				assert_true(o.sack_count <= TCP_SACK_BLOCKS_MAX);
			free(exact);
		}
}

static void test_encoded_syn_parses_to_the_same_in_every_combination(void **state)
{
	for (unsigned bits = 0; bits < 8; bits++) {
		struct tcp_options in = {
			.has_mss = true,
			.mss = 1460,
			.sack_permitted = bits & 1,
			.has_timestamp = bits & 2,
			.has_wscale = bits & 4,
			.wscale = bits & 4 ? 7 : 0,
			.tsval = bits & 2 ? 0x01020304 : 0,
			.tsecr = bits & 2 ? 0xfffefdfc : 0,
		};
		uint8_t bytes[TCP_OPTIONS_MAX];
		uint32_t len = tcp_options_encode_syn(&in, bytes);
		struct tcp_options out;

		assert_true(len <= TCP_OPTIONS_MAX && len % 4 == 0);
		assert_true(tcp_options_parse(bytes, len, &out));
		assert_memory_equal(&in, &out, offsetof(struct tcp_options, sack));
	}
}

static void test_encoded_segment_options_parse_to_the_same(void **state)
{
	for (uint8_t blocks = 0; blocks <= 3; blocks++) {
		struct tcp_options in = {.has_timestamp = true,
					 .tsval = 7,
					 .tsecr = 9,
					 .sack_count = blocks,
					 .sack = {{1, 2}, {0xfffffff0, 5}, {10, 20}}};
		uint8_t bytes[TCP_OPTIONS_MAX];
		uint32_t len = tcp_options_encode(&in, bytes);
		struct tcp_options out;

		assert_true(len <= TCP_OPTIONS_MAX && len % 4 == 0);
		assert_true(tcp_options_parse(bytes, len, &out));
		assert_int_equal(out.sack_count, blocks);
		assert_memory_equal(in.sack, out.sack, 8u * blocks);
		assert_int_equal(out.tsval, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_table_holds),
		cmocka_unit_test(test_parse_any_prefix_of_any_case_is_safe),
		cmocka_unit_test(test_encoded_syn_parses_to_the_same_in_every_combination),
		cmocka_unit_test(test_encoded_segment_options_parse_to_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
