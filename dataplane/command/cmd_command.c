/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_internal.h"

/*
 * COMMAND: the registry, told to clients in redis 7.0's form. Client libraries of clusters read
 * the key positions, redis-cli the documentation. Called by cmd_run(); what answers about all
 * commands runs on the control thread, because it takes long.
 */

#define WORDS_MAX 16 // in one of the registry's lists

struct words {
	struct slice at[WORDS_MAX];
	uint32_t count;
};

/* A list of the registry, "a b c", taken apart. */
static struct words split(const char *text)
{
	struct words words = {.count = 0};

	while (text && *text) {
		size_t len = strcspn(text, " ");

		INVARIANT(words.count < WORDS_MAX);
		words.at[words.count++] = slice_of(text, len);
		text += len + strspn(text + len, " ");
	}
	return words;
}

static void reply_status_set(struct reply *r, const struct words *words)
{
	r->ops->set(r, words->count);
	for (uint32_t i = 0; i < words->count; i++)
		reply_status(r, words->at[i]);
}

static void reply_flags(struct reply *r, uint32_t flags)
{
	// In redis' order.
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{CMD_WRITE, "write"},
		{CMD_READONLY, "readonly"},
		{CMD_DENYOOM, "denyoom"},
		{CMD_ADMIN, "admin"},
		{CMD_PUBSUB, "pubsub"},
		{CMD_NOSCRIPT, "noscript"},
		{CMD_LOADING, "loading"},
		{CMD_STALE, "stale"},
		{CMD_SKIP_SLOWLOG, "skip_slowlog"},
		{CMD_FAST, "fast"},
		{CMD_NO_AUTH, "no_auth"},
		{CMD_NO_ASYNC_LOADING, "no_async_loading"},
		{CMD_NO_MULTI, "no_multi"},
		{CMD_ALLOW_BUSY, "allow_busy"},
	};
	struct words words = {.count = 0};

	for (uint32_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (flags & names[i].flag)
			words.at[words.count++] = slice_of_text(names[i].name);
	}
	reply_status_set(r, &words);
}

/* The one key specification that all commands here make do with: a range from a fixed place on. */
static void reply_key_spec(struct reply *r, const struct cmd *cmd)
{
	struct words flags = split(cmd->key_flags);

	reply_map(r, cmd->key_notes ? 4 : 3);
	if (cmd->key_notes) {
		reply_bulk_text(r, "notes");
		reply_bulk_text(r, cmd->key_notes);
	}
	reply_bulk_text(r, "flags");
	reply_status_set(r, &flags);
	reply_bulk_text(r, "begin_search");
	reply_map(r, 2);
	reply_bulk_text(r, "type");
	reply_bulk_text(r, "index");
	reply_bulk_text(r, "spec");
	reply_map(r, 1);
	reply_bulk_text(r, "index");
	reply_integer(r, cmd->first_key);
	reply_bulk_text(r, "find_keys");
	reply_map(r, 2);
	reply_bulk_text(r, "type");
	reply_bulk_text(r, "range");
	reply_bulk_text(r, "spec");
	reply_map(r, 3);
	reply_bulk_text(r, "lastkey");
	// Relative to the first key, unless it counts from the end.
	reply_integer(r, cmd->last_key < 0 ? cmd->last_key : cmd->last_key - cmd->first_key);
	reply_bulk_text(r, "keystep");
	reply_integer(r, cmd->key_step);
	reply_bulk_text(r, "limit");
	reply_integer(r, 0);
}

/* All of a row but its subcommands, whose set the caller adds as the tenth element. */
static void reply_info_head(struct reply *r, const struct cmd *cmd)
{
	struct words acl = split(cmd->acl_categories);
	struct words tips = split(cmd->tips);

	reply_array(r, 10);
	reply_bulk_text(r, cmd->name);
	reply_integer(r, cmd->arity);
	reply_flags(r, cmd->flags);
	reply_integer(r, cmd->first_key);
	reply_integer(r, cmd->last_key);
	reply_integer(r, cmd->key_step);
	reply_status_set(r, &acl);
	r->ops->set(r, tips.count);
	for (uint32_t i = 0; i < tips.count; i++)
		reply_bulk(r, tips.at[i]);
	r->ops->set(r, cmd->key_flags ? 1 : 0);
	if (cmd->key_flags)
		reply_key_spec(r, cmd);
}

static uint32_t count_children(const struct cmd *container)
{
	uint32_t count = 0;

	for (uint32_t id = 0; id < cmd_count(); id++)
		count += cmd__container_of(cmd_at(id)) == container;
	return count;
}

static void reply_info(struct reply *r, const struct cmd *cmd)
{
	uint32_t children = cmd__is_container(cmd) ? count_children(cmd) : 0;

	reply_info_head(r, cmd);
	r->ops->set(r, children);
	for (uint32_t id = 0; children > 0 && id < cmd_count(); id++) {
		if (cmd__container_of(cmd_at(id)) != cmd)
			continue;
		reply_info_head(r, cmd_at(id));
		r->ops->set(r, 0);
	}
}

static uint32_t count_top_level(void)
{
	return count_children(NULL);
}

static void reply_info_of_all(struct reply *r)
{
	reply_array(r, count_top_level());
	for (uint32_t id = 0; id < cmd_count(); id++) {
		if (!cmd__container_of(cmd_at(id)))
			reply_info(r, cmd_at(id));
	}
}

void cmd_command(struct cmd_call *call)
{
	if (call->argc > 1)
		cmd__unknown_subcommand(call->reply, call->argv);
	else
		reply_info_of_all(call->reply);
}

void cmd_command_info(struct cmd_call *call)
{
	if (call->argc == 2) {
		reply_info_of_all(call->reply);
		return;
	}
	reply_array(call->reply, call->argc - 2);
	for (uint32_t i = 2; i < call->argc; i++) {
		const struct cmd *cmd = cmd__by_name(call->argv[i]);

		if (cmd)
			reply_info(call->reply, cmd);
		else
			reply_null(call->reply);
	}
}

void cmd_command_count(struct cmd_call *call)
{
	reply_integer(call->reply, count_top_level());
}

static void reply_docs_head(struct reply *r, const struct cmd *cmd, bool with_children)
{
	reply_bulk_text(r, cmd->name);
	reply_map(r, with_children ? 5 : 4);
	reply_bulk_text(r, "summary");
	reply_bulk_text(r, cmd->summary);
	reply_bulk_text(r, "since");
	reply_bulk_text(r, cmd->since);
	reply_bulk_text(r, "group");
	reply_bulk_text(r, cmd->group);
	reply_bulk_text(r, "complexity");
	reply_bulk_text(r, cmd->complexity);
}

static void reply_docs(struct reply *r, const struct cmd *cmd)
{
	bool container = cmd__is_container(cmd);

	reply_docs_head(r, cmd, container);
	if (!container)
		return;
	reply_bulk_text(r, "subcommands");
	reply_map(r, count_children(cmd));
	for (uint32_t id = 0; id < cmd_count(); id++) {
		if (cmd__container_of(cmd_at(id)) == cmd)
			reply_docs_head(r, cmd_at(id), false);
	}
}

void cmd_command_docs(struct cmd_call *call)
{
	uint32_t known = 0;

	if (call->argc == 2) {
		reply_map(call->reply, count_top_level());
		for (uint32_t id = 0; id < cmd_count(); id++) {
			if (!cmd__container_of(cmd_at(id)))
				reply_docs(call->reply, cmd_at(id));
		}
		return;
	}
	// Names that are not known are left out, so they have to be counted first.
	for (uint32_t i = 2; i < call->argc; i++)
		known += cmd__by_name(call->argv[i]) != NULL;
	reply_map(call->reply, known);
	for (uint32_t i = 2; i < call->argc; i++) {
		const struct cmd *cmd = cmd__by_name(call->argv[i]);

		if (cmd)
			reply_docs(call->reply, cmd);
	}
}

enum list_filter {
	LIST_ALL,
	LIST_MODULE,
	LIST_ACLCAT,
	LIST_PATTERN,
};

static bool list_includes(enum list_filter filter, struct slice arg, const struct cmd *cmd)
{
	struct words categories;

	switch (filter) {
	case LIST_ALL:
		return true;
	case LIST_MODULE:
		return false;
	case LIST_PATTERN:
		return cmd_glob_match(arg, slice_of_text(cmd->name), true);
	case LIST_ACLCAT:
		break;
	}
	categories = split(cmd->acl_categories);
	for (uint32_t i = 0; i < categories.count; i++) {
		// The registry writes an @ before them, and ends none of them with a NUL.
		struct slice category =
			slice_of(categories.at[i].ptr + 1, categories.at[i].len - 1);
		char name[16] = "";

		INVARIANT(category.len < sizeof(name));
		memcpy(name, category.ptr, category.len);
		if (slice_equal_nocase(arg, name))
			return true;
	}
	return false;
}

static bool parse_list_filter(struct cmd_call *call, enum list_filter *filter)
{
	*filter = LIST_ALL;
	if (call->argc == 2)
		return true;
	if (call->argc == 5 && slice_equal_nocase(call->argv[2], "filterby")) {
		if (slice_equal_nocase(call->argv[3], "module"))
			*filter = LIST_MODULE;
		else if (slice_equal_nocase(call->argv[3], "aclcat"))
			*filter = LIST_ACLCAT;
		else if (slice_equal_nocase(call->argv[3], "pattern"))
			*filter = LIST_PATTERN;
	}
	if (*filter == LIST_ALL)
		cmd__syntax_error(call);
	return *filter != LIST_ALL;
}

void cmd_command_list(struct cmd_call *call)
{
	struct slice arg = call->argv[call->argc - 1];
	enum list_filter filter;
	uint32_t count = 0;

	if (!parse_list_filter(call, &filter))
		return;
	for (uint32_t id = 0; id < cmd_count(); id++)
		count += list_includes(filter, arg, cmd_at(id));
	reply_array(call->reply, count);
	for (uint32_t id = 0; id < cmd_count(); id++) {
		if (list_includes(filter, arg, cmd_at(id)))
			reply_bulk_text(call->reply, cmd_at(id)->name);
	}
}

/* The command that a GETKEYS is about and its last key, or NULL after the error. */
static const struct cmd *getkeys_target(struct cmd_call *call, uint32_t *last)
{
	const struct slice *argv = call->argv + 2;
	uint32_t argc = call->argc - 2;
	const struct cmd *cmd = cmd_lookup(argv, argc);

	if (!cmd || (argc > 1 && cmd__is_container(cmd))) {
		REPLY_ERROR(call->reply, "ERR Invalid command specified");
		return NULL;
	}
	if (cmd->first_key == 0) {
		REPLY_ERROR(call->reply, "ERR The command has no key arguments");
		return NULL;
	}
	if (cmd->arity >= 0 ? argc != (uint32_t)cmd->arity : argc < (uint32_t)-cmd->arity) {
		REPLY_ERROR(call->reply, "ERR Invalid number of arguments specified for command");
		return NULL;
	}
	*last = cmd->last_key < 0 ? argc - (uint32_t)-cmd->last_key : (uint32_t)cmd->last_key;
	return cmd;
}

/* SET's own: it reads the key only when it is asked to. */
static struct words key_flags_of(const struct cmd *cmd, const struct slice *argv, uint32_t argc)
{
	if (!strstr(cmd->key_flags, "variable_flags"))
		return split(cmd->key_flags);
	for (uint32_t i = 3; i < argc; i++) {
		if (slice_equal_nocase(argv[i], "get"))
			return split("RW access update");
	}
	return split("OW update");
}

static void getkeys(struct cmd_call *call, bool with_flags)
{
	uint32_t last;
	const struct cmd *cmd = getkeys_target(call, &last);

	if (!cmd)
		return;
	struct words flags = key_flags_of(cmd, call->argv + 2, call->argc - 2);
	uint32_t first = (uint32_t)cmd->first_key;
	uint32_t step = (uint32_t)cmd->key_step;

	reply_array(call->reply, (last - first) / step + 1);
	for (uint32_t i = first; i <= last; i += step) {
		if (with_flags)
			reply_array(call->reply, 2);
		reply_bulk(call->reply, call->argv[i + 2]);
		if (with_flags)
			reply_status_set(call->reply, &flags);
	}
}

void cmd_command_getkeys(struct cmd_call *call)
{
	getkeys(call, false);
}

void cmd_command_getkeysandflags(struct cmd_call *call)
{
	getkeys(call, true);
}

void cmd_command_help(struct cmd_call *call)
{
	static const char *const lines[] = {
		"(no subcommand)",
		"    Return details about all commands.",
		"COUNT",
		"    Return the total number of commands.",
		"LIST [FILTERBY (ACLCAT|PATTERN|MODULE) <value>]",
		"    Return a list of all commands, or of those that match.",
		"INFO [<command-name> ...]",
		"    Return details about multiple commands.",
		"DOCS [<command-name> ...]",
		"    Return documentation of multiple commands.",
		"GETKEYS <full-command>",
		"    Return the keys from a full command.",
		"GETKEYSANDFLAGS <full-command>",
		"    Return the keys and the access flags from a full command.",
	};

	cmd__help(call, lines, ARRAY_COUNT(lines));
}
