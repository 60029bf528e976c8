/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Two ports of one process, back to back: net_ring_pair0a and net_ring_pair0b (any number up to
 * 255 in place of 0). What one sends the other receives: rings hand over the buffers themselves,
 * nothing is copied. For measuring a worker without a NIC and without a kernel. Called by
 * port_device.c and port_open.c. Main thread.
 *
 * A port's buffers end up with the other end. So the threads of both ends must have stopped before
 * one of them is closed.
 *
 * With ",checksum=device" an end leaves checksums to its device as on a NIC that has the offloads:
 * it sums the pseudo-header, and the other end is told that the checksums are good.
 */

#define PAIR_PREFIX       "net_ring_" // what DPDK puts before the name we give
#define PAIR_NUMBER_MAX   255
#define PAIR_RING_ENTRIES 1024 // a power of two; takes one frame less
#define CHECKSUM_DEVICE   ",checksum=device"

struct pair_end {
	unsigned number;
	bool is_b;
	bool checksum_device;
};

/* False: malformed. */
static bool parse(const char *device, struct pair_end *end)
{
	unsigned number;
	char letter;
	int len = 0;

	if (sscanf(device, PAIR_PREFIX "pair%3u%c%n", &number, &letter, &len) != 2 ||
	    number > PAIR_NUMBER_MAX || (letter != 'a' && letter != 'b'))
		return false;
	end->number = number;
	end->is_b = letter == 'b';
	end->checksum_device = strcmp(device + len, CHECKSUM_DEVICE) == 0;
	return end->checksum_device || device[len] == '\0';
}

bool port_pair_is(const char *device)
{
	return strncmp(device, PAIR_PREFIX "pair", strlen(PAIR_PREFIX "pair")) == 0;
}

/* The ring whose frames one of the ends receives. */
static void ring_name(const struct pair_end *end, bool to_b, char name[RTE_RING_NAMESIZE])
{
	snprintf(name, RTE_RING_NAMESIZE, "pair%u_to_%c", end->number, to_b ? 'b' : 'a');
}

static struct rte_ring *ring_find(const struct pair_end *end, bool to_b)
{
	char name[RTE_RING_NAMESIZE];

	ring_name(end, to_b, name);
	return rte_ring_lookup(name);
}

/* Whichever end comes first creates them. */
static struct rte_ring *ring_get(const struct pair_end *end, bool to_b)
{
	struct rte_ring *ring = ring_find(end, to_b);
	char name[RTE_RING_NAMESIZE];

	if (ring)
		return ring;
	ring_name(end, to_b, name);
	return rte_ring_create(name, PAIR_RING_ENTRIES, SOCKET_ID_ANY,
			       RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static void ring_empty(struct rte_ring *ring)
{
	void *mbuf;

	while (rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

int port_pair_attach(const char *device, uint16_t *id, char *why)
{
	char name[2 * RTE_RING_NAMESIZE];
	struct rte_ring *receive, *send;
	struct pair_end end;
	int port;

	if (!parse(device, &end))
		return port_fail(-EINVAL, why,
				 "'%s' is no end of a pair: they are called net_ring_pair0a and "
				 "net_ring_pair0b, with or without " CHECKSUM_DEVICE,
				 device);
	snprintf(name, sizeof(name), PAIR_PREFIX "pair%u%c", end.number, end.is_b ? 'b' : 'a');
	if (rte_eth_dev_get_port_by_name(name, id) == 0)
		return port_fail(-EEXIST, why, "%s is in use twice", name);
	receive = ring_get(&end, end.is_b);
	send = ring_get(&end, !end.is_b);
	if (!receive || !send)
		return port_fail(-ENOMEM, why, "no memory for the rings of %s", device);
	port = rte_eth_from_rings(name + strlen(PAIR_PREFIX), &receive, 1, &send, 1, SOCKET_ID_ANY);
	if (port < 0)
		return port_fail(-rte_errno, why, "%s does not open: %s", device,
				 rte_strerror(rte_errno));
	*id = (uint16_t)port;
	return 0;
}

void port_pair_describe(const char *device, struct port *port)
{
	struct pair_end end;

	if (!parse(device, &end))
		return;
	// Locally administered. The driver has the same for all, and a frame from one's own address
	// is dropped.
	memcpy(port->mac, (uint8_t[]){0x02, 'w', 'c', 0, (uint8_t)end.number, end.is_b},
	       sizeof(port->mac));
	if (!end.checksum_device)
		return;
	port->caps.tx_flags = FRAME_TX_IP4_CHECKSUM | FRAME_TX_TCP_CHECKSUM | FRAME_TX_UDP_CHECKSUM;
	port->caps.tx_marks = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void port_pair_detach(const char *name)
{
	char other[2 * RTE_RING_NAMESIZE];
	struct rte_ring *to_a, *to_b;
	struct pair_end end;
	uint16_t id;

	if (!parse(name, &end))
		return;
	to_a = ring_find(&end, false);
	to_b = ring_find(&end, true);
	ring_empty(to_a);
	ring_empty(to_b);
	snprintf(other, sizeof(other), PAIR_PREFIX "pair%u%c", end.number, end.is_b ? 'a' : 'b');
	if (rte_eth_dev_get_port_by_name(other, &id) == 0)
		return;
	rte_ring_free(to_a);
	rte_ring_free(to_b);
}
