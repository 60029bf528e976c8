/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rng.h"
#include "nic/port/port.h"
#include "nic/port/port_flow_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/*
 * Toeplitz against the verification suite that Microsoft publishes for RSS, and against the
 * definition bit by bit.
 */

static const uint8_t microsoft_key[PORT_FLOW_HASH_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

struct hash_case {
	const char *name;
	uint8_t tuple[PORT_FLOW_HASH_TUPLE_BYTES]; // addresses and ports, source first
	uint32_t len;
	uint32_t hash;
};

#define PORTS(s, d) (s) >> 8, (s)&0xff, (d) >> 8, (d)&0xff

static const struct hash_case cases[] = {
	{"66.9.149.187:2794 > 161.142.100.80:1766",
	 {66, 9, 149, 187, 161, 142, 100, 80, PORTS(2794, 1766)},
	 12,
	 0x51ccc178},
	{"199.92.111.2:14230 > 65.69.140.83:4739",
	 {199, 92, 111, 2, 65, 69, 140, 83, PORTS(14230, 4739)},
	 12,
	 0xc626b0ea},
	{"24.19.198.95:12898 > 12.22.207.184:38024",
	 {24, 19, 198, 95, 12, 22, 207, 184, PORTS(12898, 38024)},
	 12,
	 0x5c2b394a},
	{"38.27.205.30:48228 > 209.142.163.6:2217",
	 {38, 27, 205, 30, 209, 142, 163, 6, PORTS(48228, 2217)},
	 12,
	 0xafc7327f},
	{"153.39.163.191:44251 > 202.188.127.2:1303",
	 {153, 39, 163, 191, 202, 188, 127, 2, PORTS(44251, 1303)},
	 12,
	 0x10e828a2},
	{"66.9.149.187 > 161.142.100.80, addresses only",
	 {66, 9, 149, 187, 161, 142, 100, 80},
	 8,
	 0x323e8fc2},
	{"3ffe:2501:200:1fff::7:2794 > 3ffe:2501:200:3::1:1766",
	 {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0,    0,    0,
	  0,    0,    0,    0,    7,    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00,
	  0x00, 0x03, 0,    0,    0,    0,    0,    0,    0,    1,    PORTS(2794, 1766)},
	 36,
	 0x40207d3d},
	{"no bytes", {0}, 0, 0},
};

/* The definition: for each set bit of the input, the 32 bits of the key that begin there. */
static uint32_t toeplitz_by_definition(const uint8_t *key, const uint8_t *tuple, uint32_t len)
{
	uint32_t hash = 0;

	for (uint32_t bit = 0; bit < len * 8; bit++) {
		uint32_t window = 0;

		if (!(tuple[bit / 8] & (0x80 >> bit % 8)))
			continue;
		for (uint32_t i = bit; i < bit + 32; i++)
			window = window << 1 | ((key[i / 8] >> (7 - i % 8)) & 1);
		hash ^= window;
	}
	return hash;
}

static void test_flow_hash_microsoft_suite_agrees(void **state)
{
	port_flow_hash_init(microsoft_key);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t hash = port_flow_hash(cases[i].tuple, cases[i].len);

		if (hash != cases[i].hash)
			fail_msg("%s: 0x%08x, not 0x%08x", cases[i].name, hash, cases[i].hash);
	}
	assert_memory_equal(port_flow_hash_key(), microsoft_key, sizeof(microsoft_key));
}

static void test_flow_hash_random_keys_agree_with_definition(void **state)
{
	struct rng rng = rng_seeded(7);
	uint8_t key[PORT_FLOW_HASH_KEY_BYTES];
	uint8_t tuple[PORT_FLOW_HASH_TUPLE_BYTES];

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)rng_next(&rng);
		port_flow_hash_init(key);
		for (uint32_t len = 0; len <= sizeof(tuple); len++) {
			for (size_t i = 0; i < sizeof(tuple); i++)
				tuple[i] = (uint8_t)rng_next(&rng);
			assert_int_equal(port_flow_hash(tuple, len),
					 toeplitz_by_definition(key, tuple, len));
		}
	}
}

/* Which of the 128 low values neighbouring source ports or addresses lead to; all, if it is 128. */
static int low_values_of(uint32_t step_port, uint32_t step_address)
{
	bool seen[128] = {false};
	int count = 0;

	for (uint32_t i = 0; i < 128; i++) {
		uint8_t tuple[12] = {10, 0, 0, (uint8_t)(i * step_address), 10, 0, 0, 1};
		uint32_t port = 32768 + i * step_port;

		tuple[8] = (uint8_t)(port >> 8);
		tuple[9] = (uint8_t)port;
		bool *value = &seen[port_flow_hash(tuple, sizeof(tuple)) % 128];

		count += !*value;
		*value = true;
	}
	return count;
}

static void test_flow_hash_key_that_spreads_tells_neighbours_apart(void **state)
{
	struct rng rng = rng_seeded(11);
	uint8_t key[PORT_FLOW_HASH_KEY_BYTES];
	int accepted = 0;

	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)rng_next(&rng);
		port_flow_hash_init(key);
		bool spreads = low_values_of(1, 0) == 128 && low_values_of(2, 0) == 128 &&
			       low_values_of(0, 1) == 128;

		assert_int_equal(port_flow_hash_key_spreads(key), spreads);
		accepted += spreads;
	}
	assert_in_range(accepted, 20, 250);
	assert_false(port_flow_hash_key_spreads((const uint8_t[PORT_FLOW_HASH_KEY_BYTES]){0}));
}

static void test_hash_owner_spreads_evenly(void **state)
{
	for (uint16_t queues = 1; queues <= 8; queues++) {
		uint32_t hits[8] = {0};

		for (uint32_t hash = 0; hash < 1024; hash++) {
			uint16_t owner = port_hash_owner(hash, queues);

			assert_true(owner < queues);
			hits[owner]++;
		}
		for (uint16_t i = 0; i < queues; i++)
			assert_in_range(hits[i], 1024 / queues - 8, 1024 / queues + 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flow_hash_microsoft_suite_agrees),
		cmocka_unit_test(test_flow_hash_random_keys_agree_with_definition),
		cmocka_unit_test(test_flow_hash_key_that_spreads_tells_neighbours_apart),
		cmocka_unit_test(test_hash_owner_spreads_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
