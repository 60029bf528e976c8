/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "ctrl/snapshot/rdb_write.h"
#include "dataplane/table/snapshot.h"
#include "dataplane/table/table.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Table -> RDB file: dataplane/table/snapshot.c shows the items, rdb_write.c encodes them, this one
 * sees to the file. A thread of its own runs it, which may wait for the disk: while it does, what
 * writers displace waits in the snapshot's buffer.
 */

#define PATH_BYTES_MAX 4096
#define WAIT_NS        1000000
#define BEGIN_TRIES    100 // each late once in a while, when the machine takes the core away

struct saving {
	const struct snap_save_config *config;
	struct snap_save_result *result;
	struct table_thread *t;
	struct rdb_writer writer;
	int fd;
};

static void set_time(struct table_thread *t)
{
	uint64_t now_ns = clock_now_ns();

	table_set_time(t, clock_wall_us(now_ns) / 1000, now_ns);
}

static void wait_offline(void)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};

	rcu_offline();
	nanosleep(&pause, NULL);
	rcu_online();
}

static int write_all(void *arg, const void *bytes, size_t len)
{
	const struct saving *saving = arg;
	const uint8_t *at = bytes;

	while (len > 0) {
		ssize_t put = write(saving->fd, at, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		len -= (size_t)put;
	}
	return 0;
}

static void on_item(void *arg, const struct item *item)
{
	struct saving *saving = arg;

	if (saving->config->memcached)
		rdb_write_memcached(&saving->writer, item_version(item), item_mc_flags(item));
	rdb_write_pair(&saving->writer, item_key(item), item_value(item), item_expire_ms(item));
	saving->result->keys++;
}

/* The cut has to be ahead of all clocks when it is shown, and now and then we are too slow. */
static struct table_snapshot *begin(struct saving *saving, int *error)
{
	for (uint32_t i = 0; i < BEGIN_TRIES; i++) {
		struct table_snapshot *s = table_snapshot_begin(saving->t, clock_now_ns(),
								saving->config->buffer_bytes);

		*error = s ? 0 : -ENOMEM;
		if (!s || table_snapshot_confirm(s, clock_now_ns()))
			return s;
		while (table_snapshot_step(s, saving->t, NULL, NULL) != TABLE_SNAPSHOT_FAILED) {
			wait_offline();
			set_time(saving->t);
		}
		table_snapshot_end(s, saving->t);
	}
	*error = -ETIME;
	return NULL;
}

static int error_of(enum table_snapshot_failure failure)
{
	switch (failure) {
	case TABLE_SNAPSHOT_GOOD:
		return 0;
	case TABLE_SNAPSHOT_FLUSHED:
		return -EAGAIN;
	case TABLE_SNAPSHOT_OVERFLOW:
		return -ENOBUFS;
	case TABLE_SNAPSHOT_CANCELLED:
		return -ECANCELED;
	case TABLE_SNAPSHOT_LATE:
		break;
	}
	return -ETIME;
}

static int write_items(struct saving *saving)
{
	enum table_snapshot_state state;
	struct table_snapshot *s;
	int error;

	set_time(saving->t);
	s = begin(saving, &error);
	if (!s)
		return error;
	do {
		if (atomic_load(saving->config->stop) || saving->writer.error)
			table_snapshot_cancel(s);
		state = table_snapshot_step(s, saving->t, on_item, saving);
		if (state == TABLE_SNAPSHOT_WAITS)
			wait_offline();
		rcu_quiescent();
		set_time(saving->t);
	} while (state == TABLE_SNAPSHOT_WAITS || state == TABLE_SNAPSHOT_GOES_ON);
	saving->result->peak_bytes = table_snapshot_peak_bytes(s);
	error = error_of(table_snapshot_failure(s));
	table_snapshot_end(s, saving->t);
	return saving->writer.error ? saving->writer.error : error;
}

static int write_file(struct saving *saving)
{
	struct table_stats stats;
	int error = rdb_writer_init(&saving->writer, write_all, saving, saving->config->compress);

	if (error)
		return error;
	saving->t = table_thread_open(saving->config->table, false);
	table_stats(saving->config->table, &stats);
	rdb_write_header(&saving->writer, clock_wall_us(clock_now_ns()) / 1000000, stats.items,
			 stats.items_with_expiry);
	error = saving->t ? write_items(saving) : -ENOMEM;
	table_thread_close(saving->t);
	if (error == 0)
		error = rdb_write_end(&saving->writer);
	saving->result->bytes = saving->writer.bytes;
	rdb_writer_fini(&saving->writer);
	if (error == 0 && fsync(saving->fd) != 0)
		error = -errno;
	return error;
}

/* That the file has its name is on the disk only when its folder is. */
static int sync_folder(const char *path)
{
	char copy[PATH_BYTES_MAX];
	int fd, error = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static void say_why(int error, char *why)
{
	const char *text = strerror(-error);

	if (error == -EAGAIN)
		text = "all keys were deleted meanwhile";
	else if (error == -ENOBUFS)
		text = "more was written meanwhile than snapshot-buffer holds";
	else if (error == -ECANCELED)
		text = "the appliance stops";
	snprintf(why, SNAP_WHY_MAX, "%s", text);
}

int snap_save(const struct snap_save_config *config, struct snap_save_result *result,
	      char why[SNAP_WHY_MAX])
{
	struct saving saving = {.config = config, .result = result, .fd = -1};
	uint64_t start_ns = clock_now_ns();
	char aside[PATH_BYTES_MAX];
	int error = 0;

	*result = (struct snap_save_result){0};
	// Always the same name: what a kill leaves is overwritten by the next save.
	if (snprintf(aside, sizeof(aside), "%s.temp", config->path) >= (int)sizeof(aside))
		error = -ENAMETOOLONG;
	if (error == 0)
		saving.fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (error == 0 && saving.fd < 0)
		error = -errno;
	if (error == 0)
		error = write_file(&saving);
	if (saving.fd >= 0 && close(saving.fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(aside, config->path) != 0)
		error = -errno;
	if (error == 0)
		error = sync_folder(config->path);
	else if (saving.fd >= 0)
		unlink(aside);
	result->took_ns = clock_now_ns() - start_ns;
	if (error)
		say_why(error, why);
	return error;
}
