/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * INCR and its relatives: the value is a number in text, read, changed and written back in one
 * commit. Called by cmd_run() on a worker. INCRBYFLOAT calculates with long double and prints as
 * redis' ld2string(), so that both give the same digits.
 */

#define DECIMAL_TEXT_MAX                                                                           \
	5120 // bytes with the terminator, as redis: the largest long double has 4933 digits

struct counter_change {
	int64_t delta;
	int64_t result;
	uint8_t text[NUMBER_TEXT_MAX];
};

static enum cmd_edit_step decide_add(struct cmd_call *call, struct cmd_edit *edit, void *arg)
{
	struct counter_change *change = arg;
	int64_t value = 0;

	if (edit->old && !cmd__parse_i64(call, edit->spec.value, &value))
		return CMD_EDIT_FAILED;
	if (__builtin_add_overflow(value, change->delta, &change->result)) {
		REPLY_ERROR(call->reply, "ERR increment or decrement would overflow");
		return CMD_EDIT_FAILED;
	}
	size_t len = number_encode_i64(change->result, change->text);

	cmd__spec_bytes(slice_of(change->text, len), &edit->spec);
	return CMD_EDIT_STORE;
}

static void add(struct cmd_call *call, int64_t delta)
{
	struct counter_change change = {.delta = delta};
	struct cmd_edit edit;

	if (cmd__edit(call, decide_add, &change, &edit) != CMD_EDIT_FAILED)
		reply_integer(call->reply, change.result);
}

void cmd_incr(struct cmd_call *call)
{
	add(call, 1);
}

void cmd_decr(struct cmd_call *call)
{
	add(call, -1);
}

void cmd_incrby(struct cmd_call *call)
{
	int64_t delta;

	if (cmd__parse_i64(call, call->argv[2], &delta))
		add(call, delta);
}

void cmd_decrby(struct cmd_call *call)
{
	int64_t delta;

	if (!cmd__parse_i64(call, call->argv[2], &delta))
		return;
	if (delta == INT64_MIN) {
		REPLY_ERROR(call->reply, "ERR decrement would overflow");
		return;
	}
	add(call, -delta);
}

/* Redis' string2ld(): the whole text, no blank before it, in range, a number. */
static bool parse_decimal(struct cmd_call *call, struct slice text, long double *value)
{
	char copy[DECIMAL_TEXT_MAX];
	char *end;

	if (text.len > 0 && text.len < sizeof(copy)) {
		memcpy(copy, text.ptr, text.len);
		copy[text.len] = '\0';
		errno = 0;
		*value = strtold(copy, &end);
		bool out_of_range = errno == ERANGE && (isinf(*value) || *value == 0);

		if (!isspace((unsigned char)copy[0]) && end == copy + text.len && !out_of_range &&
		    !isnan(*value))
			return true;
	}
	REPLY_ERROR(call->reply, "ERR value is not a valid float");
	return false;
}

/* 17 digits behind the point, then without the zeros at the end. Returns the length. */
static size_t encode_decimal(long double value, char text[DECIMAL_TEXT_MAX])
{
	size_t len = (size_t)snprintf(text, DECIMAL_TEXT_MAX, "%.17Lf", value);

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	if (len == 2 && text[0] == '-' && text[1] == '0') {
		text[0] = '0';
		len = 1;
	}
	return len;
}

struct decimal_change {
	long double delta;
	size_t len;
	char text[DECIMAL_TEXT_MAX];
};

static enum cmd_edit_step decide_add_decimal(struct cmd_call *call, struct cmd_edit *edit,
					     void *arg)
{
	struct decimal_change *change = arg;
	long double value = 0;

	if (edit->old && !parse_decimal(call, edit->spec.value, &value))
		return CMD_EDIT_FAILED;
	if (!parse_decimal(call, call->argv[2], &change->delta))
		return CMD_EDIT_FAILED;
	value += change->delta;
	if (isnan(value) || isinf(value)) {
		REPLY_ERROR(call->reply, "ERR increment would produce NaN or Infinity");
		return CMD_EDIT_FAILED;
	}
	change->len = encode_decimal(value, change->text);
	cmd__spec_bytes(slice_of(change->text, change->len), &edit->spec);
	edit->spec.encoding = ITEM_TEXT;
	return CMD_EDIT_STORE;
}

void cmd_incrbyfloat(struct cmd_call *call)
{
	struct decimal_change change;
	struct cmd_edit edit;

	if (cmd__edit(call, decide_add_decimal, &change, &edit) != CMD_EDIT_FAILED)
		reply_bulk(call->reply, slice_of(change.text, change.len));
}
