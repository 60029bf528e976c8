/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_internal.h"

#include "base/log.h"
#include "base/number.h"
#include "dataplane/command/cmd_client.h"
#include "dataplane/proto/session.h"
#include "dataplane/worker/worker_mail.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Who follows: from a client's first REPLCONF to the end of its connection. Words as redis 7.0
 * replication.c.
 */

#define KNOWN_MAX_MS 60000 // that a client may take from its first REPLCONF to its PSYNC

/* --- replicas --- */

static struct replica *find(struct repl *repl, const struct forward *forward)
{
	for (struct replica *r = repl->replicas; r; r = r->next)
		if (r->client_id == forward->client_id && r->worker == forward->worker)
			return r;
	return NULL;
}

static uint32_t count_replicas(const struct repl *repl)
{
	uint32_t count = 0;

	for (const struct replica *r = repl->replicas; r; r = r->next)
		count++;
	return count;
}

/* Of those that are no more than known, the one that has been so for longest makes room. */
static void make_room(struct repl *repl)
{
	struct replica **oldest = NULL;

	for (struct replica **at = &repl->replicas; *at; at = &(*at)->next)
		if (!(*at)->link && (!oldest || (*at)->acked_ms <= (*oldest)->acked_ms))
			oldest = at;
	if (!oldest)
		return;
	struct replica *r = *oldest;

	*oldest = r->next;
	repl__free_replica(r);
}

/* "10.0.0.1" or "fd00::1", without a port. */
static void note_address(struct replica *r, const uint8_t address[16])
{
	char text[CMD_ADDRESS_TEXT_MAX];

	cmd_address_text(address, 0, text);
	*strrchr(text, ':') = '\0';
	text[strcspn(text, "]")] = '\0';
	snprintf(r->address, sizeof(r->address), "%s", text + (text[0] == '['));
}

static struct replica *find_or_add(struct repl *repl, const struct forward *forward)
{
	struct replica *r = find(repl, forward);

	if (r)
		return r;
	if (count_replicas(repl) == REPL_REPLICAS_MAX)
		make_room(repl);
	r = count_replicas(repl) < REPL_REPLICAS_MAX ? calloc(1, sizeof(*r)) : NULL;
	if (!r)
		return NULL;
	r->client_id = forward->client_id;
	r->worker = forward->worker;
	r->connection = forward->connection;
	r->acked_ms = repl->now_ms;
	note_address(r, forward->client.remote);
	r->next = repl->replicas;
	repl->replicas = r;
	return r;
}

void repl__free_replica(struct replica *r)
{
	// A worker that has let go has dropped those up to where it was, and left them nowhere.
	for (uint32_t i = 0; r->link && i < FEED_LINK_PLACES; i++)
		feed_place_drop(&r->link->places[i]);
	feed_fini(&r->words);
	free(r->link);
	free(r);
}

bool repl__is_gone(const struct repl *repl, const struct replica *r)
{
	if (!r->link)
		return repl->now_ms > r->acked_ms + KNOWN_MAX_MS;
	return atomic_load_explicit(&r->link->gone, memory_order_acquire);
}

void repl__forget_gone(struct repl *repl)
{
	for (struct replica **at = &repl->replicas; *at;) {
		struct replica *r = *at;

		// A synchronisation looks at its links until it ends.
		if (!repl__is_gone(repl, r) || (repl->sync && r->state == REPL_SYNCS)) {
			at = &r->next;
			continue;
		}
		if (r->link)
			log_notice("replication: the replica %s:%u is gone", r->address, r->port);
		*at = r->next;
		repl__free_replica(r);
	}
}

void repl__kill(struct replica *r, const char *why)
{
	if (!r->link || atomic_load(&r->link->killed))
		return;
	log_warning("replication: the replica %s:%u is disconnected: %s", r->address, r->port, why);
	atomic_store(&r->link->killed, true);
}

/* --- REPLCONF --- */

static void take_ack(struct repl *repl, struct replica *r, struct slice text)
{
	uint64_t offset;

	if (!r || !r->link || !number_parse_u64(text, &offset))
		return;
	r->acked_ms = repl->now_ms;
	if (offset > r->offset)
		r->offset = offset;
	if (r->state != REPL_SYNCS || repl->sync)
		return;
	r->state = REPL_ONLINE;
	atomic_store(&r->link->loaded, true);
	log_notice("replication: the replica %s:%u follows", r->address, r->port);
}

/* It is shown in INFO and in labels of metrics, where other bytes would say other things. */
static bool is_address_text(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum(text.ptr[i]) && !memchr(".:-_%", text.ptr[i], 5))
			return false;
	return text.len > 0 && text.len < REPL_ADDRESS_MAX;
}

/* False: there is no reply to what it says. */
static bool take_pair(struct repl *repl, struct replica *r, const struct slice *pair,
		      struct reply *reply)
{
	uint64_t port;

	if (slice_equal_nocase(pair[0], "getack")) { // what a primary says to a replica
		if (repl->follow)
			repl_follow_ack(repl->follow);
		return false;
	}
	if (slice_equal_nocase(pair[0], "ack")) {
		take_ack(repl, r, pair[1]);
		return false;
	}
	if (!r)
		return false;
	if (slice_equal_nocase(pair[0], "listening-port")) {
		if (!number_parse_u64(pair[1], &port) || port > UINT16_MAX) {
			REPLY_ERROR(reply, "ERR value is not an integer or out of range");
			return false;
		}
		r->port = (uint16_t)port;
	} else if (slice_equal_nocase(pair[0], "ip-address")) {
		if (!is_address_text(pair[1])) {
			REPLY_ERROR(reply, "ERR REPLCONF ip-address is no address or host name");
			return false;
		}
		snprintf(r->address, sizeof(r->address), "%.*s", (int)pair[1].len,
			 (const char *)pair[1].ptr);
	} else if (slice_equal_nocase(pair[0], "capa")) {
		r->takes_eof |= slice_equal_nocase(pair[1], "eof");
	} else if (!slice_equal_nocase(pair[0], "rdb-only")) {
		reply_error_format(reply, "ERR Unrecognized REPLCONF option: %.*s",
				   REPLY_ARG(pair[0]));
		return false;
	}
	return true;
}

void repl_replconf(struct repl *repl, struct forward *forward, const struct slice *pairs,
		   uint32_t count, struct reply *reply)
{
	struct replica *r = forward->client.primary ? NULL : find_or_add(repl, forward);

	if (!r && !forward->client.primary) {
		REPLY_ERROR(reply, "ERR there are as many replicas as there may be");
		return;
	}
	for (uint32_t i = 0; i + 1 < count; i += 2)
		if (!take_pair(repl, r, pairs + i, reply))
			return;
	reply_ok(reply);
}

/* --- PSYNC --- */

static bool new_link(struct replica *r)
{
	r->link = calloc(1, sizeof(*r->link));
	feed_init(&r->words, 0, 0);
	if (r->link && feed_place_at(&r->words, 0, &r->link->places[0]))
		return true;
	free(r->link);
	r->link = NULL;
	return false;
}

/* That of our stream, or of the one that it goes on with. */
static bool knows_id(const struct repl *repl, struct slice id, int64_t offset)
{
	return slice_equal(id, slice_of_text(repl->id)) ||
	       (repl->id2[0] != '\0' && slice_equal(id, slice_of_text(repl->id2)) &&
		(uint64_t)offset <= repl->offset2 + 1);
}

/* From the backlog. False: it is not there, or there is no memory. */
static bool continue_at(struct repl *repl, struct replica *r, struct slice id, int64_t offset)
{
	char text[REPL_ID_LEN + 16];

	if (!repl->stream || !knows_id(repl, id, offset) || offset < 1 ||
	    !repl_stream_place(repl->stream, (uint64_t)offset - 1, &r->link->places[1]))
		return false;
	snprintf(text, sizeof(text), "+CONTINUE %s\r\n", repl->id);
	feed_write(&r->words, slice_of_text(text));
	feed_end(&r->words);
	r->state = REPL_ONLINE;
	r->offset = (uint64_t)offset - 1;
	return true;
}

static void follow(struct repl *repl, struct replica *r, struct slice id, int64_t offset)
{
	const struct mail_feed mail = {
		.connection = r->connection, .client_id = r->client_id, .link = r->link};
	bool asks = !slice_equal(id, SLICE_LITERAL("?"));

	if (continue_at(repl, r, id, offset)) {
		repl->partial_good++;
		log_notice("replication: the replica %s:%u goes on at %lld", r->address, r->port,
			   (long long)offset);
	} else {
		repl->partial_bad += asks;
		r->state = REPL_WAITS;
	}
	if (repl->config.mail(repl->config.arg, r->worker, &mail))
		return;
	atomic_store(&r->link->gone, true);
}

void repl_psync(struct repl *repl, struct forward *forward, struct slice id, int64_t offset,
		struct reply *reply)
{
	struct replica *r = find_or_add(repl, forward);

	if (!r)
		REPLY_ERROR(reply, "ERR there are as many replicas as there may be");
	else if (r->link)
		REPLY_ERROR(reply, "ERR PSYNC was sent before");
	else if (!r->takes_eof)
		REPLY_ERROR(reply, "ERR only replicas with REPLCONF capa eof can follow");
	else if (!repl__start_stream(repl) || !new_link(r))
		REPLY_ERROR(reply, "ERR no memory for replication");
	else
		follow(repl, r, id, offset);
}

/* --- synchronisations --- */

void repl__begin_sync(struct repl *repl)
{
	const struct config *config = repl__config(repl);
	uint64_t hard = config->client_output_buffer_limit.hard_bytes[CONFIG_CLASS_SLAVE];
	struct repl_stream_status stream;
	struct repl_sync_config sync = {
		.table = repl->config.table,
		.stream = repl->stream,
		.id = repl->id,
		.buffer_bytes = config->snapshot_buffer,
		.queue_bytes = hard ? hard : UINT64_MAX,
		.compress = config->rdbcompression,
		.wake = repl->config.wake,
		.wake_arg = repl->config.wake_arg,
	};

	// Judged once: one that goes right after is the synchronisation's until that ends.
	for (struct replica *r = repl->replicas; r; r = r->next) {
		r->chosen = r->state == REPL_WAITS && !repl__is_gone(repl, r);
		if (r->chosen)
			sync.links[sync.count++] = r->link;
	}
	if (sync.count == 0)
		return;
	repl->sync = repl_sync_begin(&sync);
	if (!repl->sync)
		return; // in a moment, when there may be memory
	repl->full += sync.count;
	repl_stream_status(repl->stream, &stream);
	log_notice("replication: %u replica(s) are sent a snapshot", sync.count);
	for (struct replica *r = repl->replicas; r; r = r->next) {
		if (!r->chosen)
			continue;
		r->state = REPL_SYNCS;
		r->acked_ms = repl->now_ms;
		r->offset = stream.end; // or some more: what it will have to be sent
		feed_end(&r->words);
	}
}

void repl__collect_sync(struct repl *repl)
{
	struct repl_sync_result result;

	if (!repl->sync || !repl_sync_ended(repl->sync, &result))
		return;
	repl->sync = NULL;
	if (result.error)
		log_warning("replication: the snapshot for replicas failed: %s",
			    strerror(-result.error));
	else
		log_notice("replication: %" PRIu64 " keys, %" PRIu64 " MiB, were sent in %.1f s",
			   result.keys, result.bytes >> 20, (double)result.took_ns / 1e9);
	for (struct replica *r = repl->replicas; r; r = r->next) {
		if (r->state != REPL_SYNCS)
			continue;
		r->acked_ms = repl->now_ms;
		if (result.error)
			repl__kill(r, "its snapshot failed");
		else if (r->offset < result.offset)
			r->offset = result.offset;
	}
}
