/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

/*
 * MGET, MSET and MSETNX: several keys as of one instant (guarantee T3 of the table). Called by
 * cmd_run() on a worker. The arrays are as long as the request and live for its time.
 */

void cmd_mget(struct cmd_call *call)
{
	struct cmd_scratch scratch;
	struct item **items = cmd__scratch(call, &scratch, call->key_count, sizeof(*items));

	if (!items)
		return;
	table_find_many(call->thread->tt, call->keys, call->key_count, items);
	reply_array(call->reply, call->key_count);
	for (uint32_t i = 0; i < call->key_count; i++) {
		cmd__count_lookup(call, items[i] != NULL);
		if (items[i])
			reply_item_value(call->reply, items[i]);
		else
			reply_null(call->reply);
	}
	cmd__scratch_free(&scratch);
}

static void discard_items(struct cmd_call *call, struct table_change *changes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		table_item_discard(call->thread->tt, changes[i].item);
}

/* The pairs of the request as changes with unpublished items. False when memory ends. */
static bool build_changes(struct cmd_call *call, struct table_change *changes,
			  const struct item *expected)
{
	for (uint32_t i = 0; i < call->key_count; i++) {
		struct item_spec spec = {.key = call->keys[i].bytes};

		cmd__spec_argument(call, 2 * i + 2, &spec);
		changes[i] = (struct table_change){
			.key = call->keys[i],
			.expected = expected,
			.item = cmd__item_new(call->thread, &spec),
		};
		if (!changes[i].item) {
			discard_items(call, changes, i);
			return false;
		}
	}
	return true;
}

/* Stores all pairs or none. TABLE_CONFLICT: one of the expectations did not hold. */
static enum table_status store_pairs(struct cmd_call *call, const struct item *expected)
{
	struct cmd_scratch scratch;
	struct table_change *changes =
		cmd__scratch(call, &scratch, call->key_count, sizeof(*changes));

	if (!changes)
		return TABLE_NO_MEMORY;
	enum table_status status = TABLE_NO_MEMORY;

	if (build_changes(call, changes, expected)) {
		status = table_commit(call->thread->tt, changes, call->key_count);
		if (status != TABLE_OK)
			discard_items(call, changes, call->key_count);
	}
	if (status == TABLE_NO_MEMORY)
		cmd__no_memory(call);
	cmd__scratch_free(&scratch);
	return status;
}

/* Every key needs its value. */
static bool check_pairs(struct cmd_call *call)
{
	if (call->argc % 2 == 1)
		return true;
	cmd__arity_error(call->reply, call->cmd);
	return false;
}

void cmd_mset(struct cmd_call *call)
{
	if (check_pairs(call) && store_pairs(call, TABLE_ANY) == TABLE_OK)
		reply_ok(call->reply);
}

void cmd_msetnx(struct cmd_call *call)
{
	if (!check_pairs(call))
		return;
	// The expectation of absence is the whole condition: a conflict means that a key was there.
	switch (store_pairs(call, TABLE_ABSENT)) {
	case TABLE_OK:
		reply_integer(call->reply, 1);
		break;
	case TABLE_CONFLICT:
		reply_integer(call->reply, 0);
		break;
	case TABLE_NO_MEMORY:
		break;
	}
}
