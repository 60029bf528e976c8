/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/counter.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/slice.h"
#include "dataplane/table/item.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The one table that all threads share.
 *
 * Thread rules
 *   Any registered thread may look keys up, without a lock and without writing anything shared.
 *   Only a thread opened with may_write takes bucket locks. On the appliance those are the pinned
 *   workers, because a thread that sleeps with a bucket locked would stall the others; unit tests
 *   open whatever they like. A pointer to an item is good until the calling thread's next
 *   rcu_quiescent(), rcu_offline(), table_set_time() or table_drop_found().
 *
 * Guarantees
 *   T1  Single-key operations are linearizable. A lookup's point is its load of the slot, or of
 *       the version of an item that may be overwritten; a change's is its store.
 *   T2  A lookup never misses a key that is present throughout the call, whatever grows, shrinks
 *       or moves.
 *   T3  table_commit() is strictly serialisable: all of its changes become visible at one
 *       instant, and only if all of its expectations held at that instant. table_find_many() sees
 *       one instant too.
 *   T4  Versions rise with every change of a key, and real-time order across keys is kept: an
 *       operation that starts after another has returned gets a higher version.
 *   T5  table_scan() started at cursor 0 and continued until it returns 0 reports every key that
 *       is present from the first call to the last at least once, across growth and shrinking.
 *   T6  An item is freed only after every thread that could have found it has been quiescent.
 *   T7  table_flush() hides every item committed before it at one instant, whatever the number of
 *       items.
 */
struct table;

/* What a thread needs to work on the table: allocator, limbo, version clock, counters. */
struct table_thread;

struct table_config {
	struct hash_key hash_key;
	uint64_t buckets_initial; // a power of two; grows by itself
	uint64_t buckets_max;     // bounds the reserved address space; 0: derived from region_bytes
	uint64_t region_bytes;    // memory for items, reserved at start; 0: plain malloc (tests)
	bool huge_pages;          // back the region and the index with them
	bool grows_ahead;         // a thread maps the index and touches the region ahead (ahead.c)
	uint64_t rng_seed;
};

/* What goes when maxmemory is reached; the words are redis', but for allkeys-s3. */
#define TABLE_POLICIES(X)                                                                          \
	X(TABLE_NOEVICTION, "noeviction")                                                          \
	X(TABLE_ALLKEYS_LRU, "allkeys-lru")                                                        \
	X(TABLE_ALLKEYS_LFU, "allkeys-lfu")                                                        \
	X(TABLE_ALLKEYS_RANDOM, "allkeys-random")                                                  \
	X(TABLE_ALLKEYS_S3, "allkeys-s3")                                                          \
	X(TABLE_VOLATILE_LRU, "volatile-lru")                                                      \
	X(TABLE_VOLATILE_LFU, "volatile-lfu")                                                      \
	X(TABLE_VOLATILE_RANDOM, "volatile-random")                                                \
	X(TABLE_VOLATILE_TTL, "volatile-ttl")

enum table_policy {
#define TABLE_POLICY(name, word) name,
	TABLE_POLICIES(TABLE_POLICY)
#undef TABLE_POLICY
};

static inline bool table_policy_is_lfu(enum table_policy policy)
{
	return policy == TABLE_ALLKEYS_LFU || policy == TABLE_VOLATILE_LFU;
}

/* What everyone may change at run time; read relaxed, once per operation or burst. */
struct table_limits {
	_Atomic uint64_t maxmemory_bytes; // 0: as much as the region holds
	_Atomic uint32_t policy;          // enum table_policy
	_Atomic uint32_t lfu_log_factor;  // how slowly the counter of accesses rises
	_Atomic uint32_t lfu_decay_min;   // minutes after which it falls by one, 0: never
	// The keyspace is another one's: what has expired is hidden, but stays until that one says
	// so, and nothing is evicted, nor refused for maxmemory.
	_Atomic bool follows;
};

/* Sums over all threads; see table_stats(). */
struct table_stats {
	uint64_t items, items_with_expiry;
	uint64_t memory_bytes; // items, blobs, index and limbo: what maxmemory is compared with
	uint64_t memory_peak_bytes;
	uint64_t index_bytes, limbo_bytes, region_bytes;
	uint64_t ghost_bytes; // what allkeys-s3 remembers of keys it has evicted
	uint64_t expired, evicted;
	uint64_t changes; // commits and overwrites, and items that flushes have hidden
	uint64_t expired_unfetched, evicted_unfetched; // of those, without ITEM_FETCHED
	uint64_t limbo_items;
	uint64_t buckets, splits, merges;
	uint64_t expire_sum_ms; // a recent estimate of the mean time to live (avg_ttl of INFO)
};

/*
 * Returns 0 or a negative errno (-ENOMEM: the region cannot be had), and why in words. Main
 * thread.
 */
#define TABLE_WHY_MAX 256
int table_new(const struct table_config *config, struct table **table, char *why);

/* All table_threads must be closed. Frees every item. */
void table_free(struct table *table);

struct table_limits *table_limits(struct table *table);
void table_stats(const struct table *table, struct table_stats *stats); // any thread

/*
 * Registers the calling thread with RCU and the allocator. NULL when there is no memory. All
 * further calls with it come from this thread.
 */
struct table_thread *table_thread_open(struct table *table, bool may_write);
void table_thread_close(struct table_thread *t);

/*
 * Time, once per burst or command: Unix milliseconds, and a monotonic nanosecond clock for
 * versions. Both are the caller's; the table reads no clock. Drops all items that were found.
 */
void table_set_time(struct table_thread *t, uint64_t wall_ms, uint64_t now_ns);

/* The last version that the thread has taken or seen: all that it has done is up to it. */
uint64_t table_clock(const struct table_thread *t);

/*
 * Shows every item that this thread evicts, while it is still whole. NULL: none. By the thread
 * itself.
 */
void table_on_evict(struct table_thread *t, void (*on_evict)(void *arg, const struct item *item),
		    void *arg);

/* Drops all items that were found: to be called where a burst of commands goes on for long. */
void table_drop_found(struct table_thread *t);

struct bucket;

/* A key with its hash: computed once, passed along. */
struct table_key {
	struct slice bytes;
	uint64_t hash;
	struct bucket *home; // where it belonged then: what to fetch, and where to look first
};

struct table_key table_key(const struct table *table, struct slice bytes);

/*
 * The same for a burst's keys of which `bytes` is set, side by side, and asks the memory for their
 * buckets. 1 to TABLE_KEYS_MAX.
 */
#define TABLE_KEYS_MAX 32
void table_keys_init(const struct table *table, struct table_key *const *keys, uint32_t count);

/*
 * The live item of a key, or NULL. Expired and flushed items count as absent. Notes the access, as
 * the policy wants it, unless `peek`. Counts neither hit nor miss: that is the command's to decide.
 */
struct item *table_find(struct table_thread *t, const struct table_key *key);
struct item *table_peek(struct table_thread *t, const struct table_key *key);

/* Notes the access that table_peek() has not. `item` is what it found. */
void table_note_access(struct table_thread *t, const struct table_key *key, struct item *item);

/*
 * All of them as of one instant (T3). items[i] is NULL for an absent key. count <=
 * TABLE_MANY_MAX.
 */
#define TABLE_MANY_MAX 1048576
void table_find_many(struct table_thread *t, const struct table_key *keys, uint32_t count,
		     struct item **items);

/*
 * Allocates an unpublished item, copying the spec's bytes. NULL when the memory limit or the
 * region is reached and nothing may be evicted (table_reserve() tells beforehand). A writer
 * thread only.
 */
struct item *table_item_new(struct table_thread *t, const struct item_spec *spec);

/* Drops an item that was never published. One that was is no longer the caller's to read. */
void table_item_discard(struct table_thread *t, struct item *item);

/*
 * A blob with room for `capacity` bytes, one reference, len 0, counted in memory_bytes. NULL when
 * there is no memory. Any thread opened with may_write.
 */
struct blob *table_blob_new(struct table_thread *t, uint64_t capacity);

/*
 * Marks an item that was found (ITEM_FETCHED and the like). table_mark_first() says whether the
 * mark is the first of its kind on that very value: false also when the key has changed since, and
 * then nothing is marked. A writer thread. table_mark() is for marks that may be lost or set a
 * moment late; any thread.
 */
MUST_USE bool table_mark_first(struct table_thread *t, const struct table_key *key,
			       const struct item *item, uint32_t mark);
void table_mark(struct table_thread *t, struct item *item, uint32_t mark);

/* The logarithmic counter of accesses, 0 to 255; means something under an LFU policy only. */
uint32_t table_item_freq(const struct table_thread *t, const struct item *item);

/* Expectations of a change, beside a pointer to the item that was found. */
#define TABLE_ANY    ((const struct item *)1) // whatever is there
#define TABLE_ABSENT ((const struct item *)0)

enum table_status {
	TABLE_OK,
	TABLE_CONFLICT,  // the expectation did not hold: look again and retry
	TABLE_NO_MEMORY, // the index could not grow
};

/*
 * One change. `expected` is what must be there now: TABLE_ANY, TABLE_ABSENT, or an item found since
 * the last table_set_time(). `item` is what is to be there, NULL for a deletion; it is handed over
 * on TABLE_OK only. Out: `old`, what was there (live) or NULL, good as a found item is, and
 * `version`, that of the change, or of a deletion that found nothing the last one there.
 */
struct table_change {
	struct table_key key;
	const struct item *expected;
	struct item *item;
	struct item *old;
	uint64_t version;
};

/*
 * Commits one change (T1). The version of the change is item_version(change->item), and
 * change->version for a deletion too. Every command that reads, computes and writes is a loop
 * around this call.
 */
MUST_USE enum table_status table_commit_one(struct table_thread *t, struct table_change *change);

/*
 * The same with a version that the item has had before, for filling a table: its clients' uniques
 * stay good. One that is not of the past (or 0) is not taken, and the item gets a new one.
 */
MUST_USE enum table_status table_restore_one(struct table_thread *t, struct table_change *change,
					     uint64_t version);

/*
 * The same of an item by this spec, but stored over what is there (T1), for a third of the cost.
 * False, and nothing has been done: there is no live item, or it is the first one of its key, has
 * another length or other options, or is long; an item is to be made and committed. change->item
 * is not looked at, change->old not set. *status: TABLE_OK or TABLE_CONFLICT.
 */
MUST_USE bool table_overwrite(struct table_thread *t, struct table_change *change,
			      const struct item_spec *spec, enum table_status *status);

/* Commits all or none (T3). Keys may repeat; the last change of a key counts. */
MUST_USE enum table_status table_commit(struct table_thread *t, struct table_change *changes,
					uint32_t count);

/*
 * Makes room under maxmemory for a write of about `bytes`, evicting if the policy allows. False:
 * refuse the command with an out-of-memory error. Writer threads; bounded work.
 */
MUST_USE bool table_reserve(struct table_thread *t, uint64_t bytes);

/* Hides all items at one instant (T7); memory comes back in table_housekeep(). */
void table_flush(struct table_thread *t);

/*
 * One slice of the table's upkeep: frees what has passed its grace period, removes what has
 * expired or been flushed, splits and merges buckets. At most about `budget_ns` of work by
 * estimate. True when there is more to do at once. Writer threads.
 */
bool table_housekeep(struct table_thread *t, uint32_t budget_ns);

/*
 * Visits all live items of the next buckets: at least `want` of them, or fewer if it has looked at
 * some thousand buckets by then. Returns the next cursor, 0 at the end (T5). The item is good until
 * the next quiescent state.
 */
uint64_t table_scan(struct table_thread *t, uint64_t cursor, uint32_t want,
		    void (*visit)(void *arg, struct item *item), void *arg);

/* A live item chosen at random, or NULL when there is none. */
struct item *table_random(struct table_thread *t);

/* Live items, exact when no change is under way. Any thread. */
uint64_t table_count(const struct table *table);
