/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/number.h"
#include "base/rcu.h"
#include "dataplane/proto/session.h"
#include "tests/fakes/fake_out.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The engine without a NIC: sessions over kernel sockets of the loopback, one thread, one table.
 * Differential tests compare it with redis and memcached, and it is what runs under the sanitizers
 * when real clients talk.
 *
 *   engine-server --resp-port 7001 --memcache-port 7002 --maxmemory 100000000
 *                 [--policy allkeys-lru] [--forward]
 *
 * With --forward, control and background commands take the long way over struct forward, as on the
 * appliance.
 */

#define EVENTS_MAX     64
#define READ_BYTES     16384
#define OUT_FULL_BYTES (1u << 20)
#define TURN_MS_MAX    10

struct conn {
	struct session session;
	struct fake_out out;
	size_t sent; // bytes of `out` that the socket has taken
	int fd;
	uint32_t events; // what epoll watches for
	bool input_ended;
	struct forward *forward; // to be run at the end of the turn
	struct server *server;
	struct conn *next, **link;
};

struct listener {
	int fd;
	enum session_kind kind;
};

struct server {
	int epoll_fd;
	struct table *table;
	struct cmd_thread cmd;
	struct cmd_counters counters;
	struct session_limits limits;
	struct session_host host;
	struct listener listeners[2];
	struct conn *conns;
	uint64_t client_serial;
	uint8_t input[EVENTS_MAX][READ_BYTES];
};

struct options {
	uint16_t resp_port, memcache_port;
	uint64_t maxmemory;
	enum table_policy policy;
	bool forward;
};

static volatile sig_atomic_t stopping;

static void on_signal(int signal)
{
	stopping = 1;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "engine-server: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* What the commands ask of the process. */

static void info(void *host, struct reply *r, const struct slice *sections, uint32_t count)
{
	struct server *s = host;
	struct table_stats stats;
	char text[512];

	table_stats(s->table, &stats);
	int len = snprintf(text, sizeof(text),
			   "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"
			   "# Memory\r\nused_memory:%llu\r\nmaxmemory:%llu\r\n"
			   "# Keyspace\r\ndb0:keys=%llu,expires=%llu,avg_ttl=0\r\n",
			   (unsigned long long)stats.memory_bytes,
			   (unsigned long long)table_limits(s->table)->maxmemory_bytes,
			   (unsigned long long)stats.items,
			   (unsigned long long)stats.items_with_expiry);

	r->ops->verbatim(r, "txt", slice_of(text, (size_t)len));
}

/* Parameters that a test may read or set. Those without a place are there for redis-benchmark. */
struct parameter {
	const char *name;
	_Atomic uint64_t *value;
};

#define PARAMETERS_MAX 5

static void list_parameters(struct server *s, struct parameter parameters[PARAMETERS_MAX])
{
	parameters[0] = (struct parameter){"maxmemory", &table_limits(s->table)->maxmemory_bytes};
	parameters[1] = (struct parameter){"proto-max-bulk-len", &s->limits.bulk_max_bytes};
	parameters[2] = (struct parameter){"client-query-buffer-limit", &s->limits.query_max_bytes};
	parameters[3] = (struct parameter){"save", NULL};
	parameters[4] = (struct parameter){"appendonly", NULL};
}

static void reply_parameter(struct reply *r, const struct parameter *p)
{
	uint8_t text[NUMBER_TEXT_MAX];

	reply_bulk_text(r, p->name);
	if (p->value)
		reply_bulk(r, slice_of(text, number_encode_u64(*p->value, text)));
	else
		reply_bulk_text(r, strcmp(p->name, "appendonly") == 0 ? "no" : "");
}

static void config_get(void *host, struct reply *r, const struct slice *patterns, uint32_t count)
{
	struct parameter parameters[PARAMETERS_MAX];
	const struct parameter *found[PARAMETERS_MAX];
	uint32_t found_count = 0;

	list_parameters(host, parameters);
	for (int i = 0; i < PARAMETERS_MAX; i++) {
		for (uint32_t k = 0; k < count; k++) {
			if (slice_equal_nocase(patterns[k], parameters[i].name) ||
			    slice_equal_nocase(patterns[k], "*")) {
				found[found_count++] = &parameters[i];
				break;
			}
		}
	}
	reply_map(r, found_count);
	for (uint32_t i = 0; i < found_count; i++)
		reply_parameter(r, found[i]);
}

static bool set_parameter(struct server *s, struct slice name, struct slice text)
{
	struct parameter parameters[PARAMETERS_MAX];
	uint64_t value;

	list_parameters(s, parameters);
	for (int i = 0; i < PARAMETERS_MAX; i++) {
		const struct parameter *p = &parameters[i];

		if (!slice_equal_nocase(name, p->name))
			continue;
		if (p->value && !number_parse_u64(text, &value))
			return false;
		if (p->value)
			*p->value = value;
		return true;
	}
	return false;
}

static void config_set(void *host, struct reply *r, const struct slice *pairs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!set_parameter(host, pairs[2 * i], pairs[2 * i + 1])) {
			REPLY_ERROR(r, "ERR CONFIG SET failed");
			return;
		}
	}
	reply_ok(r);
}

static void reset_stats(void *host)
{
	struct server *s = host;

	memset(s->cmd.stats, 0, cmd_count() * sizeof(*s->cmd.stats));
}

static const struct cmd_host_ops host_ops = {
	.info = info,
	.config_get = config_get,
	.config_set = config_set,
	.reset_stats = reset_stats,
};

/* What the session engine asks of its host. */

static struct out *session_out(struct session *session)
{
	struct conn *conn = session->user;

	return &conn->out.out;
}

static size_t unsent_bytes(const struct conn *conn)
{
	return fake_out_bytes(&conn->out).len - conn->sent;
}

static bool session_out_full(struct session *session)
{
	return unsent_bytes(session->user) > OUT_FULL_BYTES;
}

static bool session_forward(struct session *session, const struct request *request)
{
	struct conn *conn = session->user;

	conn->forward = forward_new(session, request);
	return conn->forward != NULL;
}

static const struct session_host_ops ops_in_place = {.out = session_out,
						     .out_full = session_out_full};
static const struct session_host_ops ops_forward = {
	.out = session_out,
	.out_full = session_out_full,
	.forward = session_forward,
};

/* Connections. */

static void conn_close(struct conn *conn)
{
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
	close(conn->fd);
	session_fini(&conn->session);
	forward_free(conn->forward);
	fake_out_fini(&conn->out);
	free(conn);
}

static void accept_one(struct server *s, const struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct conn *conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));

	if (!conn) {
		if (fd >= 0)
			close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->fd = fd;
	conn->server = s;
	conn->events = EPOLLIN;
	fake_out_init(&conn->out);
	session_init(&conn->session, &s->host, listener->kind);
	conn->session.user = conn;
	conn->session.client.id = ++s->client_serial;
	conn->session.client.created_ms = s->cmd.now_ms;
	conn->next = s->conns;
	conn->link = &s->conns;
	if (conn->next)
		conn->next->link = &conn->next;
	s->conns = conn;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd,
		      &(struct epoll_event){.events = conn->events, .data.ptr = conn}) < 0)
		conn_close(conn);
}

static void receive(struct conn *conn, uint8_t *buffer)
{
	ssize_t len = recv(conn->fd, buffer, READ_BYTES, 0);

	if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
		conn->input_ended = true;
	if (len > 0)
		session_feed(&conn->session, slice_of(buffer, (size_t)len));
}

/* Sends what the socket takes. False when the client is gone. */
static bool flush(struct conn *conn)
{
	struct slice bytes = fake_out_bytes(&conn->out);

	while (conn->sent < bytes.len) {
		ssize_t len = send(conn->fd, bytes.ptr + conn->sent, bytes.len - conn->sent,
				   MSG_NOSIGNAL);

		if (len < 0)
			return errno == EAGAIN || errno == EINTR;
		conn->sent += (size_t)len;
	}
	fake_out_clear(&conn->out);
	conn->sent = 0;
	return true;
}

static void run_forwarded(struct conn *conn)
{
	while (conn->forward) {
		struct forward *forward = conn->forward;

		conn->forward = NULL;
		forward_run(forward, &conn->server->cmd);
		if (forward->reply)
			out_append_blob(&conn->out.out, forward->reply, 0, forward->reply->len);
		forward_free(forward);
		session_continue(&conn->session);
	}
}

/* After a turn: replies out, what was held up goes on, and the connection ends if that is due. */
static void settle(struct conn *conn)
{
	struct session *session = &conn->session;
	uint32_t events = 0;
	bool alive;

	run_forwarded(conn);
	alive = flush(conn);
	while (alive && session->blocked && !session->closing && !session_out_full(session)) {
		session_drained(session);
		run_forwarded(conn);
		alive = flush(conn);
	}
	bool ended = session->closing || (conn->input_ended && !session->blocked);

	if (!alive || conn->out.out.failed || (ended && unsent_bytes(conn) == 0)) {
		conn_close(conn);
		return;
	}
	if (unsent_bytes(conn) > 0)
		events |= EPOLLOUT;
	if (!session->blocked && !ended)
		events |= EPOLLIN;
	if (events == conn->events)
		return;
	conn->events = events;
	epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_MOD, conn->fd,
		  &(struct epoll_event){.events = events, .data.ptr = conn});
}

static void set_time(struct server *s)
{
	uint64_t now_ns = clock_now_ns();

	s->cmd.now_us = clock_wall_us(now_ns);
	s->cmd.now_ms = s->cmd.now_us / 1000;
	table_set_time(s->cmd.tt, s->cmd.now_ms, now_ns);
}

static bool is_listener(const struct server *s, const void *ptr)
{
	return ptr == &s->listeners[0] || ptr == &s->listeners[1];
}

/* One turn, in the order of the worker's: input of all, one run, replies, housekeeping. */
static void turn(struct server *s)
{
	struct epoll_event events[EVENTS_MAX];
	int count;

	rcu_offline();
	count = epoll_wait(s->epoll_fd, events, EVENTS_MAX, TURN_MS_MAX);
	rcu_online();
	set_time(s);
	for (int i = 0; i < count; i++) {
		if (is_listener(s, events[i].data.ptr))
			accept_one(s, events[i].data.ptr);
		else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			receive(events[i].data.ptr, s->input[i]);
	}
	session_run(&s->host);
	for (int i = 0; i < count; i++)
		if (!is_listener(s, events[i].data.ptr))
			settle(events[i].data.ptr);
	while (table_housekeep(s->cmd.tt, 100000) && !stopping)
		rcu_quiescent();
	rcu_quiescent();
}

static void listen_on(struct server *s, struct listener *listener, uint16_t port,
		      enum session_kind kind)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1;

	listener->kind = kind;
	listener->fd = -1;
	if (port == 0)
		return;
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		die("socket");
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener->fd, 512) < 0)
		die("listen");
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, listener->fd,
		      &(struct epoll_event){.events = EPOLLIN, .data.ptr = listener}) < 0)
		die("epoll_ctl");
}

static void start(struct server *s, const struct options *options)
{
	const struct table_config config = {
		.hash_key = {1, 2}, .buckets_initial = 1024, .rng_seed = 1};
	char why[TABLE_WHY_MAX] = "";

	clock_init();
	cmd_init();
	if (rcu_start() < 0 || table_new(&config, &s->table, why) < 0)
		die(why);
	table_limits(s->table)->maxmemory_bytes = options->maxmemory;
	table_limits(s->table)->policy = options->policy;
	s->limits = (struct session_limits){
		.bulk_max_bytes = 512u << 20,
		.query_max_bytes = 1u << 30,
		.mc_item_max_bytes = 1u << 20,
		.mc_flush_enabled = true,
	};
	s->cmd = (struct cmd_thread){
		.table = s->table,
		.tt = table_thread_open(s->table, true),
		.stats = calloc(cmd_count(), sizeof(struct cmd_stat)),
		.counters = &s->counters,
		.host_ops = &host_ops,
		.host = s,
		.rng = rng_seeded(1),
	};
	if (!s->cmd.tt || !s->cmd.stats ||
	    session_host_init(&s->host, &s->cmd, options->forward ? &ops_forward : &ops_in_place,
			      &s->limits) < 0)
		die("start");
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		die("epoll_create1");
	listen_on(s, &s->listeners[0], options->resp_port, SESSION_RESP);
	listen_on(s, &s->listeners[1], options->memcache_port, SESSION_MEMCACHE);
	set_time(s);
}

static void stop(struct server *s)
{
	while (s->conns)
		conn_close(s->conns);
	for (int i = 0; i < 2; i++)
		if (s->listeners[i].fd >= 0)
			close(s->listeners[i].fd);
	close(s->epoll_fd);
	session_host_fini(&s->host);
	free(s->cmd.stats);
	table_thread_close(s->cmd.tt);
	table_free(s->table);
	rcu_stop();
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"resp-port", required_argument, NULL, 'r'},
		{"memcache-port", required_argument, NULL, 'm'},
		{"maxmemory", required_argument, NULL, 'x'},
		{"policy", required_argument, NULL, 'p'},
		{"forward", no_argument, NULL, 'f'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'r')
			options->resp_port = (uint16_t)atoi(optarg);
		else if (option == 'm')
			options->memcache_port = (uint16_t)atoi(optarg);
		else if (option == 'x')
			options->maxmemory = strtoull(optarg, NULL, 10);
		else if (option == 'p')
			options->policy = strcmp(optarg, "allkeys-lru") == 0 ? TABLE_ALLKEYS_LRU
									     : TABLE_NOEVICTION;
		else if (option == 'f')
			options->forward = true;
		else
			return false;
	}
	return options->resp_port || options->memcache_port;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct server *s = calloc(1, sizeof(*s));

	if (!s || !parse_options(argc, argv, &options)) {
		fprintf(stderr, "usage: engine-server --resp-port N [--memcache-port N] "
				"[--maxmemory BYTES] [--policy allkeys-lru] [--forward]\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	start(s, &options);
	printf("engine-server: ready\n");
	fflush(stdout);
	while (!stopping)
		turn(s);
	stop(s);
	free(s);
	return 0;
}
