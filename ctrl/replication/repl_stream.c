/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_stream.h"

#include "base/log.h"
#include "ctrl/replication/repl_encode.h"
#include "dataplane/table/effects.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/*
 * Workers' rings -> stream_main() -> feed -> workers, who send it (worker_feed.c). The lock is
 * held for some hundred effects at a time; no worker takes it.
 */

#define EFFECTS_PER_TURN 256
#define PAUSE_NS         100000 // when all has been merged: looking is work for workers' caches

struct repl_stream {
	struct repl_stream_config config; // [const]
	struct table_effects *effects;    // [const] the thread's alone
	pthread_t thread;
	_Atomic bool stop;
	_Atomic uint32_t callers; // who want the lock, and get it before the next turn
	pthread_mutex_t lock;     // all that follows
	struct feed feed;
	struct repl_encoder encoder;
	struct repl_mark *marks;
	bool broken;
};

/* --- marks, under the lock --- */

static void set_mark(struct repl_stream *stream, struct repl_mark *mark)
{
	static const struct slice select[] = {SLICE_LITERAL("SELECT"), SLICE_LITERAL("0")};

	mark->offset = stream->feed.end;
	if (!feed_place_at(&stream->feed, mark->offset, &mark->place))
		mark->place = (struct feed_place){0};
	if (mark->selects)
		repl_encode_words(&stream->feed, select, ARRAY_COUNT(select));
	mark->set = true;
}

/* Those that all that is in the stream comes before; the next change has `version` at least. */
static void set_marks(struct repl_stream *stream, uint64_t version)
{
	struct repl_mark **at = &stream->marks;

	while (*at) {
		struct repl_mark *mark = *at;

		if (mark->version > version) {
			at = &mark->next;
			continue;
		}
		*at = mark->next;
		set_mark(stream, mark);
	}
}

/* --- the thread --- */

static void break_off(struct repl_stream *stream)
{
	stream->broken = true;
	log_warning(
		"replication: more was written than repl-log-size holds, or there is no memory: "
		"replicas will be synchronised anew");
}

/* Under the lock. True: there is more. */
static bool merge_some(struct repl_stream *stream)
{
	struct table_effect effect;

	if (stream->broken)
		return false;
	for (uint32_t i = 0; i < EFFECTS_PER_TURN || stream->encoder.in_transaction; i++) {
		switch (table_effects_next(stream->effects, &effect)) {
		case TABLE_EFFECTS_ONE:
			if (!stream->encoder.in_transaction)
				set_marks(stream, effect.version);
			repl_encode(&stream->encoder, &stream->feed, &effect);
			break;
		case TABLE_EFFECTS_NONE:
			set_marks(stream, table_effects_read(stream->effects) + 1);
			return false;
		case TABLE_EFFECTS_BROKEN:
			break_off(stream);
			return false;
		}
	}
	if (stream->feed.failed)
		break_off(stream);
	return true;
}

static void *stream_main(void *arg)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct repl_stream *stream = arg;

	while (!atomic_load(&stream->stop)) {
		pthread_mutex_lock(&stream->lock);
		bool more = merge_some(stream);

		pthread_mutex_unlock(&stream->lock);
		if (!more || atomic_load(&stream->callers) > 0)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* --- begin and end --- */

static bool start_thread(struct repl_stream *stream)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	error = pthread_create(&stream->thread, NULL, stream_main, stream);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_setname_np(stream->thread, "replication");
	return error == 0;
}

struct repl_stream *repl_stream_new(const struct repl_stream_config *config)
{
	struct repl_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->config = *config;
	pthread_mutex_init(&stream->lock, NULL);
	feed_init(&stream->feed, config->start_offset, config->backlog_bytes);
	stream->effects = table_effects_begin(config->table, config->log_bytes);
	if (stream->effects && start_thread(stream))
		return stream;
	table_effects_end(stream->effects);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
	return NULL;
}

void repl_stream_free(struct repl_stream *stream)
{
	if (!stream)
		return;
	atomic_store(&stream->stop, true);
	pthread_join(stream->thread, NULL);
	table_effects_end(stream->effects);
	feed_end(&stream->feed);
	feed_fini(&stream->feed);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

/* --- others --- */

static void enter(struct repl_stream *stream)
{
	atomic_fetch_add(&stream->callers, 1);
	pthread_mutex_lock(&stream->lock);
}

static void leave(struct repl_stream *stream)
{
	pthread_mutex_unlock(&stream->lock);
	atomic_fetch_sub(&stream->callers, 1);
}

void repl_stream_status(struct repl_stream *stream, struct repl_stream_status *status)
{
	enter(stream);
	*status = (struct repl_stream_status){
		.broken = stream->broken,
		.start = feed_start(&stream->feed),
		.end = stream->feed.end,
		.waiting_bytes = table_effects_waiting_bytes(stream->effects),
	};
	leave(stream);
}

void repl_stream_keep(struct repl_stream *stream, uint64_t bytes)
{
	enter(stream);
	stream->feed.keep_bytes = bytes;
	leave(stream);
}

/* Never within a transaction: the thread holds the lock for all of one. */
void repl_stream_append(struct repl_stream *stream, const struct slice *words, uint32_t count)
{
	enter(stream);
	repl_encode_words(&stream->feed, words, count);
	leave(stream);
}

bool repl_stream_place(struct repl_stream *stream, uint64_t offset, struct feed_place *place)
{
	enter(stream);
	bool found = !stream->broken && feed_place_at(&stream->feed, offset, place);

	leave(stream);
	return found;
}

void repl_stream_mark(struct repl_stream *stream, struct repl_mark *mark)
{
	enter(stream);
	mark->set = false;
	mark->next = stream->marks;
	stream->marks = mark;
	leave(stream);
}

bool repl_stream_marked(struct repl_stream *stream, const struct repl_mark *mark)
{
	enter(stream);
	bool set = mark->set;

	leave(stream);
	return set;
}

void repl_stream_unmark(struct repl_stream *stream, struct repl_mark *mark)
{
	enter(stream);
	for (struct repl_mark **at = &stream->marks; *at; at = &(*at)->next) {
		if (*at == mark) {
			*at = mark->next;
			break;
		}
	}
	leave(stream);
}
