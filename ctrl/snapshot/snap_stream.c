/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snapshot.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "dataplane/table/snapshot.h"
#include "dataplane/table/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Table -> bytes: dataplane/table/snapshot.c shows the items, rdb_write.c encodes them. A thread of
 * its own runs it. Nothing that may wait happens while it holds items, for then no memory of the
 * table could be freed: a step encodes short values into memory and takes references to long ones;
 * after it, offline, the former are handed to the sink, and the latter are encoded into it.
 */

#define WAIT_NS     1000000
#define BEGIN_TRIES 100        // each late once in a while, when the machine takes the core away
#define STEP_BYTES  (8U << 20) // of values, with which a step has enough
#define HELD_MAX    1024       // long values of a step
#define FIRST_BYTES (1U << 20)

/* A long value, with what goes before it. */
struct held {
	struct blob *blob;
	uint64_t version, expire_ms;
	uint32_t mc_flags;
	uint32_t key_at, key_len; // in `keys`
};

/* Bytes that grow. */
struct pile {
	uint8_t *at;
	size_t len, room;
};

struct stream {
	const struct snap_stream_config *config;
	struct snap_save_result *result;
	struct table_thread *t;
	struct rdb_writer writer;
	bool online;      // what is encoded goes onto the pile
	struct pile pile; // encoded, of this step
	struct pile keys; // of `held`
	uint64_t step_bytes;
	struct held held[HELD_MAX];
	uint32_t held_count;
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

static int pile_add(struct pile *pile, const void *bytes, size_t len)
{
	size_t room = pile->room ? pile->room : FIRST_BYTES;

	while (room < pile->len + len)
		room *= 2;
	if (room != pile->room) {
		uint8_t *more = realloc(pile->at, room);

		if (!more)
			return -ENOMEM;
		pile->at = more;
		pile->room = room;
	}
	memcpy(pile->at + pile->len, bytes, len);
	pile->len += len;
	return 0;
}

/* The writer's sink. */
static int put(void *arg, const void *bytes, size_t len)
{
	struct stream *stream = arg;

	if (stream->online)
		return pile_add(&stream->pile, bytes, len);
	return stream->config->sink(stream->config->arg, bytes, len);
}

/* --- while items are held --- */

static void hold(struct stream *stream, const struct item *item)
{
	struct slice key = item_key(item);
	struct held *held = &stream->held[stream->held_count];

	*held = (struct held){
		.blob = item_blob(item),
		.version = item_version(item),
		.expire_ms = item_expire_ms(item),
		.mc_flags = item_mc_flags(item),
		.key_at = (uint32_t)stream->keys.len,
		.key_len = (uint32_t)key.len,
	};
	if (pile_add(&stream->keys, key.ptr, key.len)) {
		stream->writer.error = -ENOMEM;
		return;
	}
	blob_ref(held->blob);
	stream->held_count++;
}

static bool on_item(void *arg, const struct item *item)
{
	struct stream *stream = arg;

	stream->result->keys++;
	stream->step_bytes += item_value(item).len;
	if (item_blob(item) && stream->held_count < HELD_MAX) {
		hold(stream, item);
	} else {
		if (stream->config->memcached)
			rdb_write_memcached(&stream->writer, item_version(item),
					    item_mc_flags(item));
		rdb_write_pair(&stream->writer, item_key(item), item_value(item),
			       item_expire_ms(item));
	}
	return stream->step_bytes < STEP_BYTES && stream->held_count < HELD_MAX;
}

/* --- between steps, offline --- */

static void encode_held(struct stream *stream)
{
	for (uint32_t i = 0; i < stream->held_count; i++) {
		const struct held *held = &stream->held[i];
		const struct blob *blob = held->blob;

		if (stream->config->memcached)
			rdb_write_memcached(&stream->writer, held->version, held->mc_flags);
		rdb_write_pair(&stream->writer,
			       slice_of(stream->keys.at + held->key_at, held->key_len),
			       slice_of(blob->bytes, blob->len), held->expire_ms);
		blob_unref(held->blob);
	}
	stream->held_count = 0;
	stream->keys.len = 0;
}

static void hand_over(struct stream *stream)
{
	stream->step_bytes = 0;
	if (stream->pile.len == 0 && stream->held_count == 0)
		return;
	stream->online = false;
	rcu_offline();
	if (stream->writer.error == 0)
		stream->writer.error = stream->config->sink(stream->config->arg, stream->pile.at,
							    stream->pile.len);
	stream->pile.len = 0;
	encode_held(stream);
	rcu_online();
	stream->online = true;
}

static void note_progress(const struct stream *stream, const struct table_snapshot *s)
{
	struct snap_progress *progress = stream->config->progress;
	uint64_t passed, buckets;

	if (!progress)
		return;
	table_snapshot_progress(s, &passed, &buckets);
	counter_set(&progress->passed, passed);
	counter_set(&progress->buckets, buckets);
}

/* --- the walk --- */

/* One at a time: a file and replicas may want one at once. */
static struct table_snapshot *begin_when_free(struct stream *stream, int *error)
{
	struct table *table = stream->config->table;
	struct table_snapshot *s;

	while (!(s = table_snapshot_begin(stream->t, clock_now_ns(),
					  stream->config->buffer_bytes))) {
		*error = atomic_load(stream->config->stop) ? -ECANCELED : -ENOMEM;
		if (*error == -ECANCELED || !table_snapshot_goes_on(table))
			return NULL;
		wait_offline();
		set_time(stream->t);
	}
	return s;
}

/* The cut has to be ahead of all clocks when it is shown, and now and then we are too slow. */
static struct table_snapshot *begin(struct stream *stream, int *error)
{
	for (uint32_t i = 0; i < BEGIN_TRIES; i++) {
		struct table_snapshot *s = begin_when_free(stream, error);

		if (!s || table_snapshot_confirm(s, clock_now_ns()))
			return s;
		while (table_snapshot_step(s, stream->t, NULL, NULL) != TABLE_SNAPSHOT_FAILED) {
			wait_offline();
			set_time(stream->t);
		}
		table_snapshot_end(s, stream->t);
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

static void tell_cut(struct stream *stream, const struct table_snapshot *s)
{
	if (!stream->config->on_cut)
		return;
	rcu_offline();
	stream->writer.error = stream->config->on_cut(stream->config->arg, table_snapshot_cut(s));
	rcu_online();
	set_time(stream->t);
}

static int walk(struct stream *stream)
{
	enum table_snapshot_state state;
	struct table_snapshot *s;
	int error;

	set_time(stream->t);
	s = begin(stream, &error);
	if (!s)
		return error;
	tell_cut(stream, s);
	do {
		if (atomic_load(stream->config->stop) || stream->writer.error)
			table_snapshot_cancel(s);
		state = table_snapshot_step(s, stream->t, on_item, stream);
		hand_over(stream);
		if (state == TABLE_SNAPSHOT_WAITS)
			wait_offline();
		note_progress(stream, s);
		rcu_quiescent();
		set_time(stream->t);
	} while (state == TABLE_SNAPSHOT_WAITS || state == TABLE_SNAPSHOT_GOES_ON);
	stream->result->peak_bytes = table_snapshot_peak_bytes(s);
	error = error_of(table_snapshot_failure(s));
	table_snapshot_end(s, stream->t);
	return stream->writer.error ? stream->writer.error : error;
}

static int write_all(struct stream *stream)
{
	struct table_stats stats;
	int error;

	table_stats(stream->config->table, &stats);
	rdb_write_header(&stream->writer, clock_wall_us(clock_now_ns()) / 1000000, stats.items,
			 stats.items_with_expiry);
	stream->t = table_thread_open(stream->config->table, false);
	if (!stream->t)
		return -ENOMEM;
	error = walk(stream);
	table_thread_close(stream->t);
	if (error)
		return error;
	stream->online = false;
	return rdb_write_end(&stream->writer);
}

int snap_stream(const struct snap_stream_config *config, struct snap_save_result *result)
{
	struct stream *stream = malloc(sizeof(*stream));
	int error;

	*result = (struct snap_save_result){0};
	if (!stream)
		return -ENOMEM;
	*stream = (struct stream){.config = config, .result = result, .online = true};
	error = rdb_writer_init(&stream->writer, put, stream, config->compress);
	if (error == 0)
		error = write_all(stream);
	result->bytes = stream->writer.bytes;
	rdb_writer_fini(&stream->writer);
	for (uint32_t i = 0; i < stream->held_count; i++)
		blob_unref(stream->held[i].blob);
	free(stream->pile.at);
	free(stream->keys.at);
	free(stream);
	return error;
}

void snap_say_why(int error, char why[SNAP_WHY_MAX])
{
	const char *text = strerror(-error);

	if (why[0] != '\0')
		return;
	if (error == -EAGAIN)
		text = "all keys were deleted meanwhile";
	else if (error == -ENOBUFS)
		text = "more was written meanwhile than snapshot-buffer holds";
	else if (error == -ECANCELED)
		text = "the appliance stops";
	snprintf(why, SNAP_WHY_MAX, "%s", text);
}
