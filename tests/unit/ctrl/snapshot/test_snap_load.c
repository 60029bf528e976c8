/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "tests/unit/dataplane/table/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Files into tables: what is there afterwards, and why not. */

#define BIG_BYTES   (3U << 20)
#define NEVER_ENDED "\xff\0\0\0\0\0\0\0\0"

struct file {
	uint8_t *bytes;
	size_t len, room, at;
};

static ssize_t read_bytes(void *arg, void *to, size_t len)
{
	struct file *file = arg;

	if (len > file->len - file->at)
		len = file->len - file->at;
	memcpy(to, file->bytes + file->at, len);
	file->at += len;
	return (ssize_t)len;
}

static void add(struct file *file, const void *bytes, size_t len)
{
	if (file->len + len > file->room) {
		file->room = 2 * (file->len + len);
		file->bytes = realloc(file->bytes, file->room);
		assert_non_null(file->bytes);
	}
	memcpy(file->bytes + file->len, bytes, len);
	file->len += len;
}

#define ADD(file, text) add(file, text, sizeof(text) - 1)

static void add_expiry(struct file *file, uint64_t ms)
{
	uint8_t bytes[9] = {RDB_EXPIRETIME_MS};

	for (uint32_t i = 0; i < 8; i++)
		bytes[1 + i] = (uint8_t)(ms >> (8 * i));
	add(file, bytes, sizeof(bytes));
}

static void add_pair(struct file *file, const char *key, size_t value_len, char fill)
{
	uint8_t length[5] = {RDB_LEN_32BIT, (uint8_t)(value_len >> 24), (uint8_t)(value_len >> 16),
			     (uint8_t)(value_len >> 8), (uint8_t)value_len};
	uint8_t head[2] = {RDB_TYPE_STRING, (uint8_t)strlen(key)};
	char *value = malloc(value_len + 1);

	assert_non_null(value);
	memset(value, fill, value_len);
	add(file, head, sizeof(head));
	add(file, key, strlen(key));
	add(file, length, sizeof(length));
	add(file, value, value_len);
	free(value);
}

static uint32_t ticks;

static void on_tick(void *arg, const struct rdb_reader *reader,
		    const struct snap_load_result *result)
{
	ticks++;
	fixture_tick(arg, 0);
}

static int load(struct fixture *f, struct file *file, struct snap_load_result *result, char *why)
{
	struct rdb_reader reader;

	assert_int_equal(rdb_reader_init(&reader, read_bytes, file, ITEM_KEY_MAX, ITEM_VALUE_MAX),
			 0);
	const struct snap_load_config config = {f->table, f->t, f->wall_ms, on_tick, f};
	int error = snap_load(&reader, &config, result, why);

	rdb_reader_fini(&reader);
	free(file->bytes);
	return error;
}

static void assert_filled(struct fixture *f, const char *key, size_t len, char fill)
{
	struct table_key k = table_key(f->table, slice_of_text(key));
	struct item *item = table_peek(f->t, &k);

	assert_non_null(item);
	assert_int_equal(item_value(item).len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(item_value(item).ptr[i], fill);
}

static void test_snap_load_keeps_values_of_all_lengths(void **state)
{
	static const size_t lens[] = {0, 1, 100, 4096, 4097, BIG_BYTES};
	char key[8], why[SNAP_WHY_MAX] = "";
	struct snap_load_result result;
	struct file file = {0};
	struct fixture f;

	fixture_open_small(&f);
	ADD(&file, "REDIS0010");
	for (size_t i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "key%zu", i);
		add_pair(&file, key, lens[i], (char)('a' + i));
	}
	ADD(&file, NEVER_ENDED);
	const size_t len = file.len;

	assert_int_equal(load(&f, &file, &result, why), 0);
	assert_int_equal(result.loaded, 6);
	assert_int_equal(result.bytes, len);
	for (size_t i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "key%zu", i);
		assert_filled(&f, key, lens[i], (char)('a' + i));
	}
	fixture_close(&f);
}

static void test_snap_load_leaves_out_what_has_expired(void **state)
{
	char why[SNAP_WHY_MAX] = "";
	struct snap_load_result result;
	struct file file = {0};
	struct fixture f;

	fixture_open_small(&f);
	ADD(&file, "REDIS0010");
	add_expiry(&file, f.wall_ms);
	add_pair(&file, "over", 1, 'x');
	add_expiry(&file, UINT64_MAX); // as a signed number long ago
	add_pair(&file, "long over", 1, 'x');
	add_expiry(&file, f.wall_ms + 1000);
	add_pair(&file, "soon", 1, 'x');
	ADD(&file, NEVER_ENDED);
	assert_int_equal(load(&f, &file, &result, why), 0);
	assert_int_equal(result.loaded, 1);
	assert_int_equal(result.expired, 2);
	assert_int_equal(table_count(f.table), 1);
	assert_filled(&f, "soon", 1, 'x');
	fixture_tick(&f, 1001);
	struct table_key soon = table_key(f.table, SLICE_LITERAL("soon"));

	assert_null(table_peek(f.t, &soon));
	fixture_close(&f);
}

static void test_snap_load_works_off_what_is_due_in_between(void **state)
{
	char key[16], why[SNAP_WHY_MAX] = "";
	struct snap_load_result result;
	struct file file = {0};
	struct fixture f;

	fixture_open_small(&f);
	ADD(&file, "REDIS0010");
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key:%u", i);
		add_pair(&file, key, 10, 'v');
	}
	ADD(&file, NEVER_ENDED);
	ticks = 0;
	assert_int_equal(load(&f, &file, &result, why), 0);
	assert_int_equal(table_count(f.table), 5000);
	assert_int_equal(ticks, 5);
	fixture_close(&f);
}

static void test_snap_load_refuses_a_key_that_comes_twice(void **state)
{
	char why[SNAP_WHY_MAX] = "";
	struct snap_load_result result;
	struct file file = {0};
	struct fixture f;

	fixture_open_small(&f);
	ADD(&file, "REDIS0010");
	add_pair(&file, "same", 1, 'a');
	add_pair(&file, "same", 5000, 'b');
	ADD(&file, NEVER_ENDED);
	assert_int_equal(load(&f, &file, &result, why), -EINVAL);
	assert_non_null(strstr(why, "key \"same\" comes twice"));
	fixture_close(&f);
}

static void test_snap_load_says_what_does_not_fit(void **state)
{
	static const struct {
		size_t len;
		uint32_t keys;
	} cases[] = {{100, 12000}, {10000, 150}};

	char key[16], why[SNAP_WHY_MAX];
	struct snap_load_result result;

	for (size_t i = 0; i < 2; i++) {
		struct file file = {0};
		struct fixture f;

		fixture_open_small(&f);
		atomic_store(&table_limits(f.table)->maxmemory_bytes, 1 << 20);
		ADD(&file, "REDIS0010");
		for (uint32_t k = 0; k < cases[i].keys; k++) {
			snprintf(key, sizeof(key), "key:%u", k);
			add_pair(&file, key, cases[i].len, 'v');
		}
		ADD(&file, NEVER_ENDED);
		assert_int_equal(load(&f, &file, &result, why), -ENOMEM);
		assert_non_null(strstr(why, "no room under maxmemory from key \"key:"));
		fixture_close(&f);
	}
}

static int load_file(const char *bytes, size_t len, struct snap_load_result *result, char *why)
{
	int fd = memfd_create("dump.rdb", 0);
	struct fixture f;
	char path[64];
	int error;

	assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fixture_open_small(&f);
	table_thread_close(f.t);
	error = snap_load_file(path, "", f.table, result, why);
	f.t = table_thread_open(f.table, true);
	fixture_tick(&f, 0);
	if (error == 0)
		assert_filled(&f, "k", 1, 'v');
	fixture_close(&f);
	close(fd);
	return error;
}

static void test_snap_load_file_good_and_bad(void **state)
{
	static const char good[] = "REDIS0010\0\1k\1v" NEVER_ENDED;
	char why[SNAP_WHY_MAX] = "";
	struct snap_load_result result;
	struct fixture f;

	assert_int_equal(load_file(good, sizeof(good) - 1, &result, why), 0);
	assert_int_equal(result.loaded, 1);
	assert_int_equal(load_file(good, sizeof(good) - 2, &result, why), -EINVAL);
	assert_non_null(strstr(why, "at byte 22: the file ends too early"));
	fixture_open_small(&f);
	assert_int_equal(snap_load_file("/nowhere/dump.rdb", "", f.table, &result, why), -ENOENT);
	assert_int_equal(snap_load_file("/dev/null", "", f.table, &result, why), -EINVAL);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snap_load_keeps_values_of_all_lengths),
		cmocka_unit_test(test_snap_load_leaves_out_what_has_expired),
		cmocka_unit_test(test_snap_load_works_off_what_is_due_in_between),
		cmocka_unit_test(test_snap_load_refuses_a_key_that_comes_twice),
		cmocka_unit_test(test_snap_load_says_what_does_not_fit),
		cmocka_unit_test(test_snap_load_file_good_and_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
