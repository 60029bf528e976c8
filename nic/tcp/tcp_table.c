/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_table.h"

#include "base/contract.h"

/*
 * The flow table: two-choice hashing with one step of displacement, then a small stash. Called by
 * the input side to find a flow and by whoever opens or closes one. At the intended half load the
 * first bucket nearly always does, so a lookup costs one cache line.
 */

// The second home is used only when the first is nearly full: most lookups then end in the first
// line.
#define FIRST_HOME_SLOTS 6

bool tcp_table_init(struct tcp_table *table, uint32_t entries, const uint64_t secret[2])
{
	uint32_t bits = 1;

	while (((uint64_t)TCP_BUCKET_SLOTS << bits) < 2 * (uint64_t)entries)
		bits++;
	*table = (struct tcp_table){.bits = bits, .secret = {secret[0] | 1, secret[1] | 1}};
	if (!tcp_slab_init(&table->memory, sizeof(struct tcp_bucket), 1u << bits))
		return false;
	TCP_SLAB_SHOW(table->memory.base, table->memory.stride << bits);
	table->buckets = (struct tcp_bucket *)(void *)table->memory.base;
	return true;
}

void tcp_table_fini(struct tcp_table *table)
{
	tcp_slab_fini(&table->memory);
}

static struct tcp_slot *bucket_find(struct tcp_bucket *bucket, uint32_t ref)
{
	for (uint32_t i = 0; i < TCP_BUCKET_SLOTS; i++)
		if (bucket->slots[i].ref == ref)
			return &bucket->slots[i];
	return NULL;
}

static uint32_t bucket_used(const struct tcp_bucket *bucket)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < TCP_BUCKET_SLOTS; i++)
		used += bucket->slots[i].ref != TCP_REF_NONE;
	return used;
}

/* Makes room in a full bucket by sending one of its entries to that entry's other home. */
static struct tcp_slot *displace(struct tcp_table *table, struct tcp_bucket *bucket)
{
	for (uint32_t i = 0; i < TCP_BUCKET_SLOTS; i++) {
		struct tcp_slot *victim = &bucket->slots[i];

		for (int choice = 0; choice < 2; choice++) {
			uint32_t home = tcp_table_home(table, victim->tag, choice);
			struct tcp_slot *free_slot =
				bucket_find(&table->buckets[home], TCP_REF_NONE);

			if (free_slot) {
				*free_slot = *victim;
				return victim;
			}
		}
	}
	return NULL;
}

static struct tcp_slot *stash_find(struct tcp_table *table, uint32_t ref)
{
	for (uint32_t i = 0; i < TCP_STASH_SLOTS; i++)
		if (table->stash[i].ref == ref)
			return &table->stash[i];
	return NULL;
}

bool tcp_table_insert(struct tcp_table *table, uint32_t hash, uint32_t ref)
{
	struct tcp_bucket *first = &table->buckets[tcp_table_home(table, hash, 0)];
	struct tcp_bucket *second = &table->buckets[tcp_table_home(table, hash, 1)];
	uint32_t used = bucket_used(first);
	struct tcp_bucket *target =
		used < FIRST_HOME_SLOTS || used <= bucket_used(second) ? first : second;
	struct tcp_slot *slot = bucket_find(target, TCP_REF_NONE);

	HOT_ASSERT(ref != TCP_REF_NONE);
	if (!slot)
		slot = displace(table, first);
	if (!slot) {
		slot = stash_find(table, TCP_REF_NONE);
		if (!slot)
			return false;
		table->stash_used++;
	}
	*slot = (struct tcp_slot){.tag = hash, .ref = ref};
	return true;
}

/* The slot of a ref that is in the table; *stashed tells where. */
static struct tcp_slot *find(struct tcp_table *table, uint32_t hash, uint32_t ref, bool *stashed)
{
	*stashed = false;
	for (int choice = 0; choice < 2; choice++) {
		uint32_t home = tcp_table_home(table, hash, choice);
		struct tcp_slot *slot = bucket_find(&table->buckets[home], ref);

		if (slot)
			return slot;
	}
	*stashed = true;
	return stash_find(table, ref);
}

void tcp_table_remove(struct tcp_table *table, uint32_t hash, uint32_t ref)
{
	bool stashed;
	struct tcp_slot *slot = find(table, hash, ref, &stashed);

	INVARIANT(slot && slot->tag == hash);
	*slot = (struct tcp_slot){0};
	table->stash_used -= stashed;
}

void tcp_table_replace(struct tcp_table *table, uint32_t hash, uint32_t ref, uint32_t with)
{
	bool stashed;
	struct tcp_slot *slot = find(table, hash, ref, &stashed);

	INVARIANT(slot && slot->tag == hash);
	slot->ref = with;
}
