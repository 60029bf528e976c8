/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_internal.h"

#include "dataplane/proto/session.h"

#include <stdlib.h>

/*
 * WAIT. A client's changes have versions up to that of its request, so a mark behind those says
 * where in the stream the last of them is; the answer is how many replicas have acknowledged that.
 * The request is put off meanwhile, and run again (mailroom.c) when there are enough or its time is
 * over.
 */

#define WAITERS_MAX 256

static int64_t count_acked(const struct repl *repl, uint64_t offset)
{
	int64_t count = 0;

	for (const struct replica *r = repl->replicas; r; r = r->next)
		count += r->state == REPL_ONLINE && r->offset >= offset;
	return count;
}

static struct waiter *find_waiter(struct repl *repl, const struct forward *forward)
{
	struct waiter *w = repl->waiters;

	while (w && w->forward != forward)
		w = w->next;
	return w;
}

/* Replicas that have all that the client has changed. */
static int64_t acked_of(struct repl *repl, struct waiter *w)
{
	if (!repl->stream || !w->marked || !repl_stream_marked(repl->stream, &w->mark))
		return 0;
	return count_acked(repl, w->mark.offset);
}

static void end_waiter(struct repl *repl, struct waiter *w)
{
	struct waiter **at = &repl->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->marked && repl->stream)
		repl_stream_unmark(repl->stream, &w->mark);
	feed_place_drop(&w->mark.place);
	repl->waiter_count--;
	free(w);
}

static bool begin_wait(struct repl *repl, struct forward *forward, int64_t wanted,
		       int64_t timeout_ms)
{
	struct waiter *w = repl->waiter_count < WAITERS_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return false;
	w->forward = forward;
	w->wanted = wanted;
	w->deadline_ms = timeout_ms ? repl->now_ms + (uint64_t)timeout_ms : 0;
	w->mark.version = forward->version + 1;
	w->next = repl->waiters;
	repl->waiters = w;
	repl->waiter_count++;
	if (repl->stream) {
		repl_stream_mark(repl->stream, &w->mark);
		w->marked = true;
	}
	forward->deferred = true;
	return true;
}

bool repl_wait(struct repl *repl, struct forward *forward, int64_t wanted, int64_t timeout_ms,
	       int64_t *acked)
{
	struct waiter *w = find_waiter(repl, forward);

	*acked = 0;
	if (w) {
		*acked = acked_of(repl, w);
		end_waiter(repl, w);
		return true;
	}
	// Nobody to wait for, nor wanted; or more wait than there may be.
	return wanted <= 0 || !begin_wait(repl, forward, wanted, timeout_ms);
}

static void ask_for_acks(struct repl *repl, struct waiter *w)
{
	static const struct slice words[] = {SLICE_LITERAL("REPLCONF"), SLICE_LITERAL("GETACK"),
					     SLICE_LITERAL("*")};

	if (w->asked || !repl->stream || !w->marked || !repl_stream_marked(repl->stream, &w->mark))
		return;
	repl_stream_append(repl->stream, words, ARRAY_COUNT(words));
	for (struct waiter *other = repl->waiters; other; other = other->next)
		other->asked |= other->marked && repl_stream_marked(repl->stream, &other->mark);
}

void repl__look_at_waiters(struct repl *repl)
{
	struct waiter *next;

	for (struct waiter *w = repl->waiters; w; w = next) {
		next = w->next;
		if (acked_of(repl, w) >= w->wanted ||
		    (w->deadline_ms && repl->now_ms >= w->deadline_ms))
			repl->config.resume(repl->config.arg, w->forward); // ends in repl_wait()
		else
			ask_for_acks(repl, w);
	}
}

void repl__leave_stream(struct repl *repl)
{
	for (struct waiter *w = repl->waiters; w; w = w->next) {
		if (w->marked)
			repl_stream_unmark(repl->stream, &w->mark);
		feed_place_drop(&w->mark.place);
		w->marked = false;
	}
}

void repl__free_waiters(struct repl *repl)
{
	while (repl->waiters) {
		struct waiter *w = repl->waiters;

		repl->waiters = w->next;
		feed_place_drop(&w->mark.place);
		forward_free(w->forward);
		free(w);
	}
}
