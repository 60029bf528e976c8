/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/clock.h"
#include "ctrl/snapshot/snap_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Snapshot -> file: snap_stream.c makes the bytes, snap_seal.c may seal them, this one sees to the
 * file. Called on a thread of its own (snap_saver.c), which may wait for the disk.
 */

#define PATH_BYTES_MAX 4096

struct file {
	int fd;
	struct snap_seal *seal; // NULL: none
};

static int write_all(void *arg, const void *bytes, size_t len)
{
	const struct file *file = arg;
	const uint8_t *at = bytes;

	while (len > 0) {
		ssize_t put = write(file->fd, at, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		len -= (size_t)put;
	}
	return 0;
}

static int start_seal(struct file *file, const char *key_file, char *why)
{
	struct snap_key key;
	int error;

	if (key_file[0] == '\0')
		return 0;
	error = snap_key_read(key_file, &key, why);
	if (error)
		return error;
	file->seal = snap_seal_new(&key, write_all, file);
	snap_key_forget(&key);
	return file->seal ? 0 : -ENOMEM;
}

static int write_file(struct file *file, const struct snap_save_config *config,
		      struct snap_save_result *result, char *why)
{
	int error = start_seal(file, config->key_file, why);

	if (error)
		return error;
	const struct snap_stream_config stream = {
		.table = config->table,
		.buffer_bytes = config->buffer_bytes,
		.compress = config->compress,
		.memcached = config->memcached,
		.stop = config->stop,
		.progress = config->progress,
		.sink = file->seal ? snap_seal_write : write_all,
		.arg = file->seal ? (void *)file->seal : file,
	};

	error = snap_stream(&stream, result);
	if (error == 0 && file->seal)
		error = snap_seal_end(file->seal);
	snap_seal_free(file->seal);
	if (error == 0 && fsync(file->fd) != 0)
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

int snap_save(const struct snap_save_config *config, struct snap_save_result *result,
	      char why[SNAP_WHY_MAX])
{
	uint64_t start_ns = clock_now_ns();
	struct file file = {.fd = -1};
	char aside[PATH_BYTES_MAX];
	int error = 0;

	*result = (struct snap_save_result){0};
	why[0] = '\0';
	// Always the same name: what a kill leaves is overwritten by the next save.
	if (snprintf(aside, sizeof(aside), "%s.temp", config->path) >= (int)sizeof(aside))
		error = -ENAMETOOLONG;
	if (error == 0)
		file.fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (error == 0 && file.fd < 0)
		error = -errno;
	if (error == 0)
		error = write_file(&file, config, result, why);
	if (file.fd >= 0 && close(file.fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(aside, config->path) != 0)
		error = -errno;
	if (error == 0)
		error = sync_folder(config->path);
	else if (file.fd >= 0)
		unlink(aside);
	result->took_ns = clock_now_ns() - start_ns;
	if (error)
		snap_say_why(error, why);
	return error;
}
