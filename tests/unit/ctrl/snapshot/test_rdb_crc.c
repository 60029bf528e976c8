/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* The value that redis' crc64.c gives for its own self-test. */
static void test_rdb_crc_of_the_check_string(void **state)
{
	assert_int_equal(rdb_crc(0, "123456789", 9), 0xe9c6d914c4b8d9caULL);
	assert_int_equal(rdb_crc(0, "", 0), 0);
}

static void test_rdb_crc_continues_at_every_split(void **state)
{
	uint8_t bytes[61];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	uint64_t whole = rdb_crc(0, bytes, sizeof(bytes));

	for (size_t at = 0; at <= sizeof(bytes); at++)
		assert_int_equal(rdb_crc(rdb_crc(0, bytes, at), bytes + at, sizeof(bytes) - at),
				 whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rdb_crc_of_the_check_string),
		cmocka_unit_test(test_rdb_crc_continues_at_every_split),
	};

	rdb_crc_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
