/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The configuration as a plain struct, one field per directive of config.def, and the store that
 * the control thread keeps it in.
 *
 *   config_load()   command line and file -> store; prints what is wrong and where
 *   config_on_set() who wants to know of a change at run time
 *   config_set()    CONFIG SET: several directives, all or none
 *   config_rewrite() CONFIG REWRITE: the file takes over the values of the run
 *
 * Main thread until the workers run, control thread from then on. Other threads never look into the
 * store: whoever owns what they read (worker limits, table limits, session limits) registers an
 * apply function that stores into atomics there.
 */

#define CONFIG_TEXT_MAX       256 // bytes of a text value, with its terminator
#define CONFIG_VALUE_MAX      512 // bytes of any value as text, with its terminator
#define CONFIG_WHY_MAX        320 // bytes of a reason, with its terminator
#define CONFIG_PATH_MAX       4096
#define CONFIG_CORES_MAX      64
#define CONFIG_NETWORKS_MAX   16
#define CONFIG_NODES_MAX      90 // of a memcached cluster
#define CONFIG_SAVES_MAX      16 // rules of save
#define CONFIG_PARAMETERS_MAX 32 // of an ElastiCache parameter group
#define CONFIG_PARAMETER_MAX  16 // bytes of a value of one, with its terminator

/* In network order; that of IPv4 in its mapped form ::ffff:a.b.c.d. */
struct config_address {
	uint8_t bytes[16];
	bool v4;
};

struct config_network {
	struct config_address address;
	unsigned prefix_bits; // of the 32 or 128 of its family
};

enum config_poll_idle {
	CONFIG_POLL_AUTO,
	CONFIG_POLL_BUSY,
	CONFIG_POLL_ADAPTIVE,
};

enum config_client_class {
	CONFIG_CLASS_NORMAL,
	CONFIG_CLASS_SLAVE,
	CONFIG_CLASS_PUBSUB,
	CONFIG_CLASS_COUNT
};

/* A rule of save: so many changes, and so long after the last snapshot. */
struct config_save {
	uint64_t seconds, changes;
};

/* Part of a day, in seconds from midnight UTC. `end_s` may be below `start_s`: over midnight. */
struct config_window {
	uint32_t start_s, end_s;
};

/* client-output-buffer-limit, by enum config_client_class. */
struct config_output_limits {
	uint64_t hard_bytes[CONFIG_CLASS_COUNT];
	uint64_t soft_bytes[CONFIG_CLASS_COUNT];
	uint32_t soft_s[CONFIG_CLASS_COUNT];
};

struct config {
#define CONFIG_SECTION(title, text)
#define CONFIG_INT(field, ...)    int64_t field;
#define CONFIG_BYTES(field, ...)  uint64_t field;
#define CONFIG_BOOL(field, ...)   bool field;
#define CONFIG_ENUM(field, ...)   int field;
#define CONFIG_TEXT(field, ...)   char field[CONFIG_TEXT_MAX];
#define CONFIG_WORDS(field, ...)  char field[CONFIG_TEXT_MAX];
#define CONFIG_OUTPUT(field, ...) struct config_output_limits field;
#define CONFIG_FIXED(...)
#include "ctrl/config/config.def"
#undef CONFIG_SECTION
#undef CONFIG_INT
#undef CONFIG_BYTES
#undef CONFIG_BOOL
#undef CONFIG_ENUM
#undef CONFIG_TEXT
#undef CONFIG_WORDS
#undef CONFIG_OUTPUT
#undef CONFIG_FIXED
	// What memcached-parameter-file says, as `stats settings` shows it; empty: nothing.
	bool memcached_text_only; // its binding_protocol
	char parameters[CONFIG_PARAMETERS_MAX][CONFIG_PARAMETER_MAX];
};

/*
 * Takes a changed configuration into use. False refuses it, with a reason of at most CONFIG_WHY_MAX
 * bytes in `why`; it is then called again with the old one. Control thread.
 */
typedef bool config_apply(void *arg, const struct config *config, char *why);

struct config_watch {
	const char *name; // of a directive; NULL: any
	config_apply *apply;
	void *arg;
};

#define CONFIG_WATCHES_MAX 16

struct config_store {
	struct config now;
	char path[CONFIG_PATH_MAX]; // of the file, absolute; "" when there is none
	struct config_watch watches[CONFIG_WATCHES_MAX];
	uint32_t watch_count;
};

/* What main() has to do after reading the command line. */
enum config_verdict {
	CONFIG_RUN,
	CONFIG_EXIT_OK,  // --help and its like, --check-config with a good file: answered on `out`
	CONFIG_EXIT_BAD, // said on `err` what is wrong, where, and what to do
};

struct config_command_line {
	char *const *eal_args; // what stood behind "--"
	int eal_args_count;
};

/* All defaults, no file. */
void config_init(struct config_store *store);

/* wirecached [FILE] [--directive value ...] [-- EAL arguments] */
MUST_USE enum config_verdict config_load(struct config_store *store, int argc, char *const *argv,
					 struct config_command_line *line, FILE *out, FILE *err);

/* Reads a file's directives into *config. False after having said on `err` what is wrong. */
MUST_USE bool config_read_file(struct config *config, const char *path, FILE *err);

/* Reads memcached-parameter-file, if there is one, likewise. */
MUST_USE bool config_read_parameters(struct config *config, FILE *err);

/* What that file says of a line of `stats settings`; NULL: nothing. `config` is a struct config. */
const char *config_parameter(const void *config, const char *setting);

/* What no single directive can see: whether the values go together. False with a reason. */
MUST_USE bool config_validate(const struct config *config, char *why);

/*
 * Calls apply after a successful CONFIG SET of `name` (NULL: of anything). `name` must be a
 * directive's.
 */
void config_on_set(struct config_store *store, const char *name, config_apply *apply, void *arg);

struct config_pair {
	struct slice name;
	struct slice value;
};

enum config_set_result {
	CONFIG_SET_OK,
	CONFIG_SET_UNKNOWN, // no such directive: *culprit
	CONFIG_SET_FAILED,  // *culprit, and why
};

/* All pairs or none. `culprit` is the index of the pair at fault. */
MUST_USE enum config_set_result config_set(struct config_store *store,
					   const struct config_pair *pairs, uint32_t count,
					   uint32_t *culprit, char *why);

/*
 * Calls `visit` with name and value of every directive that matches one of the patterns (redis'
 * globs, case does not matter), each once.
 */
void config_get(const struct config_store *store, const struct slice *patterns, uint32_t count,
		void (*visit)(void *arg, const char *name, const char *value), void *arg);

/*
 * Writes the values of the run into the file: changed lines are replaced, comments stay, what is
 * missing is appended. A new file takes the old one's place at once or not at all. -ENOENT without
 * a file, or a negative errno.
 */
MUST_USE int config_rewrite(const struct config_store *store);

/*
 * Texts of directives taken apart. False (outputs untouched) when malformed; never after a
 * config_load() that succeeded.
 */
MUST_USE bool config_parse_address(const char *text, struct config_address *address);

/* "10.99.0.2/24", "fd00::2/64". */
MUST_USE bool config_parse_network(const char *text, struct config_network *network);

/*
 * The node list of a memcached cluster as Auto Discovery answers it: the version, the nodes in the
 * order of their names. NULL: no memory. The caller frees it.
 */
char *config_nodes_text(const struct config *config);

/* "10.0.0.0/8,fd00::/8": how many, or -1 when it is malformed or there are too many. */
int config_parse_networks(const char *text, struct config_network networks[CONFIG_NETWORKS_MAX]);

/*
 * "1-3,5" -> 1 2 3 5. Returns how many (0 for ""), or -1 when malformed, doubled or more than
 * CONFIG_CORES_MAX.
 */
int config_parse_cores(const char *text, int cores[CONFIG_CORES_MAX]);

/* "3600 1 60 10000": how many rules, or -1 when it is malformed or there are too many. */
int config_parse_saves(const char *text, struct config_save saves[CONFIG_SAVES_MAX]);

/* "03:00-05:00". False when it is malformed or empty. */
MUST_USE bool config_parse_window(const char *text, struct config_window *window);

/* The commented default configuration, and the text of --help. */
void config_print_defaults(FILE *out);
void config_print_help(FILE *out);
