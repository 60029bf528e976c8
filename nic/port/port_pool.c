/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdio.h>

/*
 * The packet buffers of a port: one pool to receive into, one to send from, and a reserve of small
 * ones. They are apart so that neither received frames that are held somewhere nor data that a slow
 * device does not take can have the buffers in which the ACKs leave that would set them free.
 * Called by port_open() and port_close(). Main thread.
 *
 * The receive pool covers the worst case of everything that can hold a buffer at once, caches of
 * all threads included: a driver that finds no buffer stops receiving, some of them for good. So
 * does the send pool, but for frames that the device cuts, which take many buffers each.
 */

#define POOL_RESERVE  256  // buffers over and above what the sum says
#define TSO_BUFFERS   2048 // more of them per queue, for frames that the device cuts
#define CONTROL_QUEUE 512  // of the reserve, per queue
#define CONTROL_CACHE 32
#define MBUF_BYTES    256 // of each buffer for its own, about

/*
 * A thread may keep one and a half times the nominal size of its cache before it gives anything
 * back.
 */
#define CACHE_HELD (PORT_POOL_CACHE + PORT_POOL_CACHE / 2)

static uint32_t threads_max(const struct port *port)
{
	// One worker per queue, the main thread, and a few that free what others received.
	return port->queues_count + 3u;
}

static uint32_t rx_buffers(const struct port *port, const struct port_config *config)
{
	uint32_t per_queue = port->rx_descs + port->caps.rx_pool_extra + 2 * PORT_BURST_MAX;

	return port->queues_count * per_queue + threads_max(port) * CACHE_HELD +
	       config->extra_buffers + POOL_RESERVE;
}

static uint32_t tx_buffers(const struct port *port)
{
	uint32_t per_queue = port->tx_descs + PORT_TX_BACKLOG + 2 * PORT_BURST_MAX +
			     (port->caps.tso ? TSO_BUFFERS : 0);

	return port->queues_count * per_queue + threads_max(port) * CACHE_HELD + POOL_RESERVE;
}

/* What is asked for, with the room of a buffer in bytes. */
struct pool_shape {
	const char *kind;
	uint32_t count;
	uint32_t cache;
	uint16_t room;
};

static struct rte_mempool *pool_new(const struct port *port, const struct pool_shape *shape,
				    char *why)
{
	uint16_t bytes = (uint16_t)(RTE_PKTMBUF_HEADROOM + shape->room);
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "port%u_%s", port->id, shape->kind);
	pool = rte_pktmbuf_pool_create(name, shape->count, shape->cache, 0, bytes, port->numa_node);
	if (!pool && port->numa_node >= 0)
		pool = rte_pktmbuf_pool_create(name, shape->count, shape->cache, 0, bytes,
					       SOCKET_ID_ANY);
	if (!pool)
		port_fail(-rte_errno, why,
			  "no memory for %u %s buffers (%u MiB): raise nic-memory-mib or lower "
			  "nic-queues",
			  shape->count, shape->kind,
			  (unsigned)((uint64_t)shape->count * (bytes + MBUF_BYTES) >> 20));
	return pool;
}

int port_pools_new(struct port *port, const struct port_config *config, char *why)
{
	uint32_t rx = rx_buffers(port, config);
	uint32_t tx = tx_buffers(port);

	if (config->buffers != 0 && config->buffers < rx + tx)
		return port_fail(-EINVAL, why, "%u packet buffers are too few: %u queues need %u",
				 config->buffers, port->queues_count, rx + tx);
	if (config->buffers > rx + tx)
		rx += config->buffers - rx - tx;
	port->rx_pool = pool_new(
		port, &(struct pool_shape){"rx", rx, PORT_POOL_CACHE, PORT_FRAME_ROOM}, why);
	if (port->rx_pool)
		port->tx_pool = pool_new(
			port, &(struct pool_shape){"tx", tx, PORT_POOL_CACHE, PORT_FRAME_ROOM},
			why);
	if (port->tx_pool)
		port->control_pool =
			pool_new(port,
				 &(struct pool_shape){"control", port->queues_count * CONTROL_QUEUE,
						      CONTROL_CACHE, PORT_CONTROL_ROOM},
				 why);
	if (port->control_pool)
		return 0;
	port_pools_free(port);
	return -ENOMEM;
}

void port_pools_free(struct port *port)
{
	rte_mempool_free(port->control_pool);
	rte_mempool_free(port->tx_pool);
	rte_mempool_free(port->rx_pool);
	port->control_pool = NULL;
	port->tx_pool = NULL;
	port->rx_pool = NULL;
}
