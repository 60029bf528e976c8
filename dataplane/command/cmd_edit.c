/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

/*
 * Look, decide, commit, and again when another thread came between: the shape of every command
 * that changes one key by what it finds there. The handlers supply the decision. Writer threads.
 * The loop ends because a conflict means that somebody else's change went in.
 */

void cmd__spec_bytes(struct slice value, struct item_spec *spec)
{
	spec->value = value;
	spec->value_tail = (struct slice){0};
	spec->blob = NULL;
	spec->encoding = ITEM_PLAIN;
}

void cmd__spec_argument(const struct cmd_call *call, uint32_t index, struct item_spec *spec)
{
	struct blob *blob = call->blobs ? call->blobs[index] : NULL;

	cmd__spec_bytes(call->argv[index], spec);
	// Only a blob that is the argument and nothing else can stand for it.
	if (blob && blob->bytes == spec->value.ptr && blob->len == spec->value.len)
		spec->blob = blob;
}

/*
 * A request may be a few bytes and its result half a gigabyte (SETRANGE, APPEND), so that what
 * cmd_admit() reserved says little about it.
 */
struct blob *cmd__blob_new(struct cmd_thread *thread, uint64_t len)
{
	struct blob *blob = table_reserve(thread->tt, len) ? table_blob_new(thread->tt, len) : NULL;

	if (blob)
		blob->len = len;
	return blob;
}

static struct blob *blob_of_spec(struct cmd_thread *thread, const struct item_spec *spec)
{
	struct blob *blob = cmd__blob_new(thread, spec->value.len + spec->value_tail.len);

	if (!blob)
		return NULL;
	if (spec->value.len > 0)
		memcpy(blob->bytes, spec->value.ptr, spec->value.len);
	if (spec->value_tail.len > 0)
		memcpy(blob->bytes + spec->value.len, spec->value_tail.ptr, spec->value_tail.len);
	return blob;
}

struct item *cmd__item_new(struct cmd_thread *thread, const struct item_spec *spec)
{
	if (likely(!spec->blob && spec->value.len + spec->value_tail.len <= ITEM_VALUE_INLINE_MAX))
		return table_item_new(thread->tt, spec);

	struct item_spec with_blob = *spec;

	with_blob.blob = spec->blob ? blob_ref(spec->blob) : blob_of_spec(thread, spec);
	if (!with_blob.blob)
		return NULL;
	struct item *item = table_item_new(thread->tt, &with_blob);

	if (!item)
		blob_unref(with_blob.blob);
	return item;
}

/* The starting point of a decision: the key as it is. */
static void preset(struct cmd_edit *edit, const struct table_key *key, struct item *old)
{
	edit->old = old;
	edit->spec = (struct item_spec){.key = key->bytes};
	if (old) {
		edit->spec.value = item_value(old);
		edit->spec.blob = item_blob(old);
		edit->spec.expire_ms = item_expire_ms(old);
		edit->spec.mc_flags = item_mc_flags(old);
		edit->spec.encoding = item_encoding(old);
	}
}

static enum table_status commit(struct cmd_call *call, struct cmd_edit *edit, bool store)
{
	struct table_change change = {
		.key = call->keys[0],
		.expected = edit->old ? edit->old : TABLE_ABSENT,
	};

	enum table_status status;

	if (store) {
		if (edit->old && table_overwrite(call->thread->tt, &change, &edit->spec, &status))
			return status;
		change.item = cmd__item_new(call->thread, &edit->spec);
		if (!change.item)
			return TABLE_NO_MEMORY;
	}
	status = table_commit_one(call->thread->tt, &change);

	if (status != TABLE_OK && change.item)
		table_item_discard(call->thread->tt, change.item);
	return status;
}

enum cmd_edit_step cmd__edit(struct cmd_call *call, cmd_edit_fn decide, void *arg,
			     struct cmd_edit *edit)
{
	for (;;) {
		preset(edit, &call->keys[0], table_find(call->thread->tt, &call->keys[0]));

		enum cmd_edit_step step = decide(call, edit, arg);

		if (step == CMD_EDIT_LEAVE || step == CMD_EDIT_FAILED)
			return step;
		enum table_status status = commit(call, edit, step == CMD_EDIT_STORE);

		if (likely(status == TABLE_OK))
			return step;
		if (status == TABLE_NO_MEMORY) {
			cmd__no_memory(call);
			return CMD_EDIT_FAILED;
		}
	}
}
