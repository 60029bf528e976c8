/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_write.h"

#include "base/compiler.h"
#include "ctrl/snapshot/rdb_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Short strings are written as redis would; all are read back. */

#define FILE_MAX (8U << 20)

struct file {
	uint8_t bytes[FILE_MAX];
	size_t len, at;
	size_t fails_at; // bytes; 0: never
};

static int append(void *arg, const void *bytes, size_t len)
{
	struct file *file = arg;

	if (file->fails_at && file->len + len > file->fails_at)
		return -ENOSPC;
	assert_true(len <= FILE_MAX - file->len);
	memcpy(file->bytes + file->len, bytes, len);
	file->len += len;
	return 0;
}

static ssize_t read_back(void *arg, void *to, size_t len)
{
	struct file *file = arg;

	if (len > file->len - file->at)
		len = file->len - file->at;
	memcpy(to, file->bytes + file->at, len);
	file->at += len;
	return (ssize_t)len;
}

static struct file *begin(struct rdb_writer *w, bool compress)
{
	struct file *file = calloc(1, sizeof(*file));

	assert_non_null(file);
	assert_int_equal(rdb_writer_init(w, append, file, compress), 0);
	rdb_write_header(w, 1800000000, 3, 1);
	return file;
}

/* How a value is written behind a key of one letter. */
struct string_case {
	struct slice value, bytes;
};

static const struct string_case strings[] = {
	{SLICE_LITERAL(""), SLICE_LITERAL("\0")},
	{SLICE_LITERAL("abc"), SLICE_LITERAL("\3abc")},
	{SLICE_LITERAL("0"), SLICE_LITERAL("\xc0\0")},
	{SLICE_LITERAL("-128"), SLICE_LITERAL("\xc0\x80")},
	{SLICE_LITERAL("128"), SLICE_LITERAL("\xc1\x80\0")},
	{SLICE_LITERAL("32768"), SLICE_LITERAL("\xc2\0\x80\0\0")},
	{SLICE_LITERAL("-2147483648"), SLICE_LITERAL("\xc2\0\0\0\x80")},
	{SLICE_LITERAL("2147483648"), SLICE_LITERAL("\x0a"
						    "2147483648")},
	{SLICE_LITERAL("007"), SLICE_LITERAL("\3"
					     "007")},
	{SLICE_LITERAL("-0"), SLICE_LITERAL("\2-0")},
	{SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaa"), SLICE_LITERAL("\x14"
							      "aaaaaaaaaaaaaaaaaaaa")},
};

static void test_rdb_write_of_short_strings(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(strings); i++) {
		struct rdb_writer w;
		struct file *file = begin(&w, true);
		uint64_t before = w.bytes;

		rdb_write_pair(&w, SLICE_LITERAL("k"), strings[i].value, 0);
		assert_int_equal(rdb_write_end(&w), 0);
		assert_memory_equal(file->bytes + before, "\0\1k", 3);
		assert_memory_equal(file->bytes + before + 3, strings[i].bytes.ptr,
				    strings[i].bytes.len);
		assert_int_equal(file->len, before + 3 + strings[i].bytes.len + 9);
		assert_int_equal(file->len, w.bytes);
		rdb_writer_fini(&w);
		free(file);
	}
}

static void test_rdb_write_of_the_expiry(void **state)
{
	struct rdb_writer w;
	struct file *file = begin(&w, true);
	uint64_t before = w.bytes;

	rdb_write_pair(&w, SLICE_LITERAL("k"), SLICE_LITERAL("v"), 0x0102030405060708);
	assert_int_equal(rdb_write_end(&w), 0);
	assert_memory_equal(file->bytes + before, "\xfc\x8\x7\x6\x5\x4\x3\x2\x1\0\1k\1v", 14);
	rdb_writer_fini(&w);
	free(file);
}

static void test_rdb_write_of_flags_and_uniques(void **state)
{
	struct rdb_writer w;
	struct file *file = begin(&w, true);
	uint64_t before = w.bytes;

	rdb_write_memcached(&w, 0x07060504030201, 0);
	rdb_write_memcached(&w, 0x37363534333231, 0x44434241); // digits and letters
	assert_int_equal(rdb_write_end(&w), 0);
	assert_memory_equal(file->bytes + before,
			    "\xfa\2mc\7\1\2\3\4\5\6\7"
			    "\xfa\2mc\x0b"
			    "1234567ABCD",
			    28);
	rdb_writer_fini(&w);
	free(file);
}

static void fill(uint8_t *value, size_t len, uint32_t kind)
{
	uint32_t random = 12345;

	for (size_t i = 0; i < len; i++) {
		random = random * 1664525 + 1013904223;
		value[i] = kind == 0   ? 'a'
			   : kind == 1 ? (uint8_t) "cache "[i % 6]
				       : (uint8_t)(random >> 24);
	}
}

static void test_rdb_write_is_read_back(void **state)
{
	static const size_t lens[] = {0,  1,     19,    20,    21,       63,
				      64, 16383, 16384, 65536, 3U << 19, (1U << 20) + 7};
	static uint8_t value[2U << 20];
	struct rdb_reader reader;
	struct rdb_writer w;
	struct rdb_pair pair;

	for (uint32_t compress = 0; compress < 2; compress++) {
		for (uint32_t kind = 0; kind < 3; kind++) {
			struct file *file = begin(&w, compress);

			for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
				fill(value, lens[i], kind);
				rdb_write_pair(&w, slice_of(value, i), slice_of(value, lens[i]),
					       i % 2 ? 1000 + i : 0);
			}
			assert_int_equal(rdb_write_end(&w), 0);
			rdb_writer_fini(&w);
			assert_int_equal(
				rdb_reader_init(&reader, read_back, file, 1 << 20, 4 << 20), 0);
			for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
				assert_int_equal(rdb_next(&reader, &pair), RDB_PAIR);
				fill(value, lens[i], kind);
				assert_true(slice_equal(pair.key, slice_of(value, i)));
				assert_true(slice_equal(pair.value, slice_of(value, lens[i])));
				assert_int_equal(pair.expires, i % 2);
				assert_int_equal(pair.expire_ms, i % 2 ? 1000 + i : 0);
			}
			assert_int_equal(rdb_next(&reader, &pair), RDB_DONE);
			assert_int_equal(reader.keys_announced, 3);
			rdb_reader_fini(&reader);
			free(file);
		}
	}
}

static void test_rdb_write_keeps_the_first_error(void **state)
{
	static uint8_t value[RDB_WRITE_BYTES + 1];
	struct rdb_writer w;
	struct file *file = begin(&w, false);

	file->fails_at = 10;
	for (uint32_t i = 0; i < 5; i++)
		rdb_write_pair(&w, SLICE_LITERAL("k"), slice_of(value, sizeof(value)), 0);
	assert_int_equal(rdb_write_end(&w), -ENOSPC);
	assert_int_equal(file->len, 0);
	rdb_writer_fini(&w);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rdb_write_of_short_strings),
		cmocka_unit_test(test_rdb_write_of_the_expiry),
		cmocka_unit_test(test_rdb_write_of_flags_and_uniques),
		cmocka_unit_test(test_rdb_write_is_read_back),
		cmocka_unit_test(test_rdb_write_keeps_the_first_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
