/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/cmd_client.h"
#include "tests/unit/dataplane/command/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * CLIENT against the wire, and the filter and format that hosts use. Replies are what
 * redis-server 7.0.15 answered.
 */

static const struct bench_case cases[] = {
	CASE("getname without one", NULL, "client getname", "$-1\r\n"),
	CASE("setname", "client setname me", "client getname", "$2\r\nme\r\n"),
	CASE("setname answers", NULL, "client setname me", "+OK\r\n"),
	CASE("setname blank", NULL, "client setname a\\sb",
	     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
	CASE("setname empty takes it away", "client setname me;client setname \"\"",
	     "client getname", "$-1\r\n"),
	CASE("setname line end", NULL, "client setname a\\n",
	     "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
	CASE("no-evict", NULL, "client no-evict on", "+OK\r\n"),
	CASE("no-evict bad", NULL, "client no-evict maybe", "-ERR syntax error\r\n"),
	CASE("client alone", NULL, "client",
	     "-ERR wrong number of arguments for 'client' command\r\n"),
	CASE("client unknown", NULL, "client foo bar",
	     "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"),
	CASE("client unknown with a line end", NULL, "client a\\r\\nb",
	     "-ERR unknown subcommand 'a  b'. Try CLIENT HELP.\r\n"),
	CASE("client id arity", NULL, "client id 1",
	     "-ERR wrong number of arguments for 'client|id' command\r\n"),
	CASE("kill nothing", NULL, "client kill",
	     "-ERR wrong number of arguments for 'client|kill' command\r\n"),
	CASE("kill id 0", NULL, "client kill id 0", "-ERR client-id should be greater than 0\r\n"),
	CASE("kill id word", NULL, "client kill id x",
	     "-ERR client-id should be greater than 0\r\n"),
	CASE("kill unknown type", NULL, "client kill type foo",
	     "-ERR Unknown client type 'foo'\r\n"),
	CASE("kill unknown user", NULL, "client kill user nobody",
	     "-ERR No such user 'nobody'\r\n"),
	CASE("kill bad skipme", NULL, "client kill skipme perhaps", "-ERR syntax error\r\n"),
	CASE("kill odd", NULL, "client kill id 5 addr", "-ERR syntax error\r\n"),
	CASE("kill bad option", NULL, "client kill foo bar", "-ERR syntax error\r\n"),
	CASE("list bad type", NULL, "client list type foo", "-ERR Unknown client type 'foo'\r\n"),
	CASE("list bad id", NULL, "client list id x", "-ERR Invalid client ID\r\n"),
	CASE("list id alone", NULL, "client list id", "-ERR syntax error\r\n"),
	CASE("list bad option", NULL, "client list foo", "-ERR syntax error\r\n"),
	CASE("id", NULL, "client id", ":7\r\n"),
	CASE("setname of 63 bytes", "client setname 63*n", "client setname",
	     "-ERR wrong number of "
	     "arguments for 'client|setname' command\r\n"),
	CASE("setname of 64 bytes", NULL, "client setname 64*n",
	     "-ERR Client names cannot be longer than 63 bytes.\r\n"),
	CASE("no-touch", NULL, "client no-touch on", "+OK\r\n"),
	CASE("no-touch bad", NULL, "client no-touch maybe", "-ERR syntax error\r\n"),
	CASE("setinfo lib-name", NULL, "client setinfo LIB-NAME redis-py", "+OK\r\n"),
	CASE("setinfo lib-ver", NULL, "client setinfo lib-ver 8.0", "+OK\r\n"),
	CASE("setinfo unknown", NULL, "client setinfo foo bar",
	     "-ERR Unrecognized option 'foo'\r\n"),
	CASE("setinfo blank", NULL, "client setinfo LIB-VER a\\sb",
	     "-ERR LIB-VER cannot contain spaces, newlines or special characters.\r\n"),
	CASE("setinfo long", NULL, "client setinfo lib-ver 64*1",
	     "-ERR lib-ver cannot be longer than 63 bytes.\r\n"),
};

static void test_client_case_answers_as_redis(void **state)
{
	bench_run_cases(cases, ARRAY_COUNT(cases));
}

/* Three clients, of which the second asks. */
static const struct client clients[] = {
	{.id = 1,
	 .remote = {[10] = 0xff, 0xff, 10, 0, 0, 1},
	 .remote_port = 1000,
	 .local = {[10] = 0xff, 0xff, 10, 0, 0, 9},
	 .local_port = 6379},
	{.id = 2,
	 .remote = {[10] = 0xff, 0xff, 10, 0, 0, 2},
	 .remote_port = 2000,
	 .local = {[10] = 0xff, 0xff, 10, 0, 0, 9},
	 .local_port = 6379},
	{.id = 3,
	 .remote = {[15] = 1},
	 .remote_port = 3000,
	 .local = {[15] = 1},
	 .local_port = 6379},
};

#define ASKING_ID 2

/* A host with the clients above, which answers the ids of those that are meant. */
static uint64_t answer_ids(struct out *out, const struct cmd_client_filter *filter)
{
	uint64_t count = 0;

	for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
		if (!cmd_client_matches(filter, &clients[i], ASKING_ID))
			continue;
		out_append_u64(out, clients[i].id);
		count++;
	}
	OUT_LITERAL(out, " ");
	return count;
}

static void host_list(void *host, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self)
{
	struct cmd_client_filter filter;

	assert_true(cmd_client_list_filter(args, count, &filter, NULL));
	answer_ids(r->out, &filter);
}

static void host_kill(void *host, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self)
{
	struct cmd_client_filter filter;

	assert_true(cmd_client_kill_filter(args, count, &filter, NULL));
	cmd_client_kill_reply(r, &filter, answer_ids(r->out, &filter));
}

static void test_filter_means_the_clients(void **state)
{
	static const struct cmd_host_ops ops = {.client_list = host_list, .client_kill = host_kill};

	static const struct {
		const char *request;
		const char *reply; // the ids, then the reply of KILL
	} requests[] = {
		{"client list", "123 "},
		{"client list type NORMAL", "123 "},
		{"client list type pubsub", " "},
		{"client list id 1 3 77", "13 "},
		{"client kill id 1", "1 :1\r\n"},
		{"client kill id 2", " :0\r\n"},
		{"client kill id 2 skipme no", "2 :1\r\n"},
		{"client kill id 77", " :0\r\n"},
		{"client kill 10.0.0.2:2000", "2 +OK\r\n"},
		{"client kill [::1]:3000", "3 +OK\r\n"},
		{"client kill 10.0.0.2:2001", " -ERR No such client\r\n"},
		{"client kill addr 10.0.0.1:1000", "1 :1\r\n"},
		{"client kill laddr 10.0.0.9:6379", "1 :1\r\n"},
		{"client kill laddr 10.0.0.9:6379 skipme no", "12 :2\r\n"},
		{"client kill type normal", "13 :2\r\n"},
		{"client kill type slave", " :0\r\n"},
		{"client kill user default", "13 :2\r\n"},
		{"client kill id 1 addr 10.0.0.2:2000", " :0\r\n"},
	};
	struct bench b;

	bench_open(&b);
	b.thread.host_ops = &ops;
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		struct slice reply = bench_run(&b, requests[i].request);

		if (!slice_equal(reply, slice_of_text(requests[i].reply)))
			fail_msg("%s: %.*s", requests[i].request, (int)reply.len,
				 (const char *)reply.ptr);
	}
	bench_close(&b);
}

static void test_client_line_as_redis(void **state)
{
	static const char line[] =
		"id=1 addr=10.0.0.1:1000 laddr=10.0.0.9:6379 fd=12 name=me age=90 idle=2 flags=N "
		"db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=10 qbuf-free=20 argv-mem=0 multi-mem=0 "
		"rbs=0 rbp=0 obl=30 "
		"oll=0 omem=30 tot-mem=40 events=rw cmd=client|list user=default redir=-1 resp=3 "
		"lib-name=lib lib-ver=1\n";
	struct client client = clients[0];
	struct cmd_client_io io = {.fd = 12,
				   .input_bytes = 10,
				   .input_room_bytes = 20,
				   .output_bytes = 30,
				   .memory_bytes = 40};
	struct fake_out out;

	client.resp = 3;
	client.created_ms = 10000;
	client.active_ms = 98000;
	client.last = "client|list";
	strcpy(client_names_make(&client)->name, "me");
	strcpy(client_names_make(&client)->lib_name, "lib");
	strcpy(client_names_make(&client)->lib_version, "1");
	fake_out_init(&out);
	cmd_client_format(&client, &io, 100000, &out.out);
	assert_true(slice_equal(fake_out_bytes(&out), SLICE_LITERAL(line)));
	fake_out_fini(&out);
	client_fini(&client);
}

/* All names at their longest, the longest address: CLIENT INFO has room for it. */
static void test_client_info_longest_line_fits(void **state)
{
	struct slice reply;
	struct bench b;

	bench_open(&b);
	memset(b.client.remote, 0xab, sizeof(b.client.remote));
	memset(b.client.local, 0xcd, sizeof(b.client.local));
	b.client.id = UINT64_MAX;
	b.client.remote_port = b.client.local_port = 65535;
	b.client.active_ms = b.client.created_ms = 0;
	bench_run(&b, "client setname 63*n");
	bench_run(&b, "client setinfo lib-name 63*l");
	bench_run(&b, "client setinfo lib-ver 63*v");
	reply = bench_run(&b, "client info");
	assert_memory_equal(reply.ptr + reply.len - 5, "vv\n\r\n", 5);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_case_answers_as_redis),
		cmocka_unit_test(test_filter_means_the_clients),
		cmocka_unit_test(test_client_line_as_redis),
		cmocka_unit_test(test_client_info_longest_line_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
