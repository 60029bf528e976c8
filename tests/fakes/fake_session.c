/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fakes/fake_session.h"

#include "base/rcu.h"

#include <stdlib.h>

/* A session for unit tests and fuzzers, over the whole engine and without a network. */

static struct out *session_out(struct session *session)
{
	struct fake_session *f = session->user;

	return &f->out.out;
}

static bool session_out_full(struct session *session)
{
	const struct fake_session *f = session->user;

	return f->full_bytes > 0 && fake_out_bytes(&f->out).len >= f->full_bytes;
}

static bool session_forward(struct session *session, const struct request *request)
{
	struct fake_session *f = session->user;

	if (f->refuse_forward)
		return false;
	if (f->forward)
		abort();
	f->forward = forward_new(session, request);
	return f->forward != NULL;
}

static const struct session_host_ops session_ops = {
	.out = session_out,
	.out_full = session_out_full,
	.forward = session_forward,
};

/* An empty answer to each pattern, as for a parameter that is not known. */
static void config_get(void *host, struct reply *r, const struct slice *patterns, uint32_t count)
{
	reply_map(r, 0);
}

/* Once per process: a fuzzer makes thousands of sessions. */
static void start_rcu(void)
{
	static bool started;

	if (started)
		return;
	started = true;
	if (rcu_start() < 0 || atexit(rcu_stop) != 0)
		abort();
}

void fake_session_init(struct fake_session *f, enum session_kind kind)
{
	const struct table_config config = {
		.hash_key = {1, 2},
		.buckets_initial = 64,
		.rng_seed = 1,
	};
	char why[TABLE_WHY_MAX];

	*f = (struct fake_session){
		.host_ops.config_get = config_get,
		.limits =
			{
				.bulk_max_bytes = 512u << 20,
				.query_max_bytes = 64u << 20,
				.mc_item_max_bytes = 1u << 20,
				.mc_flush_enabled = true,
			},
	};
	start_rcu();
	if (table_new(&config, &f->table, why) < 0)
		abort();
	f->tt = table_thread_open(f->table, true);
	cmd_init();
	f->cmd = (struct cmd_thread){
		.table = f->table,
		.tt = f->tt,
		.stats = calloc(cmd_count(), sizeof(struct cmd_stat)),
		.counters = &f->counters,
		.host_ops = &f->host_ops,
		.now_ms = 1700000000000,
		.now_us = 1700000000000000,
		.rng = rng_seeded(1),
	};
	if (!f->tt || !f->cmd.stats)
		abort();
	table_set_time(f->tt, f->cmd.now_ms, 1);
	if (session_host_init(&f->host, &f->cmd, &session_ops, &f->limits) < 0)
		abort();
	fake_out_init(&f->out);
	session_init(&f->session, &f->host, kind);
	f->session.user = f;
}

void fake_session_fini(struct fake_session *f)
{
	session_fini(&f->session);
	forward_free(f->forward);
	session_host_fini(&f->host);
	free(f->cmd.stats);
	table_thread_close(f->tt);
	table_free(f->table);
	fake_out_fini(&f->out);
}

void fake_session_renew(struct fake_session *f, enum session_kind kind)
{
	session_fini(&f->session);
	forward_free(f->forward);
	f->forward = NULL;
	fake_out_clear(&f->out);
	session_init(&f->session, &f->host, kind);
	f->session.user = f;
}

static void run(struct fake_session *f)
{
	session_run(&f->host);
	while (f->pending_count > 0)
		free(f->pending[--f->pending_count]);
	table_housekeep(f->tt, 1000);
	rcu_quiescent();
}

void fake_session_feed(struct fake_session *f, struct slice data)
{
	uint8_t *copy = malloc(data.len > 0 ? data.len : 1);

	if (!copy)
		abort();
	if (data.len > 0)
		memcpy(copy, data.ptr, data.len);
	session_feed(&f->session, slice_of(copy, data.len));
	f->pending[f->pending_count++] = copy;
	if (f->pending_count == ARRAY_COUNT(f->pending))
		run(f);
}

void fake_session_send(struct fake_session *f, struct slice data)
{
	fake_session_feed(f, data);
	run(f);
}

void fake_session_reply(struct fake_session *f)
{
	struct forward *forward = f->forward;

	f->forward = NULL;
	forward_run(forward, &f->cmd);
	if (forward->reply)
		out_append_blob(&f->out.out, forward->reply, 0, forward->reply->len);
	forward_free(forward);
	session_continue(&f->session);
}

struct slice fake_session_take(struct fake_session *f)
{
	struct slice bytes = fake_out_bytes(&f->out);

	fake_out_clear(&f->out);
	return bytes;
}
