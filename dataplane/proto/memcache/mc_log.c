/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_log.h"

#include <stdlib.h>

/*
 * Records of what memcached's clients do, and the lines that watchers read, in the form of
 * memcached 1.6.18 (logger.c). All is of slab class 1, as we have none, and cfd is the client's id.
 */

#define RECORDS 512u // a power of two; some 150 KB, of which only what is used is touched
#define HEX     "0123456789ABCDEF"

struct mc_log {
	CACHE_ALIGNED _Atomic uint32_t tail; // [worker w, ctrl r]
	counter written, dropped;            // [worker w, ctrl r]
	CACHE_ALIGNED _Atomic uint32_t head; // [ctrl w, worker r]
	CACHE_ALIGNED struct mc_log_record records[RECORDS];
};

struct mc_log *mc_log_new(void)
{
	struct mc_log *log = aligned_alloc(CACHE_LINE_BYTES, sizeof(*log));

	if (!log)
		return NULL;
	atomic_init(&log->tail, 0);
	atomic_init(&log->head, 0);
	atomic_init(&log->written, 0);
	atomic_init(&log->dropped, 0);
	return log;
}

void mc_log_free(struct mc_log *log)
{
	free(log);
}

struct mc_log_record *mc_log_begin(struct mc_log *log, enum mc_log_kind kind, struct slice key)
{
	uint32_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
	struct mc_log_record *record = &log->records[tail % RECORDS];

	if (tail - atomic_load_explicit(&log->head, memory_order_acquire) == RECORDS) {
		counter_add(&log->dropped, 1);
		return NULL;
	}
	record->kind = (uint8_t)kind;
	record->key_len = (uint8_t)(key.len < MC_KEY_MAX ? key.len : MC_KEY_MAX);
	memcpy(record->key, key.ptr, record->key_len);
	return record;
}

void mc_log_commit(struct mc_log *log)
{
	uint32_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);

	counter_add(&log->written, 1);
	atomic_store_explicit(&log->tail, tail + 1, memory_order_release);
}

const struct mc_log_record *mc_log_oldest(struct mc_log *log)
{
	uint32_t head = atomic_load_explicit(&log->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&log->tail, memory_order_acquire))
		return NULL;
	return &log->records[head % RECORDS];
}

void mc_log_next(struct mc_log *log)
{
	uint32_t head = atomic_load_explicit(&log->head, memory_order_relaxed);

	atomic_store_explicit(&log->head, head + 1, memory_order_release);
}

uint64_t mc_log_written(const struct mc_log *log)
{
	return counter_read(&log->written);
}

uint64_t mc_log_dropped(const struct mc_log *log)
{
	return counter_read(&log->dropped);
}

uint32_t mc_log_watch(const struct mc_log_record *record)
{
	switch ((enum mc_log_kind)record->kind) {
	case MC_LOG_GET:
		return MC_WATCH_FETCHERS;
	case MC_LOG_STORE:
		return MC_WATCH_MUTATIONS;
	case MC_LOG_EVICTION:
		break;
	}
	return MC_WATCH_EVICTIONS;
}

static bool is_plain(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void mc_put_uri_encoded(struct out *out, struct slice key)
{
	for (size_t i = 0; i < key.len; i++) {
		uint8_t c = key.ptr[i];
		uint8_t escaped[3] = {'%', (uint8_t)HEX[c >> 4], (uint8_t)HEX[c & 15]};

		out_append(out, is_plain(c) ? slice_of(&c, 1) : slice_of(escaped, 3));
	}
}

static void put_micro(struct out *out, uint64_t us)
{
	uint8_t digits[6];

	for (uint32_t i = sizeof(digits); i-- > 0; us /= 10)
		digits[i] = (uint8_t)('0' + us % 10);
	out_append(out, slice_of(digits, sizeof(digits)));
}

static void put_number(struct out *out, const char *name, uint64_t number)
{
	out_append(out, slice_of_text(name));
	out_append_u64(out, number);
}

static void put_text(struct out *out, const char *name, const char *text)
{
	out_append(out, slice_of_text(name));
	out_append(out, slice_of_text(text));
}

static void put_store(const struct mc_log_record *r, struct out *out)
{
	put_text(out, " status=", r->status);
	put_text(out, " cmd=", r->command);
	put_number(out, " ttl=", r->ttl_s < 0 ? 0 : (uint64_t)r->ttl_s);
	put_number(out, " clsid=1 cfd=", r->client);
}

static void put_eviction(const struct mc_log_record *r, struct out *out)
{
	put_text(out, " fetch=", r->fetched ? "yes" : "no");
	OUT_LITERAL(out, " ttl=");
	out_append_i64(out, r->ttl_s);
	put_number(out, " la=", r->idle_s);
	OUT_LITERAL(out, " clsid=1");
}

void mc_log_encode(const struct mc_log_record *r, uint64_t number, struct out *out)
{
	static const char *const types[] = {
		[MC_LOG_GET] = "item_get",
		[MC_LOG_STORE] = "item_store",
		[MC_LOG_EVICTION] = "eviction",
	};

	put_number(out, "ts=", r->time_us / 1000000);
	OUT_LITERAL(out, ".");
	put_micro(out, r->time_us % 1000000);
	put_number(out, " gid=", number);
	put_text(out, " type=", types[r->kind]);
	OUT_LITERAL(out, " key=");
	mc_put_uri_encoded(out, slice_of(r->key, r->key_len));
	if (r->kind == MC_LOG_STORE) {
		put_store(r, out);
	} else if (r->kind == MC_LOG_EVICTION) {
		put_eviction(r, out);
	} else {
		put_text(out, " status=", r->status);
		put_number(out, " clsid=1 cfd=", r->client);
	}
	put_number(out, " size=", r->value_len);
	OUT_LITERAL(out, "\n");
}
