/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_dated.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Names of dated snapshots, and which files of a folder go when there are too many. */

static void test_names(void **state)
{
	static const struct {
		const char *name;
		uint64_t ms; // 0: none
	} cases[] = {
		{"wirecache-20251129T030000Z.rdb", 1764385200000},
		{"wirecache-20240229T235959Z.rdb", 1709251199000},
		{"wirecache-20250229T000000Z.rdb", 0}, // no such day
		{"wirecache-20251129T030000Z.rdb.temp", 0},
		{"wirecache-2025112T030000Z.rdb", 0},
		{"wirecache-20251129T030000Z.rd", 0},
		{"wirecache-19691231T235959Z.rdb", 0},
		{"dump.rdb", 0},
		{"", 0},
	};

	char name[SNAP_DATED_NAME_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(snap_dated_parse(cases[i].name), cases[i].ms);
		if (cases[i].ms == 0)
			continue;
		snap_dated_name(cases[i].ms + 999, name);
		assert_string_equal(name, cases[i].name);
	}
}

static const char *const files[] = {
	"wirecache-20251126T030000Z.rdb",     "wirecache-20251128T030000Z.rdb",
	"wirecache-20251127T030000Z.rdb",     "wirecache-20251129T030000Z.rdb.temp",
	"wirecache-20251129T030000Z.rdb.old", "dump.rdb",
};

static void path_of(char *path, size_t size, const char *folder, const char *name)
{
	snprintf(path, size, "%s/%s", folder, name);
}

static void make_files(char *folder)
{
	char path[256];

	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		path_of(path, sizeof(path), folder, files[i]);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);

		assert_true(fd >= 0);
		close(fd);
	}
}

/* Bits of those that are left; removes them. */
static uint32_t take_files(const char *folder)
{
	uint32_t left = 0;
	char path[256];

	for (uint32_t i = 0; i < ARRAY_COUNT(files); i++) {
		path_of(path, sizeof(path), folder, files[i]);
		if (unlink(path) == 0)
			left |= 1U << i;
	}
	assert_int_equal(rmdir(folder), 0);
	return left;
}

static void test_prune(void **state)
{
	static const struct {
		uint32_t keep, left;
	} cases[] = {{1, 0x32}, {2, 0x36}, {3, 0x37}, {9, 0x37}};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char folder[] = "/tmp/snap_dated.XXXXXX";

		make_files(folder);
		assert_int_equal(snap_dated_newest(folder), 1764298800000);
		assert_int_equal(snap_dated_prune(folder, cases[i].keep), 0);
		assert_int_equal(take_files(folder), cases[i].left);
	}
}

static void test_no_folder(void **state)
{
	assert_int_equal(snap_dated_newest("/nowhere/at/all"), 0);
	assert_true(snap_dated_prune("/nowhere/at/all", 1) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_prune),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
