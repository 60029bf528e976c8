/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/command.h"
#include "tests/fakes/fake_out.h"

#include <stdint.h>

/*
 * The command engine over a real table, for tests: a line of text goes in, the reply's bytes come
 * out. Time stands still unless the test moves it.
 */
#define BENCH_NOW_MS 1700000000000ULL

struct bench {
	struct table *table;
	struct cmd_thread thread;
	struct cmd_counters counters;
	struct client client;
	struct fake_out out;
	struct slice last_key; // of the last request, to look a value up by
};

void bench_open(struct bench *b);
void bench_close(struct bench *b);

/* Another thread's bench on the table of `owner`; opened and closed by that thread. */
void bench_join(struct bench *b, const struct bench *owner);
void bench_leave(struct bench *b);

/* Moves the clock of the thread and its table. */
void bench_set_time(struct bench *b, uint64_t now_ms);

/*
 * Runs one request. Words are parted by single blanks; "" is the empty word, \r \n \s \0 and \\
 * stand for a line end's bytes, a blank, a NUL and a backslash, and 5000*x for 5000 times an x.
 * Returns the reply, good until the next call.
 */
struct slice bench_run(struct bench *b, const char *line);

/* The same with given arguments; blobs may be NULL. */
struct slice bench_run_argv(struct bench *b, const struct slice *argv, uint32_t argc,
			    struct blob *const *blobs);

/* A request on an empty keyspace, by a client that has just connected. */
struct bench_case {
	const char *name;
	const char *setup; // requests parted by ';', or NULL
	const char *request;
	struct slice reply; // on the wire, the whole of it
	uint8_t resp;
};

#define CASE_IN(version, name, setup, request, reply)                                              \
	{                                                                                          \
		(name), (setup), (request), {(const uint8_t *)(reply), sizeof(reply) - 1},         \
			(version)                                                                  \
	}
#define CASE(...)  CASE_IN(2, __VA_ARGS__)
#define CASE3(...) CASE_IN(3, __VA_ARGS__)

/* Runs all cases and names the first that differs. */
void bench_run_cases(const struct bench_case *cases, size_t count);
