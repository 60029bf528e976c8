/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

/*
 * Deadlines of keys: setting, asking, removing. Called by cmd_run() on a worker. A deadline is
 * Unix milliseconds in the item, 0 for none; setting one publishes a new item, which shares a
 * long value with the old one. Overflow rules and words of errors: redis 7.0 expire.c and
 * t_string.c.
 */

void cmd__expire_time_error(struct cmd_call *call)
{
	reply_error_format(call->reply, "ERR invalid expire time in '%s' command", call->cmd->name);
}

bool cmd__parse_deadline(struct cmd_call *call, enum cmd_deadline kind, struct slice text,
			 uint64_t *expire_ms)
{
	bool seconds = kind == CMD_DEADLINE_EX || kind == CMD_DEADLINE_EXAT;
	bool relative = kind == CMD_DEADLINE_EX || kind == CMD_DEADLINE_PX;
	int64_t now_ms = (int64_t)call->thread->now_ms;
	int64_t value;

	if (!cmd__parse_i64(call, text, &value))
		return false;
	if (value <= 0 || (seconds && value > INT64_MAX / 1000)) {
		cmd__expire_time_error(call);
		return false;
	}
	if (seconds)
		value *= 1000;
	if (relative && value > INT64_MAX - now_ms) {
		cmd__expire_time_error(call);
		return false;
	}
	*expire_ms = (uint64_t)(relative ? value + now_ms : value);
	return true;
}

enum expire_option {
	EXPIRE_NX = 1 << 0,
	EXPIRE_XX = 1 << 1,
	EXPIRE_GT = 1 << 2,
	EXPIRE_LT = 1 << 3,
};

struct expire_plan {
	int64_t when_ms; // Unix; may lie before 1970
	uint32_t options;
};

static bool parse_expire_options(struct cmd_call *call, uint32_t *options)
{
	static const char *const words[] = {"nx", "xx", "gt", "lt"}; // in the order of the bits

	*options = 0;
	for (uint32_t i = 3; i < call->argc; i++) {
		uint32_t bit = 0;

		while (bit < ARRAY_COUNT(words) && !slice_equal_nocase(call->argv[i], words[bit]))
			bit++;
		if (bit == ARRAY_COUNT(words)) {
			reply_error_format(call->reply, "ERR Unsupported option %.*s",
					   REPLY_ARG_WHOLE(call->argv[i]));
			return false;
		}
		*options |= 1u << bit;
	}
	if ((*options & EXPIRE_NX) && (*options & ~EXPIRE_NX)) {
		REPLY_ERROR(call->reply, "ERR NX and XX, GT or LT options at the same time are not "
					 "compatible");
		return false;
	}
	if ((*options & EXPIRE_GT) && (*options & EXPIRE_LT)) {
		REPLY_ERROR(call->reply,
			    "ERR GT and LT options at the same time are not compatible");
		return false;
	}
	return true;
}

static bool parse_expire_time(struct cmd_call *call, enum cmd_deadline kind, int64_t *when_ms)
{
	bool seconds = kind == CMD_DEADLINE_EX || kind == CMD_DEADLINE_EXAT;
	bool relative = kind == CMD_DEADLINE_EX || kind == CMD_DEADLINE_PX;
	int64_t base_ms = relative ? (int64_t)call->thread->now_ms : 0;
	int64_t value;

	if (!cmd__parse_i64(call, call->argv[2], &value))
		return false;
	if (seconds && __builtin_mul_overflow(value, 1000, &value)) {
		cmd__expire_time_error(call);
		return false;
	}
	if (value > INT64_MAX - base_ms) {
		cmd__expire_time_error(call);
		return false;
	}
	*when_ms = value + base_ms;
	return true;
}

/* Whether NX, XX, GT and LT let the deadline be set. No deadline is later than all others. */
static bool options_hold(const struct expire_plan *plan, uint64_t current_ms)
{
	int64_t current = (int64_t)current_ms;
	bool has = current_ms != 0;

	if ((plan->options & EXPIRE_NX) && has)
		return false;
	if ((plan->options & EXPIRE_XX) && !has)
		return false;
	if ((plan->options & EXPIRE_GT) && (!has || plan->when_ms <= current))
		return false;
	return !((plan->options & EXPIRE_LT) && has && plan->when_ms >= current);
}

static enum cmd_edit_step decide_expire(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	const struct expire_plan *plan = arg;

	if (!edit->old || !options_hold(plan, edit->spec.expire_ms))
		return CMD_EDIT_LEAVE;
	if (plan->when_ms <= (int64_t)call->thread->now_ms)
		return CMD_EDIT_DELETE;
	edit->spec.expire_ms = (uint64_t)plan->when_ms;
	return CMD_EDIT_STORE;
}

static void expire(struct cmd_call *call, enum cmd_deadline kind)
{
	struct expire_plan plan;
	struct cmd_edit edit;

	if (!parse_expire_options(call, &plan.options) ||
	    !parse_expire_time(call, kind, &plan.when_ms))
		return;
	enum cmd_edit_step step = cmd__edit(call, decide_expire, &plan, &edit);

	if (step != CMD_EDIT_FAILED)
		reply_integer(call->reply, step != CMD_EDIT_LEAVE);
}

void cmd_expire(struct cmd_call *call)
{
	expire(call, CMD_DEADLINE_EX);
}

void cmd_pexpire(struct cmd_call *call)
{
	expire(call, CMD_DEADLINE_PX);
}

void cmd_expireat(struct cmd_call *call)
{
	expire(call, CMD_DEADLINE_EXAT);
}

void cmd_pexpireat(struct cmd_call *call)
{
	expire(call, CMD_DEADLINE_PXAT);
}

/*
 * -2: no key, -1: no deadline. `ms_per_unit` is 1 or 1000; seconds are rounded as redis rounds
 * them.
 */
static void reply_deadline(struct cmd_call *call, bool relative, int64_t ms_per_unit)
{
	const struct item *item = cmd__peek(call, &call->keys[0]);

	if (!item) {
		reply_integer(call->reply, -2);
		return;
	}
	int64_t ms = (int64_t)item_expire_ms(item);

	if (ms == 0) {
		reply_integer(call->reply, -1);
		return;
	}
	if (relative) {
		ms -= (int64_t)call->thread->now_ms;
		if (ms < 0)
			ms = 0;
	}
	// In unsigned numbers, because half a unit may be added to the largest deadline.
	reply_integer(call->reply, (int64_t)(((uint64_t)ms + (uint64_t)ms_per_unit / 2) /
					     (uint64_t)ms_per_unit));
}

void cmd_ttl(struct cmd_call *call)
{
	reply_deadline(call, true, 1000);
}

void cmd_pttl(struct cmd_call *call)
{
	reply_deadline(call, true, 1);
}

void cmd_expiretime(struct cmd_call *call)
{
	reply_deadline(call, false, 1000);
}

void cmd_pexpiretime(struct cmd_call *call)
{
	reply_deadline(call, false, 1);
}

static enum cmd_edit_step decide_persist(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	if (!edit->old || edit->spec.expire_ms == 0)
		return CMD_EDIT_LEAVE;
	edit->spec.expire_ms = 0;
	return CMD_EDIT_STORE;
}

void cmd_persist(struct cmd_call *call)
{
	struct cmd_edit edit;
	enum cmd_edit_step step = cmd__edit(call, decide_persist, NULL, &edit);

	if (step != CMD_EDIT_FAILED)
		reply_integer(call->reply, step == CMD_EDIT_STORE);
}
