/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/table.h"

/*
 * What is done to the table, in one order: what replication sends. Each writer thread notes the
 * effects of its changes in a ring of its own, stamped with their versions; one reader merges the
 * rings.
 *
 *   T9  Read in turn, the effects of all changes with versions above table_effects_begun() are
 *       there once each, in the order of their versions; changes of one table_commit() stand
 *       together. Applied in that order to the table as of any such version (T8), they give the
 *       table of now. What expires or is evicted is deleted by an effect.
 *
 * A writer never waits: when its ring is full the order has a hole, the reader is told, and nothing
 * more is noted. The reader is one thread, any.
 */
struct table_effects;

enum table_effect_kind {
	TABLE_EFFECT_SET,
	TABLE_EFFECT_DELETE,
	TABLE_EFFECT_FLUSH, // all keys
};

struct table_effect {
	enum table_effect_kind kind;
	bool more; // the next one belongs to the same table_commit()
	uint64_t version;
	struct slice key, value; // good until the next call
	uint64_t expire_ms;      // 0: never
	uint32_t mc_flags;
};

enum table_effects_state {
	TABLE_EFFECTS_ONE,    // *effect
	TABLE_EFFECTS_NONE,   // not yet
	TABLE_EFFECTS_BROKEN, // and no more
};

/*
 * Has all threads that may write and are open note what they do, in rings of ring_bytes (a power of
 * two, at least 64 KiB). NULL: no memory, or it goes on already. Waits for a grace period: the
 * caller is online or registered nowhere, and no worker.
 */
struct table_effects *table_effects_begin(struct table *table, uint64_t ring_bytes);

/* Changes with versions above this one are noted. */
uint64_t table_effects_begun(const struct table_effects *effects);

MUST_USE enum table_effects_state table_effects_next(struct table_effects *effects,
						     struct table_effect *effect);

/* All effects with versions up to this one have been read. */
uint64_t table_effects_read(const struct table_effects *effects);

/* Bytes that wait in the rings. */
uint64_t table_effects_waiting_bytes(const struct table_effects *effects);

/* Ends it; waits for a grace period as above. Accepts NULL. */
void table_effects_end(struct table_effects *effects);
