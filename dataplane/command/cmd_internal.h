/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "dataplane/command/command.h"

#include <stdbool.h>
#include <stdint.h>

/* What the handlers share. Nobody outside dataplane/command includes this. */

#define CMD(name, handler, ...) void handler(struct cmd_call *call);
#include "dataplane/command/command.def"
#undef CMD

/* Registry: cmd_lookup.c. */

/* The container of a subcommand, or NULL. */
const struct cmd *cmd__container_of(const struct cmd *cmd);
bool cmd__is_container(const struct cmd *cmd);

/* A row by its full name, "get" or "client|id". NULL when there is none. */
const struct cmd *cmd__by_name(struct slice full_name);

/* Errors that several commands answer: cmd_util.c. */
void cmd__syntax_error(struct cmd_call *call);
void cmd__no_memory(struct cmd_call *call);
void cmd__arity_error(struct reply *reply, const struct cmd *cmd);
void cmd__unknown_subcommand(struct reply *reply, const struct slice *argv);

/* The host's operations, none of them on a thread without a host; never NULL. */
const struct cmd_host_ops *cmd__host_ops(const struct cmd_call *call);

/* For a command that only the control thread's host can serve, where it cannot. */
void cmd__no_host(struct cmd_call *call);

/* Writes the lines of a HELP reply under the usual title. */
void cmd__help(struct cmd_call *call, const char *const *lines, uint32_t count);

/* Parses a whole number, or answers that it is none. */
bool cmd__parse_i64(struct cmd_call *call, struct slice text, int64_t *value);

/* A look-up by a reader: counts a hit or a miss. The second leaves no trace of access. */
struct item *cmd__find(struct cmd_call *call, const struct table_key *key);
struct item *cmd__peek(struct cmd_call *call, const struct table_key *key);
void cmd__count_lookup(struct cmd_call *call, bool hit);

/*
 * Room for an array as long as the request asks for: on the stack when short, else from the heap.
 */
struct cmd_scratch {
	void *heap;
	_Alignas(16) uint8_t local[4096];
};

/* NULL after an out-of-memory error has been answered. cmd__scratch_free() in any case. */
void *cmd__scratch(struct cmd_call *call, struct cmd_scratch *scratch, size_t count, size_t size);
void cmd__scratch_free(struct cmd_scratch *scratch);

/* Changing one key: cmd_edit.c. */

/* Makes argument `index` the value, sharing the blob that it was landed in if there is one. */
void cmd__spec_argument(const struct cmd_call *call, uint32_t index, struct item_spec *spec);
void cmd__spec_bytes(struct slice value, struct item_spec *spec);

/*
 * An unpublished item; a long value gets a blob of its own unless spec->blob is set, of which the
 * item takes a reference of its own. NULL when there is no memory.
 */
struct item *cmd__item_new(struct cmd_thread *thread, const struct item_spec *spec);

/* Room for a long value, its length set, within the limit of memory. NULL when there is none. */
struct blob *cmd__blob_new(struct cmd_thread *thread, uint64_t len);

enum cmd_edit_step {
	CMD_EDIT_STORE,  // publish spec
	CMD_EDIT_DELETE, // of an item that is there
	CMD_EDIT_LEAVE,  // change nothing
	CMD_EDIT_FAILED, // change nothing; the error has been answered
};

/* One try at changing the key of a request. */
struct cmd_edit {
	struct item *old;      // what is there, or NULL; readable to the end of the request
	struct item_spec spec; // what to store: preset to the key and all that `old` has
};

/*
 * Looks the request's first key up, asks `decide` what to do about it and commits that, again and
 * again until no other thread has come between. `decide` must not answer anything but errors.
 * Returns what was done at last; an out-of-memory error has been answered when that is
 * CMD_EDIT_FAILED.
 */
typedef enum cmd_edit_step (*cmd_edit_fn)(struct cmd_call *call, struct cmd_edit *edit, void *arg);
enum cmd_edit_step cmd__edit(struct cmd_call *call, cmd_edit_fn decide, void *arg,
			     struct cmd_edit *edit);

/* Deadlines: cmd_expire.c. */
enum cmd_deadline {
	CMD_DEADLINE_EX,   // seconds from now
	CMD_DEADLINE_PX,   // milliseconds from now
	CMD_DEADLINE_EXAT, // Unix seconds
	CMD_DEADLINE_PXAT, // Unix milliseconds
};

/* Parses the positive number of SET and GETEX into Unix milliseconds, or answers why it is none. */
bool cmd__parse_deadline(struct cmd_call *call, enum cmd_deadline kind, struct slice text,
			 uint64_t *expire_ms);

/* "ERR invalid expire time in 'x' command" */
void cmd__expire_time_error(struct cmd_call *call);

/* Clients: cmd_client.c. Answers an error when the name may not be given. */
bool cmd__client_set_name(struct cmd_call *call, struct slice name);
