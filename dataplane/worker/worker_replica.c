/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_replica.h"

#include "dataplane/worker/worker_internal.h"

/*
 * Sends replicas what there is for them, by reference, in bounded pieces, once in each turn
 * (worker_loop.c). What a slow one has not read waits in the feed, which others share.
 */

#define QUEUED_MAX (1U << 20) // bytes of a replica that TCP holds at a time

void worker_replica_attach(struct worker *w, struct worker_conn *conn, struct replica_link *link)
{
	conn->replica = link;
	conn->replica_next = w->replicas;
	w->replicas = conn;
	worker_conn_touch(conn);
}

void worker_replica_detach(struct worker *w, struct worker_conn *conn)
{
	struct worker_conn **at = &w->replicas;

	while (*at != conn)
		at = &(*at)->replica_next;
	*at = conn->replica_next;
	for (uint32_t i = 0; i <= conn->replica->at && i < REPLICA_FEEDS; i++)
		feed_place_drop(&conn->replica->places[i]);
	atomic_store_explicit(&conn->replica->gone, true, memory_order_release);
	conn->replica = NULL;
}

static bool must_wait(struct replica_link *link)
{
	return link->at + 1 == REPLICA_LAST && link->places[REPLICA_LAST].chunk &&
	       !atomic_load_explicit(&link->loaded, memory_order_relaxed);
}

/* A feed is at its end. */
static bool go_on(struct replica_link *link)
{
	feed_place_drop(&link->places[link->at++]);
	return link->at < REPLICA_FEEDS && link->places[link->at].chunk;
}

/* True when something has been handed over. */
static bool send_some(struct worker_conn *conn, struct replica_link *link)
{
	struct out *out = tcp_out(conn->tcp);
	uint32_t queued = tcp_queued_bytes(conn->tcp);
	uint64_t sent = 0;

	while (queued + sent < QUEUED_MAX && !out->failed && link->at < REPLICA_FEEDS) {
		struct blob *blob;
		uint64_t from, len;
		enum feed_state state = feed_read(&link->places[link->at],
						  QUEUED_MAX - queued - sent, &blob, &from, &len);

		if (state == FEED_WAITS)
			break;
		if (state == FEED_ENDED) {
			if (must_wait(link))
				break;
			if (go_on(link))
				continue;
			worker_conn_kill(conn, WORKER_COUNT_REPLICA_CLOSED);
			break;
		}
		out_append_blob(out, blob, from, len);
		sent += len;
	}
	atomic_store_explicit(&link->sent,
			      atomic_load_explicit(&link->sent, memory_order_relaxed) + sent,
			      memory_order_relaxed);
	return sent > 0;
}

bool worker_replicas_turn(struct worker *w)
{
	struct worker_conn *next;
	bool worked = false;

	for (struct worker_conn *conn = w->replicas; conn; conn = next) {
		struct replica_link *link = conn->replica;

		next = conn->replica_next;
		if (atomic_load_explicit(&link->killed, memory_order_relaxed)) {
			// At once: one that reads nothing would hold on to what is queued.
			counter_add(&w->stats.count[WORKER_COUNT_REPLICA_CLOSED], 1);
			tcp_abort(conn->tcp);
			worked = true;
		} else if (!conn->closing && send_some(conn, link)) {
			worker_conn_touch(conn);
			worked = true;
		}
	}
	return worked;
}
