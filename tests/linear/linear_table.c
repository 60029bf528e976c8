/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/rcu.h"
#include "dataplane/table/protocol.h"
#include "dataplane/table/table_internal.h"
#include "tests/linear/linear_check.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Records short histories of the real table and has them checked. A few threads run random
 * operations on a few keys, as commands do, while a further thread splits and merges buckets, keys
 * expire and are evicted, and all of them give way at random at the points that the table marks.
 * A violation is printed with the history and the seed.
 *
 *   linear_table [--must-fail] [--collide]
 *
 *   --must-fail   for a table built with a step of its protocol left out: exit status 0 means that
 *                 a violation was found, otherwise that none was
 *   --collide     all keys of a bucket have the same tag
 *
 * LINEAR_HISTORIES sets the number of histories per scenario (1000, but fewer where a sanitizer
 * makes them slow), LINEAR_SEED their programs (how threads meet is up to the machine).
 */

#define WORKERS            3
#define OPS_MAX            (LINEAR_OPS_MAX / WORKERS)
#define BUCKETS_TOP        8
#define VALUES_PER_OP      64 // a value and what increments make of it
#define WALL_BASE_MS       1800000000000ULL
#define HOUSEKEEPING_NS    20000
#define BYTES_TO_RESERVE   64
#define CLOCK_FACTOR       1000
#define FILLER_FIRST       100
#define FILLERS            24
#define NOT_A_VALUE        UINT32_MAX // what was read is no value that anybody stored
#define HISTORIES_AT_WORST 20         // times the number set, until a broken table must be found

enum feature {
	MANY = 1,   // operations on several keys
	EXPIRE = 2, // some keys expire
	EVICT = 4,  // keys are evicted
	FLUSH = 8,  // everything is flushed now and then
	PARTS = 16, // all keys are stored at once and read one by one
};

struct scenario {
	const char *name;
	uint32_t features;
	uint32_t keys;
	uint32_t ops; // of each thread
};

static const struct scenario scenarios[] = {
	{"get, set, delete, cas, incr per key", 0, 3, 20},
	{"per key, with expiry", EXPIRE, 2, 16},
	{"per key, with eviction", EVICT, 2, 12},
	{"several keys", MANY, 4, 8},
	{"all keys at once, read one by one", MANY | PARTS, 3, 10},
	{"several keys, with expiry", MANY | EXPIRE, 3, 6},
	{"several keys, with eviction", MANY | EVICT, 3, 6},
	{"several keys, with flushes", MANY | FLUSH, 3, 7},
};

/* What an item's value holds: enough to tell when it is not what was stored. */
struct stored {
	uint32_t value, key;
	uint64_t check;
};

struct key {
	char text[16];
	struct table_key key;
};

struct worker {
	pthread_t handle;
	struct table_thread *t;
	uint32_t id;
	struct rng rng;
	uint32_t last[LINEAR_KEYS_MAX]; // seen or stored of each key
	uint64_t last_versions[LINEAR_KEYS_MAX];
	uint64_t versions[LINEAR_KEYS_MAX]; // that the operation has met, in the order of its keys
	struct key keys[LINEAR_KEYS_MAX];   // as they were hashed when the turn began
	struct linear_op ops[OPS_MAX];
};

static struct table *table;
static struct worker workers[WORKERS];
static const struct scenario *scenario;
static uint64_t seed, history_number, started_ns;

static _Atomic uint64_t stamp;
static _Atomic uint32_t clock_ms = 1;     // of all
static _Atomic uint64_t round_started;    // workers run one history per round
static _Atomic uint32_t workers_finished; // of the round
static _Atomic bool filling;
static _Atomic bool stopping;

static __thread struct rng yield_rng;

/* Called by the table where the order of events matters. */
void table__yield(void)
{
	uint32_t die = rng_below(&yield_rng, 16);

	if (die < 4)
		sched_yield();
	for (uint32_t i = 0; die == 4 && i < 200; i++)
		cpu_relax();
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The clock of versions runs ahead, as if threads were stopped for long: each step takes longer. */
static void set_time(struct table_thread *t, uint32_t clock)
{
	table_set_time(t, WALL_BASE_MS + clock, (monotonic_ns() - started_ns) * CLOCK_FACTOR);
}

/* Operations, as commands run them. */

static struct table_key key_of(struct key *k, uint32_t number)
{
	int len = snprintf(k->text, sizeof(k->text), "k%u", number);

	k->key = table_key(table, slice_of(k->text, (size_t)len));
	return k->key;
}

static uint64_t check_of(uint32_t key, uint32_t value)
{
	return ((uint64_t)key << 32 | value) * 0x9e3779b97f4a7c15ULL;
}

/* Twice, as the item must not change or go until this thread is quiescent (T6). */
static uint32_t value_of(const struct item *item, uint32_t key)
{
	struct stored first, second;

	if (!item)
		return 0;
	if (item_value(item).len != sizeof(first))
		return NOT_A_VALUE;
	memcpy(&first, item_value(item).ptr, sizeof(first));
	table__yield();
	if (item_value(item).len != sizeof(second))
		return NOT_A_VALUE;
	memcpy(&second, item_value(item).ptr, sizeof(second));
	if (first.key != key || first.check != check_of(key, first.value) ||
	    memcmp(&first, &second, sizeof(first)) != 0)
		return NOT_A_VALUE;
	return first.value;
}

/* What becomes of a key: its bytes are in `stored`. */
static struct item_spec spec_of(const struct linear_op *op, const struct table_key *key,
				uint32_t number, uint32_t value, struct stored *stored)
{
	*stored = (struct stored){.value = value, .key = number, .check = check_of(number, value)};
	return (struct item_spec){
		.key = key->bytes,
		.value = slice_of(stored, sizeof(*stored)),
		.expire_ms = op->expires ? WALL_BASE_MS + op->expires : 0,
	};
}

static struct item *item_of(struct worker *w, const struct linear_op *op,
			    const struct table_key *key, uint32_t number, uint32_t value)
{
	struct stored stored;
	const struct item_spec spec = spec_of(op, key, number, value, &stored);
	struct item *item = table_item_new(w->t, &spec);

	INVARIANT(item);
	return item;
}

/* Half of the single changes try to store over what is there, the value in two pieces. */
static bool overwrite(struct worker *w, const struct linear_op *op, struct table_change *change,
		      uint32_t value, enum table_status *status)
{
	const size_t head = rng_below(&w->rng, sizeof(struct stored) + 1);
	struct stored stored;
	struct item_spec spec = spec_of(op, &change->key, op->keys[0], value, &stored);

	if (rng_below(&w->rng, 2))
		return false;
	spec.value_tail = slice_of(spec.value.ptr + head, spec.value.len - head);
	spec.value.len = head;
	return table_overwrite(w->t, change, &spec, status);
}

/* SET of one key where something is: finds it, stores over it, again if somebody came between. */
static bool set_over(struct worker *w, struct linear_op *op)
{
	struct table_change change = {.key = w->keys[op->keys[0]].key};
	enum table_status status;

	do {
		change.expected = table_find(w->t, &change.key);
		op->seen[0] = value_of(change.expected, op->keys[0]);
		if (!change.expected || !overwrite(w, op, &change, op->stored[0], &status))
			return false;
	} while (status != TABLE_OK);
	w->versions[0] = change.version;
	return true;
}

static void run_get(struct worker *w, struct linear_op *op)
{
	struct table_key keys[LINEAR_KEYS_MAX];
	struct item *items[LINEAR_KEYS_MAX];

	for (uint32_t i = 0; i < op->key_count; i++)
		keys[i] = w->keys[op->keys[i]].key;
	if (op->key_count == 1)
		items[0] = table_find(w->t, &keys[0]);
	else
		table_find_many(w->t, keys, op->key_count, items);
	for (uint32_t i = 0; i < op->key_count; i++) {
		op->seen[i] = value_of(items[i], op->keys[i]);
		w->versions[i] = items[i] ? item_version(items[i]) : 0;
	}
}

/* SET, DELETE and MSETNX: one commit, whatever is there or only over absent keys. */
static enum table_status commit_all(struct worker *w, struct linear_op *op,
				    const struct item *const *expected)
{
	struct table_change changes[LINEAR_KEYS_MAX];
	enum table_status status;

	for (uint32_t i = 0; i < op->key_count; i++) {
		changes[i] = (struct table_change){.key = w->keys[op->keys[i]].key,
						   .expected = expected[i]};
		if (op->kind != LINEAR_DELETE)
			changes[i].item =
				item_of(w, op, &changes[i].key, op->keys[i], op->stored[i]);
	}
	if (op->key_count == 1)
		status = table_commit_one(w->t, changes);
	else
		status = table_commit(w->t, changes, op->key_count);
	for (uint32_t i = 0; i < op->key_count; i++) {
		w->versions[i] = changes[i].version;
		if (status != TABLE_OK)
			table_item_discard(w->t, changes[i].item);
		else if (op->kind != LINEAR_CAS)
			op->seen[i] = value_of(changes[i].old, op->keys[i]);
	}
	return status;
}

static void run_set(struct worker *w, struct linear_op *op)
{
	const struct item *any[LINEAR_KEYS_MAX];

	if (op->kind == LINEAR_SET && op->key_count == 1 && set_over(w, op))
		return;
	for (uint32_t i = 0; i < op->key_count; i++)
		any[i] = TABLE_ANY;
	enum table_status status = commit_all(w, op, any);

	INVARIANT(status == TABLE_OK);
}

/*
 * Looks the keys up one by one, and knows what it wants by its version (memcached's unique); the
 * commit says whether that is still there.
 */
static void run_cas(struct worker *w, struct linear_op *op)
{
	const struct item *found[LINEAR_KEYS_MAX];

	for (uint32_t i = 0; i < op->key_count; i++) {
		const struct table_key *key = &w->keys[op->keys[i]].key;

		found[i] = op->wanted[i] ? table_find(w->t, key) : TABLE_ABSENT;
		if (op->wanted[i] &&
		    (!found[i] || item_version(found[i]) != w->last_versions[op->keys[i]]))
			return;
	}
	struct table_change change = {.key = w->keys[op->keys[0]].key, .expected = found[0]};
	enum table_status status;

	if (op->key_count == 1 && overwrite(w, op, &change, op->stored[0], &status))
		w->versions[0] = change.version;
	else
		status = commit_all(w, op, found);
	op->done = status == TABLE_OK;
}

static void run_incr(struct worker *w, struct linear_op *op)
{
	struct table_change change = {.key = w->keys[op->keys[0]].key};

	for (;;) {
		const struct item *found = table_find(w->t, &change.key);
		uint32_t value = value_of(found, op->keys[0]);

		if (!found || value == NOT_A_VALUE) {
			op->seen[0] = value;
			return;
		}
		op->expires = item_expire_ms(found)
				      ? (uint32_t)(item_expire_ms(found) - WALL_BASE_MS)
				      : 0;
		enum table_status status;

		change.expected = found;
		if (!overwrite(w, op, &change, value + 1, &status)) {
			change.item = item_of(w, op, &change.key, op->keys[0], value + 1);
			status = table_commit_one(w->t, &change);
			if (status != TABLE_OK)
				table_item_discard(w->t, change.item);
		}
		if (status == TABLE_OK) {
			w->versions[0] = change.version;
			op->seen[0] = value + 1;
			return;
		}
	}
}

/* For a later cas: what the key held, and by which version. A deletion leaves nothing. */
static void remember(struct worker *w, const struct linear_op *op)
{
	bool stored = op->kind == LINEAR_SET || (op->kind == LINEAR_CAS && op->done);
	bool knows = stored || op->kind == LINEAR_GET || op->kind == LINEAR_INCR;

	for (uint32_t i = 0; i < op->key_count && knows; i++) {
		w->last[op->keys[i]] = stored ? op->stored[i] : op->seen[i];
		w->last_versions[op->keys[i]] = w->versions[i];
	}
}

static void run_op(struct worker *w, struct linear_op *op)
{
	op->called = atomic_fetch_add(&stamp, 1);
	op->clock = atomic_load(&clock_ms);
	if (op->expires)
		op->expires += op->clock;
	set_time(w->t, op->clock);
	switch (op->kind) {
	case LINEAR_GET:
		run_get(w, op);
		break;
	case LINEAR_SET:
	case LINEAR_DELETE:
		run_set(w, op);
		break;
	case LINEAR_CAS:
		run_cas(w, op);
		break;
	case LINEAR_INCR:
		run_incr(w, op);
		break;
	case LINEAR_FLUSH:
		table_flush(w->t);
		break;
	}
	op->clock_after = atomic_load(&clock_ms);
	op->returned = atomic_fetch_add(&stamp, 1);
	remember(w, op);
}

/* Programs. */

static enum linear_kind choose_kind(struct worker *w)
{
	static const enum linear_kind kinds[] = {
		LINEAR_GET, LINEAR_GET, LINEAR_GET, LINEAR_SET,  LINEAR_SET,  LINEAR_DELETE,
		LINEAR_CAS, LINEAR_CAS, LINEAR_CAS, LINEAR_INCR, LINEAR_INCR, LINEAR_GET,
	};

	if (scenario->features & FLUSH && rng_below(&w->rng, 12) == 0)
		return LINEAR_FLUSH;
	if (scenario->features & PARTS)
		return rng_below(&w->rng, 4) ? LINEAR_GET : LINEAR_SET;
	return kinds[rng_below(&w->rng, ARRAY_COUNT(kinds))];
}

/* Distinct keys in any order. */
static void choose_keys(struct worker *w, struct linear_op *op)
{
	uint32_t first = rng_below(&w->rng, scenario->keys);
	uint32_t step = 1 + rng_below(&w->rng, 2) * (scenario->keys - 2);

	op->key_count = 1;
	if (scenario->features & MANY && op->kind != LINEAR_INCR && rng_below(&w->rng, 2))
		op->key_count = 2 + rng_below(&w->rng, scenario->keys - 1);
	if (scenario->features & PARTS)
		op->key_count = op->kind == LINEAR_SET ? scenario->keys : 1;
	if (op->kind == LINEAR_FLUSH)
		op->key_count = scenario->keys;
	for (uint32_t i = 0; i < op->key_count; i++)
		op->keys[i] = (first + i * step) % scenario->keys;
}

static void plan_op(struct worker *w, uint32_t number)
{
	struct linear_op *op = &w->ops[number];
	bool over_absent = rng_below(&w->rng, 3) == 0;

	*op = (struct linear_op){.kind = choose_kind(w), .thread = w->id};
	choose_keys(w, op);
	for (uint32_t i = 0; i < op->key_count; i++) {
		op->stored[i] = (w->id * OPS_MAX + number + 1) * VALUES_PER_OP;
		if (op->kind == LINEAR_CAS && !over_absent)
			op->wanted[i] = w->last[op->keys[i]];
	}
	if (scenario->features & EXPIRE && op->kind == LINEAR_SET && rng_below(&w->rng, 2))
		op->expires = 1 + rng_below(&w->rng, 3);
}

/* What goes on beside the operations. */
static void disturb(struct worker *w)
{
	if (scenario->features & EXPIRE && rng_below(&w->rng, 3) == 0)
		atomic_fetch_add(&clock_ms, 1 + rng_below(&w->rng, 2));
	if (scenario->features & EVICT && rng_below(&w->rng, 6) == 0 &&
	    !table_reserve(w->t, BYTES_TO_RESERVE))
		table__yield();
	if (rng_below(&w->rng, 8) == 0)
		table_housekeep(w->t, HOUSEKEEPING_NS);
}

/* Of a turn's requests the keys are hashed first, and all run before the next quiescent state. */
static void begin_turn(struct worker *w)
{
	rcu_quiescent();
	for (uint32_t i = 0; i < scenario->keys; i++)
		key_of(&w->keys[i], i);
}

static void run_program(struct worker *w)
{
	w->rng = rng_seeded(seed + history_number * WORKERS + w->id);
	yield_rng = rng_seeded(rng_next(&w->rng));
	memset(w->last, 0, sizeof(w->last));
	for (uint32_t i = 0; i < scenario->ops; i++) {
		if (i == 0 || rng_below(&w->rng, 2))
			begin_turn(w);
		disturb(w);
		plan_op(w, i);
		run_op(w, &w->ops[i]);
	}
	rcu_quiescent();
}

/* Threads. */

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t rounds_seen = 0;

	w->t = table_thread_open(table, true);
	INVARIANT(w->t);
	set_time(w->t, atomic_load(&clock_ms));
	atomic_fetch_add(&workers_finished, 1);
	for (;;) {
		while (atomic_load(&round_started) == rounds_seen && !atomic_load(&stopping)) {
			rcu_quiescent();
			sched_yield();
		}
		if (atomic_load(&stopping))
			break;
		rounds_seen++;
		run_program(w);
		atomic_fetch_add(&workers_finished, 1);
	}
	table_thread_close(w->t);
	return NULL;
}

/* Further keys come and go, so that buckets have overflow nodes and items move. */
static void fill_or_clear(struct worker *w)
{
	const struct linear_op set = {.kind = LINEAR_SET};
	uint32_t number = FILLER_FIRST + rng_below(&w->rng, FILLERS);
	struct key text;
	struct table_change change = {.key = key_of(&text, number), .expected = TABLE_ANY};

	if (rng_below(&w->rng, 3) && atomic_load(&filling))
		change.item = item_of(w, &set, &change.key, number, 1);
	enum table_status status = table_commit_one(w->t, &change);

	INVARIANT(status == TABLE_OK);
}

/* Up and down, a grace period at each turn, as the table demands. */
static void *resizer_main(void *arg)
{
	struct worker self = {.t = table_thread_open(table, true), .rng = rng_seeded(seed)};
	bool up = true;

	INVARIANT(self.t);
	yield_rng = rng_seeded(seed + 1);
	while (!atomic_load(&stopping)) {
		uint64_t buckets = atomic_load(&table->buckets);
		bool was_up = up;

		if (buckets >= BUCKETS_TOP)
			up = false;
		if (buckets <= 1)
			up = true;
		set_time(self.t, atomic_load(&clock_ms));
		fill_or_clear(&self);
		table__resize_step(self.t, up ? 1ULL << 40 : 0, 1 + rng_below(&self.rng, 3));
		rcu_quiescent();
		if (up != was_up) {
			table_housekeep(self.t, HOUSEKEEPING_NS);
			rcu_wait();
		}
		sched_yield();
	}
	table_thread_close(self.t);
	return arg;
}

static void wait_for_workers(void)
{
	while (atomic_load(&workers_finished) < WORKERS) {
		rcu_quiescent();
		sched_yield();
	}
}

/* Every history begins with an empty map. */
static void clear_keys(struct table_thread *t)
{
	set_time(t, atomic_load(&clock_ms));
	for (uint32_t i = 0; i < scenario->keys; i++) {
		struct key text;
		struct table_change change = {.key = key_of(&text, i), .expected = TABLE_ANY};
		enum table_status status = table_commit_one(t, &change);

		INVARIANT(status == TABLE_OK);
	}
	table_housekeep(t, HOUSEKEEPING_NS);
	rcu_quiescent();
}

static uint64_t evicted_so_far(void)
{
	struct table_stats stats;

	table_stats(table, &stats);
	return stats.evicted;
}

static void collect(struct linear_history *h)
{
	h->count = 0;
	for (uint32_t i = 0; i < WORKERS; i++)
		for (uint32_t n = 0; n < scenario->ops; n++)
			h->ops[h->count++] = workers[i].ops[n];
}

static enum linear_verdict run_history(struct table_thread *t, struct linear_history *h)
{
	clear_keys(t);
	uint64_t evicted_before = evicted_so_far();

	atomic_store(&workers_finished, 0);
	atomic_fetch_add(&round_started, 1);
	wait_for_workers();
	collect(h);
	uint32_t evicted = (uint32_t)(evicted_so_far() - evicted_before);

	if (scenario->features & MANY)
		return linear_check(h, evicted);
	return linear_check_keys(h, evicted);
}

static void table_start(struct table_thread **t)
{
	static struct scenario none;
	char why[TABLE_WHY_MAX];
	const struct table_config config = {.buckets_initial = 1, .hash_key = {seed, 4}};

	scenario = &none;
	INVARIANT(table_new(&config, &table, why) == 0);
	*t = table_thread_open(table, true);
	INVARIANT(*t);
}

/* The limit is below what is there, so that whoever asks for room evicts. */
static void set_eviction(bool on)
{
	struct table_limits *limits = table_limits(table);

	atomic_store(&limits->policy, on ? TABLE_ALLKEYS_LRU : TABLE_NOEVICTION);
	atomic_store(&limits->maxmemory_bytes, on ? 1 : 0);
}

struct tally {
	uint64_t histories, ops, evicted, undecided;
	bool violated;
};

static void run_scenario(struct table_thread *t, const struct scenario *s, uint64_t count,
			 struct tally *tally)
{
	uint64_t evicted_before = evicted_so_far();

	scenario = s;
	set_eviction(s->features & EVICT);
	atomic_store(&filling,
		     !(s->features & EVICT)); // evictions are to be of the keys themselves
	for (uint64_t i = 0; i < count && !tally->violated; i++, history_number++) {
		struct linear_history h;
		enum linear_verdict verdict = run_history(t, &h);

		tally->histories++;
		tally->ops += h.count;
		tally->undecided += verdict == LINEAR_UNDECIDED;
		tally->violated = verdict == LINEAR_VIOLATED;
		if (!tally->violated)
			continue;
		printf("%s: history %llu of seed %llu is not linearizable\n", s->name,
		       (unsigned long long)history_number, (unsigned long long)seed);
		linear_print(stdout, &h);
	}
	tally->evicted += evicted_so_far() - evicted_before;
}

/* All scenarios by turns, a few histories each, until enough have been checked. */
static void run_all(struct table_thread *t, uint64_t count, struct tally *tally)
{
	enum {
		AT_A_TIME = 50
	};

	for (uint64_t done = 0; done < count && !tally->violated; done += AT_A_TIME)
		for (size_t i = 0; i < ARRAY_COUNT(scenarios) && !tally->violated; i++)
			run_scenario(t, &scenarios[i], AT_A_TIME, tally);
}

static bool has_argument(char **argv, const char *text)
{
	for (; *argv; argv++)
		if (strcmp(*argv, text) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool must_fail = has_argument(argv, "--must-fail");
	uint64_t count = number_from("LINEAR_HISTORIES", HISTORIES_DEFAULT);
	struct table_thread *t;
	struct tally tally = {0};
	pthread_t resizer;

	started_ns = monotonic_ns();
	seed = number_from("LINEAR_SEED", 1);
	INVARIANT(rcu_start() == 0);
	table_start(&t);
	if (has_argument(argv, "--collide"))
		table->hash_mask = BUCKETS_TOP - 1;
	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i].id = i;
		INVARIANT(pthread_create(&workers[i].handle, NULL, worker_main, &workers[i]) == 0);
	}
	INVARIANT(pthread_create(&resizer, NULL, resizer_main, NULL) == 0);
	wait_for_workers();
	run_all(t, must_fail ? HISTORIES_AT_WORST * count : count, &tally);
	atomic_store(&stopping, true);
	rcu_offline();
	for (uint32_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].handle, NULL);
	pthread_join(resizer, NULL);
	rcu_online();
	printf("seed %llu: %llu histories, %llu operations, %llu evictions, %llu splits, "
	       "%llu undecided, %s\n",
	       (unsigned long long)seed, (unsigned long long)tally.histories,
	       (unsigned long long)tally.ops, (unsigned long long)tally.evicted,
	       (unsigned long long)counter_read(&table->splits),
	       (unsigned long long)tally.undecided, tally.violated ? "violated" : "all hold");
	table_thread_close(t);
	table_free(table);
	rcu_stop();
	return tally.undecided == 0 && tally.violated == must_fail ? 0 : 1;
}
