/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/slot_find.h"
#include "dataplane/table/stable.h"
#include "dataplane/table/table_internal.h"

/*
 * Marks on items: two bits beside the length of the value, for memcached's meta commands. They are
 * no change of the key, so its version stays what it is. Called by kv.c.
 */

static bool set_mark(struct item *item, uint32_t mark)
{
	uint32_t bit = mark << VALUE_LEN_BITS;

	return !(atomic_fetch_or_explicit(&item->marks_value_len, bit, memory_order_relaxed) & bit);
}

void table_mark(struct table_thread *t, struct item *item, uint32_t mark)
{
	(void)set_mark(stable__original(t, item), mark);
}

/* Under the lock no other value can take this one's place, not even in the same memory. */
bool table_mark_first(struct table_thread *t, const struct table_key *key, const struct item *item,
		      uint32_t mark)
{
	uint64_t idx, hdr, word;
	struct bucket *b;
	bool first;

	REQUIRE(t->may_write);
	b = table__lock_home(t, key->hash, &idx, &hdr);
	first = table__slot_find(b, key, &word) &&
		item__version(slot_item(word)) == item__version(item) &&
		set_mark(slot_item(word), mark);
	table__unlock(b, hdr, hdr_version(hdr));
	return first;
}
