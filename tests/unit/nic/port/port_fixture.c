/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_ip.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the tests of nic/port that boot EAL have in common. */

/* EAL finds drivers as plugins in a folder; a package without net_ring has none of use to us. */
static bool drivers_installed(void)
{
	const char *dir = getenv("WIRECACHE_PMD_DIR");
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/librte_net_ring.so", dir ? dir : RTE_EAL_PMD_PATH);
	file = fopen(path, "r");
	if (file)
		fclose(file);
	return file != NULL;
}

void fixture_boot(const char *const *devices, int count)
{
	struct port_system_config config = {
		.program = "test_port",
		.devices = devices,
		.devices_count = count,
		.memory_mib = 192,
	};
	char why[PORT_WHY_MAX];

	if (!drivers_installed()) {
		printf("skipped: no DPDK drivers in %s\n", RTE_EAL_PMD_PATH);
		exit(77);
	}
	if (port_system_start(&config, why) != 0) {
		fprintf(stderr, "EAL does not start: %s\n", why);
		exit(1);
	}
}

struct port *fixture_port(unsigned index, uint16_t queues)
{
	struct port_config config = {.queues_wanted = queues, .rx_descs = 256, .tx_descs = 256};
	struct port *port = NULL;
	char why[PORT_WHY_MAX];

	if (port_open(index, &config, &port, why) != 0 || port_start(port, why) != 0)
		fail_msg("port %u: %s", index, why);
	return port;
}

struct frame fixture_frame(struct port *port, uint32_t len, uint16_t ether_type, uint32_t id)
{
	struct drop_counters drops = {0};
	struct frame frame;

	assert_true(port_frame_alloc(port, &frame, &drops));
	assert_in_range(len, 18, frame.room);
	memset(frame.data, 0, len);
	memset(frame.data, 0xff, 6);
	frame.data[6] = 0x02;
	frame.data[12] = (uint8_t)(ether_type >> 8);
	frame.data[13] = (uint8_t)ether_type;
	memcpy(frame.data + 14, &id, sizeof(id));
	frame.len = len;
	return frame;
}

uint32_t fixture_frame_id(const struct frame *frame)
{
	uint32_t id;

	memcpy(&id, frame->data + 14, sizeof(id));
	return id;
}

uint32_t fixture_buffers_out(const struct port *port)
{
	struct port_counters counters;

	port_counters(port, &counters);
	return counters.buffers_total - counters.buffers_free;
}

uint64_t fixture_drops(const struct drop_counters *drops, enum drop_reason reason)
{
	return counter_read(&drops->count[reason]);
}

bool fixture_l4_checksum_right(const uint8_t *ip, uint8_t l3_len)
{
	bool ip6 = ip[0] >> 4 == 6;
	bool udp = ip[ip6 ? 6 : 9] == IPPROTO_UDP;
	uint16_t rest = ip6 ? rte_ipv6_udptcp_cksum((const void *)ip, ip + l3_len)
			    : rte_ipv4_udptcp_cksum((const void *)ip, ip + l3_len);

	// The sum over a packet with its checksum in place leaves 0, which UDP writes as all ones.
	return rest == (udp ? 0xffff : 0);
}
