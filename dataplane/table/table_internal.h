/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/counter.h"
#include "base/hash_many.h"
#include "base/rng.h"
#include "dataplane/table/item_layout.h"
#include "dataplane/table/protocol.h"
#include "dataplane/table/table.h"

#include <pthread.h>
#include <stdalign.h>

/*
 * What the files of this folder share. In brackets: [const] set before threads start, [owner] the
 * table_thread's own thread only, [owner w, any r] a relaxed counter, [any] atomic, written by
 * whoever runs.
 */

#define TABLE_THREADS_MAX  128
#define VERSION_TICK_SHIFT 4                // a tick of the version clock is 16 ns
#define VERSION_EPOCH_MS   1735689600000ULL // 2025-01-01; 56 bits reach 36 years from here

/*
 * Mean number of items per bucket that growth aims at, as a fraction of 4; shrinking begins far
 * below.
 */
#define LOAD_GROW_QUARTERS   30 // 7.5 per bucket
#define LOAD_SHRINK_QUARTERS 8  // 2.0 per bucket

/* Region of reserved memory, handed out from its start and never taken back. */
struct region {
	uint8_t *base;               // [const]
	uint64_t size_bytes;         // [const] 0: there is no region
	_Atomic uint64_t used_bytes; // [any]
	bool populated;              // [const] every page is there from the start
	uint64_t touched_bytes;      // of ahead.c's thread
};

struct limbo_chunk;

/* Retired memory of one thread, oldest first. */
struct limbo {
	struct limbo_chunk *head, *tail; // tail is being filled
	struct limbo_chunk *spares;
	uint32_t room; // entries that can be retired without an allocation
};

struct timer_wheel;
struct ghost_line;

#define EVICT_POOL_SIZE 16
#define CLOCK_MARKS     4

/* The item may be gone: its address is compared, never followed. */
struct evict_candidate {
	const struct item *item;
	uint64_t version;
	uint64_t hash;
	uint64_t score; // the higher, the sooner it goes
};

struct CACHE_ALIGNED table_thread {
	struct table *table; // [const]
	uint32_t id;         // [const]
	bool may_write;      // [const]
	bool open;           // under table->threads_lock
	bool arena_made;
	unsigned arena, arena_before;

	// [owner]
	uint64_t wall_ms, now_ns;
	uint64_t looked_ns; // when housekeeping last looked at other threads' counters
	bool look_again;
	uint32_t now_s;           // 24 bits of wall seconds, for the items' access field
	uint32_t now_min;         // 16 bits of wall minutes, for the same under LFU
	bool follows;             // table->limits.follows, as of the last table_set_time()
	enum table_policy policy; // as of the last table_set_time()
	bool counts_accesses;     // the policy does, LFU or allkeys-s3
	uint32_t access_first;    // what a new item's access field holds
	struct rng rng;
	struct limbo limbo;
	uint32_t changes_until_sum;
	uint64_t items_known; // of the whole table, at the last sum
	uint64_t reserve_left_bytes, reserve_limit_bytes;
	bool memory_short; // an allocation has failed since the last table_reserve()
	struct timer_wheel *wheel;
	uint64_t wheel_at;                            // number of the slot that is due next
	struct evict_candidate pool[EVICT_POOL_SIZE]; // sorted by score
	uint32_t pool_count;
	enum table_policy pool_policy; // that the scores are of
	uint64_t walk_next;            // bucket at which the search for candidates goes on
	uint64_t hand_bucket;          // of the clock, see evict_clock.c
	uint32_t hand_slot;            // slots of that bucket looked at already
	uint64_t marks[CLOCK_MARKS];   // versions as of the last passages through parts of a lap
	uint32_t mark_next;
	uint64_t to_mark; // buckets
	uint32_t ghost_now, ghost_window, ghost_shift;
	uint32_t ghosts_lost; // because there was no memory for them yet
	uint8_t *copies;      // of items that may change, see stable.h
	uint32_t copies_used;
	bool holds; // writers still
	struct effect_log *log; // NULL: effects are not noted
	void (*on_evict)(void *arg, const struct item *item); // NULL: nobody asks
	void *on_evict_arg;
	struct item **scan_items;
	uint32_t scan_capacity;

	// [owner w, any r]
	CACHE_ALIGNED counter clock; // the last version taken or seen; later ones are higher
	counter memory_bytes;        // allocated minus freed by this thread, modulo 2^64
	counter limbo_bytes, limbo_items;
	_Atomic uint64_t count_epoch; // the flush word that the next two count for
	counter items, items_with_expiry;
	counter expired, evicted;
	counter changes; // asked for: commits, overwrites, and what a flush has hidden
	counter expired_unfetched, evicted_unfetched; // of those, never read by memcached's clients
	counter probation_bytes; // of items put on probation less those that left it, modulo 2^64
	counter ghosts;          // evicted from probation
};

struct table {
	struct bucket *index;              // [const]
	uint64_t buckets_min, buckets_max; // [const]
	struct hash_key hash_key;          // [const]
	hash_many_fn *hash_many;           // [const] the best of this processor
	uint64_t hash_mask;                // [const] all ones; tests force collisions with less
	uint64_t rng_seed;                 // [const]
	bool huge_pages;                   // [const]
	void *index_reserved;              // [const]
	uint64_t index_reserved_bytes;     // [const]
	struct region region;
	struct table_limits limits;

	CACHE_ALIGNED _Atomic uint64_t buckets; // [any] written under resize_lock only
	_Atomic uint64_t flushed;               // [any] versions up to this one are dead
	_Atomic bool flushing;                  // [any] the next one is being chosen; see flush.c
	_Atomic(struct table_snapshot *) snapshot; // [any] NULL: none is under way; see snapshot.c
	_Atomic uint64_t snapshot_colour;       // [any] of all buckets, while none is
	_Atomic(struct table_effects *) effects; // [any] NULL: they are not noted; see effects.c

	CACHE_ALIGNED atomic_flag resize_lock;  // never waited for
	uint64_t resize_tag;                    // of the last split or merge, under resize_lock
	bool resize_grew;                       // under resize_lock
	_Atomic uint64_t index_committed_bytes; // has memory behind it: written by the thread of
						// ahead.c or, without it, under resize_lock
	bool ahead_runs;                        // [const] there is such a thread
	pthread_t ahead_thread;                 // [const]
	_Atomic bool ahead_stops;
	counter index_bytes; // of the most buckets there have been: what counts as used
	counter splits, merges;

	struct ghost_line *ghosts;         // [const] a line for each bucket there may be
	CACHE_ALIGNED counter ghost_bytes; // with memory behind them, under ghost_lock
	atomic_flag ghost_lock;            // never waited for

	CACHE_ALIGNED atomic_flag flush_sweep_lock; // never waited for
	uint64_t flush_sweep_next;    // next bucket to rid of flushed items, under flush_sweep_lock
	uint64_t flush_sweep_for;     // the flush word that the walk is for, under flush_sweep_lock
	_Atomic uint64_t flush_swept; // [any] the last one that a walk has been completed for

	CACHE_ALIGNED atomic_flag expire_sweep_lock; // never waited for
	uint64_t expire_sweep_next;                  // the walk for expiry, under expire_sweep_lock
	uint64_t expire_pass_started_ms;             // under expire_sweep_lock
	uint64_t ttl_sum_ms, ttl_count; // of the pass under way, under expire_sweep_lock
	_Atomic uint64_t ttl_mean_ms;   // [any] of the last pass

	CACHE_ALIGNED _Atomic uint32_t holders; // threads for which nothing may be overwritten

	CACHE_ALIGNED _Atomic uint64_t foreign_memory_bytes; // freed by unregistered threads
	_Atomic uint64_t torn_bytes; // of the region, that turned out to be of no use; see memory.c
	_Atomic uint64_t memory_peak_bytes;
	_Atomic uint64_t version_base;
	_Atomic bool version_base_set;

	pthread_mutex_t threads_lock; // opening and closing threads, and the orphans
	_Atomic uint32_t thread_count;
	_Atomic(struct table_thread *) threads[TABLE_THREADS_MAX];
	_Atomic(struct limbo_chunk *) orphans;
	_Atomic uint64_t orphan_bytes; // limbo_bytes of the threads that left them
};

static inline uint64_t table__hash(const struct table *table, struct slice bytes)
{
	return hash_siphash13(&table->hash_key, bytes) & table->hash_mask;
}

static inline uint64_t table__buckets(const struct table *table)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&table->buckets,
				    memory_order_acquire);
}

static inline uint64_t table__flushed(const struct table *table)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&table->flushed,
				    memory_order_acquire);
}

/* A version that the owner has met: its next one is higher (T4). */
static inline void table__version_seen(struct table_thread *t, uint64_t version)
{
	if (version > counter_read(&t->clock))
		counter_set(&t->clock, version);
}

static inline void table__count_expired(struct table_thread *t, const struct item *item)
{
	counter_add(&t->expired, 1);
	if (!(item_marks(item) & ITEM_FETCHED))
		counter_add(&t->expired_unfetched, 1);
}

static inline bool table__item_expired(const struct table_thread *t, const struct item *item)
{
	uint64_t expire_ms = item__expire_ms(item);

	return unlikely(expire_ms != 0) && expire_ms < t->wall_ms;
}

static inline bool table__item_live(const struct table_thread *t, const struct item *item,
				    uint64_t flushed)
{
	return item__version(item) > flushed && !table__item_expired(t, item);
}

/*
 * What nallocx() says, without the call, which every change would make four times: classes are 16
 * bytes apart up to 128, then there are four to each doubling. A test compares the two.
 */
static inline size_t table__usable_bytes(size_t size_bytes)
{
	if (unlikely(size_bytes <= 8))
		return 8;
	size_t apart = (1ULL << (63 - __builtin_clzll(size_bytes - 1))) / 4;

	if (apart < 16)
		apart = 16;
	return (size_bytes + apart - 1) & ~(apart - 1);
}

/*
 * memory.c: every byte of items, blobs and nodes goes through these and is counted. NULL: no
 * memory.
 */
void *table__alloc(struct table_thread *t, size_t size_bytes);
void table__dealloc(struct table_thread *t, void *ptr, size_t size_bytes);
void table__torn_decay(struct table *table);
uint64_t table__memory_sum(const struct table *table);
uint64_t table__limbo_sum(const struct table *table);
void table__own_thread_set(struct table_thread *t);
int table__arena_bind(struct table_thread *t);
void table__arena_unbind(struct table_thread *t);

/* region.c */
int table__region_init(struct region *region, uint64_t size_bytes, bool huge_pages);
void table__region_touch(struct region *region, uint64_t ahead_bytes);
void *table__region_take(struct region *region, uint64_t size_bytes, uint64_t align_bytes);

/* item.c */
uint32_t item__flags_of_spec(const struct item_spec *spec, const struct blob *blob);
void item__set_version(struct item *item, uint64_t version);
void item__note_rewritten(struct item *item); // before it is published
uint64_t item__retired_bytes(const struct item *item);
void item__free(struct table_thread *t, struct item *item);

/* index.c */
int table__index_init(struct table *table);
void table__index_fini(struct table *table);
bool table__index_commit(struct table *table, uint64_t buckets);
bool table__index_map(struct table *table, uint64_t want_bytes, bool touch);
struct bucket *table__lock(struct table *table, uint64_t idx, uint64_t *hdr);
struct bucket *table__lock_home(struct table_thread *t, uint64_t hash, uint64_t *idx,
				uint64_t *hdr);
void table__unlock(struct bucket *b, uint64_t hdr, uint64_t version);
bool table__room(struct table_thread *t, struct bucket *b, uint32_t needed);
void table__slot_insert(struct bucket *b, uint64_t word);
void table__compact(struct table_thread *t, struct bucket *b);
void table__spin(uint32_t *spins);

/* ahead.c */
int table__ahead_start(struct table *table);
void table__ahead_stop(struct table *table);

/* version.c */
uint64_t table__version_next(struct table_thread *t, uint64_t at_least, uint64_t flushed);
void table__count_sum(const struct table *table, uint64_t *items, uint64_t *with_expiry);
void table__count(struct table_thread *t, uint64_t flushed, int64_t items, int64_t with_expiry);

/* grow.c */
bool table__resize_step(struct table_thread *t, uint64_t items, uint32_t steps_max);
void table__note_change(struct table_thread *t, int64_t items);

/* reclaim.c: room for `count` items and their nodes; false: no memory. Only then may any retire. */
bool reclaim__prepare(struct table_thread *t, uint32_t count);
void reclaim__retire_item(struct table_thread *t, struct item *item);
void reclaim__retire_node(struct table_thread *t, slot_word *node);
int64_t reclaim__slice(struct table_thread *t, int64_t budget);
bool reclaim__pending(const struct table_thread *t);
void reclaim__thread_close(struct table_thread *t);
void reclaim__table_free(struct table *table, struct table_thread *t);

/* sweep.c: rids a bucket of what has expired or been flushed. */
#define SWEEP_ITEMS_MAX 64 // per call; the rest is found by the next one
int table__sweep_bucket(struct table_thread *t, uint64_t idx);

/* flush.c: the flush word that a writer, its buckets locked, takes a version above. */
static inline uint64_t table__flush_settled(struct table *table)
{
	uint32_t spins = 0;

	while (unlikely(atomic_load(&table->flushing)) && TABLE_KEEPS(STEP_FLUSH))
		table__spin(&spins);
	return atomic_load_explicit(&table->flushed, memory_order_acquire);
}

/* snapshot.c: for whatever displaces a live item, its bucket locked, before it does. */
void table__snapshot_displaced(struct table_thread *t, struct table_snapshot *s, uint64_t hdr,
			       uint64_t version, const struct item *item);
static inline void table__displacing(struct table_thread *t, uint64_t hdr, uint64_t version,
				     const struct item *item)
{
	struct table_snapshot *s =
		atomic_load_explicit(&t->table->snapshot, memory_order_acquire);

	if (unlikely(s != NULL))
		table__snapshot_displaced(t, s, hdr, version, item);
}

/* effects.c: what is done to the table, noted where t->log says so, the bucket locked. */
void effects__set_time(struct table_thread *t);
void effects__thread_close(struct table_thread *t);
void effects__set(struct table_thread *t, struct slice key, const struct item_spec *spec,
		  uint64_t version);
void effects__set_item(struct table_thread *t, const struct item *item, uint64_t version);
void effects__delete(struct table_thread *t, struct slice key, uint64_t version);
void effects__flush(struct table_thread *t, uint64_t version);

/* scan.c: appends to t->scan_items. False: no memory. */
bool table__scan_keep(struct table_thread *t, struct item *item, uint32_t *count);

/* flush.c, expire.c */
bool table__flush_pending(struct table *table);
int64_t table__flush_slice(struct table_thread *t, int64_t budget);
void expire__note(struct table_thread *t, uint64_t hash, uint64_t expire_ms);
int64_t expire__slice(struct table_thread *t, int64_t budget);
int64_t expire__walk(struct table_thread *t, int64_t budget);
bool expire__pending(const struct table_thread *t);
void expire__thread_close(struct table_thread *t);

/* access.c: what an access leaves in an item, as the policy wants it; see access.h too. */
void access__clock(struct table_thread *t);
void access__inherit(struct table_thread *t, const struct table_change *change,
		     const struct item *displaced);

/* evict_sample.c: evicts one item as the policy, one of redis', says. False: there is none. */
bool evict__sampled(struct table_thread *t, enum table_policy policy);

/* evict_clock.c: allkeys-s3. */
bool evict__clock(struct table_thread *t);
uint64_t evict__slot_bits(struct table_thread *t, const struct bucket *b,
			  const struct table_change *change, uint64_t word);
void evict__probation_left(struct table_thread *t, uint64_t word);

/* For whatever takes an item out of its slot, before it is retired. */
static inline void evict__left(struct table_thread *t, uint64_t word)
{
	if (unlikely(word & SLOT_PROBATION))
		evict__probation_left(t, word);
}

/* ghost.c */
int ghost__init(struct table *table);
void ghost__fini(struct table *table);
void ghost__grow(struct table_thread *t);
void ghost__clock(struct table_thread *t);
void ghost__add(struct table_thread *t, uint64_t idx, uint64_t hash);
bool ghost__take(struct table_thread *t, uint64_t idx, uint64_t hash);

/* evict.c */
void evict__take_out(struct table_thread *t, struct bucket *b, uint64_t hdr, slot_word *slot,
		     uint64_t flushed);
int64_t evict__slice(struct table_thread *t, int64_t budget);
