/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "ctrl/snapshot/snap_seal.h"
#include "dataplane/table/table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * RDB file -> table: rdb_read.c says what stands in the file, this one commits it key by key, with
 * the table's upkeep in between. Called by appliance.c between the table's start and the workers'.
 */

#define KEYS_PER_TICK 1024
#define UPKEEP_NS     200000
#define ITEM_BYTES    64 // beyond key and value, for the limit
#define PROGRESS_NS   NS_PER_S

/* --- a key --- */

static bool new_blob(struct table_thread *t, struct slice value, struct blob **blob)
{
	*blob = NULL;
	if (value.len <= ITEM_VALUE_INLINE_MAX)
		return true;
	*blob = table_blob_new(t, value.len);
	if (!*blob)
		return false;
	memcpy((*blob)->bytes, value.ptr, value.len);
	(*blob)->len = value.len;
	return true;
}

static int commit(struct table *table, struct table_thread *t, const struct rdb_pair *pair)
{
	struct table_change change = {.key = table_key(table, pair->key), .expected = TABLE_ABSENT};
	struct item_spec spec = {
		.key = pair->key,
		.value = pair->value,
		.expire_ms = pair->expires ? (uint64_t)pair->expire_ms : 0,
		.mc_flags = pair->mc_flags,
	};

	if (!table_reserve(t, pair->key.len + pair->value.len + ITEM_BYTES) ||
	    !new_blob(t, pair->value, &spec.blob))
		return -ENOMEM;
	change.item = table_item_new(t, &spec);
	if (!change.item) {
		blob_unref(spec.blob);
		return -ENOMEM;
	}
	enum table_status status = table_restore_one(t, &change, pair->mc_unique);

	if (status == TABLE_OK)
		return 0;
	table_item_discard(t, change.item);
	return status == TABLE_CONFLICT ? -EEXIST : -ENOMEM;
}

static int say_why(const struct rdb_reader *reader, const struct rdb_pair *pair, int error,
		   char *why)
{
	char key[RDB_KEY_SHOWN + 1];

	rdb_key_text(pair->key, key);
	if (error == -EEXIST) {
		snprintf(why, SNAP_WHY_MAX, "before byte %" PRIu64 ": key \"%s\" comes twice",
			 reader->offset, key);
		return -EINVAL;
	}
	snprintf(why, SNAP_WHY_MAX,
		 "before byte %" PRIu64 ": there is no room under maxmemory from key \"%s\" on",
		 reader->offset, key);
	return error;
}

int snap_load(struct rdb_reader *reader, const struct snap_load_config *config,
	      struct snap_load_result *result, char why[SNAP_WHY_MAX])
{
	enum rdb_result found;
	struct rdb_pair pair;
	uint64_t count = 0;
	int error = 0;

	*result = (struct snap_load_result){0};
	while ((found = rdb_next(reader, &pair)) == RDB_PAIR) {
		if (count++ % KEYS_PER_TICK == 0) {
			(void)table_housekeep(config->t, UPKEEP_NS);
			rcu_quiescent();
			config->tick(config->tick_arg, reader, result);
		}
		if (pair.expires && pair.expire_ms <= (int64_t)config->wall_ms) {
			result->expired++;
			continue;
		}
		error = commit(config->table, config->t, &pair);
		if (error)
			return say_why(reader, &pair, error, why);
		result->loaded++;
	}
	result->libraries = reader->libraries;
	result->bytes = reader->offset;
	if (found == RDB_DONE)
		return 0;
	snprintf(why, SNAP_WHY_MAX, "%s", reader->why);
	return -EINVAL;
}

/* --- a file --- */

struct loading {
	const char *path, *key_file;
	int fd;
	struct snap_unseal *unseal; // NULL: it is not sealed
	bool refused;               // by the seal
	struct table_thread *t;
	uint64_t file_bytes, said_ns;
};

static void set_time(struct table_thread *t, uint64_t now_ns)
{
	table_set_time(t, clock_wall_us(now_ns) / 1000, now_ns);
}

static void on_tick(void *arg, const struct rdb_reader *reader,
		    const struct snap_load_result *result)
{
	struct loading *loading = arg;
	uint64_t now_ns = clock_now_ns();

	set_time(loading->t, now_ns);
	if (now_ns - loading->said_ns < PROGRESS_NS)
		return;
	loading->said_ns = now_ns;
	log_notice("loading %s: %" PRIu64 " of %" PRIu64 " MiB, %" PRIu64 " keys", loading->path,
		   reader->offset >> 20, loading->file_bytes >> 20, result->loaded);
}

static ssize_t read_file(void *arg, void *to, size_t len)
{
	const struct loading *loading = arg;
	ssize_t got;

	do
		got = read(loading->fd, to, len);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t read_sealed(void *arg, void *to, size_t len)
{
	struct loading *loading = arg;
	ssize_t got = snap_unseal_read(loading->unseal, to, len);

	loading->refused |= got == -EBADMSG;
	return got;
}

/* Looks whether the file is sealed; if so, there has to be a key. */
static int start_reader(struct loading *loading, struct rdb_reader *reader, char *why)
{
	uint8_t start[SNAP_SEAL_MAGIC_BYTES];
	ssize_t len = pread(loading->fd, start, sizeof(start), 0);
	struct snap_key key;
	int error;

	if (len < 0 || !snap_is_sealed(start, (size_t)len))
		return rdb_reader_init(reader, read_file, loading, ITEM_KEY_MAX, ITEM_VALUE_MAX);
	if (loading->key_file[0] == '\0') {
		snprintf(why, SNAP_WHY_MAX, "is sealed: see --snapshot-key-file");
		return -ENOKEY;
	}
	error = snap_key_read(loading->key_file, &key, why);
	if (error)
		return error;
	loading->unseal = snap_unseal_new(&key, read_file, loading);
	snap_key_forget(&key);
	if (!loading->unseal)
		return -ENOMEM;
	return rdb_reader_init(reader, read_sealed, loading, ITEM_KEY_MAX, ITEM_VALUE_MAX);
}

static int load_pairs(struct loading *loading, struct rdb_reader *reader, struct table *table,
		      struct snap_load_result *result, char *why)
{
	const struct snap_load_config config = {
		.table = table,
		.t = loading->t,
		.wall_ms = clock_wall_us(clock_now_ns()) / 1000,
		.tick = on_tick,
		.tick_arg = loading,
	};
	int error;

	set_time(loading->t, clock_now_ns());
	error = snap_load(reader, &config, result, why);
	if (loading->refused)
		snprintf(why, SNAP_WHY_MAX,
			 "is sealed with another key, or damaged before byte %" PRIu64
			 " of its content",
			 reader->offset + RDB_BUFFER_BYTES);
	return error;
}

static int load_opened(struct loading *loading, struct table *table,
		       struct snap_load_result *result, char *why)
{
	uint64_t start_ns = clock_now_ns();
	struct rdb_reader reader;
	int error;

	loading->t = table_thread_open(table, true);
	loading->said_ns = start_ns;
	error = loading->t ? start_reader(loading, &reader, why) : -ENOMEM;
	if (error == 0) {
		error = load_pairs(loading, &reader, table, result, why);
		rdb_reader_fini(&reader);
	} else if (why[0] == '\0') {
		snprintf(why, SNAP_WHY_MAX, "%s", strerror(-error));
	}
	snap_unseal_free(loading->unseal);
	if (loading->t)
		table_thread_close(loading->t);
	if (error == 0)
		log_notice("loaded %s: %" PRIu64 " keys in %.1f s, %" PRIu64 " had expired",
			   loading->path, result->loaded,
			   (double)(clock_now_ns() - start_ns) / NS_PER_S, result->expired);
	if (error == 0 && result->libraries > 0)
		log_warning("%s: %u function libraries are left out, as there are no functions",
			    loading->path, result->libraries);
	return error;
}

int snap_load_file(const char *path, const char *key_file, struct table *table,
		   struct snap_load_result *result, char why[SNAP_WHY_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // of a pipe nobody may write
	struct loading loading = {.path = path, .key_file = key_file, .fd = fd};
	struct stat stat;
	int error;

	why[0] = '\0';
	if (fd < 0 || fstat(fd, &stat) != 0) {
		error = -errno;
		snprintf(why, SNAP_WHY_MAX, "%s", strerror(-error));
	} else if (!S_ISREG(stat.st_mode)) {
		error = -EINVAL;
		snprintf(why, SNAP_WHY_MAX, "is not a file");
	} else {
		loading.file_bytes = (uint64_t)stat.st_size;
		error = load_opened(&loading, table, result, why);
	}
	if (fd >= 0)
		close(fd);
	return error;
}
