/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_feed.h"

#include "base/clock.h"
#include "dataplane/worker/worker_internal.h"

/*
 * Sends what is in the feeds of replicas and subscribers, by reference, in bounded pieces, once in
 * each turn (worker_loop.c); of subscribers, of whom there may be many, when the control thread has
 * said that there is something. What a slow one has not read waits in its feed.
 */

#define QUEUED_MAX (1U << 20) // bytes of a connection's feed that TCP holds at a time

/*
 * How often a replica is sent something: a segment for each change, and an ACK for each of those,
 * would cost more than the changes do.
 */
#define SEND_EVERY_NS (250 * NS_PER_US)

static struct feed_link **list_of(struct worker *w, const struct feed_link *link)
{
	return link->seldom ? &w->seldom_feeds : &w->feeds;
}

void worker_feed_attach(struct worker *w, struct worker_conn *conn, struct feed_link *link)
{
	struct feed_link **list = list_of(w, link);

	conn->feed = link;
	link->connection = conn;
	link->next = *list;
	*list = link;
	w->feeds_left = true;
	conn->session.client.replica = !link->seldom && !conn->session.client.primary;
	worker_conn_touch(conn);
}

void worker_feed_detach(struct worker *w, struct worker_conn *conn)
{
	struct feed_link *link = conn->feed, **at = list_of(w, link);

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	for (uint32_t i = 0; i <= link->at && i < FEED_LINK_PLACES; i++)
		feed_place_drop(&link->places[i]);
	atomic_store_explicit(&link->gone, true, memory_order_release);
	conn->feed = NULL;
}

static bool must_wait(struct feed_link *link)
{
	return link->at + 1 == FEED_LINK_LAST && link->places[FEED_LINK_LAST].chunk &&
	       !atomic_load_explicit(&link->loaded, memory_order_relaxed);
}

/* A feed is at its end. */
static bool go_on(struct feed_link *link)
{
	feed_place_drop(&link->places[link->at++]);
	return link->at < FEED_LINK_PLACES && link->places[link->at].chunk;
}

/* True when something has been handed over; link->left when there was no room for all. */
static bool send_some(struct worker_conn *conn, struct feed_link *link)
{
	struct out *out = tcp_out(conn->tcp);
	uint32_t queued = tcp_queued_bytes(conn->tcp);
	uint64_t sent = 0;

	while (queued + sent < QUEUED_MAX && !out->failed && link->at < FEED_LINK_PLACES) {
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
			worker_conn_kill(conn, WORKER_COUNT_FEED_CLOSED);
			break;
		}
		out_append_blob(out, blob, from, len);
		sent += len;
	}
	link->left = queued + sent >= QUEUED_MAX;
	atomic_store_explicit(&link->sent,
			      atomic_load_explicit(&link->sent, memory_order_relaxed) + sent,
			      memory_order_relaxed);
	return sent > 0;
}

static bool look_at(struct worker *w, struct feed_link *link)
{
	struct worker_conn *conn = link->connection;

	if (atomic_load_explicit(&link->killed, memory_order_relaxed)) {
		// At once: one that reads nothing would hold on to what is queued.
		counter_add(&w->stats.count[WORKER_COUNT_FEED_CLOSED], 1);
		tcp_abort(conn->tcp);
		return true;
	}
	if (conn->closing || (!link->seldom && w->now_ns - link->looked_ns < SEND_EVERY_NS))
		return false;
	link->looked_ns = w->now_ns;
	if (!send_some(conn, link))
		return false;
	worker_conn_touch(conn);
	return true;
}

/* True when something has been handed over; *left when somebody has more. */
static bool look_at_all(struct worker *w, struct feed_link *first, bool *left)
{
	struct feed_link *next;
	bool worked = false;

	*left = false;
	for (struct feed_link *link = first; link; link = next) {
		next = link->next;
		*left |= link->left;
		worked |= look_at(w, link);
	}
	*left |= worked;
	return worked;
}

bool worker_feeds_turn(struct worker *w)
{
	bool left, worked = look_at_all(w, w->feeds, &left);

	if (unlikely(atomic_load_explicit(&w->nudged, memory_order_relaxed))) {
		// Before the feeds are looked at: what comes then brings another one.
		atomic_exchange(&w->nudged, false);
		w->feeds_left = true;
	}
	if (w->feeds_left) // until there is nothing more to hand over
		worked |= look_at_all(w, w->seldom_feeds, &w->feeds_left);
	return worked;
}

void worker_nudge(struct worker *w)
{
	atomic_store(&w->nudged, true);
}
