/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_mail.h"

#include "dataplane/worker/worker_feed.h"
#include "dataplane/worker/worker_internal.h"

#include <stdlib.h>

/*
 * The worker's side of the mail (worker_mail.h). A request that may take long leaves as
 * MAIL_FORWARD and comes back as MAIL_REPLY, while its connection is blocked and all others go on.
 * Writes of the admin listener arrive as MAIL_RUN, because only workers may lock buckets.
 */

struct mail *worker_mail_new(enum mail_kind kind, struct forward *forward,
			     struct worker_visit *visit)
{
	struct mail *mail = malloc(sizeof(*mail));

	if (mail)
		*mail = (struct mail){.kind = kind, .forward = forward, .visit = visit};
	return mail;
}

void worker_mail_free(struct mail *mail)
{
	if (!mail)
		return;
	forward_free(mail->forward);
	blob_unref(mail->lines.blob);
	free(mail);
}

static void send(struct worker *w, struct mail *mail)
{
	void *entry = mail;

	INVARIANT(spsc_push(&w->outbox, &entry, 1) == 1); // see WORKER_FORWARDS_MAX
}

bool worker_mail_forward(struct worker *w, struct worker_conn *conn, const struct request *request)
{
	struct forward *forward =
		w->forwards_out < WORKER_FORWARDS_MAX ? forward_new(&conn->session, request) : NULL;
	struct mail *mail = forward ? worker_mail_new(MAIL_FORWARD, forward, NULL) : NULL;

	if (!mail) {
		forward_free(forward);
	} else {
		forward->connection = conn;
		forward->client_id = conn->session.client.id;
		forward->worker = w->config.id;
		forward->version = table_clock(w->table);
		w->forwards_out++;
		counter_add(&w->stats.count[WORKER_COUNT_FORWARDED], 1);
		send(w, mail);
		return true;
	}
	counter_add(&w->stats.count[WORKER_COUNT_FORWARD_REFUSED], 1);
	return false;
}

/*
 * The connection may have gone, and its slot may serve another client, while the request was away.
 */
static void take_reply(struct worker *w, const struct forward *forward)
{
	struct worker_conn *conn = forward->connection;

	if (!conn->tcp || !conn->forwarded || conn->session.client.id != forward->client_id)
		return;
	conn->forwarded = false;
	conn->session.client.subscribed = forward->client.subscribed;
	counter_sub(&w->stats.blocked, 1);
	worker_conn_touch(conn);
	if (conn->closing)
		return;
	if (forward->reply && !conn->session.client.primary)
		out_append_blob(tcp_out(conn->tcp), forward->reply, 0, forward->reply->len);
	else if (forward->failed && !conn->session.client.primary)
		OUT_LITERAL(tcp_out(conn->tcp), "-ERR no memory for the reply\r\n");
	if (conn->session.client.killed || forward->client.close_after)
		conn->session.closing = true;
	session_continue(&conn->session);
}

static void run_for_control(struct worker *w, struct mail *mail)
{
	forward_run(mail->forward, &w->command);
	mail->kind = MAIL_RAN;
	send(w, mail);
}

/* A watcher that does not read loses lines, as it would in memcached. */
static void write_lines(struct worker *w, struct mail *mail)
{
	struct mail_lines *lines = &mail->lines;
	struct worker_conn *conn = lines->connection;

	lines->alive = conn->tcp && !conn->closing && conn->session.client.id == lines->client_id;
	if (lines->alive) // whoever watches is not idle
		conn->session.client.active_ms = w->command.now_ms;
	if (lines->alive && lines->blob && !tcp_out_full(conn->tcp)) {
		out_append_blob(tcp_out(conn->tcp), lines->blob, 0, lines->blob->len);
		worker_conn_touch(conn);
	}
	mail->kind = MAIL_WRITTEN;
	send(w, mail);
}

/* The client may have left while it asked for it. */
static void take_feed(struct worker *w, const struct mail_feed *mail)
{
	struct worker_conn *conn = mail->connection;
	struct feed_link *link = mail->link;

	if (conn->tcp && !conn->closing && !conn->feed &&
	    conn->session.client.id == mail->client_id) {
		worker_feed_attach(w, conn, link);
		return;
	}
	feed_place_drop(&link->places[0]);
	atomic_store_explicit(&link->gone, true, memory_order_release);
}

static void open_mail(struct worker *w, struct mail *mail)
{
	switch (mail->kind) {
	case MAIL_REPLY:
		w->forwards_out--;
		take_reply(w, mail->forward);
		worker_mail_free(mail);
		return;
	case MAIL_RUN:
		run_for_control(w, mail);
		return;
	case MAIL_VISIT:
		worker_visit_begin(w, mail->visit);
		worker_mail_free(mail);
		return;
	case MAIL_LINES:
		write_lines(w, mail);
		return;
	case MAIL_DIAL:
		worker_primary_dial(w, mail->primary);
		worker_mail_free(mail);
		return;
	case MAIL_FEED:
		take_feed(w, &mail->feed);
		worker_mail_free(mail);
		return;
	case MAIL_FORWARD:
	case MAIL_RAN:
	case MAIL_WRITTEN:
		break;
	}
	INVARIANT(!"mail that only the control side receives");
}

bool worker_mail_turn(struct worker *w)
{
	void *mail;

	if (w->visit) // one at a time
		return false;
	if (spsc_pop(&w->inbox, &mail, 1) == 0)
		return false;
	open_mail(w, mail);
	return true;
}
