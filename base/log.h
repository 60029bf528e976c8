/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdbool.h>

/*
 * The log of the start, the stop and the control side. A worker's fast path never logs: it counts.
 * Lines go to stderr or to one file; each is written whole.
 */
enum log_level {
	LOG_DEBUG,
	LOG_VERBOSE,
	LOG_NOTICE,
	LOG_WARNING,
};

/* path: a file to append to, or "" for stderr. Returns 0 or a negative errno. Main thread. */
int log_open(const char *path, enum log_level level);
void log_close(void);
void log_set_level(enum log_level level);

/* "debug", "verbose", "notice", "warning"; false for any other word. */
bool log_level_parse(const char *word, enum log_level *level);

/* Adds time, pid and level to the text, and a line end. Any thread but a worker in its loop. */
void log_write(enum log_level level, const char *format, ...) PRINTF(2, 3);

#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
#define log_verbose(...) log_write(LOG_VERBOSE, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
