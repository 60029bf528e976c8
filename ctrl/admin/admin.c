/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/admin/admin.h"

#include "base/clock.h"
#include "base/log.h"
#include "ctrl/admin/admin_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The listening socket and the list of connections. ctrl/loop calls in when a client connects; a
 * connection's life is in admin_conn.c. Control thread.
 */

#define ACCEPTS_PER_EVENT 16
#define ACCEPT_PAUSE_NS   NS_PER_S // after the process ran out of descriptors

static void refuse(int fd)
{
	static const char text[] = "-ERR max number of clients reached\r\n";

	// Best effort: a fresh socket has room for it, and nobody waits.
	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("admin: the refusal of a connection could not be sent");
	close(fd);
}

/* False when no more can be accepted now. */
static bool accept_one(struct admin *admin, uint64_t now_ns)
{
	int fd = accept4(admin->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == ECONNABORTED || errno == EINTR)
			return true;
		if (errno != EAGAIN && errno != EWOULDBLOCK) {
			// The listener stays readable: look away for a while instead of spinning.
			log_warning("admin: cannot accept a connection: %s", strerror(errno));
			loop_unwatch(admin->config.loop, &admin->listener);
			loop_timer_set(admin->config.loop, &admin->accept_again,
				       now_ns + ACCEPT_PAUSE_NS);
		}
		return false;
	}
	if (counter_read(&admin->stats.clients) >= admin->config.clients_max) {
		counter_add(&admin->stats.rejected, 1);
		refuse(fd);
		return true;
	}
	admin_conn_open(admin, fd, now_ns);
	return true;
}

static void on_listener_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	struct admin *admin = CONTAINER_OF(watch, struct admin, listener);

	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		if (!accept_one(admin, now_ns))
			return;
	}
}

static void on_accept_again(struct loop_timer *timer, uint64_t now_ns)
{
	struct admin *admin = CONTAINER_OF(timer, struct admin, accept_again);

	if (loop_watch(admin->config.loop, &admin->listener, EPOLLIN) < 0)
		loop_timer_set(admin->config.loop, timer, now_ns + ACCEPT_PAUSE_NS);
}

int admin_start(const struct admin_config *config, struct admin **result)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	int err;

	REQUIRE(config->clients_max <= ADMIN_CLIENTS_MAX);
	REQUIRE(config->client_id_step > 0);
	if (!admin)
		return -ENOMEM;
	admin->config = *config;
	admin->accept_again.on_due = on_accept_again;
	err = session_host_init(&admin->host, config->cmd, &admin_session_ops, config->limits);
	if (err < 0)
		goto err_free;
	admin->host.forward_flags = CMD_WRITE | CMD_BACKGROUND;
	admin->listener.on_ready = on_listener_ready;
	admin->listener.fd = loop_listen(config->bind, config->port, &admin->port);
	if (admin->listener.fd < 0) {
		err = admin->listener.fd;
		goto err_host;
	}
	err = loop_watch(config->loop, &admin->listener, EPOLLIN);
	if (err < 0)
		goto err_close;
	*result = admin;
	return 0;

err_close:
	close(admin->listener.fd);
err_host:
	session_host_fini(&admin->host);
err_free:
	free(admin);
	return err;
}

void admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	REQUIRE(!admin->in_session);
	while (admin->conns)
		admin_conn_close(admin->conns);
	loop_timer_cancel(admin->config.loop, &admin->accept_again);
	loop_unwatch(admin->config.loop, &admin->listener);
	close(admin->listener.fd);
	session_host_fini(&admin->host);
	free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
	return admin->port;
}

const struct admin_stats *admin_stats(const struct admin *admin)
{
	return &admin->stats;
}

void admin_complete(struct admin *admin, struct forward *forward)
{
	// Looked up by number: the connection may be gone, and its memory another's.
	for (struct admin_conn *conn = admin->conns; conn; conn = conn->next) {
		if (conn->session.client.id == forward->client_id && conn->forwarded) {
			admin_conn_reply(conn, forward);
			break;
		}
	}
	forward_free(forward);
	admin_reap(admin);
}

void admin_visit(struct admin *admin,
		 bool (*visit)(void *arg, const struct worker_client_view *view), void *arg)
{
	for (struct admin_conn *conn = admin->conns; conn; conn = conn->next) {
		const struct worker_client_view view = {
			.client = &conn->session.client,
			.worker = ADMIN_WORKER,
			.query_bytes = (uint32_t)conn->session.stash_len,
			.out_bytes = (uint32_t)admin_out_queued(&conn->out),
			.blocked = conn->forwarded,
		};

		if (visit(arg, &view))
			conn->session.client.killed = true;
	}
	if (!admin->in_session)
		admin_reap(admin);
}
