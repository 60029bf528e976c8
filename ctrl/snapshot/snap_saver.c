/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/*
 * Who asks for a snapshot (host.c), the thread that makes it (snap_save.c), and what became of it
 * (INFO). The result belongs to the saving thread until `ended` is set, then to the control thread.
 */

struct snap_saver {
	struct snap_saver_config config; // [const]
	struct snap_saver_status status; // [ctrl]
	pthread_t thread;                // [ctrl]
	_Atomic bool stop;               // [ctrl w, saver r]
	_Atomic bool ended;              // [saver w, ctrl r]
	struct snap_save_result result;
	int error;
	char why[SNAP_WHY_MAX];
};

struct snap_saver *snap_saver_new(const struct snap_saver_config *config)
{
	struct snap_saver *saver = calloc(1, sizeof(*saver));

	if (!saver)
		return NULL;
	saver->config = *config;
	saver->config.save.stop = &saver->stop;
	saver->status.last_ms = config->start_ms;
	return saver;
}

static void *saver_main(void *arg)
{
	struct snap_saver *saver = arg;

	saver->error = snap_save(&saver->config.save, &saver->result, saver->why);
	atomic_store(&saver->ended, true);
	saver->config.wake(saver->config.wake_arg);
	return NULL;
}

int snap_saver_begin(struct snap_saver *saver, uint64_t now_ms)
{
	sigset_t all, before;
	int error;

	if (saver->status.saving)
		return -EINPROGRESS;
	atomic_store(&saver->ended, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	error = pthread_create(&saver->thread, NULL, saver_main, saver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(saver->thread, "snapshot");
	saver->status.saving = true;
	saver->status.begun_ms = now_ms;
	log_notice("snapshot: writing %s", saver->config.save.path);
	return 0;
}

static void note_end(struct snap_saver *saver, uint64_t now_ms)
{
	struct snap_saver_status *status = &saver->status;

	status->saving = false;
	status->failed = saver->error != 0;
	status->took_ns = saver->result.took_ns;
	status->peak_bytes = saver->result.peak_bytes;
	if (saver->error) {
		memcpy(status->why, saver->why, sizeof(status->why));
		log_warning("snapshot: %s is not written: %s", saver->config.save.path, saver->why);
		return;
	}
	status->saves++;
	status->last_ms = now_ms;
	status->keys = saver->result.keys;
	status->bytes = saver->result.bytes;
	log_notice("snapshot: %s has %" PRIu64 " keys, %" PRIu64 " MiB, after %.1f s",
		   saver->config.save.path, status->keys, status->bytes >> 20,
		   (double)status->took_ns / 1e9);
}

void snap_saver_wait(struct snap_saver *saver, uint64_t now_ms)
{
	if (!saver->status.saving)
		return;
	pthread_join(saver->thread, NULL);
	note_end(saver, now_ms);
}

void snap_saver_turn(struct snap_saver *saver, uint64_t now_ms)
{
	if (atomic_load(&saver->ended))
		snap_saver_wait(saver, now_ms);
}

const struct snap_saver_status *snap_saver_status(const struct snap_saver *saver)
{
	return &saver->status;
}

void snap_saver_free(struct snap_saver *saver)
{
	if (!saver)
		return;
	atomic_store(&saver->stop, true);
	snap_saver_wait(saver, saver->status.begun_ms);
	free(saver);
}
