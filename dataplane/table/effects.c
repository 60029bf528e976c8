/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/effects.h"

#include "base/contract.h"
#include "base/rcu.h"
#include "dataplane/table/table_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Writers note an effect with its bucket locked, right after they have published it (commit.c,
 * overwrite.c, sweep.c, evict.c, flush.c). The reader (ctrl/replication) merges.
 *
 * Handshake:
 *   - A thread takes ever higher versions and notes them in that order. At each table_set_time() it
 *     stores `head`, behind what it has noted, and then its clock as `safe` (release): what it
 *     notes later is above. The reader loads `safe` of all (acquire), then `head`, and goes no
 *     further than the smallest one.
 *   - table->effects is looked at in table_set_time() alone, so it takes hold for a whole turn. A
 *     grace period after it was stored every writer notes; a grace period after it was cleared none
 *     does.
 */

#define RECORD_ALIGN 8
#define WRAP         UINT8_MAX // kind: the rest of the ring is unused
#define AHEAD_BYTES  512
#define HUGE_BYTES   (2ULL << 20)
#define BLOBS_SHIFT  2 // a log may keep four times its size in blobs

struct record {
	uint32_t size_bytes; // all of it, aligned
	uint8_t kind;
	uint8_t in_blob; // the value: a reference stands where its bytes would
	uint16_t unused;
	uint64_t version;
	uint64_t expire_ms;
	uint32_t mc_flags;
	uint32_t key_len;
	uint64_t value_len;
};

struct effect_log {
	uint8_t *ring;     // [const]
	uint64_t mask;     // [const] its size less one
	uint64_t at, room; // [writer] head, and bytes that are surely free behind it
	CACHE_ALIGNED _Atomic uint64_t head; // [writer w]
	_Atomic uint64_t safe;               // [writer w]
	counter blobs_put;                   // [writer w] bytes that the log keeps from being freed
	CACHE_ALIGNED _Atomic uint64_t tail; // [reader w]
	counter blobs_got;                   // [reader w]
	uint64_t seen;                       // [reader] head, as of the last look
};

struct table_effects {
	struct table *table;      // [const]
	uint64_t begun;           // [const]
	uint32_t count;           // [const] threads there were
	_Atomic bool broken;      // [any]
	uint64_t limit;           // [reader] effects up to this version are all in the rings
	struct effect_log *holds; // [reader] the last effect is in it
	uint64_t holds_bytes;     // [reader]
	struct blob *holds_blob;  // [reader]
	struct effect_log logs[]; // by the number of the thread
};

/* --- begin and end --- */

static void free_effects(struct table_effects *effects)
{
	for (uint32_t i = 0; i < effects->count; i++)
		free(effects->logs[i].ring);
	free(effects);
}

/* Every page is there before a writer comes to it, on huge ones if the kernel gives any. */
static uint8_t *new_ring(uint64_t ring_bytes)
{
	uint64_t align_bytes = ring_bytes < HUGE_BYTES ? CACHE_LINE_BYTES : HUGE_BYTES;
	uint8_t *ring = aligned_alloc(align_bytes, ring_bytes);

	if (!ring)
		return NULL;
	if (align_bytes == HUGE_BYTES)
		(void)madvise(ring, ring_bytes, MADV_HUGEPAGE);
	memset(ring, 0, ring_bytes);
	return ring;
}

static bool init_log(struct effect_log *log, const struct table_thread *t, uint64_t ring_bytes)
{
	if (!t->open || !t->may_write) {
		atomic_store(&log->safe, UINT64_MAX);
		return true;
	}
	log->ring = new_ring(ring_bytes);
	log->mask = ring_bytes - 1;
	log->room = ring_bytes;
	return log->ring != NULL;
}

static struct table_effects *new_effects(struct table *table, uint64_t ring_bytes)
{
	uint32_t count = atomic_load(&table->thread_count);
	size_t bytes = sizeof(struct table_effects) + count * sizeof(struct effect_log);
	struct table_effects *effects = aligned_alloc(
		CACHE_LINE_BYTES, (bytes + CACHE_LINE_BYTES - 1) & ~(size_t)(CACHE_LINE_BYTES - 1));
	bool good = true;

	if (!effects)
		return NULL;
	memset(effects, 0, bytes);
	effects->table = table;
	effects->count = count;
	pthread_mutex_lock(&table->threads_lock);
	for (uint32_t i = 0; i < count; i++)
		good &= init_log(&effects->logs[i], table->threads[i], ring_bytes);
	pthread_mutex_unlock(&table->threads_lock);
	if (good)
		return effects;
	free_effects(effects);
	return NULL;
}

/* The highest version that anybody has taken so far. */
static uint64_t highest_clock(const struct table *table)
{
	struct table *any = (struct table *)(uintptr_t)table;
	uint32_t count = atomic_load(&any->thread_count);
	uint64_t highest = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t clock = counter_read(&any->threads[i]->clock);

		if (clock > highest)
			highest = clock;
	}
	return highest;
}

struct table_effects *table_effects_begin(struct table *table, uint64_t ring_bytes)
{
	REQUIRE(ring_bytes >= 65536 && (ring_bytes & (ring_bytes - 1)) == 0);
	struct table_effects *effects = new_effects(table, ring_bytes), *none = NULL;

	if (!effects)
		return NULL;
	if (!atomic_compare_exchange_strong(&table->effects, &none, effects)) {
		free_effects(effects);
		return NULL;
	}
	rcu_wait();
	effects->begun = highest_clock(table);
	return effects;
}

uint64_t table_effects_begun(const struct table_effects *effects)
{
	return effects->begun;
}

static void let_go(struct table_effects *effects)
{
	struct effect_log *log = effects->holds;

	if (!log)
		return;
	if (effects->holds_blob)
		counter_add(&log->blobs_got, effects->holds_blob->len);
	blob_unref(effects->holds_blob);
	atomic_store_explicit(&log->tail,
			      atomic_load_explicit(&log->tail, memory_order_relaxed) +
				      effects->holds_bytes,
			      memory_order_release);
	effects->holds = NULL;
	effects->holds_blob = NULL;
}

/* --- writers --- */

/* To the reader, whose core has had this line since. */
static void show_notes(struct effect_log *log, uint64_t safe)
{
	atomic_store_explicit(&log->head, log->at, memory_order_release);
	atomic_store_explicit(&log->safe, safe, memory_order_release);
}

void effects__set_time(struct table_thread *t)
{
	struct table_effects *effects =
		atomic_load_explicit(&t->table->effects, memory_order_acquire);

	t->log = NULL;
	if (likely(!effects) || !t->may_write)
		return;
	if (t->id >= effects->count || !effects->logs[t->id].ring) {
		atomic_store(&effects->broken, true); // it has come since, and could not note
		return;
	}
	t->log = &effects->logs[t->id];
	show_notes(t->log, counter_read(&t->clock));
}

void effects__thread_close(struct table_thread *t)
{
	effects__set_time(t);
	if (t->log)
		show_notes(t->log, UINT64_MAX);
	t->log = NULL;
}

static COLD void break_off(struct table_thread *t)
{
	atomic_store(&atomic_load(&t->table->effects)->broken, true);
	t->log = NULL; // until the next turn
}

/* `size` bytes in one piece at the head, or NULL. */
static uint8_t *room_for(struct effect_log *log, uint64_t size)
{
	uint64_t ring_bytes = log->mask + 1, to_end = ring_bytes - (log->at & log->mask);
	uint64_t needed = size <= to_end ? size : to_end + size;

	if (needed > log->room)
		log->room = ring_bytes -
			    (log->at - atomic_load_explicit(&log->tail, memory_order_acquire));
	if (needed > log->room)
		return NULL;
	log->room -= needed;
	if (size > to_end) {
		struct record *wrap = (struct record *)(log->ring + (log->at & log->mask));

		wrap->size_bytes = (uint32_t)to_end;
		wrap->kind = WRAP;
		log->at += to_end;
	}
	return log->ring + (log->at & log->mask);
}

/* Whether the log may keep one more from being freed. */
static bool may_keep(struct effect_log *log, const struct blob *blob)
{
	uint64_t kept = counter_read(&log->blobs_put) - counter_read(&log->blobs_got);

	return kept == 0 || kept + blob->len <= (log->mask + 1) << BLOBS_SHIFT;
}

static uint8_t *put(uint8_t *to, struct slice bytes)
{
	if (bytes.len > 0)
		memcpy(to, bytes.ptr, bytes.len);
	return to + bytes.len;
}

static void note(struct table_thread *t, const struct record *head, struct slice key,
		 const struct item_spec *spec)
{
	struct effect_log *log = t->log;
	uint64_t size =
		sizeof(*head) + key.len +
		(head->in_blob ? sizeof(struct blob *) : spec->value.len + spec->value_tail.len);
	uint8_t *to;

	size = (size + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
	to = size <= UINT32_MAX && (!head->in_blob || may_keep(log, spec->blob))
		     ? room_for(log, size)
		     : NULL;
	if (unlikely(!to)) {
		break_off(t);
		return;
	}
	struct record *record = (struct record *)to;

	*record = *head;
	record->size_bytes = (uint32_t)size;
	record->key_len = (uint32_t)key.len;
	to = put(to + sizeof(*record), key);
	if (head->in_blob) {
		struct blob *blob = blob_ref(spec->blob);

		memcpy(to, &blob, sizeof(blob));
		counter_add(&log->blobs_put, blob->len);
	} else {
		put(put(to, spec->value), spec->value_tail);
	}
	log->at += size;
	// The reader has had these lines last, so the next ones are asked for in time.
	prefetch_write(log->ring + ((log->at + AHEAD_BYTES) & log->mask));
	prefetch_write(log->ring + ((log->at + AHEAD_BYTES + CACHE_LINE_BYTES) & log->mask));
}

void effects__set(struct table_thread *t, struct slice key, const struct item_spec *spec,
		  uint64_t version)
{
	const struct record head = {
		.kind = TABLE_EFFECT_SET,
		.in_blob = spec->blob != NULL,
		.version = version,
		.expire_ms = spec->expire_ms,
		.mc_flags = spec->mc_flags,
		.value_len = spec->blob ? spec->blob->len : spec->value.len + spec->value_tail.len,
	};

	note(t, &head, key, spec);
}

void effects__set_item(struct table_thread *t, const struct item *item, uint64_t version)
{
	const struct item_spec spec = {
		.value = item_value(item),
		.blob = item_blob(item),
		.expire_ms = item_expire_ms(item),
		.mc_flags = item_mc_flags(item),
	};

	effects__set(t, item_key(item), &spec, version);
}

void effects__delete(struct table_thread *t, struct slice key, uint64_t version)
{
	const struct record head = {.kind = TABLE_EFFECT_DELETE, .version = version};
	const struct item_spec nothing = {0};

	note(t, &head, key, &nothing);
}

COLD void effects__flush(struct table_thread *t, uint64_t version)
{
	const struct record head = {.kind = TABLE_EFFECT_FLUSH, .version = version};
	const struct item_spec nothing = {0};

	note(t, &head, SLICE_LITERAL(""), &nothing);
}

/* --- the reader --- */

/* The oldest effect of a log, NULL: it has none that the reader may see. */
static const struct record *peek(struct effect_log *log, uint64_t at)
{
	const struct record *record;

	if (at == log->seen)
		return NULL;
	record = (const struct record *)(log->ring + (at & log->mask));
	if (record->kind == WRAP) // there is one behind it: both became visible at once
		record = (const struct record *)(log->ring +
						 ((at + record->size_bytes) & log->mask));
	return record;
}

static void skip_wrap(struct effect_log *log)
{
	uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
	const struct record *record = (const struct record *)(log->ring + (tail & log->mask));

	if (tail != log->seen && record->kind == WRAP)
		atomic_store_explicit(&log->tail, tail + record->size_bytes, memory_order_release);
}

/* Looks anew how far all writers have come. `safe` first: see the handshake. */
static void look(struct table_effects *effects)
{
	uint64_t limit = UINT64_MAX;

	for (uint32_t i = 0; i < effects->count; i++) {
		uint64_t safe = atomic_load_explicit(&effects->logs[i].safe, memory_order_acquire);

		if (safe < limit)
			limit = safe;
	}
	for (uint32_t i = 0; i < effects->count; i++)
		effects->logs[i].seen =
			atomic_load_explicit(&effects->logs[i].head, memory_order_acquire);
	effects->limit = limit;
}

/* A flush hides what has its version. */
static bool before(const struct record *a, const struct record *b)
{
	if (a->version != b->version)
		return a->version < b->version;
	return b->kind == TABLE_EFFECT_FLUSH && a->kind != TABLE_EFFECT_FLUSH;
}

static struct effect_log *oldest(struct table_effects *effects, const struct record **record)
{
	struct effect_log *found = NULL;

	*record = NULL;
	for (uint32_t i = 0; i < effects->count; i++) {
		struct effect_log *log = &effects->logs[i];
		const struct record *next =
			log->ring
				? peek(log, atomic_load_explicit(&log->tail, memory_order_relaxed))
				: NULL;

		if (next && next->version <= effects->limit &&
		    (!*record || before(next, *record))) {
			*record = next;
			found = log;
		}
	}
	return found;
}

static void show(struct table_effects *effects, struct effect_log *log, const struct record *record,
		 struct table_effect *effect)
{
	const uint8_t *key = (const uint8_t *)(record + 1);
	const uint8_t *value = key + record->key_len;
	const struct record *next;

	skip_wrap(log);
	effects->holds = log;
	effects->holds_bytes = record->size_bytes;
	if (record->in_blob) {
		memcpy(&effects->holds_blob, value, sizeof(effects->holds_blob));
		value = effects->holds_blob->bytes;
	}
	*effect = (struct table_effect){
		.kind = (enum table_effect_kind)record->kind,
		.version = record->version,
		.key = slice_of(key, record->key_len),
		.value = slice_of(value, record->value_len),
		.expire_ms = record->expire_ms,
		.mc_flags = record->mc_flags,
	};
	next = peek(log,
		    atomic_load_explicit(&log->tail, memory_order_relaxed) + record->size_bytes);
	effect->more = next && next->version == record->version;
}

enum table_effects_state table_effects_next(struct table_effects *effects,
					    struct table_effect *effect)
{
	const struct record *record;
	struct effect_log *log;

	do {
		let_go(effects);
		log = oldest(effects, &record);
		if (!log) {
			look(effects);
			log = oldest(effects, &record);
		}
		if (atomic_load_explicit(&effects->broken, memory_order_acquire))
			return TABLE_EFFECTS_BROKEN;
		if (!log)
			return TABLE_EFFECTS_NONE;
		show(effects, log, record, effect);
	} while (effect->version <= effects->begun); // some of those were not noted
	return TABLE_EFFECTS_ONE;
}

uint64_t table_effects_read(const struct table_effects *effects)
{
	return effects->limit;
}

uint64_t table_effects_waiting_bytes(const struct table_effects *effects)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < effects->count; i++)
		bytes += atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&effects->logs[i].head,
					      memory_order_relaxed) -
			 atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&effects->logs[i].tail,
					      memory_order_relaxed);
	return bytes;
}

/* References to blobs that nobody has read. */
static void drop_rest(struct table_effects *effects)
{
	const struct record *record;
	struct table_effect effect;
	struct effect_log *log;

	let_go(effects);
	look(effects);
	effects->limit = UINT64_MAX;
	while ((log = oldest(effects, &record))) {
		show(effects, log, record, &effect);
		let_go(effects);
	}
}

void table_effects_end(struct table_effects *effects)
{
	if (!effects)
		return;
	atomic_store(&effects->table->effects, NULL);
	rcu_wait();
	drop_rest(effects);
	free_effects(effects);
}
