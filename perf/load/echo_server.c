/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The least that a server over kernel TCP can do: one thread that reads requests of one known
 * length and answers each with a constant RESP string, without a look at either. Its CPU time per
 * request is what the kernel's TCP and epoll cost, and so the floor of any server built on them.
 * Started by perf/compare, which loads it with GETs of 16-byte keys.
 *
 *   echo_server PORT
 */

#define REQUEST_BYTES 36 // *2 $3 GET $16 KEY, each with its CR LF
#define VALUE_BYTES   64
#define REPLY_BYTES   (sizeof("$64\r\n\r\n") - 1 + VALUE_BYTES)
#define READ_BYTES    65536
#define REPLIES_MAX   (READ_BYTES / REQUEST_BYTES + 1)
#define EVENTS_MAX    256
#define FDS_MAX       65536
#define BACKLOG       1024

static uint8_t replies[REPLIES_MAX * REPLY_BYTES];
static uint16_t partial[FDS_MAX]; // bytes of a request that has not come whole, by descriptor

static void fail(const char *what)
{
	fprintf(stderr, "echo_server: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void prepare_replies(void)
{
	for (uint8_t *to = replies; to < replies + sizeof(replies); to += REPLY_BYTES) {
		memset(to, 'x', REPLY_BYTES);
		memcpy(to, "$64\r\n", 5);
		memcpy(to + REPLY_BYTES - 2, "\r\n", 2);
	}
}

static int listen_at(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		fail("listen");
	return fd;
}

static void watch(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
}

static void take_connection(int epoll_fd, int listen_fd)
{
	int one = 1;
	int fd = accept(listen_fd, NULL, NULL);

	if (fd < 0)
		return;
	if (fd >= FDS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	partial[fd] = 0;
	watch(epoll_fd, fd);
}

/* Replies are few and short, so that the socket always takes them whole from a client that reads.
 */
static void answer(int fd)
{
	static uint8_t bytes[READ_BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
	size_t len, all;

	if (n <= 0) {
		close(fd);
		return;
	}
	all = partial[fd] + (size_t)n;
	partial[fd] = (uint16_t)(all % REQUEST_BYTES);
	len = all / REQUEST_BYTES * REPLY_BYTES;
	if (len > 0 && send(fd, replies, len, MSG_NOSIGNAL) != (ssize_t)len)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];
	int listen_fd, epoll_fd, count;

	if (argc != 2 || atoi(argv[1]) <= 0 || atoi(argv[1]) > UINT16_MAX) {
		fprintf(stderr, "usage: echo_server PORT\n");
		return 2;
	}
	prepare_replies();
	listen_fd = listen_at((uint16_t)atoi(argv[1]));
	epoll_fd = epoll_create1(0);
	if (epoll_fd < 0)
		fail("epoll_create1");
	watch(epoll_fd, listen_fd);
	while ((count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1)) >= 0 || errno == EINTR) {
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listen_fd)
				take_connection(epoll_fd, listen_fd);
			else
				answer(events[i].data.fd);
		}
	}
	fail("epoll_wait");
}
