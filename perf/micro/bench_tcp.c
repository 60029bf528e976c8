/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/rng.h"
#include "nic/tcp/tcp.h"
#include "nic/tcp/tcp_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

/*
 * bench_tcp CONNECTIONS [HOT [TURNS]]: what a segment costs the TCP library when CONNECTIONS are
 * open and HOT of them (all by default) talk: bursts of 32 requests from connections drawn at
 * random, each answered at once, and LAG bursts later the ACK of the reply, for a client that talks
 * seldom acknowledges by itself. And by how much an idle connection has made the process grow. No
 * NIC, no IP: the segments come from memory, and what is sent is looked at and forgotten.
 */

#define BURST       32
#define SYNS        64
#define LAG         64 // bursts
#define PAYLOAD     40
#define REPLY       80
#define SERVER_PORT 6379
#define WINDOW      65535

/* The client's end of one connection. */
struct client {
	uint32_t seq, ack, tsecr;
};

/* What a client will have received. */
struct reply {
	uint32_t client, ack, tsecr;
};

struct bench {
	struct reply replies[2 * SYNS];
	uint32_t replies_count;
	struct tcp_stack *stack;
	struct client *clients;
	uint32_t connections, hot;
	uint64_t now_ns;
	uint64_t opened, bytes;
	struct rng rng;
	struct tcp_counters counters;
	struct drop_counters drops;
};

struct segment {
	struct tcp_packet packet;
	uint8_t bytes[TCP_HEADER_MIN + TCP_TIMESTAMP_BYTES + 28 + PAYLOAD];
};

static struct flow flow_of(uint32_t i)
{
	return (struct flow){
		.local = ip_addr_from_v4(be32_from_host(0x0a000001)),
		.remote = ip_addr_from_v4(be32_from_host(0x0b000000 + i / 50000)),
		.local_port = SERVER_PORT,
		.remote_port = (uint16_t)(10000 + i % 50000),
	};
}

static uint32_t hash_of(uint32_t i)
{
	return (uint32_t)((i + 1) * 0x9e3779b97f4a7c15ULL >> 32);
}

static uint32_t index_of(const struct flow *flow)
{
	uint32_t host = be32_to_host(ip_addr_v4(&flow->remote)) - 0x0b000000;

	return host * 50000 + flow->remote_port - 10000;
}

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	struct bench *b = env;
	const uint8_t *h = segment->header.ptr;
	uint32_t flags = h[13];

	b->replies[b->replies_count++] = (struct reply){
		.client = index_of(segment->flow),
		.ack = be32_load(h + 4) + segment->payload_len + !!(flags & TCP_SYN),
		// Where every segment of ours has it, and behind MSS and SACK in a SYN-ACK.
		.tsecr = be32_load(h + (flags & TCP_SYN ? 28 : 24)),
	};
	b->bytes += segment->payload_len;
	return true;
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	((struct bench *)env)->opened++;
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	static const uint8_t reply[REPLY];

	out_append(tcp_out(conn), slice_of(reply, sizeof(reply)));
}

static void on_event(void *env, struct tcp_conn *conn)
{
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	fprintf(stderr, "bench_tcp: a connection ended\n");
	exit(EXIT_FAILURE);
}

static void fill(struct bench *b, struct segment *s, uint32_t i, uint8_t flags)
{
	struct client *c = &b->clients[i];
	uint8_t *h = s->bytes;
	struct tcp_options options = {
		.mss = 1460,
		.has_timestamp = true,
		.sack_permitted = true,
		.tsval = (uint32_t)(b->now_ns / 1000000),
		.tsecr = c->tsecr,
	};
	uint32_t len = TCP_HEADER_MIN;

	memset(h, 0, TCP_HEADER_MIN);
	be16_store(h, (uint16_t)(10000 + i % 50000));
	be16_store(h + 2, SERVER_PORT);
	be32_store(h + 4, c->seq);
	be32_store(h + 8, flags & TCP_ACK ? c->ack : 0);
	h[13] = flags;
	be16_store(h + 14, WINDOW);
	len += flags & TCP_SYN ? tcp_options_encode_syn(&options, h + len)
			       : tcp_options_encode(&options, h + len);
	h[12] = (uint8_t)(len / 4 << 4);
	if (flags & TCP_PSH)
		len += PAYLOAD;
	s->packet = (struct tcp_packet){
		.flow = flow_of(i), .hash = hash_of(i), .segment = s->bytes, .len = len};
	c->seq += (flags & TCP_PSH ? PAYLOAD : 0) + !!(flags & TCP_SYN);
}

/* As a worker's turn does it: touch all, then handle all, then send. Returns the cycles. */
static uint64_t burst(struct bench *b, const struct segment *segments, uint32_t count)
{
	uint64_t begin = __rdtsc();

	for (uint32_t i = 0; i < count; i++)
		tcp_prefetch(b->stack, segments[i].packet.hash);
	for (uint32_t i = 0; i < count; i++)
		tcp_prefetch_conn(b->stack, segments[i].packet.hash);
	for (uint32_t i = 0; i < count; i++)
		tcp_input(b->stack, &segments[i].packet, b->now_ns);
	tcp_burst_end(b->stack, b->now_ns);
	tcp_tick(b->stack, b->now_ns, 64);
	begin = __rdtsc() - begin;
	for (uint32_t i = 0; i < b->replies_count; i++) {
		const struct reply *r = &b->replies[i];

		b->clients[r->client].ack = r->ack;
		b->clients[r->client].tsecr = r->tsecr;
	}
	b->replies_count = 0;
	return begin;
}

static void pass_time(struct bench *b, uint64_t ns)
{
	b->now_ns += ns;
	while (tcp_next_deadline_ns(b->stack) <= b->now_ns &&
	       tcp_tick(b->stack, b->now_ns, 1000) > 0)
		;
	tcp_burst_end(b->stack, b->now_ns);
}

static void open_all(struct bench *b)
{
	static struct segment segments[SYNS];

	for (uint32_t i = 0; i < b->connections; i += SYNS) {
		uint32_t count = b->connections - i < SYNS ? b->connections - i : SYNS;

		for (uint32_t j = 0; j < count; j++)
			fill(b, &segments[j], i + j, TCP_SYN);
		burst(b, segments, count);
		for (uint32_t j = 0; j < count; j++)
			fill(b, &segments[j], i + j, TCP_ACK);
		burst(b, segments, count);
		pass_time(b, 1000);
	}
}

static uint64_t talk(struct bench *b, uint32_t turns)
{
	static struct segment segments[BURST];
	static uint32_t firsts[LAG];
	uint64_t cycles = 0;

	for (uint32_t t = 0; t < turns; t++) {
		uint32_t first = rng_below(&b->rng, b->hot);
		uint32_t before = firsts[t % LAG];

		// Different ones, far apart: a client does not send its next request unanswered.
		for (uint32_t j = 0; j < BURST; j++)
			fill(b, &segments[j], (first + j * (b->hot / BURST)) % b->hot,
			     TCP_PSH | TCP_ACK);
		b->now_ns += 5000;
		cycles += burst(b, segments, BURST);
		firsts[t % LAG] = first;
		for (uint32_t j = 0; j < BURST && t >= LAG; j++)
			fill(b, &segments[j], (before + j * (b->hot / BURST)) % b->hot, TCP_ACK);
		if (t >= LAG)
			cycles += burst(b, segments, BURST);
	}
	return cycles;
}

static uint64_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		exit(EXIT_FAILURE);
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_event,
		.on_drained = on_event,
		.on_close = on_close,
	};
	uint32_t connections = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	uint32_t hot = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : connections;
	uint32_t turns = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 20000;
	struct tcp_config config = {
		.conns_max = connections,
		.syn_max = 2 * SYNS,
		.time_wait_max = 16,
		.mtu = 1500,
		.rcv_wnd_bytes = 65535,
		.snd_high_bytes = 64 << 10,
		.snd_max_bytes = 256 << 10,
		.snd_pool_bytes = 1u << 30,
		.ooo_pool_bytes = 1 << 20,
		.ooo_conn_bytes = 64 << 10,
		.time_wait_ns = 1000000000,
		.timestamps = true,
		.sack = true,
		.secret = {1},
		.rng_seed = 1,
	};
	static struct bench b;
	uint64_t before, cycles;

	if (connections < BURST || hot < BURST || hot > connections || connections > 10000000) {
		fprintf(stderr, "usage: bench_tcp CONNECTIONS [HOT [TURNS]]\n");
		return 2;
	}
	b = (struct bench){
		.connections = connections, .hot = hot, .now_ns = 1000000000, .rng = rng_seeded(7)};
	b.clients = calloc(connections, sizeof(*b.clients));
	b.stack = tcp_new(&config, &ops, &b, &b.counters, &b.drops);
	if (!b.clients || !b.stack || !tcp_listen(b.stack, SERVER_PORT))
		return EXIT_FAILURE;
	for (uint32_t i = 0; i < connections; i++)
		b.clients[i].seq = 1000;
	before = resident_bytes();
	open_all(&b);
	if (b.opened != connections)
		return fprintf(stderr, "bench_tcp: %lu opened\n", (unsigned long)b.opened), 1;
	printf("%u connections: %.0f bytes each, idle\n", connections,
	       (double)(resident_bytes() - before) / connections);
	talk(&b, turns / 10);
	cycles = talk(&b, turns);
	printf("%u talk: %.0f cycles a request, its reply and the ACK, %.1f %% predicted\n",
	       hot, (double)cycles / ((double)turns * BURST),
	       100.0 * (double)counter_read(&b.counters.count[TCP_COUNT_FAST_PATH]) /
		       ((double)turns * BURST * 2.2));
	tcp_free(b.stack);
	free(b.clients);
	return 0;
}
