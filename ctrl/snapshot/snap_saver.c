/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/log.h"
#include "ctrl/config/config.h"
#include "ctrl/snapshot/snap_dated.h"
#include "ctrl/snapshot/snap_plan.h"
#include "dataplane/table/table.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * Who asks for a snapshot (host.c, the plan), the thread that makes it (snap_save.c), and what
 * became of it (INFO, metrics). What is between `job` and `ended` belongs to the saving thread
 * until `ended` is set, then to the control thread.
 */

#define WAIT_NS 5000000

struct job {
	struct snap_save_config save;
	enum snap_kind kind;
	uint64_t changes; // of the table when it was begun
	uint32_t keep;    // dated ones
	char folder[CONFIG_TEXT_MAX], key_file[CONFIG_TEXT_MAX];
	char path[CONFIG_TEXT_MAX + SNAP_DATED_NAME_MAX + 1];
	struct snap_save_result result;
	int error;
	char why[SNAP_WHY_MAX];
};

struct snap_saver {
	struct snap_saver_config config; // [const]
	struct snap_saver_status status; // [ctrl]
	pthread_t thread;                // [ctrl]
	struct job job;
	struct snap_progress progress; // [saver w, ctrl r]
	_Atomic bool stop;             // [ctrl w, saver r]
	_Atomic bool ended;            // [saver w, ctrl r]
};

struct snap_saver *snap_saver_new(const struct snap_saver_config *config)
{
	struct snap_saver *saver = calloc(1, sizeof(*saver));
	struct table_stats stats;

	if (!saver)
		return NULL;
	table_stats(config->table, &stats);
	saver->config = *config;
	saver->status.changes_saved = stats.changes; // by what has been loaded
	saver->status.file[SNAP_MAIN].last_ms = config->start_ms;
	saver->status.file[SNAP_DATED].last_ms = snap_dated_newest(config->config->snapshot_dir);
	return saver;
}

/* --- the saving thread --- */

static void save_dated(struct job *job)
{
	if (mkdir(job->folder, 0750) != 0 && errno != EEXIST) {
		job->error = -errno;
		snprintf(job->why, sizeof(job->why), "%s: %s", job->folder, strerror(errno));
		return;
	}
	job->error = snap_save(&job->save, &job->result, job->why);
	if (job->error)
		return;
	int error = snap_dated_prune(job->folder, job->keep);

	if (error)
		log_warning("snapshot: old ones cannot be removed from %s: %s", job->folder,
			    strerror(-error));
}

static void *saver_main(void *arg)
{
	struct snap_saver *saver = arg;
	struct job *job = &saver->job;

	if (job->kind == SNAP_DATED)
		save_dated(job);
	else
		job->error = snap_save(&job->save, &job->result, job->why);
	atomic_store(&saver->ended, true);
	saver->config.wake(saver->config.wake_arg);
	return NULL;
}

/* --- the control thread --- */

static void prepare_job(struct snap_saver *saver, enum snap_kind kind, uint64_t now_ms)
{
	const struct config *config = saver->config.config;
	struct job *job = &saver->job;
	char name[SNAP_DATED_NAME_MAX];
	struct table_stats stats;

	table_stats(saver->config.table, &stats);
	*job = (struct job){
		.save = {.path = job->path,
			 .key_file = job->key_file,
			 .table = saver->config.table,
			 .buffer_bytes = config->snapshot_buffer,
			 .compress = config->rdbcompression,
			 .memcached = config->snapshot_memcached,
			 .stop = &saver->stop,
			 .progress = &saver->progress},
		.kind = kind,
		.changes = stats.changes,
		.keep = (uint32_t)config->snapshot_retention,
	};
	snprintf(job->key_file, sizeof(job->key_file), "%s", config->snapshot_key_file);
	snprintf(job->folder, sizeof(job->folder), "%s", config->snapshot_dir);
	if (kind == SNAP_DATED) {
		snap_dated_name(now_ms, name);
		snprintf(job->path, sizeof(job->path), "%s/%s", config->snapshot_dir, name);
	} else {
		snprintf(job->path, sizeof(job->path), "%s", config->dbfilename);
	}
}

int snap_saver_begin(struct snap_saver *saver, enum snap_kind kind, uint64_t now_ms)
{
	sigset_t all, before;
	int error;

	if (saver->status.saving)
		return -EINPROGRESS;
	prepare_job(saver, kind, now_ms);
	counter_set(&saver->progress.passed, 0);
	counter_set(&saver->progress.buckets, 0);
	atomic_store(&saver->ended, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	error = pthread_create(&saver->thread, NULL, saver_main, saver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(saver->thread, "snapshot");
	saver->status.saving = true;
	saver->status.kind = kind;
	saver->status.file[kind].tried_ms = now_ms;
	log_notice("snapshot: writing %s", saver->job.path);
	return 0;
}

static void note_end(struct snap_saver *saver, uint64_t now_ms)
{
	const struct job *job = &saver->job;
	struct snap_file_status *file = &saver->status.file[job->kind];

	saver->status.saving = false;
	file->failed = job->error != 0;
	file->took_ns = job->result.took_ns;
	file->peak_bytes = job->result.peak_bytes;
	if (job->error) {
		file->failures++;
		memcpy(file->why, job->why, sizeof(file->why));
		log_warning("snapshot: %s is not written: %s", job->path, job->why);
		return;
	}
	file->saves++;
	file->last_ms = now_ms;
	file->keys = job->result.keys;
	file->bytes = job->result.bytes;
	if (job->kind == SNAP_MAIN)
		saver->status.changes_saved = job->changes;
	log_notice("snapshot: %s has %" PRIu64 " keys, %" PRIu64 " MiB, after %.1f s", job->path,
		   file->keys, file->bytes >> 20, (double)file->took_ns / 1e9);
}

static void join(struct snap_saver *saver, uint64_t now_ms)
{
	pthread_join(saver->thread, NULL);
	note_end(saver, now_ms);
}

static bool signal_is_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

void snap_saver_wait(struct snap_saver *saver, uint64_t now_ms)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	uint64_t waited_ns = 0;

	if (!saver->status.saving)
		return;
	for (; !atomic_load(&saver->ended); waited_ns += WAIT_NS) {
		if (signal_is_pending())
			atomic_store(&saver->stop, true);
		nanosleep(&pause, NULL);
	}
	join(saver, now_ms + waited_ns / 1000000);
	atomic_store(&saver->stop, false);
}

void snap_saver_turn(struct snap_saver *saver, uint64_t now_ms)
{
	if (saver->status.saving && atomic_load(&saver->ended))
		join(saver, now_ms);
}

void snap_saver_tick(struct snap_saver *saver, uint64_t now_ms)
{
	struct table_stats stats;
	enum snap_kind kind;
	int error;

	table_stats(saver->config.table, &stats);
	if (!snap_plan(saver->config.config, &saver->status,
		       stats.changes - saver->status.changes_saved, now_ms, &kind))
		return;
	error = snap_saver_begin(saver, kind, now_ms);
	if (error)
		log_warning("snapshot: cannot be begun: %s", strerror(-error));
}

const struct snap_saver_status *snap_saver_status(struct snap_saver *saver)
{
	saver->status.buckets_passed = counter_read(&saver->progress.passed);
	saver->status.buckets = counter_read(&saver->progress.buckets);
	return &saver->status;
}

void snap_saver_free(struct snap_saver *saver)
{
	if (!saver)
		return;
	atomic_store(&saver->stop, true);
	if (saver->status.saving)
		join(saver, saver->status.file[saver->status.kind].tried_ms);
	free(saver);
}
