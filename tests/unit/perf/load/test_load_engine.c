/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_link.h"

#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/*
 * The engine against a server and a clock that this file plays: a RESP server of one core that
 * takes SERVICE_NS per request, in order, and may pause, lie or hang up.
 */

#define SERVICE_NS  10000
#define STEP_NS     1000 // of the loop
#define CLIENTS_MAX 64
#define QUEUE_MAX   65536
#define NEVER       UINT64_MAX

struct queued {
	struct load_client *client;
	uint64_t serial; // of its connection
	uint64_t key;
	uint64_t answer_ns;
};

struct fake_server {
	struct load_link link;
	struct load_options options;
	struct load_space space;
	uint64_t now_ns, free_at_ns;         // free_at_ns: when its core is
	uint64_t pause_from_ns, pause_to_ns; // answers nothing
	uint64_t lie_at;                     // request of which the answer is another key's
	uint64_t hang_up_at, silent_from;    // request
	uint64_t requests, opens, closes;
	uint64_t serial[CLIENTS_MAX]; // of the connection, 0: none
	struct load_client *opening[CLIENTS_MAX];
	uint32_t opening_count, most_outstanding;
	struct queued queue[QUEUE_MAX];
	uint32_t head, tail;
	struct out out;
	struct load_client *writer;
	uint8_t written[65536];
};

static bool no_room(struct out *out, size_t min)
{
	return false;
}

static bool no_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	return false;
}

static const struct out_ops out_ops = {no_room, no_blob};

static struct fake_server *server_of(struct load_link *link)
{
	return CONTAINER_OF(link, struct fake_server, link);
}

/* Requests are all "GET key:<12 digits>". */
static void take_requests(struct fake_server *s)
{
	const uint8_t *end = s->out.pos;
	const uint8_t *at = s->written;
	static const char head[] = "*2\r\n$3\r\nGET\r\n$16\r\nkey:";

	while (at < end) {
		uint64_t start_ns = s->now_ns > s->free_at_ns ? s->now_ns : s->free_at_ns;

		assert_memory_equal(at, head, sizeof(head) - 1);
		at += sizeof(head) - 1;
		if (start_ns >= s->pause_from_ns && start_ns < s->pause_to_ns)
			start_ns = s->pause_to_ns;
		s->free_at_ns = start_ns + SERVICE_NS;
		s->queue[s->head++ % QUEUE_MAX] = (struct queued){
			.client = s->writer,
			.serial = s->serial[load_client_index(s->writer)],
			.key = strtoull((const char *)at, NULL, 10),
			.answer_ns = s->free_at_ns,
		};
		at += 12 + 2;
	}
	if (s->head - s->tail > s->most_outstanding)
		s->most_outstanding = s->head - s->tail;
	s->out.pos = s->written;
}

static bool fake_open(struct load_link *link, struct load_client *client)
{
	struct fake_server *s = server_of(link);

	s->opening[s->opening_count++] = client;
	return true;
}

static struct out *fake_out_of(struct load_link *link, struct load_client *client)
{
	struct fake_server *s = server_of(link);

	take_requests(s);
	s->writer = client;
	return &s->out;
}

static void fake_close(struct load_link *link, struct load_client *client)
{
	struct fake_server *s = server_of(link);

	s->closes++;
	s->serial[load_client_index(client)] = 0;
}

static void answer(struct fake_server *s, const struct queued *q)
{
	uint64_t number = s->requests++;
	uint64_t key = number == s->lie_at ? q->key + 1 : q->key;
	struct slice value = load_space_value(&s->space, key);
	char text[256];
	int len = sprintf(text, "$%zu\r\n%.*s\r\n", value.len, (int)value.len,
			  (const char *)value.ptr);

	if (number >= s->silent_from)
		return;
	if (number == s->hang_up_at) {
		s->serial[load_client_index(q->client)] = 0;
		load_closed(q->client, "hung up", s->now_ns);
		return;
	}
	load_received(q->client, slice_of(text, (size_t)len), s->now_ns);
}

static uint64_t fake_receive(struct load_link *link, bool may_wait)
{
	struct fake_server *s = server_of(link);

	s->now_ns += STEP_NS;
	while (s->opening_count > 0) {
		struct load_client *client = s->opening[--s->opening_count];

		s->serial[load_client_index(client)] = ++s->opens;
		load_opened(client, s->now_ns);
	}
	while (s->tail != s->head && s->queue[s->tail % QUEUE_MAX].answer_ns <= s->now_ns) {
		const struct queued *q = &s->queue[s->tail++ % QUEUE_MAX];

		if (s->serial[load_client_index(q->client)] == q->serial)
			answer(s, q);
	}
	return s->now_ns;
}

static void fake_send(struct load_link *link, uint64_t now_ns)
{
	take_requests(server_of(link));
}

static const struct load_link_ops fake_ops = {
	.open = fake_open,
	.out = fake_out_of,
	.close = fake_close,
	.receive = fake_receive,
	.send = fake_send,
};

static struct fake_server *server_new(void)
{
	struct fake_server *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->link.ops = &fake_ops;
	s->options = (struct load_options){
		.server = "fake",
		.clients = 8,
		.pipeline = 1,
		.ratio_get = 1,
		.multi_get = 1,
		.pattern_set = LOAD_UNIFORM,
		.pattern_get = LOAD_UNIFORM,
		.key_prefix = "key:",
		.key_bytes = 16,
		.key_max = 999,
		.data_min = 3,
		.data_max = 40,
		.test_s = 0.5,
		.verify = LOAD_VERIFY_HITS,
		.seed = 1,
	};
	s->pause_from_ns = s->pause_to_ns = s->lie_at = s->hang_up_at = s->silent_from = NEVER;
	s->now_ns = NS_PER_S;
	s->out.ops = &out_ops;
	s->out.pos = s->written;
	s->out.end = s->written + sizeof(s->written);
	assert_true(load_space_init(&s->space, &s->options));
	return s;
}

static void server_free(struct fake_server *s)
{
	load_space_fini(&s->space);
	free(s);
}

/* Runs to the end, or for at most 60 s of the fake's time. */
static struct load *run(struct fake_server *s)
{
	struct load *load = load_new(&s->options, &s->link, NULL, NULL);
	uint64_t now_ns = s->now_ns, until_ns = s->now_ns + 60 * NS_PER_S;

	assert_non_null(load);
	while (!load_turn(load, now_ns) && now_ns < until_ns) {
		s->link.ops->send(&s->link, now_ns);
		now_ns = s->link.ops->receive(&s->link, false);
	}
	assert_int_equal(load_phase(load), LOAD_DONE);
	assert_false(load_close_some(load, UINT32_MAX));
	return load;
}

static void assert_near(double value, double expected, double part)
{
	if (fabs(value - expected) > expected * part)
		fail_msg("%g is not %g", value, expected);
}

static void test_closed_loop_keeps_every_pipeline_full(void **state)
{
	static const uint32_t pipelines[] = {1, 2, 7, 32};

	for (size_t i = 0; i < sizeof(pipelines) / sizeof(pipelines[0]); i++) {
		struct fake_server *s = server_new();
		struct load *load;
		const struct load_results *r;

		s->options.pipeline = pipelines[i];
		load = run(s);
		r = load_results(load);
		assert_false(load_failed(load));
		assert_int_equal(s->most_outstanding, 8 * pipelines[i]);
		assert_near((double)r->counts.requests / r->seconds, 1e9 / SERVICE_NS, 0.01);
		// Little's law: the time in the system is what is outstanding by the rate.
		assert_near((double)load_hist_quantile(&r->latency, 0.5),
			    8.0 * pipelines[i] * SERVICE_NS, 0.15);
		assert_true(r->counts.hits == r->counts.requests);
		load_free(load);
		server_free(s);
	}
}

static void test_counted_requests_are_all_answered_once(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->options.requests = 123;
	s->options.pipeline = 5;
	load = run(s);
	assert_false(load_failed(load));
	assert_true(load_results(load)->counts.requests == 8 * 123);
	assert_true(s->requests == 8 * 123);
	load_free(load);
	server_free(s);
}

static void turns_until_rest(struct fake_server *s, struct load *load, uint64_t now_ns)
{
	while (!load_turn(load, now_ns)) {
		s->link.ops->send(&s->link, now_ns);
		now_ns = s->link.ops->receive(&s->link, false);
	}
}

static void test_connections_are_closed_a_few_at_a_time(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->options.on_demand = true;
	load = load_new(&s->options, &s->link, NULL, NULL);
	assert_non_null(load);
	turns_until_rest(s, load, s->now_ns);
	assert_int_equal(s->options.clients, 8);
	assert_true(load_close_some(load, 3));
	assert_true(load_close_some(load, 3));
	assert_false(load_close_some(load, 3)); // the last two
	assert_false(load_close_some(load, 0));
	load_free(load);
	server_free(s);
}

static void test_on_demand_each_time_counts_for_itself(void **state)
{
	struct fake_server *s = server_new();
	const struct load_results *r;
	struct load *load;

	s->options.on_demand = true;
	load = load_new(&s->options, &s->link, NULL, NULL);
	assert_non_null(load);
	turns_until_rest(s, load, s->now_ns);
	assert_int_equal(load_phase(load), LOAD_PAUSED);
	assert_true(s->requests == 0);
	r = load_results(load);
	for (int i = 1; i <= 3; i++) {
		uint64_t before = s->requests;

		load_measure(load, 0.01 * i, s->now_ns);
		turns_until_rest(s, load, s->now_ns);
		assert_int_equal(load_phase(load), LOAD_PAUSED);
		assert_true(r->counts.requests_all == s->requests - before);
		assert_near(r->seconds, 0.01 * i, 0.01);
		assert_near((double)r->counts.requests / r->seconds, 1e9 / SERVICE_NS, 0.01);
		assert_true(r->counts.connects == 0);
		assert_true(load_turn(load, s->now_ns + NS_PER_S));
	}
	load_free(load);
	server_free(s);
}

/*
 * A server that pauses for P at a rate R: the R * P requests that fell due in the pause waited from
 * 0 to P, and longer until the backlog was gone. A load that waits for its server would report one
 * slow request per client.
 */
static void test_open_loop_charges_a_pause_to_all_that_fell_into_it(void **state)
{
	struct fake_server *s = server_new();
	const double pause_s = 0.1, rate = 20000;
	const struct load_results *r;
	struct load *load;

	s->options.rate = rate;
	s->options.test_s = 2;
	s->pause_from_ns = 2 * NS_PER_S;
	s->pause_to_ns = s->pause_from_ns + (uint64_t)(pause_s * 1e9);
	load = run(s);
	r = load_results(load);
	assert_false(load_failed(load));
	assert_near((double)r->counts.requests, rate * s->options.test_s, 0.03);
	assert_true(r->counts.unsent == 0);
	assert_near((double)r->latency.max_ns, pause_s * 1e9, 0.02);
	// 5 % of all fell into the pause, and as its backlog is worked off at five times the rate
	// another fourth of them waited: the delay is spread evenly from 0 to P.
	assert_near((double)load_hist_quantile(&r->latency, 1 - 0.0625 / 2), pause_s / 2 * 1e9,
		    0.05);
	assert_near((double)load_hist_quantile(&r->latency, 1 - 0.0625 / 10), pause_s * 0.9 * 1e9,
		    0.05);
	// What was really sent into the pause is one request per client.
	assert_true(load_hist_quantile(&r->service, 0.99) < 10 * 8 * SERVICE_NS);
	load_free(load);
	server_free(s);
}

static void test_open_loop_says_when_the_server_is_too_slow(void **state)
{
	struct fake_server *s = server_new();
	const struct load_results *r;
	struct load *load;

	s->options.rate = 20e9 / SERVICE_NS; // twenty times what it can
	load = run(s);
	r = load_results(load);
	assert_true(r->counts.unsent > 0);
	assert_near((double)(r->counts.requests + r->counts.unsent),
		    s->options.rate * s->options.test_s, 0.02);
	load_free(load);
	server_free(s);
}

static void test_a_lie_is_found_and_named(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->lie_at = 777;
	load = run(s);
	assert_true(load_failed(load));
	assert_true(load_results(load)->counts.wrong == 1);
	assert_non_null(strstr(load_results(load)->why, "wrong reply: key:"));
	load_free(load);
	server_free(s);
}

static void test_a_lost_connection_is_counted_and_replaced(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->hang_up_at = 500;
	load = run(s);
	assert_true(load_failed(load));
	assert_true(load_results(load)->counts.lost_connections == 1);
	assert_true(s->opens == 9);
	assert_true(load_results(load)->counts.requests > 10000);
	load_free(load);
	server_free(s);
}

static void test_silence_ends_the_load(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->silent_from = 100;
	s->options.test_s = 50;
	load = run(s);
	assert_true(load_failed(load));
	assert_non_null(strstr(load_results(load)->why, "no reply"));
	load_free(load);
	server_free(s);
}

static void test_reconnecting_opens_one_connection_per_request(void **state)
{
	struct fake_server *s = server_new();
	struct load *load;

	s->options.reconnect_interval = 1;
	load = run(s);
	assert_false(load_failed(load));
	assert_true(load_results(load)->counts.connects + 2 * 8 >= s->requests);
	assert_true(s->opens == s->closes);
	assert_true(s->requests > 10000);
	load_free(load);
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_loop_keeps_every_pipeline_full),
		cmocka_unit_test(test_counted_requests_are_all_answered_once),
		cmocka_unit_test(test_connections_are_closed_a_few_at_a_time),
		cmocka_unit_test(test_on_demand_each_time_counts_for_itself),
		cmocka_unit_test(test_open_loop_charges_a_pause_to_all_that_fell_into_it),
		cmocka_unit_test(test_open_loop_says_when_the_server_is_too_slow),
		cmocka_unit_test(test_a_lie_is_found_and_named),
		cmocka_unit_test(test_a_lost_connection_is_counted_and_replaced),
		cmocka_unit_test(test_silence_ends_the_load),
		cmocka_unit_test(test_reconnecting_opens_one_connection_per_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
