/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/mailroom.h"

#include "base/contract.h"
#include "ctrl/admin/admin.h"
#include "ctrl/background/background.h"
#include "ctrl/watch/watch.h"
#include "dataplane/proto/session.h"

#include <time.h>

/*
 * Where requests change threads. A worker's CMD_CONTROL request runs here and goes back at once; a
 * CMD_BACKGROUND one goes through the background thread first. main.c calls mailroom_turn() about
 * once a millisecond: a worker makes no system call, so it cannot wake us.
 */

#define VISIT_PAUSE_NS       20000
#define MAILS_OF_WORKER_TURN 16

static void send_back(struct mailroom *m, struct mail *mail)
{
	REQUIRE(mail->forward->worker < m->workers_count);
	mail->kind = MAIL_REPLY;
	worker_post(m->workers[mail->forward->worker], mail);
}

static void take_forward(struct mailroom *m, struct mail *mail)
{
	struct forward *forward = mail->forward;

	if ((forward->cmd->flags & CMD_BACKGROUND) && background_submit(m->background, forward)) {
		mail->forward = NULL; // comes back by mailroom_complete(), with mail of its own
		worker_mail_free(mail);
		return;
	}
	forward_run(forward, m->cmd);
	if (!forward->deferred) {
		send_back(m, mail);
		return;
	}
	mail->forward = NULL; // comes back by mailroom_resume()
	worker_mail_free(mail);
}

static void open_mail(struct mailroom *m, struct mail *mail)
{
	switch (mail->kind) {
	case MAIL_FORWARD:
		take_forward(m, mail);
		return;
	case MAIL_RAN:
		m->runs_out--;
		admin_complete(m->admin, mail->forward);
		mail->forward = NULL;
		worker_mail_free(mail);
		return;
	case MAIL_WRITTEN:
		watch_delivered(m->watch, &mail->lines);
		worker_mail_free(mail);
		return;
	case MAIL_REPLY:
	case MAIL_RUN:
	case MAIL_VISIT:
	case MAIL_LINES:
	case MAIL_FEED:
	case MAIL_DIAL:
		break;
	}
	INVARIANT(!"mail that only workers receive");
}

bool mailroom_turn(struct mailroom *m)
{
	bool more = false;

	for (uint32_t i = 0; i < m->workers_count; i++) {
		struct mail *mail = NULL;

		for (uint32_t k = 0; k < MAILS_OF_WORKER_TURN; k++) {
			mail = worker_collect(m->workers[i]);
			if (!mail)
				break;
			open_mail(m, mail);
		}
		more |= mail != NULL;
	}
	return more;
}

bool mailroom_run_on_worker(void *arg, struct forward *forward)
{
	struct mailroom *m = arg;
	struct mail *mail =
		m->runs_out < MAILROOM_RUNS_MAX ? worker_mail_new(MAIL_RUN, forward, NULL) : NULL;

	if (!mail)
		return false;
	m->runs_out++;
	m->next_worker = (m->next_worker + 1) % m->workers_count;
	worker_post(m->workers[m->next_worker], mail);
	return true;
}

bool mailroom_run_in_background(void *arg, struct forward *forward)
{
	struct mailroom *m = arg;

	return background_submit(m->background, forward);
}

void mailroom_complete(void *arg, struct forward *forward)
{
	struct mailroom *m = arg;
	struct mail *mail;

	if (forward->worker == ADMIN_WORKER) {
		admin_complete(m->admin, forward);
		return;
	}
	mail = worker_mail_new(MAIL_REPLY, forward, NULL);
	INVARIANT(mail); // a few bytes; without them the client would wait for ever
	send_back(m, mail);
}

bool mailroom_send_lines(void *arg, uint32_t worker, const struct mail_lines *lines)
{
	struct mailroom *m = arg;
	struct mail *mail = worker_mail_new(MAIL_LINES, NULL, NULL);

	if (!mail)
		return false;
	mail->lines = *lines;
	worker_post(m->workers[worker], mail);
	return true;
}

bool mailroom_send_feed(void *arg, uint32_t worker, const struct mail_feed *replica)
{
	struct mailroom *m = arg;
	struct mail *mail = worker_mail_new(MAIL_FEED, NULL, NULL);

	if (!mail)
		return false;
	mail->feed = *replica;
	worker_post(m->workers[worker], mail);
	return true;
}

void mailroom_nudge(void *arg, uint32_t worker)
{
	const struct mailroom *m = arg;

	worker_nudge(m->workers[worker]);
}

bool mailroom_dial(void *arg, struct primary_link *link)
{
	struct mailroom *m = arg;
	struct mail *mail = worker_mail_new(MAIL_DIAL, NULL, NULL);

	if (!mail)
		return false;
	mail->primary = link;
	m->next_worker = (m->next_worker + 1) % m->workers_count;
	worker_post(m->workers[m->next_worker], mail);
	return true;
}

void mailroom_resume(void *arg, struct forward *forward)
{
	struct mailroom *m = arg;

	forward->deferred = false;
	forward_run(forward, m->cmd);
	mailroom_complete(m, forward);
}

/* One worker after another, so that the visitor is never run by two threads at a time. */
static void visit_worker(struct worker *worker, struct worker_visit *visit)
{
	const struct timespec pause = {.tv_nsec = VISIT_PAUSE_NS};
	struct mail *mail = worker_mail_new(MAIL_VISIT, NULL, visit);

	if (!mail)
		return;
	atomic_store_explicit(&visit->left, 1, memory_order_relaxed);
	worker_post(worker, mail);
	while (atomic_load_explicit(&visit->left, memory_order_acquire) > 0)
		nanosleep(&pause, NULL);
}

void mailroom_visit(struct mailroom *m,
		    bool (*visit)(void *arg, const struct worker_client_view *view), void *arg)
{
	struct worker_visit tour = {.visit = visit, .arg = arg};

	for (uint32_t i = 0; i < m->workers_count; i++)
		visit_worker(m->workers[i], &tour);
	if (m->admin)
		admin_visit(m->admin, visit, arg);
}
