/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/admin/admin.h"

#include "base/clock.h"
#include "base/rcu.h"
#include "ctrl/admin/admin_out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/*
 * The admin listener over loopback sockets, with the real engine and table behind it. A thread that
 * may write stands in for a worker: it runs one forward, while the test waits.
 */

#define TURNS_MAX   400
#define IDLE_NS     (60 * NS_PER_S)
#define CLIENTS_MAX 4

struct fixture {
	struct loop *loop;
	struct table *table;
	struct cmd_thread cmd;
	struct cmd_counters counters;
	struct session_limits limits;
	struct admin *admin;
	uint64_t now_ns;
	struct forward *out[8]; // taken by a hook
	uint32_t out_count;
	uint32_t to_worker, to_background;
	bool refuse;
};

static struct fixture f;

static bool take(struct forward *forward)
{
	if (f.refuse)
		return false;
	assert_true(f.out_count < ARRAY_COUNT(f.out));
	f.out[f.out_count++] = forward;
	return true;
}

static bool run_on_worker(void *arg, struct forward *forward)
{
	f.to_worker++;
	return take(forward);
}

static bool run_in_background(void *arg, struct forward *forward)
{
	f.to_background++;
	return take(forward);
}

static void *worker_main(void *arg)
{
	struct cmd_counters counters = {0};
	struct cmd_thread thread = {
		.table = f.table,
		.tt = table_thread_open(f.table, true),
		.stats = calloc(cmd_count(), sizeof(struct cmd_stat)),
		.counters = &counters,
		.now_ms = f.cmd.now_ms,
	};

	table_set_time(thread.tt, thread.now_ms, f.now_ns);
	forward_run(arg, &thread);
	free(thread.stats);
	table_thread_close(thread.tt);
	return NULL;
}

/* Runs the oldest forward elsewhere and hands it back. */
static void complete_one(void)
{
	struct forward *forward = f.out[0];
	pthread_t thread;

	assert_true(f.out_count > 0);
	memmove(&f.out[0], &f.out[1], sizeof(f.out) - sizeof(f.out[0]));
	f.out_count--;
	rcu_offline();
	assert_int_equal(pthread_create(&thread, NULL, worker_main, forward), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	rcu_online();
	admin_complete(f.admin, forward);
}

static void on_limit(struct loop_timer *timer, uint64_t now_ns)
{
}

static void turn(void)
{
	// The kernel may need a moment to carry bytes from one end to the other; a millisecond
	// bounds it.
	struct loop_timer limit = {.on_due = on_limit};

	loop_timer_set(f.loop, &limit, f.now_ns + NS_PER_MS);
	rcu_offline();
	loop_wait(f.loop, f.now_ns);
	rcu_online();
	loop_timer_cancel(f.loop, &limit);
	loop_dispatch(f.loop, f.now_ns);
	rcu_quiescent();
}

static void info(void *host, struct reply *r, const struct slice *sections, uint32_t count)
{
	reply_bulk_text(r, "in place");
}

static const struct cmd_host_ops host_ops = {.info = info};

static int setup(void **state)
{
	const struct table_config table = {.buckets_initial = 64};
	char why[TABLE_WHY_MAX];

	memset(&f, 0, sizeof(f));
	f.now_ns = NS_PER_S;
	if (table_new(&table, &f.table, why) != 0 || loop_new(&f.loop) != 0)
		return -1;
	f.cmd = (struct cmd_thread){
		.table = f.table,
		.tt = table_thread_open(f.table, false),
		.stats = calloc(cmd_count(), sizeof(struct cmd_stat)),
		.counters = &f.counters,
		.host_ops = &host_ops,
		.now_ms = 1700000000000,
	};
	table_set_time(f.cmd.tt, f.cmd.now_ms, f.now_ns);
	f.limits = (struct session_limits){.bulk_max_bytes = 512 << 20,
					   .query_max_bytes = 1 << 30,
					   .mc_item_max_bytes = 1 << 20};
	const struct admin_config config = {
		.bind = "127.0.0.1",
		.clients_max = CLIENTS_MAX,
		.idle_ns = IDLE_NS,
		.client_id_step = 3,
		.loop = f.loop,
		.cmd = &f.cmd,
		.limits = &f.limits,
		.hooks = {.run_on_worker = run_on_worker, .run_in_background = run_in_background},
	};

	return admin_start(&config, &f.admin);
}

static int teardown(void **state)
{
	while (f.out_count > 0)
		admin_complete(f.admin, f.out[--f.out_count]);
	admin_stop(f.admin);
	loop_free(f.loop);
	free(f.cmd.stats);
	table_thread_close(f.cmd.tt);
	table_free(f.table);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(admin_port(f.admin))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* Turns until `text` has come, and no more than that. */
static void expect(int fd, const char *text)
{
	size_t want = strlen(text), got = 0;
	char reply[4096];

	assert_true(want < sizeof(reply));
	for (int i = 0; i < TURNS_MAX && got < want; i++) {
		ssize_t len = recv(fd, reply + got, sizeof(reply) - 1 - got, MSG_DONTWAIT);

		if (len > 0)
			got += (size_t)len;
		else
			turn();
	}
	reply[got] = '\0';
	assert_string_equal(reply, text);
}

static void expect_end(int fd)
{
	char byte;

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t len = recv(fd, &byte, 1, MSG_DONTWAIT);

		assert_true(len <= 0);
		if (len == 0 || errno == ECONNRESET) {
			close(fd);
			return;
		}
		turn();
	}
	fail_msg("the connection stays open");
}

static void expect_clients(uint64_t count)
{
	for (int i = 0; i < TURNS_MAX && counter_read(&admin_stats(f.admin)->clients) != count; i++)
		turn();
	assert_int_equal(counter_read(&admin_stats(f.admin)->clients), count);
}

static void test_read_commands_run_in_place(void **state)
{
	int fd = dial();

	say(fd, "PING\r\nINFO\r\nGET nothing\r\n");
	expect(fd, "+PONG\r\n$8\r\nin place\r\n$-1\r\n");
	say(fd, "CLIENT ID\r\n");
	expect(fd, ":3\r\n");
	assert_int_equal(f.to_worker + f.to_background, 0);
	say(fd, "QUIT\r\n");
	expect(fd, "+OK\r\n");
	expect_end(fd);
	expect_clients(0);
}

static void test_write_is_forwarded_and_order_kept(void **state)
{
	int fd = dial();

	say(fd, "PING\r\nSET k v\r\nGET k\r\nPING\r\n");
	expect(fd, "+PONG\r\n");
	assert_int_equal(f.to_worker, 1);
	assert_int_equal(f.out[0]->worker, ADMIN_WORKER);
	turn();
	complete_one();
	expect(fd, "+OK\r\n$1\r\nv\r\n+PONG\r\n");
	close(fd);
	expect_clients(0);
}

static void test_forwarded_write_is_admitted_where_it_runs(void **state)
{
	int fd = dial();

	atomic_store(&table_limits(f.table)->maxmemory_bytes, 1);
	say(fd, "SET k v\r\n");
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++)
		turn();
	complete_one();
	expect(fd, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
	close(fd);
}

static void test_keyspace_walk_goes_to_background(void **state)
{
	int fd = dial();

	say(fd, "KEYS *\r\nPING\r\n");
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++)
		turn();
	assert_int_equal(f.to_background, 1);
	complete_one();
	expect(fd, "*0\r\n+PONG\r\n");
	close(fd);
}

static void test_refused_forward_answers_an_error(void **state)
{
	int fd = dial();

	f.refuse = true;
	say(fd, "SET k v\r\nPING\r\n");
	expect(fd, "-ERR too many requests for the control thread, try again later\r\n+PONG\r\n");
	close(fd);
}

static void test_client_gone_while_forwarded_is_harmless(void **state)
{
	int fd = dial();

	say(fd, "SET k v\r\n");
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++)
		turn();
	// A reset, not a FIN: half-closed clients do get their answer.
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
				    sizeof(struct linger)),
			 0);
	close(fd);
	expect_clients(0);
	complete_one();
	fd = dial();
	say(fd, "GET k\r\n");
	expect(fd, "$1\r\nv\r\n");
	close(fd);
}

static void test_half_closed_client_gets_its_answer(void **state)
{
	int fd = dial();

	say(fd, "SET k v\r\nPING\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++)
		turn();
	complete_one();
	expect(fd, "+OK\r\n+PONG\r\n");
	expect_end(fd);
	expect_clients(0);
}

static void test_protocol_error_is_answered_and_closed(void **state)
{
	int fd = dial();

	say(fd, "*1\r\nx\r\n");
	expect(fd, "-ERR Protocol error: expected '$', got 'x'\r\n");
	expect_end(fd);
}

static void test_too_many_clients_are_refused_clearly(void **state)
{
	int fds[CLIENTS_MAX], extra;

	for (int i = 0; i < CLIENTS_MAX; i++)
		fds[i] = dial();
	expect_clients(CLIENTS_MAX);
	extra = dial();
	expect(extra, "-ERR max number of clients reached\r\n");
	expect_end(extra);
	assert_int_equal(counter_read(&admin_stats(f.admin)->rejected), 1);
	close(fds[0]);
	expect_clients(CLIENTS_MAX - 1);
	extra = dial();
	say(extra, "PING\r\n");
	expect(extra, "+PONG\r\n");
	close(extra);
	for (int i = 1; i < CLIENTS_MAX; i++)
		close(fds[i]);
	expect_clients(0);
}

static void test_idle_client_is_closed_but_not_one_that_waits_for_us(void **state)
{
	int idle = dial(), waiting = dial();

	say(waiting, "SET k v\r\n");
	expect_clients(2);
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++)
		turn();
	f.now_ns += IDLE_NS - 1;
	turn();
	expect_clients(2);
	f.now_ns += 1;
	expect_end(idle);
	expect_clients(1);
	complete_one();
	expect(waiting, "+OK\r\n");
	f.now_ns += 2 * IDLE_NS;
	expect_end(waiting);
	expect_clients(0);
}

/* Fills a value through a worker, then asks for it more often than any socket buffer holds. */
static void test_large_pipelined_replies_arrive_whole(void **state)
{
	enum {
		VALUE_BYTES = 300000,
		TIMES = 100
	};

	char *request = malloc(VALUE_BYTES + 100);
	const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$300000\r\n";
	const size_t want = TIMES * (sizeof("$300000\r\n\r\n") - 1 + VALUE_BYTES);
	size_t sent = 0, len = sizeof(head) - 1 + VALUE_BYTES + 2, got = 0;
	static uint8_t piece[1 << 16];
	int fd = dial();

	memcpy(request, head, sizeof(head) - 1);
	memset(request + sizeof(head) - 1, 'x', VALUE_BYTES);
	memcpy(request + len - 2, "\r\n", 2);
	for (int i = 0; i < TURNS_MAX && f.out_count == 0; i++) {
		ssize_t part = sent < len ? send(fd, request + sent, len - sent, MSG_DONTWAIT) : 0;

		sent += part > 0 ? (size_t)part : 0;
		turn();
	}
	complete_one();
	expect(fd, "+OK\r\n");
	for (int i = 0; i < TIMES; i++)
		say(fd, "GET b\r\n");
	for (int i = 0; i < 100 * TURNS_MAX && got < want; i++) {
		ssize_t part = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);

		got += part > 0 ? (size_t)part : 0;
		if (part <= 0)
			turn();
	}
	assert_int_equal(got, want);
	close(fd);
	expect_clients(0);
	free(request);
}

static bool kill_id(void *arg, const struct worker_client_view *view)
{
	assert_int_equal(view->worker, ADMIN_WORKER);
	assert_true(view->client->admin);
	return view->client->id == *(uint64_t *)arg;
}

static void test_visit_ends_the_chosen_client(void **state)
{
	uint64_t id = 6; // the second one: ids are multiples of 3
	int first = dial(), second;

	expect_clients(1);
	second = dial();
	expect_clients(2);
	admin_visit(f.admin, kill_id, &id);
	expect_end(second);
	say(first, "PING\r\n");
	expect(first, "+PONG\r\n");
	close(first);
}

static void test_start_on_a_taken_port_fails(void **state)
{
	const struct admin_config config = {
		.bind = "127.0.0.1",
		.port = admin_port(f.admin),
		.clients_max = 1,
		.client_id_step = 1,
		.loop = f.loop,
		.cmd = &f.cmd,
		.limits = &f.limits,
	};
	struct admin *second = NULL;

	assert_int_equal(admin_start(&config, &second), -EADDRINUSE);
	assert_null(second);
}

static uint32_t released;

static void release(struct blob *blob)
{
	released++;
	free(blob);
}

static struct blob *make_blob(size_t len)
{
	struct blob *blob = calloc(1, sizeof(*blob) + len);

	atomic_init(&blob->refs, 1);
	blob->release = release;
	blob->len = blob->capacity = len;
	memset(blob->bytes, 'b', len);
	return blob;
}

static void test_out_refers_to_long_blobs_and_lets_go(void **state)
{
	struct blob *blob = make_blob(10000);
	struct admin_out out;
	int pair[2];
	char got[16384];
	size_t len = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	released = 0;
	admin_out_init(&out);
	OUT_LITERAL(&out.out, "<");
	out_append_blob(&out.out, blob, 1, 9999); // referred to
	OUT_LITERAL(&out.out, "|");
	out_append_blob(&out.out, blob, 0, 10); // copied
	OUT_LITERAL(&out.out, ">");
	blob_unref(blob);
	assert_int_equal(released, 0);
	assert_int_equal(admin_out_queued(&out), 1 + 9999 + 1 + 10 + 1);
	assert_int_equal(admin_out_flush(&out, pair[0]), 0);
	assert_int_equal(released, 1);
	assert_int_equal(admin_out_queued(&out), 0);
	assert_int_equal(out.copied_bytes + out.referred_bytes, 0);
	for (ssize_t part; (part = recv(pair[1], got + len, sizeof(got) - len, MSG_DONTWAIT)) > 0;)
		len += (size_t)part;
	assert_int_equal(len, 1 + 9999 + 1 + 10 + 1);
	assert_int_equal(got[0], '<');
	assert_int_equal(got[1], 'b');
	assert_memory_equal(got + 10000, "|bbbbbbbbbb>", 12);
	admin_out_fini(&out);
	close(pair[0]);
	close(pair[1]);
}

static void test_out_over_its_limit_fails(void **state)
{
	static uint8_t megabyte[1 << 20];
	struct admin_out out;

	admin_out_init(&out);
	for (int i = 0; i < 64 && !out.out.failed; i++)
		out_append(&out.out, slice_of(megabyte, sizeof(megabyte)));
	out_append(&out.out, slice_of(megabyte, 1 << 15));
	assert_true(out.out.failed);
	assert_true(out.copied_bytes <= ADMIN_OUT_COPIED_MAX);
	admin_out_fini(&out);
	assert_int_equal(out.copied_bytes, 0);
}

static int group_setup(void **state)
{
	clock_init();
	cmd_init();
	return rcu_start();
}

static int group_teardown(void **state)
{
	rcu_stop();
	return 0;
}

#define WITH_ADMIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ADMIN(test_read_commands_run_in_place),
		WITH_ADMIN(test_write_is_forwarded_and_order_kept),
		WITH_ADMIN(test_forwarded_write_is_admitted_where_it_runs),
		WITH_ADMIN(test_keyspace_walk_goes_to_background),
		WITH_ADMIN(test_refused_forward_answers_an_error),
		WITH_ADMIN(test_client_gone_while_forwarded_is_harmless),
		WITH_ADMIN(test_half_closed_client_gets_its_answer),
		WITH_ADMIN(test_protocol_error_is_answered_and_closed),
		WITH_ADMIN(test_too_many_clients_are_refused_clearly),
		WITH_ADMIN(test_idle_client_is_closed_but_not_one_that_waits_for_us),
		WITH_ADMIN(test_large_pipelined_replies_arrive_whole),
		WITH_ADMIN(test_visit_ends_the_chosen_client),
		WITH_ADMIN(test_start_on_a_taken_port_fails),
		cmocka_unit_test(test_out_refers_to_long_blobs_and_lets_go),
		cmocka_unit_test(test_out_over_its_limit_fails),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
