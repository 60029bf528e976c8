/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_link.h"

#include "base/clock.h"
#include "base/contract.h"
#include "base/secret.h"
#include "nic/ip/ip.h"
#include "nic/ip/wire.h"
#include "nic/port/port.h"
#include "nic/tcp/tcp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A load over a DPDK port, with the appliance's own IP and TCP on the client's side (active open).
 * One queue pair, one thread: nic_receive() is a worker's turn up to the requests, nic_send() what
 * comes after. Called by the engine and by main()'s loop.
 */

#define PORTS_FIRST         1024
#define QUEUE               0 // the one that is polled
#define PORT_TRIES          64 // for one that is free
#define NEIGHBOURS          16
#define PEERS               64
#define ARP_REACHABLE_NS    (60 * NS_PER_S)
#define RESOLVE_NS_MAX      (10 * NS_PER_S)
#define GOODBYE_NS_MAX      (10 * NS_PER_S)
#define QUIET_NS_PER_CLIENT (50 * NS_PER_US)
#define RESET_PAUSE_NS      (100 * NS_PER_US)
#define TIMER_BUDGET        64
#define RECEIVE_WINDOW      (1u << 20)
#define SEND_POOL           (256u << 20)
#define REORDER_POOL        (64u << 20)
#define REORDER_CONN        (1u << 20)
#define TIME_WAIT_NS        NS_PER_MS // or timestamps tell old from new (RFC 6191)

struct link_nic {
	struct load_link link;
	const struct load_options *options;
	struct port *port;
	struct port_queue *queue;
	bool owns_system;
	struct neigh_table *neighbours;
	struct ip_stack *ip;
	struct tcp_stack *tcp;
	struct ip_addr local, remote;
	uint32_t peer; // of the server
	uint16_t next_port;
	uint64_t now_ns;
	struct load_client *udp_clients[UINT16_MAX + 1]; // by our port
	struct load_client *udp_opened[LOAD_CLIENTS_MAX];
	uint32_t udp_opened_count;
	struct frame received[PORT_BURST_MAX], tx[PORT_BURST_MAX];
	uint16_t received_count, tx_count;
	struct tcp_counters tcp_counters;
	struct drop_counters drops;
};

static struct link_nic *link_of(struct load_link *link)
{
	return CONTAINER_OF(link, struct link_nic, link);
}

/* --- frames out --- */

static void tx_flush(struct link_nic *l)
{
	port_tx(l->queue, l->tx, l->tx_count, l->now_ns, &l->drops);
	l->tx_count = 0;
}

static void tx(void *arg, struct frame *frame)
{
	struct link_nic *l = arg;

	if (l->tx_count == PORT_BURST_MAX)
		tx_flush(l);
	l->tx[l->tx_count++] = *frame;
}

static bool emit(void *env, const struct tcp_segment *segment)
{
	struct link_nic *l = env;

	return ip_output_flow(l->ip, &(struct ip_segment){
					     .flow = segment->flow,
					     .peer = segment->peer,
					     .protocol = IP_PROTOCOL_TCP,
					     .ecn = segment->ecn,
					     .header = segment->header,
					     .payload = segment->payload,
					     .payload_count = segment->payload_count,
				     });
}

/* --- what TCP says --- */

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct link_nic *l = env;
	struct load_client *client = tcp_user(conn);

	if (!client)
		return false;
	load_opened(client, l->now_ns);
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	struct link_nic *l = env;
	struct load_client *client = tcp_user(conn);

	if (client)
		load_received(client, data, l->now_ns);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	struct link_nic *l = env;
	struct load_client *client = tcp_user(conn);

	if (!client)
		return;
	tcp_set_user(conn, NULL);
	tcp_close(conn);
	load_closed(client, "closed by the server", l->now_ns);
}

static void on_drained(void *env, struct tcp_conn *conn)
{
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	static const char *const reasons[] = {
		[TCP_CLOSED] = "closed",
		[TCP_CLOSED_RESET] = "reset by the server",
		[TCP_CLOSED_TIMEOUT] = "the server does not acknowledge",
		[TCP_CLOSED_ABORTED] = "aborted",
		[TCP_CLOSED_REFUSED] = "refused",
		[TCP_CLOSED_OVERLOAD] = "our buffers are full",
	};
	struct link_nic *l = env;
	struct load_client *client = tcp_user(conn);

	if (client)
		load_closed(client, reasons[reason], l->now_ns);
}

static const struct tcp_ops nic_tcp_ops = {
	.emit = emit,
	.on_open = on_open,
	.on_data = on_data,
	.on_fin = on_fin,
	.on_drained = on_drained,
	.on_close = on_close,
};

/* --- what the engine asks for --- */

/* The next port whose answers arrive at the queue that is polled. */
static struct flow next_flow(struct link_nic *l)
{
	struct flow flow = {
		.local = l->local,
		.remote = l->remote,
		.local_port = l->next_port,
		.remote_port = (uint16_t)l->options->port,
	};

	flow.local_port = ip_source_port(&flow, PORTS_FIRST, QUEUE, port_queues(l->port));
	l->next_port =
		flow.local_port == UINT16_MAX ? PORTS_FIRST : (uint16_t)(flow.local_port + 1);
	return flow;
}

static bool open_udp(struct link_nic *l, struct load_client *client)
{
	struct flow flow = next_flow(l);

	l->udp_clients[flow.local_port] = client;
	load_client_set_handle(client, &l->udp_clients[flow.local_port]);
	l->udp_opened[l->udp_opened_count++] = client;
	return true;
}

static bool nic_open(struct load_link *link, struct load_client *client)
{
	struct link_nic *l = link_of(link);

	if (l->options->protocol == LOAD_MC_UDP)
		return open_udp(l, client);
	for (uint32_t i = 0; i < PORT_TRIES; i++) {
		struct flow flow = next_flow(l);
		struct tcp_conn *conn =
			tcp_connect(l->tcp, &flow, ip_answer_hash(&flow), l->peer, l->now_ns);

		if (!conn)
			continue;
		tcp_set_user(conn, client);
		load_client_set_handle(client, conn);
		return true;
	}
	return false;
}

static struct out *nic_out(struct load_link *link, struct load_client *client)
{
	return tcp_out(load_client_handle(client));
}

static uint16_t udp_port_of(struct link_nic *l, const struct load_client *client)
{
	struct load_client **slot = load_client_handle(client);

	return (uint16_t)(slot - l->udp_clients);
}

static bool nic_datagram(struct load_link *link, struct load_client *client, struct slice data)
{
	struct link_nic *l = link_of(link);
	const struct udp_header header = {
		.src_port = be16_from_host(udp_port_of(l, client)),
		.dst_port = be16_from_host((uint16_t)l->options->port),
		.len = be16_from_host((uint16_t)(sizeof(header) + data.len)),
	};

	return ip_output(l->ip, l->peer, IP_PROTOCOL_UDP, 0, slice_of(&header, sizeof(header)),
			 &data, 1);
}

static void nic_close(struct load_link *link, struct load_client *client)
{
	struct link_nic *l = link_of(link);
	struct tcp_conn *conn = load_client_handle(client);

	if (l->options->protocol == LOAD_MC_UDP) {
		l->udp_clients[udp_port_of(l, client)] = NULL;
		return;
	}
	tcp_set_user(conn, NULL);
	tcp_close(conn);
}

/* --- frames in --- */

static void input_udp(struct link_nic *l, const struct ip_packet *packet)
{
	struct load_client *client = l->udp_clients[packet->flow.local_port];

	if (client && packet->flow.remote_port == l->options->port)
		load_datagram(client,
			      slice_of(packet->l4 + sizeof(struct udp_header),
				       packet->l4_len - sizeof(struct udp_header)),
			      l->now_ns);
}

static void input(struct link_nic *l, struct frame *frame)
{
	struct ip_packet packet;

	switch (ip_input(l->ip, frame, l->now_ns, &packet)) {
	case IP_TCP:
		tcp_input(l->tcp,
			  &(struct tcp_packet){
				  .flow = packet.flow,
				  .hash = packet.hash,
				  .peer = packet.peer,
				  .ecn = packet.ecn,
				  .segment = packet.l4,
				  .len = packet.l4_len,
			  },
			  l->now_ns);
		break;
	case IP_UDP:
		input_udp(l, &packet);
		break;
	case IP_ERROR:
		if (packet.protocol == IP_PROTOCOL_TCP)
			tcp_icmp_error(l->tcp, &packet.flow, packet.hash,
				       slice_of(packet.l4, packet.l4_len), l->now_ns);
		break;
	case IP_DONE:
		break;
	}
}

static void tell_udp_opened(struct link_nic *l)
{
	while (l->udp_opened_count > 0)
		load_opened(l->udp_opened[--l->udp_opened_count], l->now_ns);
}

static uint64_t nic_receive(struct load_link *link, bool may_wait)
{
	struct link_nic *l = link_of(link);

	l->received_count = port_rx(l->queue, l->received, PORT_BURST_MAX, l->now_ns, &l->drops);
	l->now_ns = clock_now_ns();
	for (uint16_t i = 0; i < l->received_count; i++) {
		struct frame *frame = &l->received[i];

		frame->has_hash = frame->has_hash || ip_flow_hash(frame, &frame->hash);
		if (frame->has_hash)
			tcp_prefetch(l->tcp, frame->hash);
	}
	for (uint16_t i = 0; i < l->received_count; i++) {
		if (l->received[i].has_hash)
			tcp_prefetch_conn(l->tcp, l->received[i].hash);
	}
	for (uint16_t i = 0; i < l->received_count; i++)
		input(l, &l->received[i]);
	tell_udp_opened(l);
	return l->now_ns;
}

/* Received frames are held until here, as TCP asks. */
static void nic_send(struct load_link *link, uint64_t now_ns)
{
	struct link_nic *l = link_of(link);

	tcp_burst_end(l->tcp, now_ns);
	tcp_tick(l->tcp, now_ns, TIMER_BUDGET);
	ip_tick(l->ip, now_ns);
	tx_flush(l);
	port_free(l->received, l->received_count);
	l->received_count = 0;
}

/* --- life --- */

static void abort_conn(void *arg, struct tcp_conn *conn)
{
	tcp_abort(conn);
}

/*
 * What load_close_some() has closed says goodbye, and what the server does not answer in time is
 * reset: a connection that it believed to be open would be in the way of the next load's.
 */
static void say_goodbye(struct link_nic *l)
{
	uint64_t until_ns = clock_now_ns() + GOODBYE_NS_MAX, quiet_from_ns = l->now_ns;
	uint64_t quiet_ns = l->options->clients * QUIET_NS_PER_CLIENT;
	uint32_t cursor = 0;

	nic_send(&l->link, l->now_ns);
	// Also when all is said here: a last ACK that was lost is asked for again.
	while ((tcp_conn_count(l->tcp) > 0 || l->now_ns < quiet_from_ns + quiet_ns) &&
	       l->now_ns < until_ns) {
		nic_receive(&l->link, false);
		if (l->received_count > 0)
			quiet_from_ns = l->now_ns;
		nic_send(&l->link, l->now_ns);
	}
	do {
		tcp_walk(l->tcp, &cursor, PORT_BURST_MAX, abort_conn, NULL);
		nic_send(&l->link, l->now_ns);
		// Not faster than a device takes them: nobody says them again.
		for (until_ns = l->now_ns + RESET_PAUSE_NS; l->now_ns < until_ns;) {
			nic_receive(&l->link, false);
			nic_send(&l->link, l->now_ns);
		}
	} while (cursor != 0);
}

static void nic_free(struct load_link *link)
{
	struct link_nic *l = link_of(link);

	if (l->ip && l->tcp)
		say_goodbye(l);
	tcp_free(l->tcp);
	ip_free(l->ip);
	neigh_table_free(l->neighbours);
	if (l->owns_system) {
		port_stop(l->port);
		port_close(l->port);
		port_system_stop();
	}
	free(l);
}

static const struct load_link_ops nic_ops = {
	.open = nic_open,
	.out = nic_out,
	.datagram = nic_datagram,
	.close = nic_close,
	.receive = nic_receive,
	.send = nic_send,
	.free = nic_free,
};

static bool parse_address(const char *text, struct ip_addr *address)
{
	struct be32 v4;

	if (inet_pton(AF_INET6, text, address->bytes) == 1)
		return true;
	if (inet_pton(AF_INET, text, &v4.raw) != 1)
		return false;
	*address = ip_addr_from_v4(v4);
	return true;
}

/* "10.99.0.1/24" or "fd00:99::1/64", into the fields of its family. False: it is neither. */
static bool parse_own(const char *text, struct ip_config *ip)
{
	char part[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint32_t prefix = 0;
	struct ip_addr address;
	bool v4;

	if (len >= sizeof(part) || (slash && !load_parse_u32(slash + 1, &prefix)))
		return false;
	memcpy(part, text, len);
	part[len] = '\0';
	if (!parse_address(part, &address))
		return false;
	v4 = ip_addr_is_v4(&address);
	if (!slash)
		prefix = v4 ? 24 : 64;
	if (prefix > (v4 ? 32 : 128))
		return false;
	*(v4 ? &ip->address : &ip->address6) = address;
	*(v4 ? &ip->prefix_len : &ip->prefix6_len) = (uint8_t)prefix;
	return true;
}

static bool parse_gateway(const char *text, struct ip_config *ip)
{
	struct ip_addr address;

	if (!text)
		return true;
	if (!parse_address(text, &address))
		return false;
	*(ip_addr_is_v4(&address) ? &ip->gateway : &ip->gateway6) = address;
	return true;
}

static bool build_stacks(struct link_nic *l)
{
	const struct load_options *o = l->options;
	struct port_info info;
	struct ip_config ip = {.peers_max = PEERS, .arp_reachable_ns = ARP_REACHABLE_NS};
	struct tcp_config tcp = {
		.conns_max = 2 * LOAD_CLIENTS_MAX,
		.syn_max = 16,
		.time_wait_max = 1 << 17,
		.rcv_wnd_bytes = RECEIVE_WINDOW,
		.snd_high_bytes = SEND_POOL,
		.snd_max_bytes = SEND_POOL,
		.snd_pool_bytes = SEND_POOL,
		.ooo_pool_bytes = REORDER_POOL,
		.ooo_conn_bytes = REORDER_CONN,
		.time_wait_ns = TIME_WAIT_NS,
		.timestamps = true,
		.sack = true,
		.window_scale = true,
	};

	port_info(l->port, &info);
	ip.mtu = tcp.mtu = info.mtu;
	memcpy(ip.mac, info.mac, sizeof(ip.mac));
	if (!parse_own(o->nic_address, &ip) || !parse_gateway(o->nic_gateway, &ip))
		return false;
	l->local = ip_addr_is_none(&ip.address) ? ip.address6 : ip.address;
	secret_fill(tcp.secret, sizeof(tcp.secret));
	secret_fill(&tcp.rng_seed, sizeof(tcp.rng_seed));
	l->neighbours = neigh_table_new(NEIGHBOURS);
	l->ip = l->neighbours ? ip_new(&ip, l->neighbours, l->port, &l->drops) : NULL;
	l->tcp = tcp_new(&tcp, &nic_tcp_ops, l, &l->tcp_counters, &l->drops);
	if (!l->ip || !l->tcp)
		return false;
	ip_set_tx(l->ip, tx, l);
	return true;
}

/* Asks who has the server's address until somebody answers. */
static bool resolve(struct link_nic *l)
{
	uint64_t until_ns = clock_now_ns() + RESOLVE_NS_MAX;
	bool resolved = false;

	do {
		nic_receive(&l->link, false);
		l->peer = ip_peer(l->ip, &l->remote, l->now_ns, &resolved);
		nic_send(&l->link, l->now_ns);
	} while (!resolved && l->peer != UINT32_MAX && l->now_ns < until_ns);
	return resolved;
}

struct load_link *link_nic_new_on(const struct load_options *options, struct port *port, char *why)
{
	struct link_nic *l = calloc(1, sizeof(*l));
	uint64_t random;

	if (!l) {
		snprintf(why, LOAD_LINK_WHY_MAX, "no memory");
		return NULL;
	}
	l->link.ops = &nic_ops;
	l->options = options;
	l->port = port;
	l->queue = port_queue(port, QUEUE);
	l->now_ns = clock_now_ns();
	(void)parse_address(options->server, &l->remote); // the options are checked
	secret_fill(&random, sizeof(random));
	l->next_port = (uint16_t)(PORTS_FIRST + random % (UINT16_MAX - PORTS_FIRST));
	if (!build_stacks(l)) {
		snprintf(why, LOAD_LINK_WHY_MAX, "--nic-address %s or --nic-gateway is no address",
			 options->nic_address);
	} else if (!resolve(l)) {
		snprintf(why, LOAD_LINK_WHY_MAX,
			 "nobody on %s answers for %s: is the server up, and on the same network?",
			 options->nic_device, options->server);
	} else {
		return &l->link;
	}
	nic_free(&l->link);
	return NULL;
}

struct load_link *link_nic_new(const struct load_options *options, const char *program, char *why)
{
	const struct port_system_config system = {
		.program = program,
		.devices = &options->nic_device,
		.devices_count = 1,
		.huge_pages = options->nic_huge_pages,
		.memory_mib = options->nic_memory_mib,
		.worker_cores = options->core >= 0 ? &options->core : NULL,
		.workers_count = options->core >= 0,
	};
	const struct port_config config = {.queues_wanted = 1};
	struct load_link *link;
	struct port *port;

	if (port_system_start(&system, why) != 0)
		return NULL;
	if (port_open(0, &config, &port, why) != 0)
		goto err_system;
	if (port_start(port, why) != 0)
		goto err_port;
	link = link_nic_new_on(options, port, why);
	if (link) {
		link_of(link)->owns_system = true;
		return link;
	}
	port_stop(port);
err_port:
	port_close(port);
err_system:
	port_system_stop();
	return NULL;
}
