/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_internal.h"

#include "base/log.h"
#include "base/number.h"
#include "base/rcu.h"
#include "dataplane/command/command.h"
#include "dataplane/worker/worker_primary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * REPLICAOF, and what the control thread does for whoever follows (repl_follow.c): it gives its
 * connection to a worker, and sees to it that clients may do what the phase allows.
 */

static void set_phase(struct repl *repl, enum repl_phase phase)
{
	struct table_limits *limits = table_limits(repl->config.table);

	repl->phase = phase;
	atomic_store(&limits->follows, repl->follow != NULL);
	repl__set_gate(repl);
}

void repl__follow_turn(struct repl *repl)
{
	struct primary_link *link = repl_follow_take_dial(repl->follow);
	enum repl_phase wanted = repl_follow_wants(repl->follow);

	if (link && !repl->config.dial(repl->config.arg, link)) {
		snprintf(link->why, sizeof(link->why), "there is no memory");
		feed_end(&link->in);
		feed_fini(&link->in);
		atomic_store(&link->state, PRIMARY_GONE);
	}
	if (wanted == repl->phase)
		return;
	// What our own replicas have would not follow from what comes.
	if (wanted == REPL_PHASE_LOADING && repl->stream) {
		if (repl->sync)
			return; // in a moment, when it has ended
		repl__start_over(repl);
	}
	set_phase(repl, wanted);
	rcu_wait(); // until all workers do as the gate says
	repl_follow_phase(repl->follow, wanted);
}

/*
 * The stream that we have followed goes on with ours, for those who have had it as far as we. One
 * of our own, which somebody has from us, cannot be both.
 */
static void take_over(struct repl *repl, const struct repl_follow_status *status)
{
	repl->id2[0] = '\0';
	if (repl->stream && !repl->replicas && !repl->sync)
		repl__stop_stream(repl);
	if (status->id[0] == '\0' || repl->stream)
		return;
	snprintf(repl->id2, sizeof(repl->id2), "%s", status->id);
	repl->offset = repl->offset2 = status->offset;
	repl__new_id(repl);
}

void repl__end_following(struct repl *repl)
{
	if (!repl->follow)
		return;
	repl_follow_free(repl->follow);
	repl->follow = NULL;
	set_phase(repl, REPL_PHASE_FOLLOWS);
}

static void become_primary(struct repl *repl)
{
	struct repl_follow_status status;

	// First to its end, so that the offset is the last one.
	struct repl_follow *follow = repl->follow;

	repl_follow_stop(follow);
	repl_follow_status(follow, &status);
	repl__end_following(repl);
	take_over(repl, &status);
	(void)repl__start_stream(repl); // replicas of the same primary are about to come
	log_notice("replication: we are a primary now");
}

static bool parse_primary(const struct repl *repl, struct slice host, struct slice port,
			  struct repl_follow_config *follow)
{
	const struct config *config = repl__config(repl);
	struct config_address address;
	struct config_network own;
	uint64_t number;

	if (host.len >= sizeof(follow->host) || !number_parse_u64(port, &number) || number == 0 ||
	    number > UINT16_MAX)
		return false;
	snprintf(follow->host, sizeof(follow->host), "%.*s", (int)host.len, (const char *)host.ptr);
	follow->port = (uint16_t)number;
	if (!config_parse_address(follow->host, &address) ||
	    !config_parse_network(address.v4 ? config->nic_address : config->nic_address6, &own))
		return false;
	memcpy(follow->primary.bytes, address.bytes, sizeof(follow->primary.bytes));
	memcpy(follow->local.bytes, own.address.bytes, sizeof(follow->local.bytes));
	return true;
}

static bool begin_following(struct repl *repl, struct repl_follow_config *follow)
{
	const struct config *config = repl__config(repl);

	follow->table = repl->config.table;
	follow->listening_port =
		(uint16_t)(config->replica_announce_port ? config->replica_announce_port
							 : config->port);
	follow->timeout_ms = (uint64_t)config->repl_timeout * 1000;
	snprintf(follow->user, sizeof(follow->user), "%s", config->masteruser);
	snprintf(follow->password, sizeof(follow->password), "%s", config->masterauth);
	snprintf(follow->announce, sizeof(follow->announce), "%s", config->replica_announce_ip);
	repl->follow = repl_follow_new(follow);
	if (!repl->follow)
		return false;
	set_phase(repl, REPL_PHASE_STALE);
	log_notice("replication: following %s:%u from now on", follow->host, follow->port);
	return true;
}

/* Where the stream that we have is known to the primary, it need not send everything. */
static void keep_place(struct repl *repl, struct repl_follow_config *follow)
{
	struct repl_follow_status status;
	struct repl_stream_status stream;

	if (repl->follow) {
		repl_follow_status(repl->follow, &status);
		snprintf(follow->id, sizeof(follow->id), "%s", status.id);
		follow->offset = status.offset;
	} else if (repl->stream) {
		repl_stream_status(repl->stream, &stream);
		snprintf(follow->id, sizeof(follow->id), "%s", repl->id);
		follow->offset = stream.end;
	}
}

static void note_directive(struct repl *repl, const struct repl_follow_config *follow)
{
	struct config *config = repl->config.config;

	config->replicaof[0] = '\0';
	if (follow)
		snprintf(config->replicaof, sizeof(config->replicaof), "%s %u", follow->host,
			 follow->port);
}

static bool follows_already(struct repl *repl, const struct repl_follow_config *follow)
{
	struct repl_follow_status status;

	if (!repl->follow)
		return false;
	repl_follow_status(repl->follow, &status);
	return status.port == follow->port && strcmp(status.host, follow->host) == 0;
}

void repl_replicaof(struct repl *repl, struct slice host, struct slice port, struct reply *r)
{
	struct repl_follow_config follow = {.timeout_ms = 0};

	if (host.len == 0) {
		if (repl->follow)
			become_primary(repl);
		note_directive(repl, NULL);
		reply_ok(r);
		return;
	}
	if (!parse_primary(repl, host, port, &follow)) {
		REPLY_ERROR(r, "ERR Invalid master port or address");
		return;
	}
	if (follows_already(repl, &follow)) {
		reply_status(r, SLICE_LITERAL("OK Already connected to specified master"));
		return;
	}
	if (repl->follow)
		repl_follow_stop(repl->follow);
	keep_place(repl, &follow);
	repl__end_following(repl);
	if (!begin_following(repl, &follow)) {
		REPLY_ERROR(r, "ERR no memory for replication");
		return;
	}
	note_directive(repl, &follow);
	reply_ok(r);
}

int repl_start(struct repl *repl, uint64_t now_ms)
{
	struct repl_follow_config follow = {.timeout_ms = 0};
	const char *text = repl__config(repl)->replicaof;
	const char *blank = strchr(text, ' ');

	repl->now_ms = now_ms;
	if (text[0] == '\0')
		return 0;
	if (!blank || !parse_primary(repl, slice_of(text, (size_t)(blank - text)),
				     slice_of_text(blank + 1), &follow))
		return -EINVAL;
	return begin_following(repl, &follow) ? 0 : -ENOMEM;
}
