/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_link.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A load over kernel sockets, TCP or UDP, one epoll loop. Called by the engine and by main()'s
 * loop.
 */

#define EVENTS_MAX    512
#define RECEIVE_BYTES (256u << 10)
#define OUT_FIRST     4096 // bytes of a connection's buffer at first
#define WAIT_MS       1
#define DATAGRAMS_MAX 64 // taken from one socket at a time

struct socket_conn {
	struct out out; // first: out_grow() finds the rest
	struct load_client *client;
	uint8_t *buffer; // [sent, out.pos) is to be sent
	size_t sent;
	int fd;
	bool connected, writing, listed; // writing: waits for room in the kernel
	struct socket_conn *next;        // to be sent, or to be freed
};

struct link_socket {
	struct load_link link;
	const struct load_options *options;
	struct sockaddr_in address;
	int epoll_fd;
	struct socket_conn *to_send;
	struct socket_conn *dead; // freed when no event can name them any more
	uint8_t received[RECEIVE_BYTES];
};

static struct link_socket *link_of(struct load_link *link)
{
	return CONTAINER_OF(link, struct link_socket, link);
}

static bool out_grow(struct out *out, size_t min)
{
	struct socket_conn *c = (struct socket_conn *)out;
	size_t used = (size_t)(out->pos - c->buffer), size = (size_t)(out->end - c->buffer);
	uint8_t *buffer;

	while (size - used < min)
		size = size ? size * 2 : OUT_FIRST;
	buffer = realloc(c->buffer, size);
	if (!buffer)
		return false;
	c->buffer = buffer;
	out->pos = buffer + used;
	out->end = buffer + size;
	return true;
}

static bool out_append_blob_copy(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	out_append_slow(out, slice_of(blob->bytes + offset, len));
	return !out->failed;
}

static const struct out_ops socket_out_ops = {out_grow, out_append_blob_copy};

static void wait_for(struct link_socket *l, struct socket_conn *c, uint32_t events, int how)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	(void)epoll_ctl(l->epoll_fd, how, c->fd, &event);
}

static void conn_free(struct socket_conn *c)
{
	free(c->buffer);
	free(c);
}

static void conn_end(struct link_socket *l, struct socket_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	load_client_set_handle(c->client, NULL);
	c->client = NULL;
	if (c->listed) // socket_send() will find it and put it here
		return;
	c->next = l->dead;
	l->dead = c;
}

static bool socket_open(struct load_link *link, struct load_client *client)
{
	struct link_socket *l = link_of(link);
	bool udp = l->options->protocol == LOAD_MC_UDP;
	int one = 1;
	struct socket_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return false;
	c->out.ops = &socket_out_ops;
	c->client = client;
	c->fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		goto err_free;
	if (!udp)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (const struct sockaddr *)&l->address, sizeof(l->address)) != 0 &&
	    errno != EINPROGRESS)
		goto err_close;
	load_client_set_handle(client, c);
	wait_for(l, c, EPOLLOUT, EPOLL_CTL_ADD);
	return true;

err_close:
	close(c->fd);
err_free:
	free(c);
	return false;
}

static struct out *socket_out(struct load_link *link, struct load_client *client)
{
	struct link_socket *l = link_of(link);
	struct socket_conn *c = load_client_handle(client);

	if (!c->listed) {
		c->listed = true;
		c->next = l->to_send;
		l->to_send = c;
	}
	return &c->out;
}

static bool socket_datagram(struct load_link *link, struct load_client *client, struct slice data)
{
	struct socket_conn *c = load_client_handle(client);

	return send(c->fd, data.ptr, data.len, MSG_NOSIGNAL) == (ssize_t)data.len;
}

static void socket_close(struct load_link *link, struct load_client *client)
{
	conn_end(link_of(link), load_client_handle(client));
}

static void lost(struct link_socket *l, struct socket_conn *c, int error, uint64_t now_ns)
{
	struct load_client *client = c->client;

	conn_end(l, c);
	load_closed(client, error ? strerror(error) : "closed by the server", now_ns);
}

static void push(struct link_socket *l, struct socket_conn *c, uint64_t now_ns)
{
	size_t left = (size_t)(c->out.pos - c->buffer) - c->sent;
	ssize_t n = left ? send(c->fd, c->buffer + c->sent, left, MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lost(l, c, errno, now_ns);
		return;
	}
	if (n > 0)
		c->sent += (size_t)n;
	if ((size_t)(c->out.pos - c->buffer) == c->sent) {
		c->out.pos = c->buffer;
		c->sent = 0;
	}
	if ((c->sent > 0 || n < (ssize_t)left) != c->writing) {
		c->writing = !c->writing;
		wait_for(l, c, c->writing ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
	}
}

static void socket_send(struct load_link *link, uint64_t now_ns)
{
	struct link_socket *l = link_of(link);

	while (l->to_send) {
		struct socket_conn *c = l->to_send;

		l->to_send = c->next;
		c->listed = false;
		if (!c->client) {
			c->next = l->dead;
			l->dead = c;
		} else if (c->connected && !c->writing) {
			push(l, c, now_ns);
		}
	}
}

static void connected(struct link_socket *l, struct socket_conn *c, uint64_t now_ns)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		lost(l, c, error, now_ns);
		return;
	}
	c->connected = true;
	wait_for(l, c, EPOLLIN, EPOLL_CTL_MOD);
	load_opened(c->client, now_ns);
}

static void take(struct link_socket *l, struct socket_conn *c, uint64_t now_ns)
{
	bool udp = l->options->protocol == LOAD_MC_UDP;

	for (uint32_t i = 0; i < (udp ? DATAGRAMS_MAX : 1) && c->client; i++) {
		ssize_t n = recv(c->fd, l->received, sizeof(l->received), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 || (n == 0 && !udp)) {
			lost(l, c, n < 0 ? errno : 0, now_ns);
			return;
		}
		if (udp)
			load_datagram(c->client, slice_of(l->received, (size_t)n), now_ns);
		else
			load_received(c->client, slice_of(l->received, (size_t)n), now_ns);
	}
}

static uint64_t socket_receive(struct load_link *link, bool may_wait)
{
	struct link_socket *l = link_of(link);
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(l->epoll_fd, events, EVENTS_MAX, may_wait ? WAIT_MS : 0);

	for (int i = 0; i < count; i++) {
		struct socket_conn *c = events[i].data.ptr;
		uint64_t now_ns = clock_now_ns(); // a batch of sockets takes too long for one time

		if (c->client && !c->connected)
			connected(l, c, now_ns);
		else if (c->client && (events[i].events & EPOLLOUT))
			push(l, c, now_ns);
		if (c->client && c->connected &&
		    (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
			take(l, c, now_ns);
	}
	while (l->dead) {
		struct socket_conn *c = l->dead;

		l->dead = c->next;
		conn_free(c);
	}
	return clock_now_ns();
}

static void socket_free(struct load_link *link)
{
	struct link_socket *l = link_of(link);

	socket_send(link, 0);
	while (l->dead) {
		struct socket_conn *c = l->dead;

		l->dead = c->next;
		conn_free(c);
	}
	close(l->epoll_fd);
	free(l);
}

static const struct load_link_ops socket_ops = {
	.open = socket_open,
	.out = socket_out,
	.datagram = socket_datagram,
	.close = socket_close,
	.receive = socket_receive,
	.send = socket_send,
	.free = socket_free,
};

struct load_link *link_socket_new(const struct load_options *options, char *why)
{
	struct link_socket *l = calloc(1, sizeof(*l));

	if (!l) {
		snprintf(why, LOAD_LINK_WHY_MAX, "no memory");
		return NULL;
	}
	l->link.ops = &socket_ops;
	l->options = options;
	l->address.sin_family = AF_INET;
	l->address.sin_port = htons((uint16_t)options->port);
	(void)inet_pton(AF_INET, options->server, &l->address.sin_addr); // the options are checked
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		snprintf(why, LOAD_LINK_WHY_MAX, "epoll: %s", strerror(errno));
		free(l);
		return NULL;
	}
	return &l->link;
}
