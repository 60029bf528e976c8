/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/contract.h"
#include "ctrl/config/config.h"

/* config.def as a table; inside ctrl/config only. */

enum config_type {
	CONFIG_TYPE_INT,
	CONFIG_TYPE_BYTES,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_ENUM,
	CONFIG_TYPE_TEXT,
	CONFIG_TYPE_WORDS, // text, which several words and several lines of a file add up to
	CONFIG_TYPE_OUTPUT,
	CONFIG_TYPE_FIXED,
};

struct config_directive {
	const char *name; // NULL: this row opens a section
	enum config_type type;
	bool live;                                   // CONFIG SET takes effect at run time
	size_t offset;                               // of its field in struct config; not for FIXED
	int64_t min, max;                            // INT, BYTES
	const char *const *words;                    // ENUM: ends with NULL; the value is the index
	bool (*check)(const char *value, char *why); // TEXT, WORDS
	const char *initial;                         // default, as text
	const char *help;
	const char *section; // title of the section that this row opens
	const char *section_text;
};

size_t config_table_count(void);
const struct config_directive *config_table_at(size_t index);

/* Case does not matter. NULL: none. */
const struct config_directive *config_table_find(struct slice name);

/* The name that was probably meant, or NULL. */
const char *config_table_suggest(struct slice name);
