/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/contract.h"
#include "base/endian.h"
#include "nic/port/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The system tests' smallest appliance on a port: answers ARP, ICMP echo and UDP echo in place, or
 * with --send is the client that sends UDP to such a one and counts what comes back whole. One
 * thread per queue. Started by ports.sh; says "ready" when it polls, and what it has seen when
 * SIGTERM, or the last frame, ends it.
 */

#define QUEUES_MAX  8
#define ETH_LEN     14
#define IP4_LEN     20
#define UDP_LEN     8
#define PAYLOAD     300 // bytes, of the client's datagrams
#define SEND_WINDOW 64  // datagrams under way

struct options {
	const char *device;
	uint16_t queues;
	uint32_t address; // as on the wire
	uint32_t send_count;
	uint32_t huge_pages_mib; // 0: ordinary ones
};

struct lane {
	pthread_t thread;
	struct port_queue *queue;
	struct drop_counters drops;
	uint64_t received, answered; // read after the thread has ended
	uint64_t checksums[FRAME_CHECKSUM_PARTIAL +
			   1]; // frames by what the port knew of their transport's
	uint64_t hashed;       // frames with a proven hash
};

static struct options options = {.queues = 1};
static struct port *port;
static uint8_t our_mac[6];
static struct lane lanes[QUEUES_MAX];
static uint16_t lanes_count;
static volatile sig_atomic_t stop_asked;
static _Atomic bool stop_lanes;

static void on_signal(int number)
{
	stop_asked = 1;
}

/* Internet checksum, the slow and obvious way. */
static uint16_t checksum_of(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static bool udp_checksum_right(const uint8_t *ip)
{
	uint32_t udp_len = be16_load(ip + 2) - IP4_LEN;
	uint32_t pseudo = IPPROTO_UDP + udp_len;

	for (int i = 12; i < 20; i += 2)
		pseudo += be16_load(ip + i);
	return checksum_of(ip, IP4_LEN, 0) == 0 && checksum_of(ip + IP4_LEN, udp_len, pseudo) == 0;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t keep[8];

	memcpy(keep, a, len);
	memcpy(a, b, len);
	memcpy(b, keep, len);
}

static bool answer_arp(struct frame *frame)
{
	uint8_t *arp = frame->data + ETH_LEN;

	if (frame->len < ETH_LEN + 28 || be16_load(arp + 6) != 1 ||
	    memcmp(arp + 24, &options.address, 4) != 0)
		return false;
	be16_store(arp + 6, 2);
	memcpy(arp + 18, arp + 8, 10);
	memcpy(arp + 8, our_mac, 6);
	memcpy(arp + 14, &options.address, 4);
	return true;
}

static bool answer_ip(struct frame *frame)
{
	uint8_t *ip = frame->data + ETH_LEN;
	uint8_t *l4 = ip + IP4_LEN;

	if (frame->len < ETH_LEN + IP4_LEN + UDP_LEN || ip[0] != 0x45 ||
	    be16_load(ip + 2) > frame->len - ETH_LEN || memcmp(ip + 16, &options.address, 4) != 0)
		return false;
	swap(ip + 12, ip + 16, 4);
	frame->l2_len = ETH_LEN;
	frame->l3_len = IP4_LEN;
	frame->tx_flags = FRAME_TX_IP4_CHECKSUM;
	if (ip[9] == IPPROTO_ICMP && l4[0] == 8) {
		uint32_t icmp_len = be16_load(ip + 2) - IP4_LEN;

		l4[0] = 0;
		be16_store(l4 + 2, 0);
		be16_store(l4 + 2, checksum_of(l4, icmp_len, 0));
		return true;
	}
	if (ip[9] != IPPROTO_UDP ||
	    (frame->l4_checksum != FRAME_CHECKSUM_PARTIAL && !udp_checksum_right(ip)))
		return false;
	swap(l4, l4 + 2, 2);
	frame->tx_flags |= FRAME_TX_UDP_CHECKSUM;
	return true;
}

static bool answer(struct frame *frame)
{
	uint16_t type = frame->len > ETH_LEN ? be16_load(frame->data + 12) : 0;
	bool ours = type == 0x0806 ? answer_arp(frame) : type == 0x0800 && answer_ip(frame);

	if (!ours)
		return false;
	memcpy(frame->data, frame->data + 6, 6);
	memcpy(frame->data + 6, our_mac, 6);
	return true;
}

static void reflect_burst(struct lane *lane)
{
	struct frame in[PORT_BURST_MAX], out[PORT_BURST_MAX];
	uint16_t n = port_rx(lane->queue, in, PORT_BURST_MAX, clock_now_ns(), &lane->drops);
	uint16_t answers = 0;

	for (uint16_t i = 0; i < n; i++) {
		lane->checksums[in[i].l4_checksum]++;
		lane->hashed += in[i].has_hash;
		if (answer(&in[i]))
			out[answers++] = in[i];
		else
			port_free(&in[i], 1);
	}
	port_tx(lane->queue, out, answers, clock_now_ns(), &lane->drops);
	lane->received += n;
	lane->answered += answers;
	if (n == 0)
		sched_yield();
}

static void build_datagram(struct frame *frame, uint32_t id)
{
	uint8_t *ip = frame->data + ETH_LEN;

	frame->len = ETH_LEN + IP4_LEN + UDP_LEN + PAYLOAD;
	memset(frame->data, 0, ETH_LEN + IP4_LEN + UDP_LEN);
	memset(frame->data, 0xff, 6);
	memcpy(frame->data + 6, our_mac, 6);
	be16_store(frame->data + 12, 0x0800);
	ip[0] = 0x45;
	be16_store(ip + 2, IP4_LEN + UDP_LEN + PAYLOAD);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	be32_store(ip + 12, 0x0a630001);
	memcpy(ip + 16, &options.address, 4);
	be16_store(ip + IP4_LEN, (uint16_t)(1024 + id % 1000));
	be16_store(ip + IP4_LEN + 2, 7);
	be16_store(ip + IP4_LEN + 4, UDP_LEN + PAYLOAD);
	for (uint32_t i = 0; i < PAYLOAD; i++)
		ip[IP4_LEN + UDP_LEN + i] = (uint8_t)(id + i);
	frame->l2_len = ETH_LEN;
	frame->l3_len = IP4_LEN;
	frame->tx_flags = FRAME_TX_IP4_CHECKSUM | FRAME_TX_UDP_CHECKSUM;
}

static bool datagram_whole(const struct frame *frame)
{
	const uint8_t *ip = frame->data + ETH_LEN;
	uint8_t first = ip[IP4_LEN + UDP_LEN];

	if (frame->len < ETH_LEN + IP4_LEN + UDP_LEN + PAYLOAD || !udp_checksum_right(ip))
		return false;
	for (uint32_t i = 0; i < PAYLOAD; i++)
		if (ip[IP4_LEN + UDP_LEN + i] != (uint8_t)(first + i))
			return false;
	return true;
}

/* Sends this lane's share with a window, and waits at most three seconds for the last one. */
static void send_and_count(struct lane *lane)
{
	uint64_t end_ns = clock_now_ns() + 10 * NS_PER_S;
	uint32_t sent = 0;

	while (lane->answered < options.send_count && clock_now_ns() < end_ns && !stop_asked) {
		struct frame frames[PORT_BURST_MAX];
		uint16_t n = 0;

		while (n < PORT_BURST_MAX && sent < options.send_count &&
		       sent - lane->received < SEND_WINDOW &&
		       port_frame_alloc(port, &frames[n], &lane->drops))
			build_datagram(&frames[n++], sent++);
		port_tx(lane->queue, frames, n, clock_now_ns(), &lane->drops);
		n = port_rx(lane->queue, frames, PORT_BURST_MAX, clock_now_ns(), &lane->drops);
		lane->received += n;
		for (uint16_t i = 0; i < n; i++)
			lane->answered += datagram_whole(&frames[i]);
		port_free(frames, n);
		if (n == 0)
			sched_yield();
	}
}

static void *lane_run(void *arg)
{
	struct lane *lane = arg;

	if (port_thread_attach() != 0)
		exit(1);
	if (options.send_count) {
		send_and_count(lane);
	} else {
		while (!atomic_load_explicit(&stop_lanes, memory_order_relaxed))
			reflect_burst(lane);
	}
	port_thread_detach();
	return NULL;
}

static int usage(void)
{
	fprintf(stderr, "usage: port_reflect DEVICE [--queues N] [--address A.B.C.D] [--send "
			"COUNT] [--huge MIB]\n");
	return 2;
}

static int parse(int argc, char **argv)
{
	options.device = argc > 1 ? argv[1] : NULL;
	if (!options.device || inet_pton(AF_INET, "10.99.0.2", &options.address) != 1)
		return usage();
	for (int i = 2; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--queues") == 0)
			options.queues = (uint16_t)atoi(value);
		else if (strcmp(argv[i], "--huge") == 0)
			options.huge_pages_mib = (uint32_t)atoi(value);
		else if (strcmp(argv[i], "--send") == 0)
			options.send_count = (uint32_t)atoi(value);
		else if (strcmp(argv[i], "--address") != 0 ||
			 inet_pton(AF_INET, value, &options.address) != 1)
			return usage();
	}
	return options.queues >= 1 && options.queues <= QUEUES_MAX ? 0 : usage();
}

static int start(void)
{
	struct port_system_config system = {
		.program = "port_reflect",
		.devices = &options.device,
		.devices_count = 1,
		.huge_pages = options.huge_pages_mib > 0,
		.memory_mib = options.huge_pages_mib > 0 ? options.huge_pages_mib : 192,
	};
	struct port_config config = {.queues_wanted = options.queues};
	struct port_info info;
	char why[PORT_WHY_MAX];

	if (port_system_start(&system, why) != 0 || port_open(0, &config, &port, why) != 0 ||
	    port_start(port, why) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	port_info(port, &info);
	memcpy(our_mac, info.mac, sizeof(our_mac));
	lanes_count = port_queues(port);
	printf("port %s driver %s queues %u mtu %u descriptors %u/%u checksums by port: rx %d tx "
	       "%d\n",
	       info.name, info.driver, info.queues, info.mtu, info.rx_descs, info.tx_descs,
	       info.rx_checksum, info.tx_checksum);
	return 0;
}

static int report(void)
{
	struct port_counters counters;
	uint64_t answered = 0;

	for (uint16_t i = 0; i < lanes_count; i++) {
		printf("queue %u received %llu answered %llu\n", i,
		       (unsigned long long)lanes[i].received,
		       (unsigned long long)lanes[i].answered);
		printf("  checksum unknown %llu good %llu bad %llu partial %llu; hash proven "
		       "%llu\n",
		       (unsigned long long)lanes[i].checksums[FRAME_CHECKSUM_UNKNOWN],
		       (unsigned long long)lanes[i].checksums[FRAME_CHECKSUM_GOOD],
		       (unsigned long long)lanes[i].checksums[FRAME_CHECKSUM_BAD],
		       (unsigned long long)lanes[i].checksums[FRAME_CHECKSUM_PARTIAL],
		       (unsigned long long)lanes[i].hashed);
		answered += lanes[i].answered;
		for (int r = 0; r < DROP_REASON_COUNT; r++)
			if (counter_read(&lanes[i].drops.count[r]))
				printf("drop %s %llu\n", drop_reason_label((enum drop_reason)r),
				       (unsigned long long)counter_read(&lanes[i].drops.count[r]));
	}
	port_counters(port, &counters);
	port_close(port);
	port_system_stop();
	printf("received %llu sent %llu by the driver's count\n",
	       (unsigned long long)counters.rx_packets, (unsigned long long)counters.tx_packets);
	return options.send_count && answered != (uint64_t)options.send_count * lanes_count ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	int rc = parse(argc, argv);

	if (rc != 0)
		return rc;
	clock_init();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	rc = start();
	if (rc != 0)
		return rc;
	for (uint16_t i = 0; i < lanes_count; i++) {
		lanes[i].queue = port_queue(port, i);
		REQUIRE(pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i]) == 0);
	}
	printf("ready\n");
	fflush(stdout);
	while (!stop_asked && !options.send_count)
		usleep(20000); // no pause(): the signal may come just before it
	atomic_store(&stop_lanes, true);
	for (uint16_t i = 0; i < lanes_count; i++)
		pthread_join(lanes[i].thread, NULL);
	return report();
}
