/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/kv.h"

/* What kv.c and kv_fetch.c share. The change names the key and what is expected of it. */

/* Stores two pieces of value, inline or in a blob by their length. */
enum table_status kv__put(struct table_thread *t, struct table_change *change,
			  const struct item_spec *options, struct slice head, struct slice tail);

/* The value of an item once more, with other options; a blob is shared, not copied. */
enum table_status kv__put_again(struct table_thread *t, struct table_change *change,
				const struct item_spec *options, const struct item *old);
