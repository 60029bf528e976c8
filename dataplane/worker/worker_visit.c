/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

/*
 * Showing all connections to a visitor of the control side (CLIENT LIST, CLIENT KILL), a slice per
 * turn, so that 65,000 connections hold nobody up.
 */

#define VISIT_PER_TURN 128

void worker_visit_begin(struct worker *w, struct worker_visit *visit)
{
	REQUIRE(!w->visit);
	w->visit = visit;
	w->visit_at = 0;
}

static void visit_conn(struct worker *w, struct worker_conn *conn)
{
	const struct worker_client_view view = {
		.client = &conn->session.client,
		.worker = w->config.id,
		.query_bytes = (uint32_t)conn->session.stash_len,
		.out_bytes = tcp_queued_bytes(conn->tcp),
		.blocked = conn->forwarded,
	};

	if (!w->visit->visit(w->visit->arg, &view))
		return;
	if (conn->forwarded) // it waits for this very command: close it when it has its reply
		conn->session.client.killed = true;
	else
		worker_conn_kill(conn, WORKER_COUNT_KILLED);
}

bool worker_visit_turn(struct worker *w)
{
	if (likely(!w->visit))
		return false;
	for (uint32_t i = 0; i < VISIT_PER_TURN && w->visit_at < w->conns_used; i++) {
		struct worker_conn *conn = &w->conns[w->visit_at++];

		if (conn->tcp && !conn->closing)
			visit_conn(w, conn);
	}
	if (w->visit_at < w->conns_used)
		return true;
	struct worker_visit *visit = w->visit;

	w->visit = NULL;
	atomic_fetch_sub_explicit(&visit->left, 1, memory_order_release);
	return true;
}
