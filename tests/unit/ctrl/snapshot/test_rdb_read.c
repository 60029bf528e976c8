/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_read.h"

#include "base/compiler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/*
 * What redis writes, what others may have written, and what nobody should. Each file is read whole,
 * byte by byte, and cut off at every place.
 */

#define KEY_MAX   20
#define VALUE_MAX 300

/* Pairs as "key=value[@expiry];". */
struct rdb_case {
	const char *name;
	struct slice file;
	const char *pairs;
	const char *why; // NULL: the file is good
};

#define V5(bytes) SLICE_LITERAL("REDIS0010" bytes)
#define V4(bytes) SLICE_LITERAL("REDIS0004" bytes)
#define END                                                                                        \
	"\xff"                                                                                     \
	"\0\0\0\0\0\0\0\0"

static const struct rdb_case cases[] = {
	{"an empty file", V5(END), "", NULL},
	{"no checksum before version 5", V4("\xff"), "", NULL},
	{"a pair", V5("\0\1k\1v" END), "k=v;", NULL},
	{"empty key and value", V5("\0\0\0" END), "=;", NULL},
	{"two pairs", V5("\0\1a\1b\0\1c\1d" END), "a=b;c=d;", NULL},
	{"a length of 14 bits", V5("\0\1k\x40\3abc" END), "k=abc;", NULL},
	{"a length of 32 bits", V5("\0\1k\x80\0\0\0\3abc" END), "k=abc;", NULL},
	{"a length of 64 bits", V5("\0\1k\x81\0\0\0\0\0\0\0\3abc" END), "k=abc;", NULL},
	{"a number of 8 bits", V5("\0\1k\xc0\x85" END), "k=-123;", NULL},
	{"a number of 16 bits", V5("\0\1k\xc1\x39\x30" END), "k=12345;", NULL},
	{"a number of 32 bits", V5("\0\1k\xc2\0\0\0\x80" END), "k=-2147483648;", NULL},
	{"a number as a key", V5("\0\xc0\7\1v" END), "7=v;", NULL},
	{"a packed string",
	 V5("\0\1k\xc3\5\x0a\0a\xe0\0"
	    "\0" END),
	 "k=aaaaaaaaaa;", NULL},
	{"flags and unique", V5("\xfa\2mc\x0b\1\2\0\0\0\0\0\5\0\0\0\0\1k\1v\0\1l\1w" END),
	 "k=v#513/5;l=w;", NULL},
	{"a unique", V5("\xfa\2mc\7\1\0\0\0\0\0\0\0\1k\1v" END), "k=v#1/0;", NULL},
	{"half a unique", V5("\xfa\2mc\3\1\0\0\0\1k\1v" END), "", "3 bytes of flags"},
	{"an expiry in ms", V5("\xfc\xe8\3\0\0\0\0\0\0\0\1k\1v" END), "k=v@1000;", NULL},
	{"an expiry in s", V5("\xfd\2\0\0\0\0\1k\1v" END), "k=v@2000;", NULL},
	{"an expiry is one pair's", V5("\xfd\2\0\0\0\0\1k\1v\0\1l\1w" END), "k=v@2000;l=w;", NULL},
	{"an expiry before 1970", V5("\xfc\xff\xff\xff\xff\xff\xff\xff\xff\0\1k\1v" END), "k=v@-1;",
	 NULL},
	{"what is left out",
	 V5("\xfa\3ver\5"
	    "7.0.0\xfe\0\xfb\1\0\xf8\5\xf9\7\xf4\1\1\0\0\1k\1v" END),
	 "k=v;", NULL},
	{"a function library", V5("\xf5\3lib" END), "", NULL},

	{"no file at all", SLICE_LITERAL(""), "", "ends too early"},
	{"another file", SLICE_LITERAL("#!/bin/sh\n"), "", "no RDB file"},
	{"no number of a version", SLICE_LITERAL("REDIS00x7\xff"), "", "no RDB file"},
	{"version 0", SLICE_LITERAL("REDIS0000\xff"), "", "RDB version 0"},
	{"a later version", SLICE_LITERAL("REDIS0013\xff"), "", "RDB version 13: 1 to 12"},
	{"no end", V5("\0\1k\1v"), "k=v;", "ends too early"},
	{"no checksum", V5("\xff\0\0\0"), "", "ends too early"},
	{"a wrong checksum", V5("\0\1k\1v\xff\1\0\0\0\0\0\0\0"), "k=v;", "the checksum is"},
	{"a list", V5("\x12\5queue\1x" END), "", "key \"queue\" is a list"},
	{"a hash", V5("\x10\1h\1x" END), "", "key \"h\" is a hash"},
	{"a module's type", V5("\7\1m\1x" END), "", "key \"m\" is a module type"},
	{"no type", V5("\x80\1k\1v" END), "", "0x80 is no type"},
	{"type 8", V5("\x08\1k\1v" END), "", "0x08 is no type"},
	{"another database", V5("\xfe\3\0\1k\1v" END), "", "key \"k\" is in database 3"},
	{"data of a module", V5("\xf7\1" END), "", "data of a module"},
	{"functions of a release candidate", V5("\xf6\1x" END), "", "unknown opcode: 246"},
	{"a key that is too long",
	 V5("\0\x15"
	    "abcdefghijklmnopqrstu\1v" END),
	 "", "21 bytes, 20 at most"},
	{"a length beyond all memory", V5("\0\1k\x81\x7f\xff\xff\xff\xff\xff\xff\xff" END), "",
	 "300 at most"},
	{"no length", V5("\0\1k\x82" END), "", "0x82 begins no length"},
	{"no encoding", V5("\0\1k\xc4" END), "", "unknown encoding of a string: 4"},
	{"a length that is an encoding", V5("\xfe\xc0\1" END), "", "a length was expected"},
	{"packed, and damaged",
	 V5("\0\1k\xc3\4\x0a\x1f"
	    "a\xe0\0" END),
	 "", "damaged"},
	{"packed, and shorter than said", V5("\0\1k\xc3\2\x02\0a" END), "", "damaged"},
	{"packed, and too long", V5("\0\1k\xc3\4\x42\x00\0a\xe0\0" END), "", "512 bytes: 1 to 300"},
	{"packed to nothing", V5("\0\1k\xc3\0\5" END), "", "1 to 300"},
	{"a key with control characters", V5("\2\3a\nb\1x" END), "", "key \"a.b\" is a set"},
};

struct input {
	struct slice file;
	size_t at, piece;
};

static ssize_t read_piece(void *arg, void *to, size_t len)
{
	struct input *input = arg;
	size_t left = input->file.len - input->at;

	if (len > input->piece)
		len = input->piece;
	if (len > left)
		len = left;
	memcpy(to, input->file.ptr + input->at, len);
	input->at += len;
	return (ssize_t)len;
}

static enum rdb_result read_all(struct slice file, size_t piece, char *pairs, size_t room,
				char *why)
{
	struct input input = {file, 0, piece};
	struct rdb_reader reader;
	struct rdb_pair pair;
	enum rdb_result result;
	size_t len = 0;

	assert_int_equal(rdb_reader_init(&reader, read_piece, &input, KEY_MAX, VALUE_MAX), 0);
	pairs[0] = '\0';
	while ((result = rdb_next(&reader, &pair)) == RDB_PAIR) {
		len += (size_t)snprintf(pairs + len, room - len, "%.*s=%.*s", (int)pair.key.len,
					(const char *)pair.key.ptr, (int)pair.value.len,
					(const char *)pair.value.ptr);
		if (pair.expires)
			len += (size_t)snprintf(pairs + len, room - len, "@%lld",
						(long long)pair.expire_ms);
		if (pair.mc_unique)
			len += (size_t)snprintf(pairs + len, room - len, "#%llu/%u",
						(unsigned long long)pair.mc_unique, pair.mc_flags);
		len += (size_t)snprintf(pairs + len, room - len, ";");
	}
	snprintf(why, RDB_WHY_MAX, "%s", reader.why);
	rdb_reader_fini(&reader);
	return result;
}

static void test_rdb_read_of_each_file(void **state)
{
	char pairs[1024], why[RDB_WHY_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (size_t piece = 1; piece <= 1000; piece += 999) {
			enum rdb_result result =
				read_all(cases[i].file, piece, pairs, sizeof(pairs), why);
			bool good = cases[i].why ? result == RDB_BAD && strstr(why, cases[i].why)
						 : result == RDB_DONE;

			if (!good || strcmp(pairs, cases[i].pairs) != 0)
				fail_msg("%s: %d \"%s\" %s", cases[i].name, result, pairs, why);
		}
	}
}

static void test_rdb_read_of_a_cut_file_is_an_error(void **state)
{
	char pairs[1024], why[RDB_WHY_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		for (size_t len = 0; len + 1 < cases[i].file.len; len++)
			assert_int_equal(read_all(slice_of(cases[i].file.ptr, len), 7, pairs,
						  sizeof(pairs), why),
					 RDB_BAD);
}

static ssize_t read_fails(void *arg, void *to, size_t len)
{
	return -EIO;
}

static void test_rdb_read_says_what_the_source_says(void **state)
{
	struct rdb_reader reader;
	struct rdb_pair pair;

	assert_int_equal(rdb_reader_init(&reader, read_fails, NULL, KEY_MAX, VALUE_MAX), 0);
	assert_int_equal(rdb_next(&reader, &pair), RDB_BAD);
	assert_non_null(strstr(reader.why, strerror(EIO)));
	rdb_reader_fini(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rdb_read_of_each_file),
		cmocka_unit_test(test_rdb_read_of_a_cut_file_is_an_error),
		cmocka_unit_test(test_rdb_read_says_what_the_source_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
