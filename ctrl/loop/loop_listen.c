/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/loop/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The kernel sockets that the control side listens on: the admin listener's and that of the
 * metrics.
 */

#define LISTEN_BACKLOG 64

int loop_listen(const char *address, uint16_t port, uint16_t *bound)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(to);
	const int yes = 1;
	int fd, err;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	// So that a restart does not wait for connections in TIME-WAIT.
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&to, &len) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*bound = ntohs(to.sin_port);
	return fd;
}
