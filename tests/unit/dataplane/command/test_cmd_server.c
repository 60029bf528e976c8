/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/*
 * Commands that a host serves, against the wire and with a host. Replies are what redis-server
 * 7.0.15 answered.
 */

static const struct bench_case cases[] = {
	CASE("config alone", NULL, "config",
	     "-ERR wrong number of arguments for 'config' command\r\n"),
	CASE("config unknown", NULL, "config foo",
	     "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"),
	CASE("config get arity", NULL, "config get",
	     "-ERR wrong number of arguments for 'config|get' command\r\n"),
	CASE("config set odd", NULL, "config set a b c", "-ERR syntax error\r\n"),
	CASE("config set arity", NULL, "config set a",
	     "-ERR wrong number of arguments for 'config|set' command\r\n"),
	CASE("time arity", NULL, "time x", "-ERR wrong number of arguments for 'time' command\r\n"),
};

static void test_server_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

/* A host that notes what it was asked. */
struct noting_host {
	char noted[256];
	double slept_s;
};

static void note(void *host, const char *what, const struct slice *args, uint32_t count)
{
	struct noting_host *h = host;
	size_t len = strlen(h->noted);

	len += (size_t)snprintf(h->noted + len, sizeof(h->noted) - len, "%s(", what);
	for (uint32_t i = 0; i < count; i++)
		len += (size_t)snprintf(h->noted + len, sizeof(h->noted) - len, "%.*s,",
					(int)args[i].len, (const char *)args[i].ptr);
	snprintf(h->noted + len, sizeof(h->noted) - len, ")");
}

static void host_info(void *host, struct reply *r, const struct slice *args, uint32_t count)
{
	note(host, "info", args, count);
	reply_ok(r);
}

static void host_config_get(void *host, struct reply *r, const struct slice *args, uint32_t count)
{
	note(host, "get", args, count);
	reply_ok(r);
}

static void host_config_set(void *host, struct reply *r, const struct slice *args, uint32_t count)
{
	note(host, "set", args, count);
	reply_ok(r);
}

static void host_config_rewrite(void *host, struct reply *r)
{
	note(host, "rewrite", NULL, 0);
	reply_ok(r);
}

static void host_reset_stats(void *host)
{
	note(host, "reset", NULL, 0);
}

static void host_shutdown(void *host, struct reply *r, const struct cmd_shutdown *how)
{
	if (how->saves)
		note(host, "shutdown save", NULL, 0);
	else if (how->skips_save)
		note(host, "shutdown nosave", NULL, 0);
	else if (how->forces)
		note(host, "shutdown force", NULL, 0);
	else
		note(host, "shutdown", NULL, 0);
	reply_ok(r);
}

static void host_debug_sleep(void *host, double seconds)
{
	struct noting_host *h = host;

	h->slept_s = seconds;
}

static const struct cmd_host_ops noting_ops = {
	.info = host_info,
	.config_get = host_config_get,
	.config_set = host_config_set,
	.config_rewrite = host_config_rewrite,
	.reset_stats = host_reset_stats,
	.shutdown = host_shutdown,
	.debug_sleep = host_debug_sleep,
};

static void test_host_gets_arguments(void **state)
{
	static const struct {
		const char *request;
		const char *noted;
		const char *reply;
	} requests[] = {
		{"info", "info()", "+OK\r\n"},
		{"info server clients", "info(server,clients,)", "+OK\r\n"},
		{"config get a* b", "get(a*,b,)", "+OK\r\n"},
		{"config set a 1 b 2", "set(a,1,b,2,)", "+OK\r\n"},
		{"config rewrite", "rewrite()", "+OK\r\n"},
		{"config resetstat", "reset()", "+OK\r\n"},
		{"shutdown", "shutdown()", "+OK\r\n"},
		{"shutdown NOSAVE now", "shutdown nosave()", "+OK\r\n"},
		{"shutdown save", "shutdown save()", "+OK\r\n"},
		{"shutdown FORCE", "shutdown force()", "+OK\r\n"},
		{"shutdown save nosave", "", "-ERR syntax error\r\n"},
		{"shutdown later", "", "-ERR syntax error\r\n"},
		{"debug sleep 0.25", "", "+OK\r\n"},
		{"debug sleep x", "", "-ERR value is not a valid float or out of range\r\n"},
		{"debug sleep -1", "", "-ERR value is not a valid float or out of range\r\n"},
		{"debug sleep 1e9", "", "-ERR value is not a valid float or out of range\r\n"},
		{"debug sleep nan", "", "-ERR value is not a valid float or out of range\r\n"},
	};
	struct noting_host host = {""};
	struct bench b;

	bench_open(&b);
	b.client.admin = true;
	b.thread.host = &host;
	b.thread.host_ops = &noting_ops;
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		host.noted[0] = '\0';
		struct slice reply = bench_run(&b, requests[i].request);

		if (strcmp(host.noted, requests[i].noted) != 0 ||
		    !slice_equal(reply, slice_of_text(requests[i].reply)))
			fail_msg("%s: host got %s", requests[i].request, host.noted);
	}
	assert_true(host.slept_s == 0.25);
	bench_close(&b);
}

/* On a worker, or before the control thread offers an operation. */
static void test_no_host_answers_an_error(void **state)
{
	static const struct cmd_host_ops none = {0};
	static const char *const requests[] = {
		"info",
		"config get *",
		"config set a b",
		"config rewrite",
		"config resetstat",
		"client list",
		"client kill id 5",
		"shutdown",
		"debug sleep 0",
	};
	struct bench b;

	bench_open(&b);
	b.client.admin = true;
	for (size_t i = 0; i < 2 * ARRAY_COUNT(requests); i++) {
		b.thread.host_ops = i % 2 ? &none : NULL;
		struct slice reply = bench_run(&b, requests[i / 2]);

		assert_true(reply.len > 25);
		assert_memory_equal(reply.ptr + reply.len - 25, "' is not available here\r\n", 25);
	}
	bench_close(&b);
}

static void test_time_in_seconds_and_microseconds(void **state)
{
	struct bench b;

	bench_open(&b);
	bench_set_time(&b, 1700000001005);
	assert_true(slice_equal(bench_run(&b, "time"),
				SLICE_LITERAL("*2\r\n$10\r\n1700000001\r\n$4\r\n5123\r\n")));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_case_answers_as_redis),
		cmocka_unit_test(test_host_gets_arguments),
		cmocka_unit_test(test_no_host_answers_an_error),
		cmocka_unit_test(test_time_in_seconds_and_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
