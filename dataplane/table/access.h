/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/table/item_layout.h"
#include "dataplane/table/table_internal.h"

/* access.c: under LFU and allkeys-s3. */
void access__count(struct table_thread *t, struct item *item, uint64_t hash);

/* What a look-up leaves in the item that it has found. Any thread. */
static inline void access__note(struct table_thread *t, struct item *item, uint64_t hash)
{
	if (likely(!t->counts_accesses))
		item__set_access(item, t->now_s); // at most one store a second
	else
		access__count(t, item, hash);
}
