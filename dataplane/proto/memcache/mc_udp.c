/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_udp.h"

#include "base/endian.h"
#include "dataplane/proto/memcache/mc.h"
#include "dataplane/proto/memcache/mc_internal.h"

#include <stdlib.h>

/*
 * Each datagram is a conversation of its own: a session that is fed once and whose requests run
 * next to each other, so one buffer serves all replies. It is sent when the next exchange begins to
 * write, or at the end of the run. Called by worker_udp.c. Frame and sizes as of memcached 1.6.18,
 * but that one count runs through all that answers a datagram, as doc/protocol.txt has it; 1.6.18
 * begins anew with each value of a get.
 */

struct frame_header {
	struct be16 request_id;
	struct be16 sequence;
	struct be16 total;
	struct be16 reserved;
};

_Static_assert(sizeof(struct frame_header) == MC_UDP_HEADER_BYTES, "doc/protocol.txt");

struct exchange {
	struct session session;
	struct mc_udp *udp;
	struct be16 request_id;
	size_t request_bytes;
	bool may_amplify;
};

struct mc_udp {
	struct mc_udp_config config;
	struct session_host host;
	struct out out;
	struct exchange *writing; // whose reply `out` is
	uint8_t *request_begin;   // of it, that of the request that runs
	uint32_t sent;            // datagrams of this run
	size_t reply_max;
	uint32_t count;
	struct exchange exchanges[MC_UDP_EXCHANGES];
	uint8_t reply[MC_UDP_REPLY_MAX];
};

/* The buffer is all there is. */
static bool reply_grow(struct out *out, size_t min)
{
	return false;
}

static bool reply_append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	if ((size_t)(out->end - out->pos) < len)
		return false;
	memcpy(out->pos, blob->bytes + offset, len);
	out->pos += len;
	return true;
}

static const struct out_ops reply_ops = {.grow = reply_grow, .append_blob = reply_append_blob};

static void begin_reply(struct mc_udp *udp, struct exchange *x)
{
	udp->writing = x;
	udp->out = (struct out){
		.pos = udp->reply,
		.end = udp->reply + udp->reply_max,
		.ops = &reply_ops,
	};
}

/*
 * Half a reply is of no use to anybody, what stands before it is; a client of the binary protocol
 * waits in vain.
 */
static void replace_reply(struct mc_udp *udp, const struct exchange *x)
{
	bool text = x->session.proto == mc_detect('g', true);

	counter_add(&udp->config.cmd->counters->mc_udp_too_long, 1);
	udp->out.failed = false;
	udp->out.pos = udp->request_begin;
	if (text)
		OUT_LITERAL(&udp->out, "SERVER_ERROR object too large for UDP\r\n");
}

static size_t payload_of(const struct mc_udp *udp)
{
	return udp->config.datagram_max - MC_UDP_HEADER_BYTES;
}

static void send_datagrams(struct mc_udp *udp, const struct exchange *x, size_t len, uint16_t total)
{
	size_t payload_max = payload_of(udp);

	for (uint16_t i = 0; i < total; i++) {
		size_t at = i * payload_max;
		const struct frame_header header = {
			.request_id = x->request_id,
			.sequence = be16_from_host(i),
			.total = be16_from_host(total),
		};

		udp->config.send(
			udp->config.env, (uint32_t)(x - udp->exchanges),
			slice_of(&header, sizeof(header)),
			slice_of(udp->reply + at, len - at < payload_max ? len - at : payload_max));
	}
	udp->sent += total;
	counter_add(&udp->config.cmd->counters->mc_udp_replies, total);
}

/* The reply that has been written. Quiet requests have none, and so no datagram. */
static void end_reply(struct mc_udp *udp)
{
	const struct exchange *x = udp->writing;
	uint16_t total;
	size_t len;

	if (!x)
		return;
	udp->writing = NULL;
	if (unlikely(udp->out.failed))
		replace_reply(udp, x);
	len = (size_t)(udp->out.pos - udp->reply);
	if (len == 0)
		return;
	total = (uint16_t)((len + payload_of(udp) - 1) / payload_of(udp));
	if (!x->may_amplify && (total > 1 || MC_UDP_HEADER_BYTES + len > x->request_bytes))
		counter_add(&udp->config.cmd->counters->mc_udp_amplifying, 1);
	else if (udp->sent + total > MC_UDP_RUN_MAX)
		counter_add(&udp->config.cmd->counters->mc_udp_too_many, 1);
	else
		send_datagrams(udp, x, len, total);
}

static struct out *exchange_out(struct session *session)
{
	struct exchange *x = session->user;
	struct mc_udp *udp = x->udp;

	if (udp->writing != x) {
		end_reply(udp);
		begin_reply(udp, x);
	}
	udp->request_begin = udp->out.pos;
	return &udp->out;
}

static bool never_full(struct session *session)
{
	return false;
}

/* Nobody waits for what another thread would answer later. */
static bool refuse_forward(struct session *session, const struct request *request)
{
	return false;
}

static const struct session_host_ops exchange_ops = {
	.out = exchange_out,
	.out_full = never_full,
	.forward = refuse_forward,
};

struct mc_udp *mc_udp_new(const struct mc_udp_config *config)
{
	struct mc_udp *udp = malloc(sizeof(*udp));

	if (!udp)
		return NULL;
	udp->config = *config;
	if (udp->config.datagram_max == 0 || udp->config.datagram_max > MC_UDP_DATAGRAM_MAX)
		udp->config.datagram_max = MC_UDP_DATAGRAM_MAX;
	REQUIRE(udp->config.datagram_max > MC_UDP_HEADER_BYTES);
	udp->count = udp->sent = 0;
	udp->writing = NULL;
	udp->reply_max = UINT16_MAX * payload_of(udp);
	if (udp->reply_max > MC_UDP_REPLY_MAX)
		udp->reply_max = MC_UDP_REPLY_MAX;
	if (session_host_init(&udp->host, config->cmd, &exchange_ops, config->limits) != 0) {
		free(udp);
		return NULL;
	}
	return udp;
}

void mc_udp_free(struct mc_udp *udp)
{
	if (!udp)
		return;
	session_host_fini(&udp->host);
	free(udp);
}

/* memcached takes no requests in several datagrams, and names what it does not take. */
static bool frame_parse(struct mc_udp *udp, struct slice datagram, struct frame_header *header)
{
	if (datagram.len <= sizeof(*header)) {
		counter_add(&udp->config.cmd->counters->mc_udp_bad, 1);
		return false;
	}
	memcpy(header, datagram.ptr, sizeof(*header));
	if (be16_to_host(header->sequence) != 0 || be16_to_host(header->total) != 1) {
		counter_add(&udp->config.cmd->counters->mc_udp_bad, 1);
		return false;
	}
	return true;
}

uint32_t mc_udp_next(struct mc_udp *udp)
{
	if (udp->count == MC_UDP_EXCHANGES)
		mc_udp_run(udp);
	return udp->count;
}

void mc_udp_input(struct mc_udp *udp, struct slice datagram, bool may_amplify)
{
	struct exchange *x = &udp->exchanges[mc_udp_next(udp)];
	struct frame_header header;

	if (!frame_parse(udp, datagram, &header))
		return;
	udp->count++;
	x->udp = udp;
	x->request_id = header.request_id;
	x->request_bytes = datagram.len;
	x->may_amplify = may_amplify;
	session_init(&x->session, &udp->host, SESSION_MEMCACHE);
	x->session.user = x;
	x->session.datagram = true;
	x->session.client.created_ms = udp->config.cmd->now_ms;
	counter_add(&udp->config.cmd->counters->mc_udp_requests, 1);
	session_feed(&x->session,
		     slice_of(datagram.ptr + sizeof(header), datagram.len - sizeof(header)));
	if (unlikely(x->session.cut))
		counter_add(&udp->config.cmd->counters->mc_udp_bad, 1);
}

void mc_udp_run(struct mc_udp *udp)
{
	session_run(&udp->host);
	end_reply(udp);
	for (uint32_t i = 0; i < udp->count; i++)
		session_fini(&udp->exchanges[i].session);
	udp->count = udp->sent = 0;
}
