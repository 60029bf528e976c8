/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

/*
 * Rids one bucket of the items that count as absent already: expired, or flushed. Called for a
 * bucket that a lookup, a timer, or one of the two walks (expire.c, flush.c) has come to. A first
 * look without the lock leaves clean buckets alone.
 */

struct sweep {
	uint64_t flushed;
	uint64_t version;  // of the removal
	uint32_t dead;     // to be removed
	uint32_t with_ttl; // that stay
};

static bool is_dead(const struct table_thread *t, uint64_t word, uint64_t flushed)
{
	const struct item *item = slot_item(word);

	if (item_version(item) <= flushed)
		return true;
	return word & SLOT_TTL && !t->follows && table__item_expired(t, item);
}

static void survey(struct table_thread *t, struct bucket *b, struct sweep *sweep)
{
	struct line line = bucket_line(b);

	sweep->dead = sweep->with_ttl = 0;
	do {
		for (uint32_t i = 0; i < line.count; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_acquire);

			if (!slot_is_item(word))
				continue;
			if (is_dead(t, word, sweep->flushed))
				sweep->dead++;
			else
				sweep->with_ttl += word & SLOT_TTL;
		}
	} while (line_next(&line));
}

static void remove_one(struct table_thread *t, slot_word *slot, uint64_t word,
		       const struct sweep *sweep)
{
	uint64_t flushed = sweep->flushed;
	struct item *item = slot_item(word);

	atomic_store_explicit(slot, 0, memory_order_release);
	if (item_version(item) > flushed) {
		table__count_expired(t, item);
		table__count(t, flushed, -1, word & SLOT_TTL ? -1 : 0);
		if (unlikely(t->log != NULL))
			effects__delete(t, item_key(item), sweep->version);
	}
	evict__left(t, word);
	reclaim__retire_item(t, item);
}

static void remove_dead(struct table_thread *t, struct bucket *b, const struct sweep *sweep)
{
	struct line line = bucket_line(b);
	uint32_t left = SWEEP_ITEMS_MAX;

	do {
		for (uint32_t i = 0; i < line.count && left; i++) {
			uint64_t word = atomic_load_explicit(&line.slots[i], memory_order_relaxed);

			if (slot_is_item(word) && is_dead(t, word, sweep->flushed)) {
				remove_one(t, &line.slots[i], word, sweep);
				left--;
			}
		}
	} while (line_next(&line));
}

/* The number of items removed, at most SWEEP_ITEMS_MAX; -1: no memory to do it with. */
int table__sweep_bucket(struct table_thread *t, uint64_t idx)
{
	struct table *table = t->table;
	struct sweep sweep = {
		.flushed = atomic_load_explicit(&table->flushed, memory_order_acquire),
	};
	uint64_t hdr;

	survey(t, &table->index[idx], &sweep);
	bool clear_vol =
		sweep.with_ttl == 0 &&
		atomic_load_explicit(&table->index[idx].hdr, memory_order_relaxed) & HDR_VOL;

	if (sweep.dead == 0 && !clear_vol)
		return 0;
	if (!reclaim__prepare(t, SWEEP_ITEMS_MAX))
		return -1;
	struct bucket *b = table__lock(table, idx, &hdr);

	sweep.flushed = atomic_load_explicit(&table->flushed, memory_order_acquire);
	survey(t, b, &sweep);
	sweep.version = hdr_version(hdr);
	if (sweep.dead) {
		sweep.version = table__version_next(t, sweep.version, sweep.flushed);
		remove_dead(t, b, &sweep);
		table__compact(t, b);
	}
	if (sweep.with_ttl == 0 && sweep.dead <= SWEEP_ITEMS_MAX)
		hdr &= ~HDR_VOL;
	table__unlock(b, hdr, sweep.version);
	return sweep.dead < SWEEP_ITEMS_MAX ? (int)sweep.dead : SWEEP_ITEMS_MAX;
}
