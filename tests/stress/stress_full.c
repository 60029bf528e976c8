/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/stress/stress_table.h"

#include <string.h>

/*
 * Several writers at maxmemory, under each policy: what is live never exceeds the limit by more
 * than an item of each writer, a policy that may evict goes on storing, and one that may not
 * refuses and lets deletions make room. Half of the keys expire, some are stored over, some
 * deleted, some replaced by other lengths.
 */

#define WRITERS       3
#define KEYS          60000
#define VALUE_MAX     2000
#define MAXMEMORY     (16ULL << 20)
#define ITEM_MAX      2560 // its size class
#define TURNS_BETWEEN 16   // two meetings
#define FULL_BYTES    (MAXMEMORY / 4 * 3)
#define FULL_MS_MAX   30000 // until then it must be full
#define EXPIRE_MS     60000

static _Atomic uint64_t highest; // of what was live while nobody wrote
static _Atomic uint64_t refused, stored;
static _Atomic uint64_t arrived, measured;
static _Atomic bool left;

/*
 * All writers stop, and the first adds up: counters that others change meanwhile have no sum. False
 * when one of them has gone home instead.
 */
static bool wait_for(struct stress_thread *self, _Atomic uint64_t *count, uint64_t wanted)
{
	while (atomic_load(count) < wanted) {
		if (atomic_load(&self->stress->stop) || atomic_load(&left)) {
			atomic_store(&left, true);
			return false;
		}
		sched_yield();
	}
	return true;
}

static void meet(struct stress_thread *self)
{
	uint64_t meeting = self->turns / TURNS_BETWEEN;
	struct table_stats stats;

	atomic_fetch_add(&arrived, 1);
	rcu_offline();
	if (wait_for(self, &arrived, meeting * WRITERS)) {
		if (self->id == 0) {
			table_stats(self->t->table, &stats);
			uint64_t live = stats.memory_bytes - stats.limbo_bytes;

			if (!atomic_load(&left) && live > atomic_load(&highest))
				atomic_store(&highest, live);
			atomic_store(&measured, meeting);
		}
		wait_for(self, &measured, meeting);
	}
	rcu_online();
}

static void store(struct stress_thread *self, const struct table_key *key, struct slice value)
{
	struct item_spec spec = {.key = key->bytes, .value = value};
	struct table_change change = {.key = *key, .expected = TABLE_ANY};
	enum table_status status;

	if (!table_reserve(self->t, key->bytes.len + value.len + 64)) {
		atomic_fetch_add(&refused, 1);
		return;
	}
	if (key->hash & 1)
		spec.expire_ms = self->t->wall_ms + EXPIRE_MS;
	if (!table_overwrite(self->t, &change, &spec, &status)) {
		change.item = table_item_new(self->t, &spec);
		if (!change.item) {
			atomic_fetch_add(&refused, 1);
			return;
		}
		status = table_commit_one(self->t, &change);
		if (status != TABLE_OK)
			table_item_discard(self->t, change.item);
	}
	atomic_fetch_add(status == TABLE_OK ? &stored : &refused, 1);
}

static void write_some(struct stress_thread *self)
{
	static const uint8_t bytes[VALUE_MAX];

	for (int i = 0; i < 16; i++) {
		uint64_t number = rng_below(&self->rng, KEYS);
		// Short ones keep their length, so that they can be stored over.
		uint32_t len = number % 3 ? 40 : rng_below(&self->rng, VALUE_MAX);
		struct stress_key k;

		stress_key(self->t->table, &k, number);
		if (rng_below(&self->rng, 16) == 0)
			stress_delete(self->t, number);
		else
			store(self, &k.key, slice_of(bytes, len));
	}
	if (self->turns % TURNS_BETWEEN == 0 && self->turns > 0)
		meet(self);
}

static bool has_been_full(const struct stress *s)
{
	struct table_stats stats;

	table_stats(s->table, &stats);
	return highest >= FULL_BYTES && stats.evicted + refused > 0;
}

static void run_policy(enum table_policy policy, const char *word)
{
	struct stress s;
	struct table_stats stats;

	printf("full under %s\n", word);
	fflush(stdout);
	highest = refused = stored = arrived = measured = 0;
	left = false;
	stress_init(&s, &(struct table_config){.buckets_initial = 1, .hash_key = {5, 6}});
	table_limits(s.table)->maxmemory_bytes = MAXMEMORY;
	table_limits(s.table)->policy = policy;
	stress_add(&s, WRITERS, write_some);
	stress_begin(&s);
	for (uint32_t ms = 0; ms < s.ms || (!has_been_full(&s) && ms < FULL_MS_MAX); ms += 10)
		stress_sleep_ms(10);
	stress_end(&s);
	table_stats(s.table, &stats);
	printf("  %llu stored, %llu refused, %llu evicted, %lld bytes over at most\n",
	       (unsigned long long)stored, (unsigned long long)refused,
	       (unsigned long long)stats.evicted, (long long)(highest - MAXMEMORY));
	STRESS_CHECK(highest >= FULL_BYTES, "never full: %llu", (unsigned long long)highest);
	STRESS_CHECK(highest <= MAXMEMORY + (uint64_t)WRITERS * ITEM_MAX, "%llu bytes",
		     (unsigned long long)highest);
	if (policy == TABLE_NOEVICTION)
		STRESS_CHECK(stats.evicted == 0 && refused > 0, "%llu evicted",
			     (unsigned long long)stats.evicted);
	else
		STRESS_CHECK(stats.evicted > 0 && refused < stored / 100, "%llu of %llu refused",
			     (unsigned long long)refused, (unsigned long long)stored);
	table_free(s.table);
}

int main(void)
{
	STRESS_CHECK(rcu_start() == 0, "rcu");
#define RUN_POLICY(name, word) run_policy(name, word);
	TABLE_POLICIES(RUN_POLICY)
#undef RUN_POLICY
	rcu_stop();
	return 0;
}
