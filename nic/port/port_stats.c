/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_ethdev.h>

#include <stdio.h>
#include <string.h>

/*
 * What one can tell about an open port, for metrics and messages. Called by the control thread;
 * nothing here waits.
 */

void port_info(const struct port *port, struct port_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "%s", port->name);
	snprintf(info->driver, sizeof(info->driver), "%s", port->driver);
	memcpy(info->mac, port->mac, sizeof(info->mac));
	info->mtu = port->mtu;
	info->queues = port->queues_count;
	info->rx_descs = port->rx_descs;
	info->tx_descs = port->tx_descs;
	info->rx_checksum = (port->caps.rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
	info->tx_checksum = (port->caps.tx_flags & FRAME_TX_TCP_CHECKSUM) != 0;
	// All queues have faults, or none has.
	if (!port->queues[0]->fault) {
		info->tso_bytes = port->caps.tso ? PORT_TSO_BYTES : 0;
		info->tso6_bytes = port->caps.tso6 ? PORT_TSO_BYTES : 0;
	}
	info->virtual_device = port->virtual_device;
	info->numa_node = port->numa_node;
	info->hash_proven = true;
	for (uint16_t i = 0; i < port->queues_count; i++)
		info->hash_proven &= atomic_load_explicit(&port->queues[i]->hash.trust,
							  memory_order_relaxed) == PORT_HASH_PROVEN;
}

void port_counters(const struct port *port, struct port_counters *counters)
{
	struct rte_eth_stats stats;

	memset(counters, 0, sizeof(*counters));
	if (rte_eth_stats_get(port->id, &stats) == 0) {
		counters->rx_packets = stats.ipackets;
		counters->tx_packets = stats.opackets;
		counters->rx_bytes = stats.ibytes;
		counters->tx_bytes = stats.obytes;
		counters->rx_missed = stats.imissed;
		counters->rx_errors = stats.ierrors;
		counters->rx_no_buffer = stats.rx_nombuf;
		counters->tx_errors = stats.oerrors;
	}
	counters->buffers_total =
		port->rx_pool->size + port->tx_pool->size + port->control_pool->size;
	counters->buffers_free = rte_mempool_avail_count(port->rx_pool) +
				 rte_mempool_avail_count(port->tx_pool) +
				 rte_mempool_avail_count(port->control_pool);
}

bool port_link_up(const struct port *port)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}
