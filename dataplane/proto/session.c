/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/session.h"

#include "dataplane/proto/batch.h"
#include "dataplane/proto/landing.h"
#include "dataplane/proto/memcache/mc.h"
#include "dataplane/proto/resp/resp.h"
#include "dataplane/proto/stash.h"

#include <errno.h>

/*
 * From ordered bytes to requests in the batch, and from the batch to replies. The transport
 * (worker, admin listener, test) calls session_feed() per piece of input and session_run() per
 * burst. Complete requests are parsed where they lie; only what is incomplete is copied, into the
 * stash (stash.c) or, when it is a long argument, into its blob (landing.c). Runs on the host's
 * thread.
 */

// What is added to an incomplete request at a time, so that the rest can be parsed in place.
#define STASH_STEP_BYTES 512

int session_host_init(struct session_host *host, struct cmd_thread *cmd,
		      const struct session_host_ops *ops, const struct session_limits *limits)
{
	struct batch *batch = batch_new();

	if (!batch)
		return -ENOMEM;
	*host = (struct session_host){
		.cmd = cmd,
		.ops = ops,
		.limits = limits,
		.forward_flags = CMD_CONTROL | CMD_BACKGROUND,
		.batch = batch,
	};
	return 0;
}

void session_host_fini(struct session_host *host)
{
	batch_free(host->batch);
	host->batch = NULL;
}

void session_init(struct session *session, struct session_host *host, enum session_kind kind)
{
	*session = (struct session){
		.host = host,
		.client.resp = 2,
		.kind = kind,
		.proto = kind == SESSION_RESP ? &resp_proto : NULL,
	};
}

void session_fini(struct session *session)
{
	landing_end(session);
	stash_drop(session);
	resp_multi_drop(session);
	client_fini(&session->client);
}

size_t session_held(const struct session *session)
{
	return session->blocked ? session->stash_len - session->stash_from : 0;
}

/* What follows a run for each session that had a request in it. */
static void after_run(struct session *session)
{
	if (unlikely(session->closing)) {
		landing_end(session);
		stash_drop(session);
	} else if (unlikely(session->stash)) {
		stash_trim(session);
	}
}

static void drop_blobs(const struct request *request)
{
	for (uint32_t i = 0; i < request->argc; i++)
		blob_unref(request->blobs[i]);
}

/* One reading per command would cost more than many a command. */
static void charge(struct session_host *host, uint64_t batch_tsc)
{
	const struct batch *batch = host->batch;
	uint64_t each_tsc = batch_tsc / batch->count;

	for (uint32_t i = 0; i < batch->count; i++) {
		const struct cmd *cmd = batch->requests[i].cmd;

		if (cmd && cmd->id != CMD_UNLISTED)
			counter_add(&host->cmd->stats[cmd->id].tsc, each_tsc);
	}
}

void session_run(struct session_host *host)
{
	struct batch *batch = host->batch;
	uint64_t start_tsc;

	if (batch->count == 0)
		return;
	start_tsc = host->ops->cycles ? host->ops->cycles() : 0;
	for (uint32_t i = 0; i < batch->count; i++) {
		struct request *r = &batch->requests[i];

		batch_look_ahead(batch, host->cmd->table, i);
		if (likely(!r->session->closing))
			r->proto->run(host, r);
	}
	if (host->ops->cycles) {
		uint64_t batch_tsc = host->ops->cycles() - start_tsc;

		charge(host, batch_tsc);
		host->run_tsc += batch_tsc;
	}
	batch->number++;
	table_drop_found(host->cmd->tt);
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct request *r = &batch->requests[i];

		if (unlikely(r->blobs))
			drop_blobs(r);
		after_run(r->session);
	}
	batch->count = batch->ahead = 0;
	batch_rewind(batch, (struct batch_mark){batch->scratch, NULL});
}

/* Stops parsing while the sink has enough. */
static bool sink_full(struct session *session)
{
	if (unlikely(session->host->ops->out_full(session)))
		session->blocked = true;
	return session->blocked;
}

/*
 * Parses one request at the start of `bytes` into the batch. Runs the batch when it is full, or
 * when what follows depends on the outcome; then the session may be closing or blocked.
 */
static enum parse_status parse_one(struct session *session, struct slice bytes, bool kept,
				   size_t *consumed)
{
	struct session_host *host = session->host;
	struct batch *batch = host->batch;
	struct request *request = &batch->requests[batch->count];
	struct batch_mark mark = batch_mark(batch);
	enum parse_status status;

	if (unlikely(!session->proto))
		session->proto = mc_detect(bytes.ptr[0], host->limits->mc_text_only);
	*request = (struct request){.session = session, .proto = session->proto};
	*consumed = 0;
	status = session->proto->parse(session, bytes, request, consumed);
	if (status == PARSE_MORE) {
		batch_rewind(batch, mark);
		return status;
	}
	if (unlikely(session->partial))
		landing_end(session);
	if (kept) {
		session->stash_from += *consumed;
		session->stash_batch = batch->number;
	}
	if (unlikely(request->argc == 0 && !request->detail)) {
		batch_rewind(batch, mark);
		return status;
	}
	batch->count++;
	if (unlikely(status == PARSE_BAD || request->alone || batch->count == SESSION_BATCH_MAX)) {
		session_run(host);
		if (!session->closing)
			sink_full(session);
	}
	return status;
}

/* Keeps the start of a long argument's request, and sends the argument's bytes on their way. */
static void land(struct session *session, struct slice *data)
{
	landing_begin(session);
	if (!session->closing)
		landing_receive(session, data);
}

/* The kept request ends in an argument that is to be landed. */
static void land_from_stash(struct session *session)
{
	struct slice kept = stash_kept(session);
	size_t offset = session->partial->wanted.offset;
	struct slice arrived = slice_of(kept.ptr + offset, kept.len - offset);

	// Landed is only what is incomplete, so this takes all that has arrived.
	session->stash_len -= arrived.len;
	land(session, &arrived);
}

/*
 * Completes kept requests with bytes of `data`, taking few more than that needs. What is not used
 * stays in `data`, unless the session is blocked or closing.
 */
static void feed_kept(struct session *session, struct slice *data)
{
	size_t appended = 0; // bytes of the stash's end that are also just before data->ptr

	while (!session->blocked && !session->closing) {
		struct slice kept = stash_kept(session);
		size_t consumed;

		if (kept.len == 0)
			return;
		if (parse_one(session, kept, true, &consumed) != PARSE_MORE) {
			kept = stash_kept(session);
			if (kept.len <= appended && !session->closing) {
				data->ptr -= kept.len;
				data->len += kept.len;
				session->stash_len -= kept.len;
				return;
			}
			continue;
		}
		if (unlikely(landing_wanted(session))) {
			land_from_stash(session);
			if (!session->closing)
				landing_receive(session, data);
			appended = 0;
			if (landing_receiving(session))
				return;
		}
		if (data->len == 0)
			return;

		size_t step = kept.len > STASH_STEP_BYTES ? kept.len : STASH_STEP_BYTES;
		struct slice part = slice_of(data->ptr, data->len < step ? data->len : step);

		if (!stash_append(session, part))
			return;
		data->ptr += part.len;
		data->len -= part.len;
		appended += part.len;
	}
}

/* The end of the input, where a request is incomplete. */
static void keep_incomplete(struct session *session, struct slice data)
{
	size_t prefix = landing_wanted(session) ? session->partial->wanted.offset : data.len;

	if (unlikely(session->datagram)) {
		session->cut = true;
		return;
	}
	if (!stash_append(session, slice_of(data.ptr, prefix)) || prefix == data.len)
		return;
	data.ptr += prefix;
	data.len -= prefix;
	land(session, &data);
}

static void feed_in_place(struct session *session, struct slice data)
{
	while (data.len > 0 && !session->closing) {
		size_t consumed;

		if (unlikely(session->blocked)) {
			stash_append(session, data);
			return;
		}
		if (parse_one(session, data, false, &consumed) == PARSE_MORE) {
			keep_incomplete(session, data);
			return;
		}
		data.ptr += consumed;
		data.len -= consumed;
	}
}

void session_feed(struct session *session, struct slice data)
{
	if (unlikely(session->closing))
		return;
	if (unlikely(landing_receiving(session))) {
		landing_receive(session, &data);
		if (landing_receiving(session))
			return;
		// Nothing need follow the argument: its request may be complete.
	} else if (data.len == 0) {
		return;
	}
	if (unlikely(sink_full(session))) {
		stash_append(session, data);
		return;
	}
	if (unlikely(session->stash_len > session->stash_from))
		feed_kept(session, &data);
	feed_in_place(session, data);
}

void session_continue(struct session *session)
{
	session->forwarded = false;
	session_drained(session);
}

void session_drained(struct session *session)
{
	struct slice nothing = SLICE_LITERAL("");

	if (session->forwarded || session->closing)
		return;
	session->blocked = false;
	if (!sink_full(session) && !landing_receiving(session))
		feed_kept(session, &nothing);
	session_run(session->host);
}
