/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/hash_many.h"

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
	{"empty", 0, 0xabac0158050fc4dcULL},          {"one byte", 1, 0xc9f49bf37d57ca93ULL},
	{"seven bytes", 7, 0xd3927d989bb11140ULL},    {"eight bytes", 8, 0x369095118d299a8eULL},
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

/* Of lengths about some words, alike and mixed, at any address, any number of keys. */
static void test_hash_many_every_variant_as_one_by_one(void **state)
{
	enum {
		KEYS = 11,
		LEN_MAX = 40
	};
	const struct hash_key key = {0x0123456789abcdefULL, 42};
	uint8_t bytes[KEYS * (LEN_MAX + 1)];
	struct slice data[KEYS];
	uint64_t hashes[KEYS];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + (i >> 8));
	for (const struct hash_many_variant *v = hash_many_variants; v->name; v++) {
		print_message("%s%s\n", v->name, v->runs_here() ? "" : ": not on this processor");
		for (uint32_t round = 0; v->runs_here() && round < 3 * LEN_MAX * KEYS; round++) {
			uint32_t count = round % KEYS + 1, len = round / KEYS % LEN_MAX;

			for (uint32_t i = 0; i < count; i++) {
				uint32_t more = round / (LEN_MAX * KEYS) * i; // none, some, much

				data[i] =
					slice_of(bytes + i * (LEN_MAX + 1), (len + more) % LEN_MAX);
			}
			v->hash(&key, data, hashes, count);
			for (uint32_t i = 0; i < count; i++)
				assert_int_equal(hashes[i], hash_siphash13(&key, data[i]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_known_message_known_value),
		cmocka_unit_test(test_hash_many_every_variant_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
