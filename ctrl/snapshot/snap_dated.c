/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_dated.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Called by snap_saver.c: on the control thread for a name and the newest one, on the saving thread
 * when a new one is there.
 */

#define NAME_FORMAT  "wirecache-%Y%m%dT%H%M%SZ.rdb"
#define ASIDE_SUFFIX ".temp" // of snap_save.c
#define FILES_MAX    4096

void snap_dated_name(uint64_t begun_ms, char name[SNAP_DATED_NAME_MAX])
{
	time_t seconds = (time_t)(begun_ms / 1000);
	struct tm day;

	gmtime_r(&seconds, &day);
	if (strftime(name, SNAP_DATED_NAME_MAX, NAME_FORMAT, &day) == 0)
		name[0] = '\0'; // a year of five digits
}

uint64_t snap_dated_parse(const char *name)
{
	char same[SNAP_DATED_NAME_MAX];
	struct tm day = {0};
	const char *end = strptime(name, NAME_FORMAT, &day);
	time_t seconds = end && *end == '\0' ? timegm(&day) : -1;

	if (seconds <= 0)
		return 0;
	snap_dated_name((uint64_t)seconds * 1000, same);
	return strcmp(same, name) == 0 ? (uint64_t)seconds * 1000 : 0;
}

uint64_t snap_dated_newest(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	uint64_t newest_ms = 0;

	while (dir && (entry = readdir(dir))) {
		uint64_t begun_ms = snap_dated_parse(entry->d_name);

		if (begun_ms > newest_ms)
			newest_ms = begun_ms;
	}
	if (dir)
		closedir(dir);
	return newest_ms;
}

/* What a kill has left of a snapshot. */
static bool is_leftover(const char *name)
{
	char whole[SNAP_DATED_NAME_MAX];
	size_t len = strlen(name), suffix = strlen(ASIDE_SUFFIX);

	if (len <= suffix || len - suffix >= sizeof(whole) ||
	    strcmp(name + len - suffix, ASIDE_SUFFIX) != 0)
		return false;
	memcpy(whole, name, len - suffix);
	whole[len - suffix] = '\0';
	return snap_dated_parse(whole) > 0;
}

static int remove_from(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) != 0)
		return -errno;
	log_notice("snapshot: %s is removed", name);
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* Times of the snapshots that are there, newest first. Removes leftovers on the way. */
static uint32_t survey(DIR *dir, uint64_t times_ms[FILES_MAX], int *error)
{
	const struct dirent *entry;
	uint32_t count = 0;

	while ((entry = readdir(dir))) {
		uint64_t begun_ms = snap_dated_parse(entry->d_name);

		if (begun_ms > 0 && count < FILES_MAX)
			times_ms[count++] = begun_ms;
		else if (is_leftover(entry->d_name))
			*error = remove_from(dirfd(dir), entry->d_name);
	}
	qsort(times_ms, count, sizeof(times_ms[0]), newest_first);
	return count;
}

int snap_dated_prune(const char *folder, uint32_t keep)
{
	uint64_t *times_ms = malloc(FILES_MAX * sizeof(*times_ms));
	DIR *dir = times_ms ? opendir(folder) : NULL;
	int error = !times_ms ? -ENOMEM : dir ? 0 : -errno;
	uint32_t count = dir ? survey(dir, times_ms, &error) : 0;

	for (uint32_t i = keep; i < count && error == 0; i++) {
		char name[SNAP_DATED_NAME_MAX];

		snap_dated_name(times_ms[i], name);
		error = remove_from(dirfd(dir), name);
	}
	if (dir)
		closedir(dir);
	free(times_ms);
	return error;
}
