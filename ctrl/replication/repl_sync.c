/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_sync.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/secret.h"
#include "ctrl/snapshot/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * snap_stream.c shows the cut and then makes the bytes; the stream is marked at the cut, so what
 * follows there is exactly what the snapshot lacks (T8, T9). The format is that of a diskless
 * redis: "$EOF:" and 40 random bytes, the RDB file, the same 40 bytes (replication.c, rdb.c).
 */

#define MARK_LEN     40
#define PAUSE_NS     500000
#define MARK_WAIT_NS (10 * NS_PER_S) // a stream that does not get there has a stuck worker

struct repl_sync {
	struct repl_sync_config config;
	pthread_t thread;
	_Atomic bool stop;  // [ctrl w, thread r]
	_Atomic bool ended; // [thread w, ctrl r]
	// The thread's until `ended`.
	struct feed feed;
	uint64_t base_sent[REPL_SYNC_LINKS_MAX]; // of each link, before this
	struct repl_sync_result result;
	char mark[MARK_LEN];
};

static void pause_a_little(void)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	nanosleep(&pause, NULL);
}

/* --- the thread --- */

static bool is_gone(const struct feed_link *link)
{
	return atomic_load_explicit((_Atomic bool *)(uintptr_t)&link->gone, memory_order_acquire);
}

/* Bytes that the slowest replica has yet to take; 0 when all are gone, which `alive` says. */
static uint64_t queued_bytes(const struct repl_sync *sync, bool *alive)
{
	uint64_t most = 0;

	*alive = false;
	for (uint32_t i = 0; i < sync->config.count; i++) {
		const struct feed_link *link = sync->config.links[i];
		uint64_t sent = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&link->sent,
						     memory_order_relaxed);

		if (is_gone(link))
			continue;
		*alive = true;
		uint64_t taken = sent - sync->base_sent[i]; // and a few of the words before it

		if (taken < sync->feed.end && sync->feed.end - taken > most)
			most = sync->feed.end - taken;
	}
	return most;
}

static int write_feed(struct repl_sync *sync, struct slice bytes)
{
	feed_write(&sync->feed, bytes);
	return sync->feed.failed ? -ENOMEM : 0;
}

/* The sink of the snapshot: waits while the slowest replica has enough. */
static int on_bytes(void *arg, const void *bytes, size_t len)
{
	struct repl_sync *sync = arg;
	const uint8_t *at = bytes;
	bool alive = true;

	while (len > 0) {
		uint64_t queued = queued_bytes(sync, &alive);

		if (!alive)
			return -EPIPE;
		if (atomic_load(&sync->stop))
			return -ECANCELED;
		if (queued >= sync->config.queue_bytes) {
			pause_a_little();
			continue;
		}
		uint64_t room = sync->config.queue_bytes - queued;
		size_t some = len < room ? len : room;
		int error = write_feed(sync, slice_of(at, some));

		if (error)
			return error;
		at += some;
		len -= some;
	}
	return 0;
}

static int wait_for_mark(struct repl_sync *sync, struct repl_mark *mark)
{
	uint64_t start_ns = clock_now_ns();

	repl_stream_mark(sync->config.stream, mark);
	while (!repl_stream_marked(sync->config.stream, mark)) {
		struct repl_stream_status status;

		repl_stream_status(sync->config.stream, &status);
		if (status.broken || atomic_load(&sync->stop) ||
		    clock_now_ns() - start_ns > MARK_WAIT_NS) {
			repl_stream_unmark(sync->config.stream, mark);
			// It may have been set just before.
			feed_place_drop(&mark->place);
			return status.broken ? -EPIPE : -ETIME;
		}
		pause_a_little();
	}
	return mark->place.chunk ? 0 : -ENOMEM;
}

static int on_cut(void *arg, uint64_t cut)
{
	struct repl_mark mark = {.version = cut, .selects = true};
	struct repl_sync *sync = arg;
	char text[128];
	int error = wait_for_mark(sync, &mark);

	if (error)
		return error;
	for (uint32_t i = 0; i < sync->config.count; i++)
		sync->config.links[i]->places[2] = feed_place_copy(&mark.place);
	sync->result.offset = mark.offset;
	feed_place_drop(&mark.place);
	snprintf(text, sizeof(text), "+FULLRESYNC %s %llu\r\n$EOF:%.*s\r\n", sync->config.id,
		 (unsigned long long)sync->result.offset, MARK_LEN, sync->mark);
	return write_feed(sync, slice_of_text(text));
}

static int run(struct repl_sync *sync)
{
	const struct snap_stream_config stream = {
		.table = sync->config.table,
		.buffer_bytes = sync->config.buffer_bytes,
		.compress = sync->config.compress,
		.stop = &sync->stop,
		.on_cut = on_cut,
		.sink = on_bytes,
		.arg = sync,
	};
	struct snap_save_result saved;
	int error = snap_stream(&stream, &saved);

	if (error == 0)
		error = write_feed(sync, slice_of(sync->mark, MARK_LEN));
	sync->result.keys = saved.keys;
	sync->result.bytes = saved.bytes;
	return error;
}

static void *sync_main(void *arg)
{
	struct repl_sync *sync = arg;
	uint64_t start_ns = clock_now_ns();

	sync->result.error = run(sync);
	sync->result.took_ns = clock_now_ns() - start_ns;
	// A snapshot that is not whole must not be followed by the stream.
	for (uint32_t i = 0; i < sync->config.count && sync->result.error; i++)
		feed_place_drop(&sync->config.links[i]->places[2]);
	feed_end(&sync->feed);
	feed_fini(&sync->feed);
	atomic_store(&sync->ended, true);
	sync->config.wake(sync->config.wake_arg);
	return NULL;
}

/* --- the control thread --- */

static void make_mark(char mark[MARK_LEN])
{
	uint8_t bytes[MARK_LEN / 2];

	secret_fill(bytes, sizeof(bytes));
	for (uint32_t i = 0; i < MARK_LEN; i++)
		mark[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 4 : 0) & 15];
}

static bool place_links(struct repl_sync *sync)
{
	for (uint32_t i = 0; i < sync->config.count; i++) {
		struct feed_link *link = sync->config.links[i];

		sync->base_sent[i] = atomic_load(&link->sent);
		if (!feed_place_at(&sync->feed, 0, &link->places[1]))
			return false;
	}
	return true;
}

struct repl_sync *repl_sync_begin(const struct repl_sync_config *config)
{
	struct repl_sync *sync = calloc(1, sizeof(*sync));
	sigset_t all, before;
	bool good;

	if (!sync)
		return NULL;
	sync->config = *config;
	feed_init(&sync->feed, 0, 0);
	make_mark(sync->mark);
	good = place_links(sync);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	good = good && pthread_create(&sync->thread, NULL, sync_main, sync) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (good) {
		pthread_setname_np(sync->thread, "synchronise");
		return sync;
	}
	for (uint32_t i = 0; i < config->count; i++)
		feed_place_drop(&config->links[i]->places[1]);
	feed_fini(&sync->feed);
	free(sync);
	return NULL;
}

bool repl_sync_ended(struct repl_sync *sync, struct repl_sync_result *result)
{
	if (!atomic_load(&sync->ended))
		return false;
	pthread_join(sync->thread, NULL);
	*result = sync->result;
	free(sync);
	return true;
}

void repl_sync_free(struct repl_sync *sync)
{
	if (!sync)
		return;
	atomic_store(&sync->stop, true);
	pthread_join(sync->thread, NULL);
	free(sync);
}
