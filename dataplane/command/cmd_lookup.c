/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

/*
 * The registry: command.def as an array of rows, and the hash that finds a row by a request's
 * words. Parsers call cmd_lookup() once per request on every thread; after cmd_init() nothing
 * here changes.
 */

enum {
	ROW_BASE = __COUNTER__ + 1,
};

#define CMD(cmd_name, handler, cmd_arity, cmd_flags, keys, acl, cmd_tips, cmd_group, cmd_since,    \
	    cmd_complexity, cmd_summary)                                                           \
	{                                                                                          \
		.name = cmd_name,                                                                  \
		.run = handler,                                                                    \
		.arity = cmd_arity,                                                                \
		.flags = cmd_flags,                                                                \
		keys,                                                                              \
		.acl_categories = acl,                                                             \
		.tips = cmd_tips,                                                                  \
		.group = cmd_group,                                                                \
		.since = cmd_since,                                                                \
		.complexity = cmd_complexity,                                                      \
		.summary = cmd_summary,                                                            \
		.id = __COUNTER__ - ROW_BASE,                                                      \
	},

static const struct cmd rows[] = {
#include "dataplane/command/command.def"
};

#undef CMD

#define ROW_COUNT    ARRAY_COUNT(rows)
#define SLOT_COUNT   512u // a power of two; a quarter full, so most probes end at once
#define WORD_LEN_MAX 24   // bytes of the longest word; asserted in cmd_init()
#define NO_ROW       UINT16_MAX

_Static_assert(ROW_COUNT * 2 <= SLOT_COUNT, "the hash of commands is too full");

struct entry {
	const char *word; // what the request says: the name, or what is behind its bar
	uint8_t len;
	bool container;
	uint16_t parent; // row of the container, or NO_ROW
};

static struct entry entries[ROW_COUNT]; // [const] after cmd_init()
static uint16_t slots[SLOT_COUNT];      // [const] after cmd_init(); row + 1, 0: free

/*
 * FNV-1a over the word in lower case, started by the container. Letters fold right, which is all
 * it takes.
 */
static inline uint32_t hash_word(struct slice word, uint32_t parent)
{
	uint32_t h = 2166136261u ^ (parent * 0x9e3779b1u);

	for (size_t i = 0; i < word.len; i++)
		h = (h ^ (word.ptr[i] | 0x20)) * 16777619u;
	return h ^ (h >> 15);
}

static uint32_t find_row(struct slice word, uint32_t parent)
{
	if (word.len > WORD_LEN_MAX)
		return NO_ROW;
	for (uint32_t i = hash_word(word, parent) % SLOT_COUNT; slots[i];
	     i = (i + 1) % SLOT_COUNT) {
		const struct entry *e = &entries[slots[i] - 1];

		if (e->len == word.len && e->parent == parent && slice_equal_nocase(word, e->word))
			return slots[i] - 1u;
	}
	return NO_ROW;
}

void cmd_init(void)
{
	memset(slots, 0, sizeof(slots));
	for (uint32_t row = 0; row < ROW_COUNT; row++) {
		const char *bar = strchr(rows[row].name, '|');
		struct entry *e = &entries[row];

		INVARIANT(rows[row].id == row);
		*e = (struct entry){.word = bar ? bar + 1 : rows[row].name, .parent = NO_ROW};
		e->len = (uint8_t)strlen(e->word);
		INVARIANT(e->len <= WORD_LEN_MAX);
		if (bar) {
			struct slice container =
				slice_of(rows[row].name, (size_t)(bar - rows[row].name));

			e->parent = (uint16_t)find_row(container, NO_ROW);
			INVARIANT(e->parent != NO_ROW);
			entries[e->parent].container = true;
		}
		uint32_t i = hash_word(slice_of(e->word, e->len), e->parent) % SLOT_COUNT;
		while (slots[i])
			i = (i + 1) % SLOT_COUNT;
		slots[i] = (uint16_t)(row + 1);
	}
}

uint32_t cmd_count(void)
{
	return ROW_COUNT;
}

const struct cmd *cmd_at(uint32_t id)
{
	REQUIRE(id < ROW_COUNT);
	return &rows[id];
}

const struct cmd *cmd_lookup(const struct slice *argv, uint32_t argc)
{
	uint32_t row = find_row(argv[0], NO_ROW);

	if (row == NO_ROW)
		return NULL;
	if (entries[row].container && argc > 1) {
		uint32_t sub = find_row(argv[1], row);

		if (sub != NO_ROW)
			row = sub;
	}
	return &rows[row];
}

const struct cmd *cmd__container_of(const struct cmd *cmd)
{
	uint32_t parent = entries[cmd->id].parent;

	return parent == NO_ROW ? NULL : &rows[parent];
}

bool cmd__is_container(const struct cmd *cmd)
{
	return entries[cmd->id].container;
}

const struct cmd *cmd__by_name(struct slice full_name)
{
	const uint8_t *bar = full_name.len > 0 ? memchr(full_name.ptr, '|', full_name.len) : NULL;
	size_t word_len = bar ? (size_t)(bar - full_name.ptr) : full_name.len;
	uint32_t row = find_row(slice_of(full_name.ptr, word_len), NO_ROW);

	if (row != NO_ROW && bar)
		row = find_row(slice_of(bar + 1, full_name.len - word_len - 1), row);
	return row == NO_ROW ? NULL : &rows[row];
}
