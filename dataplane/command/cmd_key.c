/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

#include <stdlib.h>

/*
 * Commands on keys whatever their values: deletion, existence, and the keyspace as a whole.
 * Called by cmd_run() on a worker. Nothing here frees memory: the table retires what is deleted.
 */

static bool delete_one(struct cmd_call *call, uint64_t *deleted)
{
	struct table_change change = {.key = call->keys[0], .expected = TABLE_ANY};

	if (table_commit_one(call->thread->tt, &change) != TABLE_OK)
		return false;
	*deleted = change.old != NULL;
	return true;
}

static int compare_old(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct table_change *)a)->old;
	uintptr_t y = (uintptr_t)((const struct table_change *)b)->old;

	return (x > y) - (x < y);
}

/* A key that is named twice reports the same old item twice, and counts once. */
static uint64_t count_deleted(struct table_change *changes, uint32_t count)
{
	uint64_t deleted = 0;

	qsort(changes, count, sizeof(*changes), compare_old);
	for (uint32_t i = 0; i < count; i++)
		deleted += changes[i].old && (i == 0 || changes[i].old != changes[i - 1].old);
	return deleted;
}

/* All at one instant. */
static bool delete_many(struct cmd_call *call, uint64_t *deleted)
{
	struct cmd_scratch scratch;
	struct table_change *changes =
		cmd__scratch(call, &scratch, call->key_count, sizeof(*changes));

	if (!changes)
		return false;
	for (uint32_t i = 0; i < call->key_count; i++)
		changes[i] = (struct table_change){.key = call->keys[i], .expected = TABLE_ANY};
	bool done = table_commit(call->thread->tt, changes, call->key_count) == TABLE_OK;

	if (done)
		*deleted = count_deleted(changes, call->key_count);
	cmd__scratch_free(&scratch);
	if (!done)
		cmd__no_memory(call);
	return done;
}

void cmd_del(struct cmd_call *call)
{
	uint64_t deleted = 0;

	if (likely(call->key_count == 1)) {
		if (!delete_one(call, &deleted)) {
			cmd__no_memory(call);
			return;
		}
	} else if (!delete_many(call, &deleted)) {
		return;
	}
	reply_integer(call->reply, (int64_t)deleted);
}

/* As of one instant, as several look-ups would not be. It counts as access even for EXISTS. */
static void count_present(struct cmd_call *call)
{
	struct cmd_scratch scratch;
	struct item **items = cmd__scratch(call, &scratch, call->key_count, sizeof(struct item *));
	int64_t present = 0;

	if (!items)
		return;
	table_find_many(call->thread->tt, call->keys, call->key_count, items);
	for (uint32_t i = 0; i < call->key_count; i++) {
		cmd__count_lookup(call, items[i] != NULL);
		present += items[i] != NULL;
	}
	cmd__scratch_free(&scratch);
	reply_integer(call->reply, present);
}

void cmd_exists(struct cmd_call *call)
{
	if (likely(call->key_count == 1))
		reply_integer(call->reply, cmd__peek(call, &call->keys[0]) != NULL);
	else
		count_present(call);
}

void cmd_touch(struct cmd_call *call)
{
	count_present(call);
}

void cmd_type(struct cmd_call *call)
{
	if (cmd__peek(call, &call->keys[0]))
		reply_status(call->reply, SLICE_LITERAL("string"));
	else
		reply_status(call->reply, SLICE_LITERAL("none"));
}

void cmd_randomkey(struct cmd_call *call)
{
	const struct item *item = table_random(call->thread->tt);

	if (item)
		reply_bulk(call->reply, item_key(item));
	else
		reply_null(call->reply);
}

void cmd_dbsize(struct cmd_call *call)
{
	reply_integer(call->reply, (int64_t)table_count(call->thread->table));
}

/* FLUSHALL and FLUSHDB. ASYNC and SYNC are accepted and mean the same: the flush is one instant. */
void cmd_flush(struct cmd_call *call)
{
	bool mode_known = call->argc == 1 ||
			  (call->argc == 2 && (slice_equal_nocase(call->argv[1], "sync") ||
					       slice_equal_nocase(call->argv[1], "async")));

	if (!mode_known) {
		cmd__syntax_error(call);
		return;
	}
	table_flush(call->thread->tt);
	reply_ok(call->reply);
}
