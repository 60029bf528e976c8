/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The life of a port: open, start, stop, close. Called by main() in that order. What a call took it
 * gives back when it fails. Main thread.
 */

static int configure(struct port *port, const char *device, const struct port_config *config,
		     char *why);
static int choose_queues(struct port *port, const struct port_config *config, char *why);
static int choose_mtu(struct port *port, const struct rte_eth_dev_info *info, uint16_t wanted,
		      char *why);
static int configure_device(struct port *port, char *why);
static int queues_new(struct port *port, char *why);
static int queue_setup(struct port *port, uint16_t index);
static void queues_free(struct port *port);

int port_open(unsigned index, const struct port_config *config, struct port **opened, char *why)
{
	const char *device = port_system_device(index);
	struct port *port;
	int rc;

	why[0] = '\0';
	port_log_forget();
	if (!device)
		return port_fail(-ENODEV, why, "there is no port %u: %u are configured", index,
				 port_count());
	port = calloc(1, sizeof(*port));
	if (!port)
		return port_fail(-ENOMEM, why, "no memory for a port");
	rc = port_kernel_prepare(device, &port->link, why);
	if (rc == 0)
		rc = port_device_attach(device, &port->id, why);
	if (rc != 0)
		goto err_free;
	port->virtual_device = port_device_is_virtual(device);
	port->multicast = config->multicast;
	snprintf(port->name, sizeof(port->name), "%.*s", (int)strcspn(device, ","), device);
	rc = configure(port, device, config, why);
	if (rc != 0)
		goto err_detach;
	*opened = port;
	return 0;

err_detach:
	port_device_detach(port->id);
	port_kernel_restore(&port->link);
err_free:
	free(port);
	return rc;
}

int port_start(struct port *port, char *why)
{
	int rc;

	why[0] = '\0';
	port_log_forget();
	rc = port_kernel_up(&port->link, why);
	if (rc != 0)
		return rc;
	rc = rte_eth_dev_start(port->id);
	if (rc != 0)
		return port_fail(rc, why, "%s does not start: %s", port->name, rte_strerror(-rc));
	port_hash_spread(port);
	// Devices that cannot be told pass such frames anyway.
	if (port->multicast)
		(void)rte_eth_allmulticast_enable(port->id);
	port->started = true;
	return 0;
}

void port_stop(struct port *port)
{
	if (!port || !port->started)
		return;
	rte_eth_dev_stop(port->id);
	port->started = false;
	for (uint16_t i = 0; i < port->queues_count; i++) {
		struct port_queue *queue = port->queues[i];

		while (queue->backlog.head != queue->backlog.tail)
			rte_pktmbuf_free(queue->backlog.frames[queue->backlog.head++ &
							       (PORT_TX_BACKLOG - 1)]);
		port_queue_set_faults(queue, NULL);
	}
}

void port_close(struct port *port)
{
	if (!port)
		return;
	port_stop(port);
	queues_free(port);
	port_device_detach(port->id);
	port_kernel_restore(&port->link);
	port_pools_free(port);
	free(port);
}

struct port_queue *port_queue(struct port *port, uint16_t index)
{
	return index < port->queues_count ? port->queues[index] : NULL;
}

uint16_t port_queues(const struct port *port)
{
	return port->queues_count;
}

int port_queue_set_faults(struct port_queue *queue, const struct port_fault_config *config)
{
	struct port_fault *fault = config ? port_fault_new(config) : NULL;

	if (config && !fault)
		return -ENOMEM;
	port_fault_free(queue->fault);
	queue->fault = fault;
	return 0;
}

static int configure(struct port *port, const char *device, const struct port_config *config,
		     char *why)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int rc = rte_eth_dev_info_get(port->id, &info);

	if (rc == 0)
		rc = rte_eth_macaddr_get(port->id, &mac);
	if (rc != 0)
		return port_fail(rc, why, "%s does not say what it is: %s", port->name,
				 rte_strerror(-rc));
	memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	snprintf(port->driver, sizeof(port->driver), "%s", info.driver_name);
	port->numa_node = rte_eth_dev_socket_id(port->id);
	port_caps_probe(&info, config->no_tso, &port->caps);
	if (port_pair_is(device))
		port_pair_describe(device, port);
	rc = choose_queues(port, config, why);
	if (rc == 0)
		rc = configure_device(port, why);
	if (rc == 0)
		rc = choose_mtu(port, &info, config->mtu, why);
	if (rc == 0)
		rc = port_pools_new(port, config, why);
	if (rc != 0)
		return rc;
	rc = queues_new(port, why);
	if (rc != 0) {
		queues_free(port);
		// The queues of the device point into the pools.
		rte_eth_dev_stop(port->id);
		port_pools_free(port);
	}
	return rc;
}

static int choose_queues(struct port *port, const struct port_config *config, char *why)
{
	const struct port_caps *caps = &port->caps;
	uint16_t wanted = config->queues_wanted ? config->queues_wanted : 1;

	port->queues_count = wanted < caps->queues_max ? wanted : caps->queues_max;
	if (caps->exact_queues && caps->queues_max > wanted)
		return port_fail(
			-EINVAL, why,
			"%s spreads its frames over %u queues and only %u are served: lower "
			"qpairs= or queue_count= in nic-device, or raise nic-queues",
			port->name, caps->queues_max, wanted);
	port->rx_descs = config->rx_descs ? config->rx_descs : caps->rx_descs;
	port->tx_descs = config->tx_descs ? config->tx_descs : caps->tx_descs;
	return 0;
}

static int configure_device(struct port *port, char *why)
{
	struct rte_eth_conf conf = {
		.rxmode.offloads = port->caps.rx_offloads,
		.txmode.offloads = port->caps.tx_offloads,
	};
	int rc;

	port_hash_configure(&port->caps, port->rss_key, &conf);
	rc = rte_eth_dev_configure(port->id, port->queues_count, port->queues_count, &conf);
	if (rc != 0 && conf.rxmode.mq_mode != RTE_ETH_MQ_RX_NONE) {
		// Some devices promise more of RSS than they keep. Without it we steer in software.
		port->caps.rss_types = 0;
		memset(&conf.rx_adv_conf, 0, sizeof(conf.rx_adv_conf));
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
		conf.rxmode.offloads &= ~RTE_ETH_RX_OFFLOAD_RSS_HASH;
		rc = rte_eth_dev_configure(port->id, port->queues_count, port->queues_count, &conf);
	}
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &port->rx_descs, &port->tx_descs);
	if (rc != 0)
		return port_fail(rc, why, "%s refuses %u queues of %u and %u descriptors: %s",
				 port->name, port->queues_count, port->rx_descs, port->tx_descs,
				 rte_strerror(-rc));
	return 0;
}

static int choose_mtu(struct port *port, const struct rte_eth_dev_info *info, uint16_t wanted,
		      char *why)
{
	uint32_t max = PORT_MTU_MAX;
	uint16_t present;
	int rc;

	if (info->max_mtu < max)
		max = info->max_mtu;
	if (info->max_rx_pktlen >= RTE_ETHER_MIN_LEN &&
	    info->max_rx_pktlen - RTE_ETHER_HDR_LEN < max)
		max = info->max_rx_pktlen - RTE_ETHER_HDR_LEN;
	if (wanted > max || (wanted != 0 && wanted < RTE_ETHER_MIN_MTU))
		return port_fail(-EINVAL, why, "nic-mtu %u does not fit %s: it takes %u to %u",
				 wanted, port->name, RTE_ETHER_MIN_MTU, max);
	if (port->link.mtu != 0)
		present = port->link.mtu;
	else if (rte_eth_dev_get_mtu(port->id, &present) != 0)
		present = RTE_ETHER_MTU;
	port->mtu = present < max ? present : (uint16_t)max;
	if (wanted == 0 || wanted == present)
		return 0;
	rc = rte_eth_dev_set_mtu(port->id, wanted);
	if (rc == 0 && port->link.mtu != 0)
		port->link.mtu_before = port->link.mtu;
	// A device that cannot be told will carry shorter packets all the same.
	if (rc != 0 && wanted > present)
		return port_fail(rc, why, "%s cannot do nic-mtu %u: its MTU is %u", port->name,
				 wanted, present);
	port->mtu = wanted;
	return 0;
}

static int queues_new(struct port *port, char *why)
{
	for (uint16_t i = 0; i < port->queues_count; i++) {
		int rc = queue_setup(port, i);

		if (rc != 0)
			return port_fail(rc, why, "queue %u of %s cannot be set up: %s", i,
					 port->name, rte_strerror(-rc));
	}
	return 0;
}

static int queue_setup(struct port *port, uint16_t index)
{
	struct port_queue *queue;
	int rc = rte_eth_rx_queue_setup(port->id, index, port->rx_descs, (unsigned)port->numa_node,
					NULL, port->rx_pool);

	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port->id, index, port->tx_descs,
					    (unsigned)port->numa_node, NULL);
	if (rc != 0)
		return rc;
	queue = rte_zmalloc_socket("port_queue", sizeof(*queue), CACHE_LINE_BYTES, port->numa_node);
	if (!queue)
		return -ENOMEM;
	queue->port_id = port->id;
	queue->index = index;
	queue->frame_max = (uint16_t)(port->mtu + PORT_L2_ROOM);
	queue->tso_frame_max = port->caps.tso_mtu_l2 ? port->mtu : queue->frame_max;
	queue->tx_flags = port->caps.tx_flags;
	queue->tx_marks = port->caps.tx_marks;
	queue->rx_pool = port->rx_pool;
	if (port->caps.rx_offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH) {
		if (port->caps.rss_types & RTE_ETH_RSS_NONFRAG_IPV4_TCP)
			queue->hash.trust = PORT_HASH_ON_TRIAL;
		if (port->caps.rss_types & RTE_ETH_RSS_NONFRAG_IPV6_TCP)
			queue->hash6.trust = PORT_HASH_ON_TRIAL;
	}
	port->queues[index] = queue;
	return 0;
}

static void queues_free(struct port *port)
{
	for (uint16_t i = 0; i < port->queues_count; i++) {
		rte_free(port->queues[i]);
		port->queues[i] = NULL;
	}
}
