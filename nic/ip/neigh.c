/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/neigh.h"

#include "base/clock.h"
#include "base/contract.h"

#include <stdatomic.h>
#include <stdlib.h>

/*
 * The neighbour table: next hops and their MAC addresses, shared by all workers. arp.c and nd.c
 * write what they hear, peer.c asks when it must send to a host that has not spoken lately. States
 * follow RFC 4861 7.3 in short: asking, known, known and asked again. Allocated by the main thread;
 * every call after that is a worker's and never waits.
 */

#define WAYS               8 // entries that an address may live in
#define READ_TRIES_MAX     4
#define ANNOUNCEMENTS      2               // RFC 5227 ANNOUNCE_NUM
#define ANNOUNCE_GAP_NS    (2 * NS_PER_S)  // RFC 5227 ANNOUNCE_INTERVAL
#define DEFEND_INTERVAL_NS (10 * NS_PER_S) // RFC 5227

struct neigh_entry {
	CACHE_ALIGNED _Atomic uint32_t sequence;
	_Atomic uint32_t tries;      // requests since the last answer
	_Atomic uint64_t address[2]; // as its bytes lie in memory; both 0: free
	_Atomic uint64_t mac;        // six bytes in memory order
	_Atomic uint64_t learnt_ns;  // 0: not known yet
	_Atomic uint64_t asked_ns;   // last request
	_Atomic uint64_t wanted_ns;  // last time somebody wanted it
};

struct neigh_table {
	struct neigh_entry *entries; // [const]
	uint32_t set_mask;           // [const] sets - 1
	CACHE_ALIGNED _Atomic uint32_t generation;
	_Atomic uint32_t announcements;
	_Atomic uint64_t announced_ns;
	_Atomic uint64_t defended_ns;
};

/* An address as two numbers; both 0: none. */
struct neigh_key {
	uint64_t half[2];
};

/* A copy of an entry's fields. */
struct neigh_view {
	uint64_t mac, learnt_ns, asked_ns, wanted_ns;
	struct neigh_key key;
	uint32_t tries;
};

static uint32_t round_up_pow2(uint32_t n)
{
	return n <= 1 ? 1 : 1U << (32 - __builtin_clz(n - 1));
}

struct neigh_table *neigh_table_new(uint32_t entries)
{
	uint32_t sets = round_up_pow2((entries < 1U << 24 ? entries : 1U << 24) / WAYS);
	size_t bytes = (size_t)sets * WAYS * sizeof(struct neigh_entry);
	struct neigh_table *table = aligned_alloc(CACHE_LINE_BYTES, sizeof(*table));

	if (!table)
		return NULL;
	memset(table, 0, sizeof(*table));
	table->set_mask = sets - 1;
	table->entries = aligned_alloc(CACHE_LINE_BYTES, bytes);
	if (!table->entries) {
		free(table);
		return NULL;
	}
	memset(table->entries, 0, bytes);
	return table;
}

void neigh_table_free(struct neigh_table *table)
{
	if (!table)
		return;
	free(table->entries);
	free(table);
}

static struct neigh_key key_of(const struct ip_addr *address)
{
	struct neigh_key key;

	memcpy(&key, address, sizeof(key));
	return key;
}

static bool key_equal(const struct neigh_key *a, const struct neigh_key *b)
{
	return a->half[0] == b->half[0] && a->half[1] == b->half[1];
}

static bool key_is_none(const struct neigh_key *key)
{
	return (key->half[0] | key->half[1]) == 0;
}

static struct neigh_entry *set_of(struct neigh_table *table, const struct neigh_key *key)
{
	uint64_t mixed =
		(key->half[0] ^ (key->half[1] >> 29) ^ key->half[1]) * 0x9e3779b97f4a7c15ULL;
	uint32_t set = (uint32_t)(mixed >> 32) & table->set_mask;

	return &table->entries[set * WAYS];
}

static uint64_t pack_mac(const uint8_t *mac)
{
	uint64_t packed = 0;

	memcpy(&packed, mac, ETH_MAC_BYTES);
	return packed;
}

static void load_fields(const struct neigh_entry *e, struct neigh_view *v)
{
	v->key.half[0] = atomic_load_explicit(&e->address[0], memory_order_relaxed);
	v->key.half[1] = atomic_load_explicit(&e->address[1], memory_order_relaxed);
	v->mac = atomic_load_explicit(&e->mac, memory_order_relaxed);
	v->learnt_ns = atomic_load_explicit(&e->learnt_ns, memory_order_relaxed);
	v->asked_ns = atomic_load_explicit(&e->asked_ns, memory_order_relaxed);
	v->wanted_ns = atomic_load_explicit(&e->wanted_ns, memory_order_relaxed);
	v->tries = atomic_load_explicit(&e->tries, memory_order_relaxed);
}

static void store_fields(struct neigh_entry *e, const struct neigh_view *v)
{
	atomic_store_explicit(&e->address[0], v->key.half[0], memory_order_relaxed);
	atomic_store_explicit(&e->address[1], v->key.half[1], memory_order_relaxed);
	atomic_store_explicit(&e->mac, v->mac, memory_order_relaxed);
	atomic_store_explicit(&e->learnt_ns, v->learnt_ns, memory_order_relaxed);
	atomic_store_explicit(&e->asked_ns, v->asked_ns, memory_order_relaxed);
	atomic_store_explicit(&e->wanted_ns, v->wanted_ns, memory_order_relaxed);
	atomic_store_explicit(&e->tries, v->tries, memory_order_relaxed);
}

/* A consistent copy; false when a writer was in the way each time. */
static bool entry_read(const struct neigh_entry *e, struct neigh_view *v)
{
	for (int i = 0; i < READ_TRIES_MAX; i++) {
		uint32_t before = atomic_load_explicit(&e->sequence, memory_order_acquire);

		load_fields(e, v);
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 &&
		    atomic_load_explicit(&e->sequence, memory_order_relaxed) == before)
			return true;
		cpu_relax();
	}
	return false;
}

/* Locks the entry and copies it. False when another writer has it: leave it to him. */
static bool entry_lock(struct neigh_entry *e, struct neigh_view *v)
{
	uint32_t even = atomic_load_explicit(&e->sequence, memory_order_relaxed) & ~1U;

	if (!atomic_compare_exchange_strong_explicit(&e->sequence, &even, even + 1,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	// Pairs with the reader's fence: whoever sees a field stored below sees the odd number too.
	atomic_thread_fence(memory_order_release);
	load_fields(e, v);
	return true;
}

static void entry_unlock(struct neigh_entry *e, const struct neigh_view *v)
{
	uint32_t odd = atomic_load_explicit(&e->sequence, memory_order_relaxed);

	store_fields(e, v);
	atomic_store_explicit(&e->sequence, odd + 1, memory_order_release);
}

/* Not before: the clocks of two workers may differ a little, either way. */
static bool passed(uint64_t now_ns, uint64_t since_ns, uint64_t interval_ns)
{
	return (int64_t)(now_ns - since_ns) >= (int64_t)interval_ns;
}

bool neigh_find(struct neigh_table *table, const struct ip_addr *address,
		struct neigh_answer *answer)
{
	struct neigh_key key = key_of(address);
	const struct neigh_entry *set = set_of(table, &key);
	struct neigh_view v;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (!entry_read(&set[i], &v) || !key_equal(&v.key, &key) || v.learnt_ns == 0)
			continue;
		memcpy(answer->mac, &v.mac, ETH_MAC_BYTES);
		answer->learnt_ns = v.learnt_ns;
		return true;
	}
	return false;
}

/* The entry of an address, else a free one, else the one that has been wanted least lately. */
static struct neigh_entry *find_place(struct neigh_table *table, const struct neigh_key *key)
{
	struct neigh_entry *set = set_of(table, key);
	struct neigh_entry *place = NULL;
	uint64_t place_wanted_ns = UINT64_MAX;
	struct neigh_view v;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (!entry_read(&set[i], &v))
			continue;
		if (key_equal(&v.key, key))
			return &set[i];
		if (key_is_none(&v.key))
			v.wanted_ns = 0;
		if (v.wanted_ns < place_wanted_ns) {
			place = &set[i];
			place_wanted_ns = v.wanted_ns;
		}
	}
	return place;
}

bool neigh_want(struct neigh_table *table, const struct ip_addr *address, uint64_t now_ns)
{
	struct neigh_key key = key_of(address);
	struct neigh_entry *place = find_place(table, &key);
	struct neigh_view v;
	bool ask;

	if (!place || !entry_lock(place, &v))
		return false;
	if (!key_equal(&v.key, &key))
		v = (struct neigh_view){.key = key};
	v.wanted_ns = now_ns;
	// A known address is asked for again by neigh_tick() when it grows old.
	ask = v.learnt_ns == 0 && (v.tries == 0 || passed(now_ns, v.asked_ns, NEIGH_RETRY_NS));
	if (ask) {
		v.asked_ns = now_ns;
		v.tries++;
	}
	entry_unlock(place, &v);
	return ask;
}

void neigh_learn(struct neigh_table *table, const struct ip_addr *address, const uint8_t *mac,
		 uint64_t now_ns)
{
	struct neigh_key key = key_of(address);
	struct neigh_entry *set = set_of(table, &key);
	uint64_t packed = pack_mac(mac);
	struct neigh_view v;

	for (uint32_t i = 0; i < WAYS; i++) {
		bool moved;

		if (!entry_read(&set[i], &v) || !key_equal(&v.key, &key))
			continue;
		if (!entry_lock(&set[i], &v))
			continue;
		if (!key_equal(&v.key, &key)) { // reused since the look
			entry_unlock(&set[i], &v);
			continue;
		}
		moved = v.learnt_ns != 0 && v.mac != packed;
		v.mac = packed;
		v.learnt_ns = now_ns ? now_ns : 1; // 0 means unknown
		v.tries = 0;
		entry_unlock(&set[i], &v);
		if (moved)
			atomic_fetch_add_explicit(&table->generation, 1, memory_order_release);
	}
}

uint32_t neigh_generation(const struct neigh_table *table)
{
	return atomic_load_explicit(&table->generation, memory_order_acquire);
}

/* The answer is old or missing, and the last question long enough ago. */
static bool view_due(const struct neigh_view *v, uint64_t now_ns, uint64_t reachable_ns)
{
	return !key_is_none(&v->key) && passed(now_ns, v->asked_ns, NEIGH_RETRY_NS) &&
	       (v->learnt_ns == 0 || passed(now_ns, v->learnt_ns, reachable_ns));
}

/* One entry's share of neigh_tick(). True when a request is due. */
static bool entry_tick(struct neigh_entry *e, uint64_t now_ns, uint64_t reachable_ns,
		       struct ip_addr *address)
{
	struct neigh_view v;
	bool ask = false;

	if (!entry_read(e, &v) || !view_due(&v, now_ns, reachable_ns) || !entry_lock(e, &v))
		return false;
	if (view_due(&v, now_ns, reachable_ns)) { // another worker may have been here
		ask = v.tries < NEIGH_TRIES_MAX && !passed(now_ns, v.wanted_ns, reachable_ns);
		memcpy(address, &v.key, sizeof(*address));
		v.asked_ns = now_ns;
		v.tries++;
		if (!ask)
			v = (struct neigh_view){0};
	}
	entry_unlock(e, &v);
	return ask;
}

uint32_t neigh_tick(struct neigh_table *table, uint32_t *cursor, uint32_t count, uint64_t now_ns,
		    uint64_t reachable_ns, struct ip_addr *ask)
{
	uint32_t entries = (table->set_mask + 1) * WAYS;
	uint32_t asked = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (*cursor)++ & (entries - 1);

		asked += entry_tick(&table->entries[at], now_ns, reachable_ns, &ask[asked]);
	}
	return asked;
}

bool neigh_announcement_due(struct neigh_table *table, uint64_t now_ns)
{
	uint32_t sent = atomic_load_explicit(&table->announcements, memory_order_relaxed);

	if (likely(sent >= ANNOUNCEMENTS))
		return false;
	if (sent > 0 && !passed(now_ns, atomic_load(&table->announced_ns), ANNOUNCE_GAP_NS))
		return false;
	// The time first: whoever sees the new count must not take the old time for it.
	atomic_store(&table->announced_ns, now_ns);
	return atomic_compare_exchange_strong(&table->announcements, &sent, sent + 1);
}

bool neigh_defence_due(struct neigh_table *table, uint64_t now_ns)
{
	uint64_t last_ns = atomic_load_explicit(&table->defended_ns, memory_order_relaxed);

	if (last_ns != 0 && !passed(now_ns, last_ns, DEFEND_INTERVAL_NS))
		return false;
	return atomic_compare_exchange_strong(&table->defended_ns, &last_ns, now_ns ? now_ns : 1);
}
