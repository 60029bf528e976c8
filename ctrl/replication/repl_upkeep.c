/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_internal.h"

#include "dataplane/command/command.h"

/* Once a second: replicas that are silent or too far behind, PINGs, min-replicas-to-write. */

static bool is_good(const struct repl *repl, const struct replica *r)
{
	return r->state == REPL_ONLINE &&
	       repl->now_ms <=
		       r->acked_ms + (uint64_t)repl__config(repl)->min_replicas_max_lag * SECOND_MS;
}

uint32_t repl__count_good(const struct repl *repl)
{
	uint32_t count = 0;

	for (const struct replica *r = repl->replicas; r; r = r->next)
		count += is_good(repl, r);
	return count;
}

void repl__set_gate(struct repl *repl)
{
	const struct config *config = repl__config(repl);
	enum cmd_gate_state state = CMD_GATE_OPEN;

	if (atomic_load(&repl->config.gate->state) == CMD_GATE_STOPPING)
		return;
	if (repl->follow)
		state = repl->phase == REPL_PHASE_LOADING ? CMD_GATE_LOADING : CMD_GATE_READ_ONLY;
	else if (config->min_replicas_to_write > 0 && config->min_replicas_max_lag > 0 &&
		 repl__count_good(repl) < (uint64_t)config->min_replicas_to_write)
		state = CMD_GATE_NO_REPLICAS;
	atomic_store(&repl->config.gate->state, state);
}

/* What it has yet to acknowledge is memory of ours. */
static void check_output(struct repl *repl, struct replica *r, uint64_t end)
{
	const struct config_output_limits *limits = &repl__config(repl)->client_output_buffer_limit;
	uint64_t behind = end > r->offset ? end - r->offset : 0;
	uint64_t hard = limits->hard_bytes[CONFIG_CLASS_SLAVE];
	uint64_t soft = limits->soft_bytes[CONFIG_CLASS_SLAVE];

	if (behind < repl->keep_bytes) {
		r->soft_since_ms = 0; // which is kept for anybody
		return;
	}
	if (hard && behind > hard) {
		repl__kill(r, "it lags behind by more than client-output-buffer-limit");
		return;
	}
	if (!soft || behind < soft) {
		r->soft_since_ms = 0;
		return;
	}
	if (r->soft_since_ms == 0)
		r->soft_since_ms = repl->now_ms;
	if (repl->now_ms - r->soft_since_ms >
	    limits->soft_s[CONFIG_CLASS_SLAVE] * (uint64_t)SECOND_MS)
		repl__kill(r,
			   "it has been behind for longer than client-output-buffer-limit allows");
}

static void check_replica(struct repl *repl, struct replica *r, uint64_t end)
{
	uint64_t timeout_ms = (uint64_t)repl__config(repl)->repl_timeout * SECOND_MS;

	if (r->state == REPL_WAITS)
		feed_write(&r->words, SLICE_LITERAL("\n")); // that we are there
	if (r->state != REPL_ONLINE && r->state != REPL_SYNCS)
		return;
	// One that loads a snapshot is silent for as long as that takes.
	if (r->state == REPL_ONLINE && repl->now_ms > r->acked_ms + timeout_ms)
		repl__kill(r, "it has not said a word for repl-timeout");
	else
		check_output(repl, r, end);
}

/* A burst is remembered for some seconds, as the replica that it cut off comes back after it. */
static void size_backlog(struct repl *repl, uint64_t end)
{
	const struct config *config = repl__config(repl);
	uint64_t written = end - repl->end_before;
	uint64_t keep;

	repl->end_before = end;
	repl->rate -= repl->rate / 16;
	if (written > repl->rate)
		repl->rate = written;
	keep = repl->rate * (uint64_t)config->repl_backlog_time;
	if (keep > config->repl_backlog_max)
		keep = config->repl_backlog_max;
	if (keep < config->repl_backlog_size)
		keep = config->repl_backlog_size;
	repl->keep_bytes = keep;
	repl_stream_keep(repl->stream, keep);
}

void repl__each_second(struct repl *repl)
{
	static const struct slice ping[] = {SLICE_LITERAL("PING")};
	const struct config *config = repl__config(repl);
	struct repl_stream_status status = {0};

	repl__set_gate(repl);
	if (!repl->stream)
		return;
	repl_stream_status(repl->stream, &status);
	size_backlog(repl, status.end);
	for (struct replica *r = repl->replicas; r; r = r->next)
		check_replica(repl, r, status.end);
	if (repl->replicas &&
	    repl->now_ms >=
		    repl->ping_ms + (uint64_t)config->repl_ping_replica_period * SECOND_MS) {
		repl_stream_append(repl->stream, ping, ARRAY_COUNT(ping));
		repl->ping_ms = repl->now_ms;
	}
	if (repl->replicas)
		repl->alone_since_ms = 0;
	else if (repl->alone_since_ms == 0)
		repl->alone_since_ms = repl->now_ms;
	else if (config->repl_backlog_ttl > 0 &&
		 repl->now_ms >
			 repl->alone_since_ms + (uint64_t)config->repl_backlog_ttl * SECOND_MS)
		repl__stop_stream(repl);
}
