/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include "base/rcu.h"
#include "dataplane/proto/resp/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The bench of engine_bench.h: what a worker does around cmd_run(), without its connections. */

#define BENCH_ARGS_MAX  64
#define BENCH_UPKEEP_NS 20000 // of the table, after each request

void bench_set_time(struct bench *b, uint64_t now_ms)
{
	b->thread.now_ms = now_ms;
	b->thread.now_us = now_ms * 1000 + 123;
	table_set_time(b->thread.tt, now_ms, (now_ms - BENCH_NOW_MS + 1) * 1000000);
}

/* What each thread has of its own. */
static void open_thread(struct bench *b, struct table *table)
{
	memset(b, 0, sizeof(*b));
	b->table = table;
	b->thread = (struct cmd_thread){
		.table = table,
		.tt = table_thread_open(table, true),
		.stats = calloc(cmd_count(), sizeof(struct cmd_stat)),
		.counters = &b->counters,
		.rng = rng_seeded(1),
	};
	assert_non_null(b->thread.tt);
	assert_non_null(b->thread.stats);
	b->client = (struct client){.id = 7, .resp = 2, .created_ms = BENCH_NOW_MS};
	fake_out_init(&b->out);
	bench_set_time(b, BENCH_NOW_MS);
}

void bench_open(struct bench *b)
{
	struct table_config config = {.hash_key = {1, 2}, .buckets_initial = 16, .rng_seed = 1};
	struct table *table;
	char why[TABLE_WHY_MAX];

	cmd_init();
	assert_int_equal(rcu_start(), 0);
	if (table_new(&config, &table, why) != 0)
		fail_msg("no table: %s", why);
	open_thread(b, table);
}

void bench_close(struct bench *b)
{
	bench_leave(b);
	table_free(b->table);
	rcu_stop();
}

void bench_join(struct bench *b, const struct bench *owner)
{
	open_thread(b, owner->table);
}

void bench_leave(struct bench *b)
{
	client_fini(&b->client);
	fake_out_fini(&b->out);
	free(b->thread.stats);
	table_thread_close(b->thread.tt);
}

static uint32_t find_keys(struct bench *b, const struct cmd *cmd, const struct slice *argv,
			  uint32_t argc, struct table_key *keys)
{
	uint32_t count = 0;
	uint32_t last;

	if (cmd->first_key == 0)
		return 0;
	last = cmd->last_key < 0 ? argc - (uint32_t)-cmd->last_key : (uint32_t)cmd->last_key;
	for (uint32_t i = (uint32_t)cmd->first_key; i <= last && i < argc;
	     i += (uint32_t)cmd->key_step)
		keys[count++] = table_key(b->table, argv[i]);
	return count;
}

struct slice bench_run_argv(struct bench *b, const struct slice *argv, uint32_t argc,
			    struct blob *const *blobs)
{
	const struct cmd *cmd = cmd_lookup(argv, argc);
	struct table_key keys[BENCH_ARGS_MAX];
	struct reply reply = resp_reply(&b->out.out, b->client.resp);

	fake_out_clear(&b->out);
	if (cmd_admit(&b->thread, &b->client, cmd, argc, argv, &reply)) {
		struct cmd_call call = {
			.thread = &b->thread,
			.client = &b->client,
			.cmd = cmd,
			.argc = argc,
			.argv = argv,
			.keys = keys,
			.key_count = find_keys(b, cmd, argv, argc, keys),
			.blobs = blobs,
			.reply = &reply,
		};

		cmd_run(&call);
	}
	rcu_quiescent();
	table_housekeep(b->thread.tt, BENCH_UPKEEP_NS);
	return fake_out_bytes(&b->out);
}

static uint8_t unescape(char c)
{
	switch (c) {
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	case 's':
		return ' ';
	case '0':
		return '\0';
	default:
		return (uint8_t)c;
	}
}

/* Writes the word's bytes to `to` and returns behind its last character. */
static const char *parse_word(const char *at, uint8_t **to)
{
	char *star;
	unsigned long times = strtoul(at, &star, 10);

	if (star > at && *star == '*' && star[1] && (star[2] == ' ' || star[2] == '\0')) {
		memset(*to, star[1], times);
		*to += times;
		return star + 2;
	}
	if (strncmp(at, "\"\"", 2) == 0)
		return at + 2;
	for (; *at && *at != ' '; at++)
		*(*to)++ = *at == '\\' ? unescape(*++at) : (uint8_t)*at;
	return at;
}

struct slice bench_run(struct bench *b, const char *line)
{
	static _Thread_local uint8_t bytes[1 << 20];
	struct slice argv[BENCH_ARGS_MAX];
	uint32_t argc = 0;
	uint8_t *to = bytes;

	while (*line) {
		uint8_t *from = to;

		line = parse_word(line, &to);
		assert_true(argc < BENCH_ARGS_MAX);
		argv[argc++] = slice_of(from, (size_t)(to - from));
		if (*line == ' ')
			line++;
	}
	return bench_run_argv(b, argv, argc, NULL);
}

static void run_case(struct bench *b, const struct bench_case *c)
{
	char setup[1024] = "";
	char *rest = setup;

	bench_set_time(b, BENCH_NOW_MS);
	bench_run(b, "flushall");
	client_fini(&b->client);
	b->client = (struct client){.id = 7, .resp = 2, .created_ms = BENCH_NOW_MS};
	if (c->setup) {
		assert_true(strlen(c->setup) < sizeof(setup));
		strcpy(setup, c->setup);
	}
	for (char *request; (request = strsep(&rest, ";"));) {
		if (*request)
			bench_run(b, request);
	}
	b->client.resp = c->resp;

	struct slice reply = bench_run(b, c->request);

	if (!slice_equal(reply, c->reply))
		fail_msg("%s: `%.200s` answered\n%.*s\ninstead of\n%.*s", c->name, c->request,
			 (int)reply.len, (const char *)reply.ptr, (int)c->reply.len,
			 (const char *)c->reply.ptr);
}

void bench_run_cases(const struct bench_case *cases, size_t count)
{
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < count; i++)
		run_case(&b, &cases[i]);
	bench_close(&b);
}
