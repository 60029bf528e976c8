/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * SipHash-1-3 against values of an independent implementation (the reference C code's algorithm run
 * with c=1, d=3; key 00..0f, message 00,01,02,...).
 */

struct hash_case {
	const char *name;
	size_t len;
	uint64_t hash;
};

static const struct hash_case cases[] = {
	{"empty", 0, 0xabac0158050fc4dcULL},
	{"one byte", 1, 0xc9f49bf37d57ca93ULL},
	{"seven bytes", 7, 0xd3927d989bb11140ULL},
	{"eight bytes", 8, 0x369095118d299a8eULL},
	{"fifteen bytes", 15, 0xd320d86d2a519956ULL},
};

static void test_hash_known_message_known_value(void **state)
{
	const struct hash_key key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
	uint8_t message[16];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		assert_int_equal(hash_siphash13(&key, slice_of(message, cases[i].len)),
				 cases[i].hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_known_message_known_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
