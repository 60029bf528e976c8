/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_follow.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/rcu.h"
#include "ctrl/replication/repl_encode.h"
#include "ctrl/snapshot/snapshot.h"
#include "dataplane/table/table.h"
#include "dataplane/worker/worker_primary.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * follow_main() reads from top to bottom as the conversation goes. Nothing that the primary says is
 * believed: lines have a limit, lengths are numbers, the snapshot goes through rdb_read.c, and
 * whatever is wrong ends the connection with a reason. Words as redis 7.0 replication.c.
 */

#define LINE_MAX     1024
#define EOF_MARK_LEN 40
#define PAUSE_NS     1000000
#define RETRY_MS     1000
#define ACK_MS       1000

struct repl_follow {
	struct repl_follow_config config; // [const]
	pthread_t thread;
	bool joined;                               // [ctrl]
	_Atomic bool stop;                         // [ctrl w, thread r]
	_Atomic(struct primary_link *) dial;       // [thread w, ctrl takes]
	_Atomic uint32_t phase_wanted, phase_seen; // [thread w, ctrl r], [ctrl w, thread r]
	pthread_mutex_t lock;                      // the rest of the shared fields
	pthread_cond_t woken;
	bool ack_now;
	struct repl_follow_status status;
	// The thread's own.
	struct primary_link *link;
	struct feed words;       // what is said
	uint64_t base;           // offset of the stream's first byte on this connection
	uint64_t snapshot_bytes; // that may still be read, of a snapshot of known length
	uint64_t heard_ns, heard_bytes;
	struct table_thread *loader; // while a snapshot is loaded
	uint32_t snapshots_failed;   // in a row
	char why[REPL_FOLLOW_WHY_MAX];
};

static uint64_t wall_ms(void)
{
	return clock_wall_us(clock_now_ns()) / 1000;
}

static bool fail(struct repl_follow *f, const char *format, ...) PRINTF(2, 3);

static bool fail(struct repl_follow *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (f->why[0] == '\0')
		vsnprintf(f->why, sizeof(f->why), format, args);
	va_end(args);
	return false;
}

static void pause_a_little(void)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	nanosleep(&pause, NULL);
}

static void set_state(struct repl_follow *f, enum repl_link_state state)
{
	pthread_mutex_lock(&f->lock);
	if (f->status.state == REPL_LINK_CONNECTED && state != REPL_LINK_CONNECTED)
		f->status.down_ms = wall_ms();
	f->status.state = state;
	pthread_mutex_unlock(&f->lock);
}

static bool stopping(const struct repl_follow *f)
{
	return atomic_load((_Atomic bool *)(uintptr_t)&f->stop);
}

static bool link_is(const struct repl_follow *f, enum primary_state state)
{
	return atomic_load_explicit(&f->link->state, memory_order_acquire) == (uint32_t)state;
}

/* --- bytes --- */

/* Waits for some. False: there will be none. */
static bool read_pipe(struct repl_follow *f, uint64_t max, struct blob **blob, uint64_t *from,
		      uint64_t *len)
{
	uint64_t start_ns = clock_now_ns();

	for (;;) {
		switch (feed_read(&f->link->place, max, blob, from, len)) {
		case FEED_BYTES:
			atomic_fetch_add(&f->link->taken, *len);
			return true;
		case FEED_ENDED:
			return fail(f, "%s", f->link->why);
		case FEED_WAITS:
			break;
		}
		if (stopping(f))
			return fail(f, "it is followed no more");
		if (clock_now_ns() - start_ns > f->config.timeout_ms * NS_PER_MS)
			return fail(f, "the primary has said nothing for repl-timeout");
		pause_a_little();
	}
}

static bool read_byte(struct repl_follow *f, char *byte)
{
	struct blob *blob;
	uint64_t from, len;

	if (!read_pipe(f, 1, &blob, &from, &len))
		return false;
	*byte = (char)blob->bytes[from];
	return true;
}

/* A line without its end. Empty ones are signs of life. */
static bool read_line(struct repl_follow *f, char line[LINE_MAX])
{
	size_t len = 0;
	char byte;

	for (;;) {
		if (!read_byte(f, &byte))
			return false;
		if (byte == '\n' && len > 0)
			break;
		if (byte == '\n' || byte == '\r')
			continue;
		if (len == LINE_MAX - 1)
			return fail(f, "the primary sends a line without an end");
		line[len++] = byte;
	}
	line[len] = '\0';
	return true;
}

static void say(struct repl_follow *f, const struct slice *words, uint32_t count)
{
	repl_encode_words(&f->words, words, count);
}

#define SAY(f, ...)                                                                                \
	do {                                                                                       \
		const struct slice words_[] = {__VA_ARGS__};                                       \
		say((f), words_, ARRAY_COUNT(words_));                                             \
	} while (0)

/* --- the handshake --- */

static bool ask(struct repl_follow *f, const char *what, bool must)
{
	char line[LINE_MAX];

	if (!read_line(f, line))
		return false;
	return line[0] != '-' || !must || fail(f, "%s is answered %s", what, line);
}

static bool greet(struct repl_follow *f)
{
	const struct repl_follow_config *c = &f->config;
	uint8_t port[NUMBER_TEXT_MAX];
	char line[LINE_MAX];

	SAY(f, SLICE_LITERAL("PING"));
	if (!read_line(f, line))
		return false;
	if (line[0] != '+' && strncmp(line, "-NOAUTH", 7) != 0 && strncmp(line, "-NOPERM", 7) != 0)
		return fail(f, "PING is answered %s", line);
	if (c->password[0] != '\0') {
		if (c->user[0] != '\0')
			SAY(f, SLICE_LITERAL("AUTH"), slice_of_text(c->user),
			    slice_of_text(c->password));
		else
			SAY(f, SLICE_LITERAL("AUTH"), slice_of_text(c->password));
		if (!ask(f, "AUTH", true))
			return false;
	}
	SAY(f, SLICE_LITERAL("REPLCONF"), SLICE_LITERAL("listening-port"),
	    slice_of(port, number_encode_u64(c->listening_port, port)));
	if (!ask(f, "REPLCONF", false))
		return false;
	if (c->announce[0] != '\0') {
		SAY(f, SLICE_LITERAL("REPLCONF"), SLICE_LITERAL("ip-address"),
		    slice_of_text(c->announce));
		if (!ask(f, "REPLCONF", false))
			return false;
	}
	SAY(f, SLICE_LITERAL("REPLCONF"), SLICE_LITERAL("capa"), SLICE_LITERAL("eof"),
	    SLICE_LITERAL("capa"), SLICE_LITERAL("psync2"));
	return ask(f, "REPLCONF", false);
}

static void ask_to_follow(struct repl_follow *f)
{
	uint8_t offset[NUMBER_TEXT_MAX];

	if (f->status.id[0] == '\0')
		SAY(f, SLICE_LITERAL("PSYNC"), SLICE_LITERAL("?"), SLICE_LITERAL("-1"));
	else
		SAY(f, SLICE_LITERAL("PSYNC"), slice_of_text(f->status.id),
		    slice_of(offset, number_encode_u64(f->status.offset + 1, offset)));
}

/* --- the snapshot --- */

/* Where waiting must not keep the table's memory from being freed. */
static ssize_t read_snapshot(void *arg, void *to, size_t len)
{
	struct repl_follow *f = arg;
	struct blob *blob;
	uint64_t from, got, max = len < f->snapshot_bytes ? len : f->snapshot_bytes;
	bool good;

	if (max == 0)
		return 0;
	rcu_offline();
	good = read_pipe(f, max, &blob, &from, &got);
	rcu_online();
	if (!good)
		return -EPIPE;
	memcpy(to, blob->bytes + from, got);
	f->snapshot_bytes -= got;
	pthread_mutex_lock(&f->lock);
	f->status.sync_bytes += got;
	pthread_mutex_unlock(&f->lock);
	return (ssize_t)got;
}

static void on_tick(void *arg, const struct rdb_reader *reader,
		    const struct snap_load_result *result)
{
	struct repl_follow *f = arg;
	uint64_t now_ns = clock_now_ns();

	table_set_time(f->loader, clock_wall_us(now_ns) / 1000, now_ns);
}

/* The control thread has seen to it. False: it is followed no more. */
static bool want_phase(struct repl_follow *f, enum repl_phase phase)
{
	atomic_store(&f->phase_wanted, phase);
	while (atomic_load(&f->phase_seen) != (uint32_t)phase) {
		if (stopping(f))
			return fail(f, "it is followed no more");
		pause_a_little();
	}
	return true;
}

/* What the reader has taken behind the file: the mark again, and nothing else. */
static bool check_mark(struct repl_follow *f, const struct rdb_reader *reader, const char *mark)
{
	char found[EOF_MARK_LEN];
	size_t have = reader->have - reader->at;

	if (have > EOF_MARK_LEN)
		return fail(f, "something follows the snapshot");
	memcpy(found, reader->buffer + reader->at, have);
	for (; have < EOF_MARK_LEN; have++)
		if (!read_byte(f, found + have))
			return false;
	return memcmp(found, mark, EOF_MARK_LEN) == 0 ||
	       fail(f, "the snapshot's end is not where it should be");
}

static bool load_pairs(struct repl_follow *f, const char *mark)
{
	struct snap_load_result result;
	char why[SNAP_WHY_MAX] = "";
	struct rdb_reader reader;
	const struct snap_load_config config = {
		.table = f->config.table,
		.t = f->loader,
		.wall_ms = 0, // what has expired is the primary's to delete
		.tick = on_tick,
		.tick_arg = f,
	};

	if (rdb_reader_init(&reader, read_snapshot, f, ITEM_KEY_MAX, ITEM_VALUE_MAX))
		return fail(f, "there is no memory");
	bool good = snap_load(&reader, &config, &result, why) == 0;

	if (!good)
		fail(f, "its snapshot: %s", why);
	rcu_offline();
	good = good && (!mark || check_mark(f, &reader, mark));
	rcu_online();
	rdb_reader_fini(&reader);
	if (good)
		log_notice("replication: loaded %" PRIu64 " keys of %s:%u", result.loaded,
			   f->config.host, f->config.port);
	return good;
}

/* `mark`: what ends it; NULL: it has the length in snapshot_bytes. */
static bool load_snapshot(struct repl_follow *f, const char *mark)
{
	bool good;

	if (!want_phase(f, REPL_PHASE_LOADING))
		return false;
	f->loader = table_thread_open(f->config.table, true);
	if (!f->loader)
		return fail(f, "there is no memory");
	on_tick(f, NULL, NULL);
	table_flush(f->loader);
	good = load_pairs(f, mark);
	if (!good)
		table_flush(f->loader); // never half a keyspace
	table_thread_close(f->loader);
	f->loader = NULL;
	return good;
}

/* "$EOF:" and a mark, or "$" and a length. */
static bool take_snapshot(struct repl_follow *f)
{
	char line[LINE_MAX], mark[EOF_MARK_LEN];

	if (!read_line(f, line))
		return false;
	if (strncmp(line, "$EOF:", 5) == 0 && strlen(line) == 5 + EOF_MARK_LEN) {
		memcpy(mark, line + 5, EOF_MARK_LEN);
		f->snapshot_bytes = UINT64_MAX;
		return load_snapshot(f, mark);
	}
	if (line[0] != '$' || !number_parse_u64(slice_of_text(line + 1), &f->snapshot_bytes))
		return fail(f, "instead of a snapshot the primary sends %.40s", line);
	return load_snapshot(f, NULL);
}

/* --- PSYNC --- */

static void set_stream(struct repl_follow *f, const char *id, uint64_t offset, bool full)
{
	pthread_mutex_lock(&f->lock);
	snprintf(f->status.id, sizeof(f->status.id), "%s", id);
	f->status.offset = offset;
	f->status.full += full;
	f->status.partial += !full;
	f->status.sync_bytes = 0;
	pthread_mutex_unlock(&f->lock);
	f->base = offset;
}

static void forget_stream(struct repl_follow *f)
{
	pthread_mutex_lock(&f->lock);
	f->status.id[0] = '\0';
	f->status.offset = 0;
	pthread_mutex_unlock(&f->lock);
}

static bool synchronise_fully(struct repl_follow *f, const char *line)
{
	char id[REPL_ID_LEN + 1];
	unsigned long long offset;

	if (sscanf(line, "+FULLRESYNC %40[0-9a-f] %20llu", id, &offset) != 2 ||
	    strlen(id) != REPL_ID_LEN)
		return fail(f, "the primary answers PSYNC with %.60s", line);
	log_notice("replication: %s:%u sends all it has", f->config.host, f->config.port);
	forget_stream(f);
	set_state(f, REPL_LINK_SYNC);
	f->snapshots_failed++;
	if (!take_snapshot(f))
		return false;
	f->snapshots_failed = 0;
	set_stream(f, id, offset, true);
	return true;
}

static bool synchronise(struct repl_follow *f)
{
	char line[LINE_MAX], id[REPL_ID_LEN + 1] = "";

	ask_to_follow(f);
	if (!read_line(f, line))
		return false;
	if (strncmp(line, "+FULLRESYNC", 11) == 0)
		return synchronise_fully(f, line);
	if (strncmp(line, "+CONTINUE", 9) != 0)
		return fail(f, "the primary answers PSYNC with %.100s", line);
	if (sscanf(line, "+CONTINUE %40[0-9a-f]", id) != 1)
		snprintf(id, sizeof(id), "%s", f->status.id);
	log_notice("replication: going on with %s:%u at %" PRIu64, f->config.host, f->config.port,
		   f->status.offset + 1);
	set_stream(f, id, f->status.offset, false);
	return true;
}

/* --- the stream --- */

static void note_progress(struct repl_follow *f)
{
	uint64_t applied = atomic_load_explicit(&f->link->applied, memory_order_acquire);
	uint64_t now_ns = clock_now_ns();

	if (applied != f->heard_bytes) {
		f->heard_bytes = applied;
		f->heard_ns = now_ns;
	}
	pthread_mutex_lock(&f->lock);
	f->status.offset = f->base + applied;
	f->status.heard_ms = wall_ms() - (now_ns - f->heard_ns) / NS_PER_MS;
	pthread_mutex_unlock(&f->lock);
}

static void acknowledge(struct repl_follow *f)
{
	uint8_t offset[NUMBER_TEXT_MAX];

	note_progress(f);
	SAY(f, SLICE_LITERAL("REPLCONF"), SLICE_LITERAL("ACK"),
	    slice_of(offset, number_encode_u64(f->status.offset, offset)));
}

/* Until something happens: an ACK is wanted, or some time has passed. */
static void wait_for_reason(struct repl_follow *f)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 100 * PAUSE_NS;
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_nsec -= (long)NS_PER_S;
		until.tv_sec++;
	}
	pthread_mutex_lock(&f->lock);
	if (!f->ack_now)
		pthread_cond_timedwait(&f->woken, &f->lock, &until);
	pthread_mutex_unlock(&f->lock);
}

static bool take_ack_now(struct repl_follow *f)
{
	pthread_mutex_lock(&f->lock);
	bool now = f->ack_now;

	f->ack_now = false;
	pthread_mutex_unlock(&f->lock);
	return now;
}

static void follow_stream(struct repl_follow *f)
{
	uint64_t acked_ns = 0;

	f->link->from = f->link->place;
	f->link->place = (struct feed_place){0};
	f->heard_bytes = 0;
	f->heard_ns = clock_now_ns();
	atomic_store_explicit(&f->link->streams, true, memory_order_release);
	set_state(f, REPL_LINK_CONNECTED);
	log_notice("replication: following %s:%u", f->config.host, f->config.port);
	while (!stopping(f) && !link_is(f, PRIMARY_GONE)) {
		note_progress(f);
		uint64_t now_ns = clock_now_ns();

		if (take_ack_now(f) || now_ns - acked_ns >= ACK_MS * NS_PER_MS) {
			acknowledge(f);
			acked_ns = now_ns;
		}
		if (now_ns - f->heard_ns > f->config.timeout_ms * NS_PER_MS) {
			fail(f, "the primary has said nothing for repl-timeout");
			return;
		}
		wait_for_reason(f);
	}
	note_progress(f);
	fail(f, "%s", stopping(f) ? "it is followed no more" : f->link->why);
}

/* --- the connection --- */

static bool make_link(struct repl_follow *f)
{
	struct primary_link *link = calloc(1, sizeof(*link));

	if (!link)
		return false;
	link->remote = f->config.primary;
	link->local = f->config.local;
	link->port = f->config.port;
	feed_init(&link->in, 0, 0);
	feed_init(&f->words, 0, 0);
	if (feed_place_at(&link->in, 0, &link->place) &&
	    feed_place_at(&f->words, 0, &link->out.places[0])) {
		f->link = link;
		return true;
	}
	feed_place_drop(&link->place);
	feed_fini(&link->in);
	feed_fini(&f->words);
	free(link);
	return false;
}

/* The worker has let go, or has never had it. */
static void free_link(struct repl_follow *f)
{
	struct primary_link *link = f->link;

	// One that was never opened has not sent, nor let go, what was to be said.
	for (uint32_t i = 0; i < FEED_LINK_PLACES; i++)
		feed_place_drop(&link->out.places[i]);
	feed_place_drop(&link->place);
	if (!link->piped)
		feed_place_drop(&link->from);
	feed_fini(&f->words);
	free(link);
	f->link = NULL;
}

static void hang_up(struct repl_follow *f)
{
	struct primary_link *mine = f->link;
	bool streamed = atomic_load(&f->link->streams);

	atomic_store(&f->link->killed, true);
	// Not taken by the control thread yet: then it never is.
	if (atomic_compare_exchange_strong(&f->dial, &mine, NULL))
		feed_fini(&f->link->in);
	else
		while (!link_is(f, PRIMARY_GONE))
			pause_a_little();
	if (streamed)
		note_progress(f); // it may have run some more
	if (f->link->failed)
		forget_stream(f); // what could not be run is missing here
	if (f->why[0] == '\0')
		fail(f, "%s", f->link->why);
	free_link(f);
}

static bool connect_to_primary(struct repl_follow *f)
{
	if (!make_link(f))
		return fail(f, "there is no memory");
	set_state(f, REPL_LINK_CONNECTING);
	atomic_store(&f->dial, f->link);
	while (link_is(f, PRIMARY_DIALS) && !stopping(f))
		pause_a_little();
	return link_is(f, PRIMARY_OPEN);
}

static void converse(struct repl_follow *f)
{
	if (greet(f) && synchronise(f) && want_phase(f, REPL_PHASE_FOLLOWS))
		follow_stream(f);
	else if (atomic_load(&f->phase_wanted) == REPL_PHASE_LOADING)
		(void)want_phase(f, REPL_PHASE_STALE); // nothing, but nothing half
}

static void end_conversation(struct repl_follow *f)
{
	set_state(f, REPL_LINK_CONNECT);
	pthread_mutex_lock(&f->lock);
	if (strcmp(f->status.why, f->why) != 0)
		log_warning("replication: not following %s:%u: %s", f->config.host, f->config.port,
			    f->why);
	snprintf(f->status.why, sizeof(f->status.why), "%s", f->why);
	pthread_mutex_unlock(&f->lock);
}

/* Longer each time that a snapshot has failed: making one is work for the primary. */
static void wait_to_retry(struct repl_follow *f)
{
	uint32_t ms = RETRY_MS << (f->snapshots_failed < 4 ? f->snapshots_failed : 4);

	for (; ms > 0 && !stopping(f); ms--)
		pause_a_little();
}

static void *follow_main(void *arg)
{
	struct repl_follow *f = arg;

	while (!stopping(f)) {
		f->why[0] = '\0';
		if (connect_to_primary(f))
			converse(f);
		if (f->link)
			hang_up(f);
		end_conversation(f);
		wait_to_retry(f);
	}
	return NULL;
}

/* --- the control thread --- */

struct repl_follow *repl_follow_new(const struct repl_follow_config *config)
{
	struct repl_follow *f = calloc(1, sizeof(*f));
	sigset_t all, before;
	int error;

	if (!f)
		return NULL;
	f->config = *config;
	snprintf(f->status.host, sizeof(f->status.host), "%s", config->host);
	snprintf(f->status.id, sizeof(f->status.id), "%s", config->id);
	f->status.offset = config->offset;
	f->status.port = config->port;
	f->status.down_ms = wall_ms();
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->woken, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals belong to the control thread
	error = pthread_create(&f->thread, NULL, follow_main, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		pthread_cond_destroy(&f->woken);
		pthread_mutex_destroy(&f->lock);
		free(f);
		return NULL;
	}
	pthread_setname_np(f->thread, "follow");
	return f;
}

void repl_follow_stop(struct repl_follow *follow)
{
	if (follow->joined)
		return;
	atomic_store(&follow->stop, true);
	repl_follow_ack(follow);
	rcu_offline();
	pthread_join(follow->thread, NULL);
	rcu_online();
	follow->joined = true;
}

void repl_follow_free(struct repl_follow *follow)
{
	if (!follow)
		return;
	repl_follow_stop(follow);
	pthread_cond_destroy(&follow->woken);
	pthread_mutex_destroy(&follow->lock);
	free(follow);
}

struct primary_link *repl_follow_take_dial(struct repl_follow *follow)
{
	return atomic_exchange(&follow->dial, NULL);
}

enum repl_phase repl_follow_wants(const struct repl_follow *follow)
{
	return (enum repl_phase)atomic_load((_Atomic uint32_t *)(uintptr_t)&follow->phase_wanted);
}

void repl_follow_phase(struct repl_follow *follow, enum repl_phase phase)
{
	atomic_store(&follow->phase_seen, phase);
}

void repl_follow_ack(struct repl_follow *follow)
{
	pthread_mutex_lock(&follow->lock);
	follow->ack_now = true;
	pthread_cond_signal(&follow->woken);
	pthread_mutex_unlock(&follow->lock);
}

void repl_follow_status(struct repl_follow *follow, struct repl_follow_status *status)
{
	pthread_mutex_lock(&follow->lock);
	*status = follow->status;
	pthread_mutex_unlock(&follow->lock);
}
