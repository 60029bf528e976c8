/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/clock.h"
#include "ctrl/config/config.h"
#include "tests/unit/dataplane/table/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tables into files and back; what is left of a save that fails. */

#define KEYS 3000

static char folder[] = "/tmp/test_snap_save.XXXXXX";
static char path[64];
static _Atomic bool stop;

static void set_time(struct fixture *f)
{
	f->now_ns = clock_now_ns();
	f->wall_ms = clock_wall_us(f->now_ns) / 1000;
	table_set_time(f->t, f->wall_ms, f->now_ns);
}

static void open_filled(struct fixture *f)
{
	char value[32];

	fixture_open_small(f);
	set_time(f);
	for (uint64_t i = 0; i < KEYS; i++) {
		snprintf(value, sizeof(value), "value of %llu", (unsigned long long)i);
		fixture_set_expiring(f, key_text(i).text, value, i % 2 ? 0 : f->wall_ms + 1000000);
	}
}

static void assert_filled(struct fixture *f)
{
	char value[32];

	assert_int_equal(table_count(f->table), KEYS);
	for (uint64_t i = 0; i < KEYS; i++) {
		struct item *item = fixture_find(f, key_text(i).text);

		snprintf(value, sizeof(value), "value of %llu", (unsigned long long)i);
		assert_non_null(item);
		assert_true(slice_equal(item_value(item), slice_of_text(value)));
		assert_int_equal(item_expire_ms(item) != 0, i % 2 == 0);
	}
}

static int save(struct fixture *f, const char *to, struct snap_save_result *result, char *why)
{
	const struct snap_save_config config = {.path = to,
						.key_file = "",
						.table = f->table,
						.buffer_bytes = 1 << 20,
						.compress = true,
						.stop = &stop};

	// A thread that is registered nowhere does it; this one has no item in hand.
	rcu_offline();
	table_thread_close(f->t);
	int error = snap_save(&config, result, why);

	f->t = table_thread_open(f->table, true);
	assert_non_null(f->t);
	set_time(f);
	return error;
}

static void assert_only(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "test \"$(ls %s)\" = '%s'", folder, name);
	assert_int_equal(system(command), 0); // one thread, a test's own folder
}

static void test_snap_save_is_loaded_again(void **state)
{
	char why[SNAP_WHY_MAX] = "";
	struct snap_load_result loaded;
	struct snap_save_result saved;
	struct fixture f;

	open_filled(&f);
	assert_int_equal(save(&f, path, &saved, why), 0);
	assert_int_equal(saved.keys, KEYS);
	assert_filled(&f);
	fixture_close(&f);
	assert_only("dump.rdb");

	fixture_open_small(&f);
	table_thread_close(f.t);
	assert_int_equal(snap_load_file(path, "", f.table, &loaded, why), 0);
	assert_int_equal(loaded.loaded, KEYS);
	assert_int_equal(loaded.bytes, saved.bytes);
	f.t = table_thread_open(f.table, true);
	set_time(&f);
	assert_filled(&f);
	fixture_close(&f);
	unlink(path);
}

static void test_snap_save_that_fails_leaves_the_file_before(void **state)
{
	char why[SNAP_WHY_MAX] = "", nowhere[80];
	struct snap_save_result saved;
	struct stat before, after;
	struct fixture f;

	open_filled(&f);
	assert_int_equal(save(&f, path, &saved, why), 0);
	assert_int_equal(stat(path, &before), 0);
	atomic_store(&stop, true);
	assert_int_equal(save(&f, path, &saved, why), -ECANCELED);
	assert_string_equal(why, "the appliance stops");
	atomic_store(&stop, false);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_only("dump.rdb");
	snprintf(nowhere, sizeof(nowhere), "%s/none/dump.rdb", folder);
	assert_int_equal(save(&f, nowhere, &saved, why), -ENOENT);
	assert_only("dump.rdb");
	assert_int_equal(save(&f, "/dev/full/dump.rdb", &saved, why), -ENOTDIR);
	fixture_close(&f);
	unlink(path);
}

static uint32_t wakes;

static void count_wake(void *arg)
{
	wakes++;
}

static void test_snap_saver_one_after_the_other(void **state)
{
	struct fixture f;

	open_filled(&f);
	static struct config directives = {.snapshot_buffer = 1 << 20};
	struct snap_saver_config config = {
		.config = &directives,
		.table = f.table,
		.start_ms = 5000,
		.wake = count_wake,
	};

	snprintf(directives.dbfilename, sizeof(directives.dbfilename), "%s", path);
	struct snap_saver *saver = snap_saver_new(&config);
	const struct snap_saver_status *status = snap_saver_status(saver);
	const struct snap_file_status *file = &status->file[SNAP_MAIN];

	assert_non_null(saver);
	assert_int_equal(file->last_ms, 5000);
	rcu_offline();
	assert_int_equal(snap_saver_begin(saver, SNAP_MAIN, 6000), 0);
	assert_int_equal(snap_saver_begin(saver, SNAP_MAIN, 6000), -EINPROGRESS);
	assert_true(status->saving);
	snap_saver_wait(saver, 7000);
	assert_int_equal(wakes, 1);
	assert_false(status->saving || file->failed);
	assert_int_equal(file->saves, 1);
	assert_in_range(file->last_ms, 7000, 17000); // it has waited
	assert_int_equal(file->keys, KEYS);
	uint64_t last_ms = file->last_ms;

	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(snap_saver_begin(saver, SNAP_MAIN, 8000), 0);
	snap_saver_wait(saver, 9000);
	assert_true(file->failed);
	assert_non_null(strstr(file->why, "No such file"));
	assert_int_equal(file->last_ms, last_ms);
	assert_int_equal(snap_saver_begin(saver, SNAP_MAIN, 8000), 0);
	snap_saver_free(saver); // while it is at work
	rcu_online();
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snap_save_is_loaded_again),
		cmocka_unit_test(test_snap_save_that_fails_leaves_the_file_before),
		cmocka_unit_test(test_snap_saver_one_after_the_other),
	};

	clock_init();
	if (rcu_start() != 0 || !mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/dump.rdb", folder);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_stop();
	return failed;
}
