/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/watch/watch.h"

#include "ctrl/text/text.h"
#include "dataplane/proto/memcache/mc_log.h"

#include <stdlib.h>

/* Watchers and their lines; see watch.h. Called by the mailroom and by the host of commands. */

#define PROBE_TURNS    (1000 / WATCH_TURN_MS) // a second
#define LINE_MAX_BYTES 1024 // a key of MC_KEY_MAX bytes, each escaped, and what stands around it

struct watcher {
	uint32_t bits; // 0: a free place
	uint32_t worker;
	void *connection;
	uint64_t client_id;
	struct text waiting;
	bool under_way; // a mail is
};

struct watch {
	struct watch_config config;
	struct watcher watchers[WATCH_MAX];
	uint64_t lines, sent, skipped;
	uint64_t turns;
};

struct watch *watch_new(const struct watch_config *config)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch)
		watch->config = *config;
	return watch;
}

static void end(struct watcher *w)
{
	if (w->bits)
		text_fini(&w->waiting);
	*w = (struct watcher){0};
}

void watch_free(struct watch *watch)
{
	for (uint32_t i = 0; watch && i < WATCH_MAX; i++)
		end(&watch->watchers[i]);
	free(watch);
}

/* What the workers are to note: all that somebody watches. */
static void announce(struct watch *watch)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < WATCH_MAX; i++)
		bits |= watch->watchers[i].bits;
	atomic_store_explicit(&watch->config.limits->mc_watched, bits, memory_order_relaxed);
}

bool watch_add(struct watch *watch, const struct forward *forward, uint32_t bits)
{
	struct watcher *place = NULL;

	REQUIRE(bits != 0 && forward->worker < watch->config.log_count);
	for (uint32_t i = 0; i < WATCH_MAX; i++) {
		struct watcher *w = &watch->watchers[i];

		if (w->bits && w->client_id == forward->client_id) { // it wants more
			w->bits |= bits;
			announce(watch);
			return true;
		}
		if (w->bits || place)
			continue;
		place = w;
	}
	if (!place)
		return false;
	*place = (struct watcher){
		.bits = bits,
		.worker = forward->worker,
		.connection = forward->connection,
		.client_id = forward->client_id,
	};
	text_init(&place->waiting, WATCH_BUFFER_MAX);
	announce(watch);
	return true;
}

static void hand_out(struct watch *watch, const struct mc_log_record *record)
{
	uint32_t bit = mc_log_watch(record);
	uint64_t number = ++watch->lines;

	for (uint32_t i = 0; i < WATCH_MAX; i++) {
		struct watcher *w = &watch->watchers[i];

		if (!(w->bits & bit))
			continue;
		if (text_bytes(&w->waiting).len + LINE_MAX_BYTES > WATCH_BUFFER_MAX) {
			watch->skipped++;
			continue;
		}
		mc_log_encode(record, number, &w->waiting.out);
		watch->sent++;
	}
}

static void release(struct blob *blob)
{
	free(blob);
}

static struct blob *blob_of(struct slice bytes)
{
	struct blob *blob = malloc(sizeof(*blob) + bytes.len);

	if (!blob)
		return NULL;
	atomic_init(&blob->refs, 1);
	blob->reserved = 0;
	blob->release = release;
	blob->len = blob->capacity = bytes.len;
	memcpy(blob->bytes, bytes.ptr, bytes.len);
	return blob;
}

/* Without memory for it now, it is tried again in the next turn. */
static void mail(struct watch *watch, struct watcher *w)
{
	struct slice bytes = text_bytes(&w->waiting);
	struct mail_lines lines = {
		.connection = w->connection,
		.client_id = w->client_id,
		.watcher = (uint32_t)(w - watch->watchers),
	};

	if (bytes.len > 0)
		lines.blob = blob_of(bytes);
	if (!lines.blob && (bytes.len > 0 || watch->turns % PROBE_TURNS != 0))
		return;
	if (!watch->config.mail(watch->config.arg, w->worker, &lines)) {
		blob_unref(lines.blob);
		return;
	}
	w->under_way = true;
	text_fini(&w->waiting);
	text_init(&w->waiting, WATCH_BUFFER_MAX);
}

bool watch_turn(struct watch *watch)
{
	uint32_t left = WATCH_LINES_TURN;

	watch->turns++;
	for (uint32_t i = 0; i < watch->config.log_count; i++) {
		// From another one each time: none may take all of the turn for ever.
		struct mc_log *log =
			watch->config.logs[(i + watch->turns) % watch->config.log_count];
		const struct mc_log_record *record;

		while (left > 0 && (record = mc_log_oldest(log)) != NULL) {
			hand_out(watch, record);
			mc_log_next(log);
			left--;
		}
	}
	for (uint32_t i = 0; i < WATCH_MAX; i++) {
		if (watch->watchers[i].bits && !watch->watchers[i].under_way)
			mail(watch, &watch->watchers[i]);
	}
	return left == 0;
}

void watch_delivered(struct watch *watch, const struct mail_lines *lines)
{
	struct watcher *w = &watch->watchers[lines->watcher];

	w->under_way = false;
	if (lines->alive)
		return;
	end(w);
	announce(watch);
}

void watch_stats(const struct watch *watch, struct watch_stats *stats)
{
	*stats = (struct watch_stats){.sent = watch->sent, .skipped = watch->skipped};
	for (uint32_t i = 0; i < watch->config.log_count; i++) {
		stats->written += mc_log_written(watch->config.logs[i]);
		stats->dropped += mc_log_dropped(watch->config.logs[i]);
	}
	for (uint32_t i = 0; i < WATCH_MAX; i++)
		stats->watchers += watch->watchers[i].bits != 0;
}
