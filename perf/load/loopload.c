/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * A load of memcached text requests over kernel sockets, for comparisons: some connections, each
 * with one pipeline of requests at a time, for a bounded time. Every reply is compared byte for
 * byte with what it must be, so a server that is fast and wrong does not pass. One thread; prints
 * one line of JSON. Used by perf/compare.py, because Debian packages no such client that
 * pipelines.
 *
 *   loopload --host 10.99.0.2 --port 11211 --op get|set|fill --connections 50 --pipeline 32
 *            --keys 100000 --value-bytes 64 --seconds 3
 *
 * Keys are mem:000000000000 and up. `fill` sets each once, in order, then ends.
 */

#define KEY_BYTES       16
#define VALUE_BYTES_MAX 65536
#define PIPELINE_MAX    1024
#define CONNECTIONS_MAX 4096
#define EVENTS_MAX      256
#define SILENCE_MS_MAX  5000 // without any reply: the server hangs
#define LINE_BYTES_MAX  64   // of a command or VALUE line without the key

enum op {
	OP_GET,
	OP_SET,
	OP_FILL,
};

struct options {
	const char *host;
	uint16_t port;
	enum op op;
	uint32_t connections, pipeline, keys, value_bytes;
	double seconds;
};

struct conn {
	int fd;
	uint8_t *request, *expected, *reply;
	size_t request_len, expected_len, sent, received;
};

struct load {
	struct options options;
	int epoll_fd;
	struct conn *conns;
	char *value;
	uint64_t random, next_key; // next_key: of OP_FILL
	uint64_t requests;
	uint32_t busy; // connections that wait for replies
	bool stopping;
};

static void fail(const char *what)
{
	fprintf(stderr, "loopload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(size_t bytes)
{
	void *memory = malloc(bytes);

	if (!memory)
		fail("malloc");
	return memory;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: which key is next must not cost what is measured. */
static uint32_t random_below(struct load *l, uint32_t bound)
{
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return (uint32_t)(((l->random * 2685821657736338717ULL >> 32) * bound) >> 32);
}

static uint8_t *put(uint8_t *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

static uint8_t *put_key(uint8_t *to, uint64_t key)
{
	memcpy(to, "mem:", 4);
	for (int i = KEY_BYTES - 1; i >= 4; i--, key /= 10)
		to[i] = (uint8_t)('0' + key % 10);
	return to + KEY_BYTES;
}

/* One request and the reply it must get. */
static void add_request(struct load *l, uint64_t key, uint8_t **request, uint8_t **expected)
{
	char line[LINE_BYTES_MAX];
	uint32_t bytes = l->options.value_bytes;

	if (l->options.op == OP_GET) {
		*request = put_key(put(*request, "get ", 4), key);
		*request = put(*request, "\r\n", 2);
		*expected = put_key(put(*expected, "VALUE ", 6), key);
		*expected = put(*expected, line, (size_t)sprintf(line, " 0 %u\r\n", bytes));
		*expected = put(*expected, l->value, bytes);
		*expected = put(*expected, "\r\nEND\r\n", 7);
		return;
	}
	*request = put_key(put(*request, "set ", 4), key);
	*request = put(*request, line, (size_t)sprintf(line, " 0 0 %u\r\n", bytes));
	*request = put(*request, l->value, bytes);
	*request = put(*request, "\r\n", 2);
	*expected = put(*expected, "STORED\r\n", 8);
}

/* Writes what is left of the pipeline; waits for room only when the kernel has none. */
static void push(struct load *l, struct conn *c)
{
	while (c->sent < c->request_len) {
		ssize_t n = send(c->fd, c->request + c->sent, c->request_len - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};

			epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
			return;
		}
		if (n < 0)
			fail("send");
		c->sent += (size_t)n;
	}
}

static void next_pipeline(struct load *l, struct conn *c)
{
	const struct options *o = &l->options;
	uint8_t *request = c->request, *expected = c->expected;
	uint32_t count = 0;

	while (!l->stopping && count < o->pipeline && (o->op != OP_FILL || l->next_key < o->keys)) {
		uint64_t key = o->op == OP_FILL ? l->next_key++ : random_below(l, o->keys);

		add_request(l, key, &request, &expected);
		count++;
	}
	c->request_len = (size_t)(request - c->request);
	c->expected_len = (size_t)(expected - c->expected);
	c->sent = c->received = 0;
	l->requests += count;
	if (count == 0) {
		l->busy--;
		return;
	}
	push(l, c);
}

static void pull(struct load *l, struct conn *c)
{
	// One byte of room beyond what is expected shows a server that says too much.
	ssize_t n = recv(c->fd, c->reply + c->received, c->expected_len + 1 - c->received,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		fail("the server closed");
	c->received += (size_t)n;
	if (c->received < c->expected_len)
		return;
	if (c->received > c->expected_len || memcmp(c->reply, c->expected, c->expected_len) != 0) {
		fprintf(stderr, "loopload: wrong reply: %.*s\n", (int)c->received,
			(const char *)c->reply);
		exit(1);
	}
	next_pipeline(l, c);
}

static void open_conn(struct load *l, struct conn *c)
{
	const struct options *o = &l->options;
	size_t request_max = (size_t)o->pipeline * (KEY_BYTES + o->value_bytes + LINE_BYTES_MAX);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(o->port)};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || inet_pton(AF_INET, o->host, &address.sin_addr) != 1)
		fail(o->host);
	if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->request = allocate(request_max);
	c->expected = allocate(request_max);
	c->reply = allocate(request_max + 1);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
		fail("epoll_ctl");
}

/* Until the time is over and the last replies are in. */
static void run(struct load *l)
{
	double end_s = now_s() + l->options.seconds;

	l->busy = l->options.connections;
	for (uint32_t i = 0; i < l->options.connections; i++)
		next_pipeline(l, &l->conns[i]);
	while (l->busy > 0) {
		struct epoll_event events[EVENTS_MAX];
		int count = epoll_wait(l->epoll_fd, events, EVENTS_MAX, SILENCE_MS_MAX);

		if (count <= 0) {
			fprintf(stderr, "loopload: the server is silent\n");
			exit(1);
		}
		for (int i = 0; i < count; i++) {
			struct conn *c = events[i].data.ptr;

			if (events[i].events & EPOLLOUT) {
				struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

				epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
				push(l, c);
			}
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				pull(l, c);
		}
		if (l->options.op != OP_FILL && now_s() >= end_s)
			l->stopping = true;
	}
}

static uint32_t number(const char *text, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n == 0 || n > max) {
		fprintf(stderr, "loopload: '%s' is no number from 1 to %u\n", text, max);
		exit(2);
	}
	return (uint32_t)n;
}

static enum op op_of(const char *word)
{
	if (strcmp(word, "get") == 0)
		return OP_GET;
	if (strcmp(word, "set") == 0)
		return OP_SET;
	if (strcmp(word, "fill") == 0)
		return OP_FILL;
	fprintf(stderr, "loopload: --op is get, set or fill\n");
	exit(2);
}

static struct options parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{"host", required_argument, NULL, 'h'},
		{"port", required_argument, NULL, 'p'},
		{"op", required_argument, NULL, 'o'},
		{"connections", required_argument, NULL, 'c'},
		{"pipeline", required_argument, NULL, 'P'},
		{"keys", required_argument, NULL, 'k'},
		{"value-bytes", required_argument, NULL, 'v'},
		{"seconds", required_argument, NULL, 's'},
		{0},
	};
	struct options o = {.host = "127.0.0.1",
			    .port = 11211,
			    .connections = 50,
			    .pipeline = 1,
			    .keys = 100000,
			    .value_bytes = 64,
			    .seconds = 1};

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'h':
			o.host = optarg;
			break;
		case 'p':
			o.port = (uint16_t)number(optarg, UINT16_MAX);
			break;
		case 'o':
			o.op = op_of(optarg);
			break;
		case 'c':
			o.connections = number(optarg, CONNECTIONS_MAX);
			break;
		case 'P':
			o.pipeline = number(optarg, PIPELINE_MAX);
			break;
		case 'k':
			o.keys = number(optarg, UINT32_MAX);
			break;
		case 'v':
			o.value_bytes = number(optarg, VALUE_BYTES_MAX);
			break;
		case 's':
			o.seconds = atof(optarg);
			break;
		default:
			exit(2);
		}
	}
	return o;
}

int main(int argc, char **argv)
{
	struct load l = {.options = parse_options(argc, argv), .random = 88172645463325252ULL};

	l.epoll_fd = epoll_create1(0);
	l.conns = calloc(l.options.connections, sizeof(*l.conns));
	l.value = allocate(l.options.value_bytes);
	if (l.epoll_fd < 0 || !l.conns)
		fail("start");
	memset(l.value, 'x', l.options.value_bytes);
	for (uint32_t i = 0; i < l.options.connections; i++)
		open_conn(&l, &l.conns[i]);
	double start_s = now_s();

	run(&l);
	double seconds = now_s() - start_s;

	printf("{\"requests\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n",
	       (unsigned long long)l.requests, seconds, (double)l.requests / seconds);
	return 0;
}
