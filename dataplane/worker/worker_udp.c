/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include "base/clock.h"
#include "dataplane/proto/memcache/mc_udp.h"

#include <stdlib.h>

/*
 * memcached's datagrams: from IP to the exchanges of mc_udp.c, and their answers back. Off unless
 * memcached-udp-port is set. Whoever forges the sender of a datagram must gain nothing by it: each
 * host is answered at a limited rate, and more than it has sent only if allow-from names clients,
 * since it is then one of them (others' datagrams were dropped by nic/ip).
 */

#define HEADERS_MAX     48                // bytes of IPv6 and UDP, before the frame header
#define CLIENT_PORT_MIN 1024              // RFC 6335 6
#define BURST_NS        (100 * NS_PER_MS) // what a host may be ahead of its rate

struct worker_udp {
	struct mc_udp *exchanges;
	struct worker *worker;
	bool may_amplify;
	uint64_t interval_ns; // between two datagrams of a host at the full rate; 0: no limit
	// By the index of a remote host, which may change hands: then two hosts share a limit once.
	uint64_t *paid_until_ns;

	struct {
		struct flow flow;
		uint32_t peer;
	} from[MC_UDP_EXCHANGES];
};

static void send(void *env, uint32_t exchange, struct slice header, struct slice payload)
{
	struct worker_udp *u = env;
	const struct slice parts[] = {header, payload};

	// What finds no buffer is lost, as datagrams are, and counted.
	(void)ip_output_udp(u->worker->ip, &u->from[exchange].flow, u->from[exchange].peer, parts,
			    ARRAY_COUNT(parts));
}

struct worker_udp *worker_udp_new(struct worker *w)
{
	const struct worker_config *config = &w->config;
	struct worker_udp *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->worker = w;
	u->may_amplify = config->ip.allowed_count > 0;
	u->interval_ns = config->udp_rate ? NS_PER_S / config->udp_rate : 0;
	u->paid_until_ns = calloc(config->ip.peers_max, sizeof(*u->paid_until_ns));
	u->exchanges = mc_udp_new(&(struct mc_udp_config){
		.cmd = &w->command,
		.limits = config->limits,
		.datagram_max = config->ip.mtu - HEADERS_MAX,
		.send = send,
		.env = u,
	});
	if (u->paid_until_ns && u->exchanges)
		return u;
	worker_udp_free(u);
	return NULL;
}

void worker_udp_free(struct worker_udp *u)
{
	if (!u)
		return;
	mc_udp_free(u->exchanges);
	free(u->paid_until_ns);
	free(u);
}

/* One datagram more of that host within its rate (a virtual scheduling algorithm, GCRA). */
static bool rate_allows(struct worker_udp *u, uint32_t peer, uint64_t now_ns)
{
	uint64_t *paid_until_ns;

	if (u->interval_ns == 0)
		return true;
	if (peer >= u->worker->config.ip.peers_max) // a host for which there was no entry
		return false;
	paid_until_ns = &u->paid_until_ns[peer];
	if (*paid_until_ns < now_ns)
		*paid_until_ns = now_ns;
	if (*paid_until_ns > now_ns + BURST_NS)
		return false;
	*paid_until_ns += u->interval_ns;
	return true;
}

/*
 * Whether the sender is a server itself, by its port: what we answer it could be a request to it,
 * and two of us, set upon each other by one forged datagram, would never stop.
 */
static bool answers_answers(const struct worker *w, const struct ip_packet *packet)
{
	return packet->flow.remote_port < CLIENT_PORT_MIN ||
	       packet->flow.remote_port == w->config.mc_udp_port;
}

void worker_udp_input(struct worker_udp *u, const struct ip_packet *packet)
{
	struct worker *w = u->worker;
	uint32_t next;

	if (unlikely(answers_answers(w, packet))) {
		drop_count(&w->stats.drops, DROP_UDP_SERVER);
		return;
	}
	if (unlikely(!rate_allows(u, packet->peer, w->now_ns))) {
		drop_count(&w->stats.drops, DROP_UDP_RATE);
		return;
	}
	next = mc_udp_next(u->exchanges);
	u->from[next].flow = packet->flow;
	u->from[next].peer = packet->peer;
	mc_udp_input(u->exchanges, ip_udp_payload(packet), u->may_amplify);
}

void worker_udp_run(struct worker_udp *u)
{
	mc_udp_run(u->exchanges);
}
