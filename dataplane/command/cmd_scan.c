/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/command/cmd_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/*
 * SCAN and KEYS: walks over the table. SCAN runs on a worker and visits a bounded number of items
 * per call, whatever its COUNT; KEYS visits them all and therefore runs on a background thread.
 * Both collect item pointers first, because a reply announces its length; they are good to the
 * end of the request.
 */

#define SCAN_COUNT_DEFAULT 10
#define SCAN_COUNT_MAX     1000 // items a call asks the table for: some 50 us of walking
#define CURSOR_TEXT_MAX    64

struct collector {
	struct slice pattern;
	bool all;          // the pattern is a single *
	bool type_matches; // SCAN TYPE string, or no TYPE
	bool failed;       // there was no memory
	struct item **items;
	size_t count, capacity;
	struct item *few[128];
};

static void collector_init(struct collector *c)
{
	c->pattern = (struct slice){0};
	c->all = true;
	c->type_matches = true;
	c->failed = false;
	c->items = c->few;
	c->count = 0;
	c->capacity = ARRAY_COUNT(c->few);
}

static void collector_fini(struct collector *c)
{
	if (c->items != c->few)
		free(c->items);
}

static void collector_set_pattern(struct collector *c, struct slice pattern)
{
	c->pattern = pattern;
	c->all = pattern.len == 1 && pattern.ptr[0] == '*';
}

static bool collector_grow(struct collector *c)
{
	size_t capacity = c->capacity * 2;
	struct item **items =
		realloc(c->items == c->few ? NULL : c->items, capacity * sizeof(*items));

	if (!items)
		return false;
	if (c->items == c->few)
		memcpy(items, c->few, sizeof(c->few));
	c->items = items;
	c->capacity = capacity;
	return true;
}

static void collect(void *arg, struct item *item)
{
	struct collector *c = arg;

	if (!c->type_matches || c->failed)
		return;
	if (!c->all && !cmd_glob_match(c->pattern, item_key(item), false))
		return;
	if (c->count == c->capacity && !collector_grow(c)) {
		c->failed = true;
		return;
	}
	c->items[c->count++] = item;
}

static void reply_keys(struct cmd_call *call, const struct collector *c)
{
	reply_array(call->reply, (uint32_t)c->count);
	for (size_t i = 0; i < c->count; i++)
		reply_bulk(call->reply, item_key(c->items[i]));
}

/* What strtoul() takes, signs included, as redis' parseScanCursorOrReply(). */
static bool parse_cursor(struct cmd_call *call, uint64_t *cursor)
{
	struct slice text = call->argv[1];
	char copy[CURSOR_TEXT_MAX];
	char *end;

	if (text.len < sizeof(copy)) {
		memcpy(copy, text.ptr, text.len);
		copy[text.len] = '\0';
		errno = 0;
		*cursor = strtoull(copy, &end, 10);
		if (!isspace((unsigned char)copy[0]) && *end == '\0' && errno != ERANGE)
			return true;
	}
	REPLY_ERROR(call->reply, "ERR invalid cursor");
	return false;
}

static bool parse_scan_options(struct cmd_call *call, struct collector *c, uint32_t *count)
{
	for (uint32_t i = 2; i < call->argc; i += 2) {
		struct slice option = call->argv[i];
		int64_t value;

		if (i + 1 == call->argc) {
			cmd__syntax_error(call);
			return false;
		}
		if (slice_equal_nocase(option, "count")) {
			if (!cmd__parse_i64(call, call->argv[i + 1], &value))
				return false;
			if (value < 1) {
				cmd__syntax_error(call);
				return false;
			}
			*count = value < SCAN_COUNT_MAX ? (uint32_t)value : SCAN_COUNT_MAX;
		} else if (slice_equal_nocase(option, "match")) {
			collector_set_pattern(c, call->argv[i + 1]);
		} else if (slice_equal_nocase(option, "type")) {
			c->type_matches = slice_equal_nocase(call->argv[i + 1], "string");
		} else {
			cmd__syntax_error(call);
			return false;
		}
	}
	return true;
}

void cmd_scan(struct cmd_call *call)
{
	uint32_t count = SCAN_COUNT_DEFAULT;
	uint8_t text[NUMBER_TEXT_MAX];
	struct collector found;
	uint64_t cursor;

	collector_init(&found);
	if (!parse_cursor(call, &cursor) || !parse_scan_options(call, &found, &count))
		return;
	cursor = table_scan(call->thread->tt, cursor, count, collect, &found);
	if (found.failed) {
		cmd__no_memory(call);
	} else {
		reply_array(call->reply, 2);
		reply_bulk(call->reply, slice_of(text, number_encode_u64(cursor, text)));
		reply_keys(call, &found);
	}
	collector_fini(&found);
}

static int compare_keys(const void *a, const void *b)
{
	struct slice x = item_key(*(struct item *const *)a);
	struct slice y = item_key(*(struct item *const *)b);
	size_t shared = x.len < y.len ? x.len : y.len;
	int order = shared > 0 ? memcmp(x.ptr, y.ptr, shared) : 0;

	return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void remove_repeats(struct collector *c)
{
	size_t kept = 0;

	qsort(c->items, c->count, sizeof(struct item *), compare_keys);
	for (size_t i = 0; i < c->count; i++) {
		if (kept == 0 || compare_keys(&c->items[kept - 1], &c->items[i]) != 0)
			c->items[kept++] = c->items[i];
	}
	c->count = kept;
}

static uint64_t count_merges(const struct cmd_call *call)
{
	struct table_stats stats;

	table_stats(call->thread->table, &stats);
	return stats.merges;
}

void cmd_keys(struct cmd_call *call)
{
	uint64_t merges = count_merges(call);
	struct collector found;
	uint64_t cursor = 0;

	collector_init(&found);
	collector_set_pattern(&found, call->argv[1]);
	do
		cursor = table_scan(call->thread->tt, cursor, SCAN_COUNT_MAX, collect, &found);
	while (cursor != 0 && !found.failed);
	// A bucket that is merged into one the walk has yet to visit shows its keys again (T5).
	if (!found.failed && count_merges(call) != merges)
		remove_repeats(&found);
	if (found.failed || found.count > UINT32_MAX)
		cmd__no_memory(call);
	else
		reply_keys(call, &found);
	collector_fini(&found);
}
