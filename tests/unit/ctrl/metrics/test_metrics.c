/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/metrics/metrics.h"

#include "base/clock.h"
#include "tests/unit/ctrl/stats_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* The metrics as Prometheus parses them, and the HTTP around them over loopback sockets. */

#define TURNS_MAX 400

static struct stats_fixture f;
static struct loop *loop;
static struct metrics *metrics;
static uint64_t now_ns;

static int setup(void **state)
{
	stats_fixture_init(&f);
	now_ns = NS_PER_S;
	return loop_new(&loop);
}

static int setup_http(void **state)
{
	struct metrics_config config = {.bind = "127.0.0.1"};

	if (setup(state) != 0)
		return -1;
	config.stats = f.stats;
	config.loop = loop;
	return metrics_start(&config, &metrics);
}

static int teardown(void **state)
{
	metrics_stop(metrics);
	metrics = NULL;
	loop_free(loop);
	stats_fixture_fini(&f);
	return 0;
}

static const char *metrics_text(void)
{
	static char shown[1 << 18];
	struct slice bytes;
	struct text text;

	text_init(&text, sizeof(shown) - 1);
	metrics_write(&text, f.stats);
	assert_false(text.out.failed);
	bytes = text_bytes(&text);
	memcpy(shown, bytes.ptr, bytes.len);
	shown[bytes.len] = '\0';
	text_fini(&text);
	return shown;
}

static void assert_sample(const char *text, const char *sample)
{
	char line[256];

	snprintf(line, sizeof(line), "\n%s\n", sample);
	if (!strstr(text, line))
		fail_msg("no sample %s", sample);
}

static void test_samples_of_all_sources_are_there(void **state)
{
	struct cmd_stat *get = stats_fixture_command(&f, 0, "get");
	const char *text;

	counter_set(&f.workers[1].count[WORKER_COUNT_BUSY_TSC], 123);
	counter_set(&f.workers[1].count[WORKER_COUNT_TOTAL_TSC], 456);
	counter_set(&f.workers[0].count[WORKER_COUNT_POLLS], 7);
	counter_set(&f.workers[0].count[WORKER_COUNT_EMPTY_POLLS], 6);
	counter_set(&f.workers[1].stage_tsc[WORKER_STAGE_INPUT], 21);
	counter_set(&f.workers[1].count[WORKER_COUNT_STAGE_TURNS], 2);
	counter_set(&f.workers[1].count[WORKER_COUNT_STAGE_REQUESTS], 5);
	counter_set(&f.workers[0].connections, 3);
	counter_set(&f.workers[0].drops.count[DROP_FAULT_INJECTED], 5);
	counter_set(&f.workers[0].tcp.count[TCP_COUNT_RETRANSMITS], 4);
	counter_set(&f.workers[0].commands.commands, 99);
	counter_set(&get->calls, 11);
	counter_set(&get->tsc, 1100);
	f.table.limbo_items = 12;
	f.port.buffers_free = 13;
	text = metrics_text();
	assert_sample(text, "wirecache_worker_busy_cycles_total{worker=\"1\"} 123");
	assert_sample(text, "wirecache_worker_cycles_total{worker=\"1\"} 456");
	assert_sample(text, "wirecache_worker_polls_total{worker=\"0\"} 7");
	assert_sample(text, "wirecache_worker_empty_polls_total{worker=\"0\"} 6");
	assert_sample(text, "wirecache_worker_stage_cycles_total{worker=\"1\",stage=\"input\"} 21");
	assert_sample(text, "wirecache_worker_stage_turns_total{worker=\"1\"} 2");
	assert_sample(text, "wirecache_worker_stage_requests_total{worker=\"1\"} 5");
	assert_sample(text, "wirecache_worker_connections{worker=\"0\"} 3");
	assert_sample(text, "wirecache_connections 3");
	assert_sample(text, "wirecache_drops_total{reason=\"fault_injected\"} 5");
	assert_sample(text, "wirecache_tcp_retransmits_total 4");
	assert_sample(text, "wirecache_commands_processed_total 99");
	assert_sample(text, "wirecache_command_calls_total{command=\"get\"} 11");
	assert_sample(text, "wirecache_command_cycles_total{command=\"get\"} 1100");
	assert_sample(text, "wirecache_table_limbo_items 12");
	assert_sample(text, "wirecache_port_buffers_free 13");
	assert_sample(text, "wirecache_tsc_hertz 2000000000");
	assert_null(strstr(text, "command=\"set\"")); // never called
}

/* Splits "name{labels} value" and checks each part; the name goes to `name`. */
static void check_sample(const char *line, char name[128])
{
	size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
	char *end;

	assert_true(len > 0 && len < 128);
	memcpy(name, line, len);
	name[len] = '\0';
	assert_int_equal(strncmp(name, "wirecache_", 10), 0);
	line += len;
	if (*line == '{') {
		line = strchr(line, '}');
		assert_non_null(line);
		line++;
	}
	assert_int_equal(*line, ' ');
	strtod(line + 1, &end);
	assert_true(end > line + 1);
	assert_int_equal(*end, '\0');
}

/*
 * The text format's rules: HELP and TYPE before a family's samples, each family once, counters end
 * in _total.
 */
static void test_text_keeps_the_format(void **state)
{
	char *text = strdup(metrics_text());
	char help[128] = "", type[128] = "", kind[16] = "", name[128];
	static char families[512][128];
	size_t count = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "# HELP %127s", help) == 1) {
			for (size_t i = 0; i < count; i++)
				assert_string_not_equal(families[i], help);
			assert_true(count < ARRAY_COUNT(families));
			strcpy(families[count++], help);
		} else if (sscanf(line, "# TYPE %127s %15s", type, kind) == 2) {
			size_t len = strlen(type);
			bool total = len > 6 && strcmp(type + len - 6, "_total") == 0;

			assert_string_equal(type, help);
			assert_int_equal(total, strcmp(kind, "counter") == 0);
		} else {
			check_sample(line, name);
			assert_string_equal(name, type);
		}
	}
	assert_true(count > 80);
	free(text);
}

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(metrics_port(metrics))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void on_limit(struct loop_timer *timer, uint64_t at_ns)
{
}

static void turn(void)
{
	struct loop_timer limit = {.on_due = on_limit};

	loop_timer_set(loop, &limit, now_ns + NS_PER_MS);
	loop_wait(loop, now_ns);
	loop_timer_cancel(loop, &limit);
	now_ns += NS_PER_MS;
	loop_dispatch(loop, now_ns);
}

/* Sends a request and returns everything up to the end of the connection. */
static const char *ask(const char *request)
{
	static char reply[1 << 18];
	size_t got = 0;
	int fd = dial();

	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t len = recv(fd, reply + got, sizeof(reply) - 1 - got, MSG_DONTWAIT);

		if (len == 0)
			break;
		if (len > 0)
			got += (size_t)len;
		else
			turn();
	}
	reply[got] = '\0';
	close(fd);
	return reply;
}

#define HTTP(method, path) method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_http_answers(void **state)
{
	static const struct {
		const char *name, *request, *status, *body;
	} cases[] = {
		{"metrics", HTTP("GET", "/metrics"), "HTTP/1.1 200", "\nwirecache_workers 2\n"},
		{"type", HTTP("GET", "/metrics"), "HTTP/1.1 200", "text/plain; version=0.0.4"},
		{"query", HTTP("GET", "/metrics?x=1"), "HTTP/1.1 200", "\nwirecache_workers 2\n"},
		{"root", HTTP("GET", "/"), "HTTP/1.1 200", "/metrics"},
		{"elsewhere", HTTP("GET", "/nosuch"), "HTTP/1.1 404", "/metrics"},
		{"head", HTTP("HEAD", "/metrics"), "HTTP/1.1 200", "Content-Length"},
		{"post",
		 "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		 "Content-Length: 3\r\n\r\nabc",
		 "HTTP/1.1 405", "only GET"},
		{"nonsense", "nonsense\r\n\r\n", "", ""},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *reply = ask(cases[i].request);

		print_message("%s\n", cases[i].name);
		assert_int_equal(strncmp(reply, cases[i].status, strlen(cases[i].status)), 0);
		assert_non_null(strstr(reply, cases[i].body));
	}
}

/* Slow and silent clients take no place from others for ever, and never hold the loop up. */
static void test_http_silent_clients_do_not_shut_others_out(void **state)
{
	int fds[METRICS_CONNECTIONS_MAX / 2];

	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		fds[i] = dial();
		assert_int_equal(send(fds[i], "GET /met", 8, 0), 8);
		turn();
	}
	assert_non_null(strstr(ask(HTTP("GET", "/metrics")), "\nwirecache_workers 2\n"));
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 10; i++)
		turn();
	assert_non_null(strstr(ask(HTTP("GET", "/metrics")), "\nwirecache_workers 2\n"));
}

static void test_http_start_on_a_taken_port_fails(void **state)
{
	const struct metrics_config config = {
		.bind = "127.0.0.1", .port = metrics_port(metrics), .stats = f.stats, .loop = loop};
	struct metrics *second = NULL;

	assert_int_equal(metrics_start(&config, &second), -EADDRINUSE);
	assert_null(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_samples_of_all_sources_are_there, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_text_keeps_the_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_answers, setup_http, teardown),
		cmocka_unit_test_setup_teardown(test_http_silent_clients_do_not_shut_others_out,
						setup_http, teardown),
		cmocka_unit_test_setup_teardown(test_http_start_on_a_taken_port_fails, setup_http,
						teardown),
	};

	cmd_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
