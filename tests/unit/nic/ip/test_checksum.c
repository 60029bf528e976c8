/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/checksum.h"

#include "base/rng.h"
#include "tests/unit/nic/ip/ip_fixture.h"

/* The fast checksum against its plain twin and against an independent one in network order. */

#define BYTES_MAX 2048

/* As it lies in memory, from the one that counts in network order. */
static uint16_t naive_field(const uint8_t *bytes, uint32_t len)
{
	return be16_from_host(naive_checksum(0, bytes, len)).raw;
}

static void check(const uint8_t *bytes, uint32_t len)
{
	struct slice data = slice_of(bytes, len);

	assert_int_equal(ip_checksum_finish(ip_checksum_add(0, data)), naive_field(bytes, len));
	assert_int_equal(ip_checksum_finish(ip_checksum_add_plain(0, data)),
			 naive_field(bytes, len));
}

static void test_every_length_and_alignment_equals_naive(void **state)
{
	uint8_t bytes[BYTES_MAX + 8];
	struct rng rng = rng_seeded(1);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rng_next(&rng);
	for (uint32_t len = 0; len <= 300; len++)
		for (uint32_t at = 0; at < 8; at++)
			check(bytes + at, len);
	for (uint32_t round = 0; round < 2000; round++)
		check(bytes + rng_below(&rng, 8), rng_below(&rng, BYTES_MAX + 1));
}

static void test_all_ones_and_zeros_carry_right(void **state)
{
	uint8_t bytes[BYTES_MAX];

	for (uint32_t len = 0; len <= BYTES_MAX; len += 7) {
		memset(bytes, 0xff, sizeof(bytes));
		check(bytes, len);
		memset(bytes, 0, sizeof(bytes));
		check(bytes, len);
	}
}

static void test_sum_in_even_parts_equals_whole(void **state)
{
	uint8_t bytes[257];
	struct rng rng = rng_seeded(2);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rng_next(&rng);
	for (size_t cut = 0; cut <= sizeof(bytes); cut += 2) {
		uint64_t sum = ip_checksum_add(0, slice_of(bytes, cut));

		sum = ip_checksum_add(sum, slice_of(bytes + cut, sizeof(bytes) - cut));
		assert_int_equal(ip_checksum_finish(sum), naive_field(bytes, sizeof(bytes)));
	}
}

static void test_running_sum_near_overflow_keeps_carries(void **state)
{
	static const uint64_t sums[] = {0, 1, 0xffff, 0x10000, UINT64_MAX - 1, UINT64_MAX};
	uint8_t ones[40];

	memset(ones, 0xff, sizeof(ones));
	for (size_t i = 0; i < ARRAY_COUNT(sums); i++)
		for (size_t len = 0; len <= sizeof(ones); len++)
			assert_int_equal(
				ip_checksum_fold(ip_checksum_add(sums[i], slice_of(ones, len))),
				ip_checksum_fold(
					ip_checksum_add_plain(sums[i], slice_of(ones, len))));
}

static void test_valid_data_with_its_checksum_sums_to_ones(void **state)
{
	uint8_t bytes[64] = {1, 2, 3};
	uint16_t field = ip_checksum_finish(ip_checksum_add(0, slice_of(bytes, sizeof(bytes))));

	memcpy(bytes + 10, &field, sizeof(field));
	assert_true(ip_checksum_valid(ip_checksum_add(0, slice_of(bytes, sizeof(bytes)))));
	bytes[63] ^= 1;
	assert_false(ip_checksum_valid(ip_checksum_add(0, slice_of(bytes, sizeof(bytes)))));
}

static void test_udp_checksum_is_never_zero(void **state)
{
	assert_int_equal(ip_checksum_finish(0xffff), 0);
	assert_int_equal(ip_checksum_finish_udp(0xffff), 0xffff);
	assert_int_equal(ip_checksum_finish_udp(0x1234), (uint16_t)~0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_and_alignment_equals_naive),
		cmocka_unit_test(test_all_ones_and_zeros_carry_right),
		cmocka_unit_test(test_sum_in_even_parts_equals_whole),
		cmocka_unit_test(test_running_sum_near_overflow_keeps_carries),
		cmocka_unit_test(test_valid_data_with_its_checksum_sums_to_ones),
		cmocka_unit_test(test_udp_checksum_is_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
