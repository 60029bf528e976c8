/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

/*
 * Commands on the string at one key. The handlers are called by cmd_run() on a worker (or any
 * writer thread); values longer than an item go into blobs, and one that the protocol has
 * received into a blob is not copied. Order of checks and words of errors: redis 7.0 t_string.c.
 */

enum string_option {
	OPTION_NX = 1 << 0,
	OPTION_XX = 1 << 1,
	OPTION_GET = 1 << 2,
	OPTION_KEEPTTL = 1 << 3,
	OPTION_PERSIST = 1 << 4,
	OPTION_EX = 1 << 5,
	OPTION_PX = 1 << 6,
	OPTION_EXAT = 1 << 7,
	OPTION_PXAT = 1 << 8,
	OPTION_DEADLINES = OPTION_EX | OPTION_PX | OPTION_EXAT | OPTION_PXAT,
	// Which of them a command takes.
	OPTIONS_OF_SET = OPTION_DEADLINES | OPTION_NX | OPTION_XX | OPTION_GET | OPTION_KEEPTTL,
	OPTIONS_OF_GETEX = OPTION_DEADLINES | OPTION_PERSIST,
};

struct string_option_row {
	const char *word;
	uint32_t option;
	uint32_t excludes; // options that may not stand before it
	enum cmd_deadline deadline;
};

static const struct string_option_row string_options[] = {
	{"ex", OPTION_EX, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_EX),
	 CMD_DEADLINE_EX},
	{"px", OPTION_PX, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_PX),
	 CMD_DEADLINE_PX},
	{"nx", OPTION_NX, OPTION_XX, 0},
	{"xx", OPTION_XX, OPTION_NX, 0},
	{"get", OPTION_GET, 0, 0},
	{"keepttl", OPTION_KEEPTTL, OPTION_PERSIST | OPTION_DEADLINES, 0},
	{"persist", OPTION_PERSIST, OPTION_KEEPTTL | OPTION_DEADLINES, 0},
	{"exat", OPTION_EXAT, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_EXAT),
	 CMD_DEADLINE_EXAT},
	{"pxat", OPTION_PXAT, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_PXAT),
	 CMD_DEADLINE_PXAT},
};

/* What SET and its relatives are to do, and did; also GETEX, which has no value. */
struct string_plan {
	uint32_t options;
	enum cmd_deadline deadline;
	struct slice deadline_text; // empty without a deadline
	uint64_t expire_ms;
	uint32_t value_index; // of the argument to store
	bool stored;          // decide_set(): the conditions held
};

static const struct string_option_row *find_option(struct slice word, uint32_t allowed)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(string_options); i++) {
		const struct string_option_row *row = &string_options[i];

		if ((row->option & allowed) && slice_equal_nocase(word, row->word))
			return row;
	}
	return NULL;
}

static bool parse_options(struct cmd_call *call, uint32_t first, uint32_t allowed,
			  struct string_plan *plan)
{
	for (uint32_t i = first; i < call->argc; i++) {
		const struct string_option_row *row = find_option(call->argv[i], allowed);
		bool has_value = row && (row->option & OPTION_DEADLINES);

		if (!row || (plan->options & row->excludes) || (has_value && i + 1 == call->argc)) {
			cmd__syntax_error(call);
			return false;
		}
		plan->options |= row->option;
		if (has_value) {
			plan->deadline = row->deadline;
			plan->deadline_text = call->argv[++i];
		}
	}
	return true;
}

static bool plan_deadline(struct cmd_call *call, struct string_plan *plan)
{
	if (!(plan->options & OPTION_DEADLINES))
		return true;
	return cmd__parse_deadline(call, plan->deadline, plan->deadline_text, &plan->expire_ms);
}

/* A value whose deadline has passed is as good as none, and is not stored at all. */
static bool is_past(const struct cmd_call *call, uint64_t expire_ms)
{
	return expire_ms != 0 && expire_ms <= call->thread->now_ms;
}

/* A client of RESP has none; a primary says them before. */
static uint32_t mc_flags_of(const struct cmd_call *call)
{
	return unlikely(call->client->primary != NULL) ? call->client->primary->next_mc_flags : 0;
}

static enum cmd_edit_step decide_set(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	struct string_plan *plan = arg;

	plan->stored = !((plan->options & OPTION_NX) && edit->old) &&
		       !((plan->options & OPTION_XX) && !edit->old);
	if (!plan->stored)
		return CMD_EDIT_LEAVE;
	if (is_past(call, plan->expire_ms))
		return edit->old ? CMD_EDIT_DELETE : CMD_EDIT_LEAVE;
	cmd__spec_argument(call, plan->value_index, &edit->spec);
	edit->spec.mc_flags = mc_flags_of(call);
	if (!(plan->options & OPTION_KEEPTTL))
		edit->spec.expire_ms = plan->expire_ms;
	return CMD_EDIT_STORE;
}

/* Stores whatever was there before: no look-up, one commit. False after an error. */
static bool store(struct cmd_call *call, const struct string_plan *plan)
{
	struct table_thread *tt = call->thread->tt;
	struct item_spec spec = {.key = call->keys[0].bytes,
				 .expire_ms = plan->expire_ms,
				 .mc_flags = mc_flags_of(call)};
	struct table_change change = {.key = call->keys[0], .expected = TABLE_ANY};
	enum table_status status;

	if (likely(!is_past(call, plan->expire_ms))) {
		cmd__spec_argument(call, plan->value_index, &spec);
		if (table_overwrite(tt, &change, &spec, &status))
			return true; // whatever was there
		change.item = cmd__item_new(call->thread, &spec);
		if (unlikely(!change.item)) {
			cmd__no_memory(call);
			return false;
		}
	}
	status = table_commit_one(tt, &change);
	if (likely(status == TABLE_OK))
		return true;
	INVARIANT(status == TABLE_NO_MEMORY);
	if (change.item)
		table_item_discard(tt, change.item);
	cmd__no_memory(call);
	return false;
}

static void reply_value_or_null(struct cmd_call *call, const struct item *item)
{
	if (item)
		reply_item_value(call->reply, item);
	else
		reply_null(call->reply);
}

void cmd_set(struct cmd_call *call)
{
	struct string_plan plan = {.value_index = 2};
	struct cmd_edit edit;

	if (!parse_options(call, 3, OPTIONS_OF_SET, &plan) || !plan_deadline(call, &plan))
		return;
	if (!(plan.options & (OPTION_NX | OPTION_XX | OPTION_GET | OPTION_KEEPTTL))) {
		if (store(call, &plan))
			reply_ok(call->reply);
		return;
	}
	if (cmd__edit(call, decide_set, &plan, &edit) == CMD_EDIT_FAILED)
		return;
	if (plan.options & OPTION_GET) {
		cmd__count_lookup(call, edit.old != NULL);
		reply_value_or_null(call, edit.old);
	} else if (plan.stored) {
		reply_ok(call->reply);
	} else {
		reply_null(call->reply);
	}
}

void cmd_setnx(struct cmd_call *call)
{
	struct string_plan plan = {.value_index = 2, .options = OPTION_NX};
	struct cmd_edit edit;

	if (cmd__edit(call, decide_set, &plan, &edit) != CMD_EDIT_FAILED)
		reply_integer(call->reply, plan.stored);
}

static void set_with_deadline(struct cmd_call *call, enum cmd_deadline deadline)
{
	struct string_plan plan = {.value_index = 3};

	if (cmd__parse_deadline(call, deadline, call->argv[2], &plan.expire_ms) &&
	    store(call, &plan))
		reply_ok(call->reply);
}

void cmd_setex(struct cmd_call *call)
{
	set_with_deadline(call, CMD_DEADLINE_EX);
}

void cmd_psetex(struct cmd_call *call)
{
	set_with_deadline(call, CMD_DEADLINE_PX);
}

void cmd_getset(struct cmd_call *call)
{
	struct string_plan plan = {.value_index = 2};
	struct cmd_edit edit;

	if (cmd__edit(call, decide_set, &plan, &edit) == CMD_EDIT_FAILED)
		return;
	cmd__count_lookup(call, edit.old != NULL);
	reply_value_or_null(call, edit.old);
}

void cmd_get(struct cmd_call *call)
{
	reply_value_or_null(call, cmd__find(call, &call->keys[0]));
}

static enum cmd_edit_step decide_delete(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	return edit->old ? CMD_EDIT_DELETE : CMD_EDIT_LEAVE;
}

void cmd_getdel(struct cmd_call *call)
{
	struct cmd_edit edit;

	if (cmd__edit(call, decide_delete, NULL, &edit) == CMD_EDIT_FAILED)
		return;
	cmd__count_lookup(call, edit.old != NULL);
	reply_value_or_null(call, edit.old);
}

static enum cmd_edit_step decide_getex(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	struct string_plan *plan = arg;

	if (!edit->old)
		return CMD_EDIT_LEAVE;
	// Redis looks at the number only when there is a key to apply it to.
	if (!plan_deadline(call, plan))
		return CMD_EDIT_FAILED;
	if (plan->options & OPTION_PERSIST)
		plan->expire_ms = 0;
	else if (!(plan->options & OPTION_DEADLINES))
		return CMD_EDIT_LEAVE;
	if (plan->expire_ms == edit->spec.expire_ms)
		return CMD_EDIT_LEAVE;
	if (is_past(call, plan->expire_ms))
		return CMD_EDIT_DELETE;
	edit->spec.expire_ms = plan->expire_ms;
	return CMD_EDIT_STORE;
}

void cmd_getex(struct cmd_call *call)
{
	struct string_plan plan = {0};
	struct cmd_edit edit;

	if (!parse_options(call, 2, OPTIONS_OF_GETEX, &plan))
		return;
	if (cmd__edit(call, decide_getex, &plan, &edit) == CMD_EDIT_FAILED) {
		cmd__count_lookup(call, true);
		return;
	}
	cmd__count_lookup(call, edit.old != NULL);
	reply_value_or_null(call, edit.old);
}

// Of RESP, whatever memcached may store: redis' proto-max-bulk-len.
#define STRING_BYTES_MAX (512ULL << 20)

/* Whether a value of `len` bytes may get `more` of them; answers the error. */
static bool check_length(struct cmd_call *call, uint64_t len, uint64_t more)
{
	if (likely(len <= STRING_BYTES_MAX && more <= STRING_BYTES_MAX - len))
		return true;
	REPLY_ERROR(call->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
	return false;
}

static enum cmd_edit_step decide_append(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	if (!edit->old) {
		cmd__spec_argument(call, 2, &edit->spec);
		return CMD_EDIT_STORE;
	}
	if (!check_length(call, edit->spec.value.len, call->argv[2].len))
		return CMD_EDIT_FAILED;
	if (call->argv[2].len == 0 && edit->spec.encoding == ITEM_EDITED)
		return CMD_EDIT_LEAVE;
	edit->spec.encoding = ITEM_EDITED;
	if (call->argv[2].len == 0)
		return CMD_EDIT_STORE;
	edit->spec.blob = NULL;
	edit->spec.value_tail = call->argv[2];
	return CMD_EDIT_STORE;
}

void cmd_append(struct cmd_call *call)
{
	struct cmd_edit edit;

	if (cmd__edit(call, decide_append, NULL, &edit) != CMD_EDIT_FAILED)
		reply_integer(call->reply,
			      (int64_t)(edit.spec.value.len + edit.spec.value_tail.len));
}

void cmd_strlen(struct cmd_call *call)
{
	const struct item *item = cmd__find(call, &call->keys[0]);

	reply_integer(call->reply, item ? (int64_t)item_value(item).len : 0);
}

/*
 * SETRANGE under way. The result is built afresh in each try, in a blob unless it fits into
 * `short_value`.
 */
struct range_write {
	uint64_t offset;
	uint64_t result_len;
	struct blob *blob;
	uint8_t short_value[ITEM_VALUE_INLINE_MAX];
};

static enum cmd_edit_step decide_setrange(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	struct range_write *write = arg;
	struct slice patch = call->argv[3];
	struct slice old = edit->spec.value;
	uint8_t *to = write->short_value;

	write->result_len = old.len;
	if (patch.len == 0)
		return CMD_EDIT_LEAVE;
	if (!check_length(call, write->offset, patch.len))
		return CMD_EDIT_FAILED;
	if (write->offset + patch.len > old.len)
		write->result_len = write->offset + patch.len;

	// The blob of an earlier try belongs to nobody but us.
	blob_unref(write->blob);
	write->blob = NULL;
	if (write->result_len > sizeof(write->short_value)) {
		write->blob = cmd__blob_new(call->thread, write->result_len);
		if (!write->blob) {
			cmd__no_memory(call);
			return CMD_EDIT_FAILED;
		}
		to = write->blob->bytes;
	}
	size_t kept = old.len < write->offset ? old.len : write->offset;
	size_t behind = write->offset + patch.len;

	if (kept > 0)
		memcpy(to, old.ptr, kept);
	memset(to + kept, 0, write->offset - kept);
	memcpy(to + write->offset, patch.ptr, patch.len);
	if (behind < old.len)
		memcpy(to + behind, old.ptr + behind, old.len - behind);

	cmd__spec_bytes(slice_of(to, write->result_len), &edit->spec);
	edit->spec.blob = write->blob;
	edit->spec.encoding = ITEM_EDITED;
	return CMD_EDIT_STORE;
}

void cmd_setrange(struct cmd_call *call)
{
	struct range_write write;
	struct cmd_edit edit;
	int64_t offset;

	if (!cmd__parse_i64(call, call->argv[2], &offset))
		return;
	if (offset < 0) {
		REPLY_ERROR(call->reply, "ERR offset is out of range");
		return;
	}
	write.offset = (uint64_t)offset;
	write.blob = NULL;
	if (cmd__edit(call, decide_setrange, &write, &edit) != CMD_EDIT_FAILED)
		reply_integer(call->reply, (int64_t)write.result_len);
	blob_unref(write.blob);
}

void cmd_getrange(struct cmd_call *call)
{
	int64_t start, end;

	if (!cmd__parse_i64(call, call->argv[2], &start) ||
	    !cmd__parse_i64(call, call->argv[3], &end))
		return;

	const struct item *item = cmd__find(call, &call->keys[0]);
	struct slice value = item ? item_value(item) : (struct slice){0};
	int64_t len = (int64_t)value.len;
	bool empty = start < 0 && end < 0 && start > end;

	if (start < 0)
		start = start + len < 0 ? 0 : start + len;
	if (end < 0)
		end = end + len < 0 ? 0 : end + len;
	if (end >= len)
		end = len - 1;
	if (empty || start > end || len == 0)
		reply_bulk(call->reply, (struct slice){0});
	else
		reply_bulk(call->reply, slice_of(value.ptr + start, (size_t)(end - start + 1)));
}
