/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_primary.h"

#include "base/clock.h"
#include "dataplane/worker/worker_internal.h"

#include <stdio.h>

/*
 * The worker's side of following a primary (ctrl/replication/repl_follow.c): dialling, the pipe,
 * and the stream, whose commands go the way of all requests (session_feed()). What they answer is
 * dropped, but for an error: it means that we do not have what the primary has, and ends the
 * connection.
 */

#define DIAL_NS       (5 * NS_PER_S) // until the primary has answered
#define PORTS_FIRST   32768
#define PORTS         28000
#define DATA_HELD_MAX (4U << 20) // bytes of the pipe, whatever the window says

static struct primary_link *link_of(const struct worker_conn *conn)
{
	return CONTAINER_OF(conn->session.client.primary, struct primary_link, client);
}

static void set_gone(struct primary_link *link, const char *why)
{
	if (link->why[0] == '\0')
		snprintf(link->why, sizeof(link->why), "%s", why);
	feed_end(&link->in);
	feed_fini(&link->in);
	atomic_store_explicit(&link->state, PRIMARY_GONE, memory_order_release);
}

/* A local port whose answers this worker owns, wherever the NIC puts them. */
static bool choose_port(const struct worker *w, struct flow *flow, uint32_t *hash)
{
	uint16_t start = (uint16_t)(w->now_ns % PORTS);

	for (uint32_t i = 0; i < PORTS; i++) {
		flow->local_port = (uint16_t)(PORTS_FIRST + (start + i) % PORTS);
		*hash = ip_answer_hash(flow);
		if (w->owner_of[*hash % sizeof(w->owner_of)] == w->config.id)
			return true;
	}
	return false;
}

static bool open_connection(struct worker *w, struct primary_link *link, uint32_t peer)
{
	struct flow flow = {
		.local = link->local, .remote = link->remote, .remote_port = link->port};
	struct worker_conn *conn;
	struct tcp_conn *tcp;
	uint32_t hash;

	if (!choose_port(w, &flow, &hash))
		return false;
	conn = worker_conn_take(w, &flow, SESSION_RESP);
	if (!conn)
		return false;
	tcp = tcp_connect(w->tcp, &flow, hash, peer, w->now_ns);
	if (!tcp) {
		worker_conn_touch(conn); // without TCP it is given back
		return false;
	}
	conn->tcp = tcp;
	conn->session.client.primary = &link->client;
	w->primary = conn;
	tcp_set_user(tcp, conn);
	worker_conn_touch(conn);
	return true;
}

/* Asks for its MAC address until it is known, then sends a SYN. */
static void dial(struct worker *w)
{
	struct primary_link *link = w->dials;
	bool resolved = false;
	uint32_t peer = ip_peer(w->ip, &link->remote, w->now_ns, &resolved);

	if (resolved) {
		w->dials = NULL;
		if (!open_connection(w, link, peer))
			set_gone(link, "there is no room for a connection");
	} else if (peer == UINT32_MAX || w->now_ns - link->dialled_ns > DIAL_NS ||
		   atomic_load_explicit(&link->killed, memory_order_relaxed)) {
		w->dials = NULL;
		set_gone(link, "the primary's address is not answered for");
	}
}

void worker_primary_dial(struct worker *w, struct primary_link *link)
{
	if (w->dials || w->primary || w->stop_deadline_ns > 0) {
		set_gone(link, "there is a connection to a primary already");
		return;
	}
	link->dialled_ns = w->now_ns;
	w->dials = link;
}

void worker_primary_opened(struct worker *w, struct worker_conn *conn)
{
	atomic_store_explicit(&link_of(conn)->state, PRIMARY_OPEN, memory_order_release);
	worker_feed_attach(w, conn, &link_of(conn)->out);
}

/* All but what is incomplete has been run. */
static void note_applied(struct worker_conn *conn)
{
	struct primary_link *link = link_of(conn);
	const struct session *session = &conn->session;
	uint64_t kept = session->stash_len - session->stash_from;

	if (link->piped && !session->partial)
		atomic_store_explicit(&link->applied, link->fed - kept, memory_order_release);
}

void worker_primary_closed(struct worker *w, struct worker_conn *conn)
{
	struct primary_link *link = link_of(conn);

	// What has arrived with the end is run first, so that the offset says all that has been.
	session_run(&w->host);
	note_applied(conn);
	w->primary = NULL;
	conn->session.client.primary = NULL;
	link->failed = link->client.failed != NULL;
	if (link->failed)
		snprintf(link->why, sizeof(link->why), "we cannot run its %s", link->client.failed);
	if (link->piped)
		feed_place_drop(&link->from);
	set_gone(link, atomic_load_explicit(&link->state, memory_order_relaxed) == PRIMARY_OPEN
			       ? "the connection has ended"
			       : "the primary does not answer");
}

/* True: it has gone into the pipe, and is none of the session's business. */
bool worker_primary_data(struct worker_conn *conn, struct slice data)
{
	struct primary_link *link = link_of(conn);

	if (link->piped) {
		link->fed += data.len;
		return false;
	}
	feed_write(&link->in, data);
	if (link->in.failed ||
	    link->in.end >
		    DATA_HELD_MAX + atomic_load_explicit(&link->taken, memory_order_relaxed)) {
		snprintf(link->why, sizeof(link->why), "there is no memory for what it sends");
		worker_conn_kill(conn, WORKER_COUNT_FEED_CLOSED);
	}
	return true;
}

/* The window closes by what the other thread has yet to read. */
uint32_t worker_primary_held(const struct worker_conn *conn)
{
	const struct primary_link *link = link_of(conn);

	if (link->piped)
		return 0;
	return (uint32_t)(link->in.end -
			  atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&link->taken,
					       memory_order_relaxed));
}

/* From here on the stream is run. What the pipe still holds of it comes first. */
static void begin_stream(struct worker *w, struct worker_conn *conn)
{
	struct primary_link *link = link_of(conn);
	struct blob *blob;
	uint64_t from, len;

	link->piped = true;
	while (feed_read(&link->from, UINT64_MAX, &blob, &from, &len) == FEED_BYTES) {
		link->fed += len;
		session_feed(&conn->session, slice_of(blob->bytes + from, len));
		session_run(&w->host);
	}
}

bool worker_primary_turn(struct worker *w)
{
	struct worker_conn *conn = w->primary;

	if (unlikely(w->dials != NULL))
		dial(w);
	if (likely(!conn))
		return false;
	struct primary_link *link = link_of(conn);
	uint32_t held = worker_primary_held(conn);
	bool worked = held != link->held;

	if (atomic_load_explicit(&link->killed, memory_order_relaxed)) {
		tcp_abort(conn->tcp);
		return true;
	}
	if (!link->piped && !conn->closing &&
	    atomic_load_explicit(&link->streams, memory_order_acquire)) {
		begin_stream(w, conn);
		worked = true;
	}
	note_applied(conn);
	link->held = held;
	if (worked)
		worker_conn_touch(conn);
	return worked;
}
