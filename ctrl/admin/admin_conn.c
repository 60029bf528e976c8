/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/admin/admin_conn.h"

#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * One client of the admin listener: bytes from its socket into the session, replies out of the sink
 * into the socket, and everything that ends it. ctrl/loop calls on_ready() and on_idle(); the
 * session calls the host ops. Control thread.
 */

static struct out *session_out(struct session *session)
{
	struct admin_conn *conn = session->user;

	return &conn->out.out;
}

static bool session_out_full(struct session *session)
{
	const struct admin_conn *conn = session->user;

	return conn->out.copied_bytes + conn->out.referred_bytes > ADMIN_OUT_FULL;
}

static bool session_forward(struct session *session, const struct request *request)
{
	struct admin_conn *conn = session->user;
	const struct admin_hooks *hooks = &conn->admin->config.hooks;
	struct forward *forward = forward_new(session, request);
	bool taken;

	if (!forward)
		return false;
	forward->connection = conn;
	forward->client_id = session->client.id;
	forward->worker = ADMIN_WORKER;
	taken = request->cmd->flags & CMD_WRITE ? hooks->run_on_worker(hooks->arg, forward)
						: hooks->run_in_background(hooks->arg, forward);
	if (taken)
		conn->forwarded = true;
	else
		forward_free(forward);
	return taken;
}

const struct session_host_ops admin_session_ops = {
	.out = session_out,
	.out_full = session_out_full,
	.forward = session_forward,
};

void admin_conn_close(struct admin_conn *conn)
{
	struct admin *admin = conn->admin;
	struct admin_conn **at = &admin->conns;

	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	loop_timer_cancel(admin->config.loop, &conn->idle);
	loop_unwatch(admin->config.loop, &conn->watch);
	close(conn->watch.fd);
	session_fini(&conn->session);
	admin_out_fini(&conn->out);
	counter_sub(&admin->stats.clients, 1);
	free(conn);
}

void admin_reap(struct admin *admin)
{
	struct admin_conn *next;

	for (struct admin_conn *conn = admin->conns; conn; conn = next) {
		next = conn->next;
		if (!conn->session.client.killed)
			continue;
		// One that killed itself still gets the reply, if the socket takes it at once.
		if (admin_out_flush(&conn->out, conn->watch.fd) < 0)
			log_debug("admin: a killed client did not take its last reply");
		admin_conn_close(conn);
	}
}

/* Lets the session work on what is new, with closing held off. */
static void run_session(struct admin_conn *conn, struct slice input)
{
	struct admin *admin = conn->admin;

	admin->in_session = true;
	if (input.len > 0) {
		session_feed(&conn->session, input);
		session_run(&admin->host);
	} else {
		session_continue(&conn->session);
		session_run(&admin->host);
	}
	admin->in_session = false;
}

/* Nothing more will be said to or heard from this client. */
static bool is_over(const struct admin_conn *conn)
{
	if (conn->out.out.failed)
		return true;
	if (conn->forwarded || admin_out_queued(&conn->out) > 0)
		return false;
	return conn->session.closing || conn->session.client.close_after || conn->input_ended;
}

/*
 * Writes what the socket takes, and goes on with what a full sink had held up: again and again,
 * because no event would tell of it once everything is written. Ends when the session wants input,
 * or the socket has enough. False when the client is gone.
 */
static bool drain(struct admin_conn *conn)
{
	for (;;) {
		size_t before = admin_out_queued(&conn->out);
		int err = admin_out_flush(&conn->out, conn->watch.fd);

		counter_add(&conn->admin->stats.bytes_out, before - admin_out_queued(&conn->out));
		if (err < 0)
			return false;
		if (!conn->session.blocked || conn->session.closing || conn->forwarded ||
		    session_out_full(&conn->session))
			return true;
		run_session(conn, (struct slice){0});
	}
}

/* After any event: write, then close or wait for the right things. */
static void settle(struct admin_conn *conn)
{
	struct admin *admin = conn->admin;
	uint32_t events = 0;

	if (!drain(conn) || is_over(conn)) {
		admin_conn_close(conn);
		return;
	}
	if (admin_out_queued(&conn->out) > 0)
		events |= EPOLLOUT;
	if (!conn->session.blocked && !conn->session.closing && !conn->input_ended)
		events |= EPOLLIN;
	if (loop_watch(admin->config.loop, &conn->watch, events) < 0)
		admin_conn_close(conn);
}

static void receive(struct admin_conn *conn)
{
	struct admin *admin = conn->admin;
	ssize_t len = recv(conn->watch.fd, admin->input, sizeof(admin->input), 0);

	if (len > 0) {
		counter_add(&admin->stats.bytes_in, (uint64_t)len);
		run_session(conn, slice_of(admin->input, (size_t)len));
	} else if (len == 0) {
		conn->input_ended = true;
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		conn->out.out.failed = true;
	}
}

static void restart_idle(struct admin_conn *conn, uint64_t now_ns)
{
	if (conn->admin->config.idle_ns > 0)
		loop_timer_set(conn->admin->config.loop, &conn->idle,
			       now_ns + conn->admin->config.idle_ns);
}

static void on_ready(struct loop_watch *watch, uint32_t events, uint64_t now_ns)
{
	struct admin_conn *conn = CONTAINER_OF(watch, struct admin_conn, watch);
	struct admin *admin = conn->admin;

	restart_idle(conn, now_ns);
	if (events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLIN)))
		conn->out.out.failed = true;
	if (events & EPOLLIN && !conn->session.blocked)
		receive(conn);
	settle(conn);
	admin_reap(admin);
}

static void on_idle(struct loop_timer *timer, uint64_t now_ns)
{
	struct admin_conn *conn = CONTAINER_OF(timer, struct admin_conn, idle);

	if (conn->forwarded)
		restart_idle(conn, now_ns); // it waits for us
	else
		admin_conn_close(conn);
}

void admin_conn_reply(struct admin_conn *conn, struct forward *forward)
{
	struct out *out = &conn->out.out;

	conn->forwarded = false;
	if (forward->reply)
		out_append_blob(out, forward->reply, 0, forward->reply->len);
	else
		OUT_LITERAL(out, "-ERR out of memory for the reply\r\n");
	run_session(conn, (struct slice){0});
	settle(conn);
}

/* An IPv4 socket address in the mapped form that clients are listed by. */
static void take_address(const struct sockaddr_in *from, uint8_t address[16], uint16_t *port)
{
	memset(address, 0, 16);
	address[10] = address[11] = 0xff;
	memcpy(&address[12], &from->sin_addr, 4);
	*port = ntohs(from->sin_port);
}

static void fill_client(struct admin *admin, struct client *client, int fd)
{
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);

	client->id = ++admin->client_serial * admin->config.client_id_step;
	client->admin = true;
	client->created_ms = admin->config.cmd->now_ms;
	client->active_ms = client->created_ms;
	if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
		take_address(&address, client->remote, &client->remote_port);
	len = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
		take_address(&address, client->local, &client->local_port);
}

void admin_conn_open(struct admin *admin, int fd, uint64_t now_ns)
{
	struct admin_conn *conn = calloc(1, sizeof(*conn));
	const int yes = 1;

	if (!conn) {
		close(fd);
		return;
	}
	// Only a matter of latency.
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	conn->admin = admin;
	conn->watch = (struct loop_watch){.fd = fd, .on_ready = on_ready};
	conn->idle.on_due = on_idle;
	admin_out_init(&conn->out);
	session_init(&conn->session, &admin->host, SESSION_RESP);
	conn->session.user = conn;
	fill_client(admin, &conn->session.client, fd);
	conn->next = admin->conns;
	admin->conns = conn;
	counter_add(&admin->stats.clients, 1);
	counter_add(&admin->stats.accepted, 1);
	restart_idle(conn, now_ns);
	if (loop_watch(admin->config.loop, &conn->watch, EPOLLIN) < 0)
		admin_conn_close(conn);
}
