/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/counter.h"
#include "base/out.h"
#include "base/slice.h"
#include "dataplane/proto/memcache/mc_line.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What `watch` shows (doc/protocol.txt of memcached, "Watchers"): a worker notes what its clients
 * do in a ring of its own, the control thread takes it out and makes lines of it. Nothing is noted
 * while nobody watches, and what does not fit is counted and gone: no request waits for a watcher.
 *
 * Handshake: the worker stores `tail` with release when a record is complete, the control thread
 * loads it with acquire; `head` the other way round for reuse.
 */
struct mc_log;

/* What may be watched, as bits of session_limits.mc_watched. */
enum mc_watch {
	MC_WATCH_FETCHERS = 1 << 0,
	MC_WATCH_MUTATIONS = 1 << 1,
	MC_WATCH_EVICTIONS = 1 << 2,
};

enum mc_log_kind {
	MC_LOG_GET,
	MC_LOG_STORE,
	MC_LOG_EVICTION,
};

struct mc_log_record {
	uint64_t time_us; // Unix time
	uint64_t client;
	const char *status, *command; // static text
	int64_t ttl_s;                // -1: never expires
	uint32_t value_len, idle_s;
	uint8_t kind; // enum mc_log_kind
	uint8_t key_len;
	bool fetched;
	uint8_t key[MC_KEY_MAX];
};

struct mc_log *mc_log_new(void); // NULL: no memory
void mc_log_free(struct mc_log *log);

/*
 * Worker: the next record to be filled in, to be followed by mc_log_commit(). NULL: the ring is
 * full, which is counted. The key is cut at MC_KEY_MAX: RESP's may be longer.
 */
struct mc_log_record *mc_log_begin(struct mc_log *log, enum mc_log_kind kind, struct slice key);
void mc_log_commit(struct mc_log *log);

/* Control thread: the oldest record, NULL when there is none; it is given back by mc_log_next(). */
const struct mc_log_record *mc_log_oldest(struct mc_log *log);
void mc_log_next(struct mc_log *log);

/* Any thread. */
uint64_t mc_log_written(const struct mc_log *log);
uint64_t mc_log_dropped(const struct mc_log *log);

/* The watch bit of a record, and its line; `number` counts all lines. */
uint32_t mc_log_watch(const struct mc_log_record *record);
void mc_log_encode(const struct mc_log_record *record, uint64_t number, struct out *out);

/* A key as one word (RFC 3986 2.1), as in metadump. */
void mc_put_uri_encoded(struct out *out, struct slice key);
