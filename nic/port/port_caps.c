/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_ethdev.h>

#include <string.h>

/*
 * What a device can do: what its driver says, less what we know to be untrue or useless. What is
 * left out here is done in software by the rest of nic/port. Called by port_open(). Main thread.
 */

#define DESCS_DEFAULT 1024

#define RX_WANTED                                                                                  \
	(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |                            \
	 RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH)
#define TX_WANTED                                                                                  \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                            \
	 RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RSS_WANTED                                                                                 \
	(RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |                             \
	 RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP)

#define TSO_WANTED                                                                                 \
	(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)

// Buffers of a frame to be cut, headers in the first.
#define TSO_BUFFERS (PORT_TSO_BYTES / PORT_FRAME_ROOM + 1)

/* Drivers of DPDK 22.11 that need a word of their own. */
struct driver_quirk {
	const char *driver;
	uint16_t queues_max; // 0: as the driver says
	uint16_t descs;      // 0: as the driver says
	uint32_t rx_pool_extra;
	uint64_t rx_offloads_not;
	bool no_rss;
	bool no_tso6;
	bool tso_mtu_l2;
	bool exact_queues;
};

static const struct driver_quirk quirks[] = {
	// Verifies in software, as we do where nobody else has. Cuts in software, too, with
	// a library that knows TCP over IPv4 only, and takes the Ethernet header for a part of the
	// MTU: what would be longer it refuses for ever.
	{.driver = "net_tap",
	 .rx_offloads_not = RTE_ETH_RX_OFFLOAD_CHECKSUM,
	 .no_tso6 = true,
	 .tso_mtu_l2 = true},
	// The kernel spreads frames over as many sockets as qpairs= says, polled or not.
	{.driver = "net_af_packet", .exact_queues = true},
	// Its fill ring always holds 2048 buffers, and frames to send are copied into the receive
	// pool.
	{.driver = "net_af_xdp", .descs = 2048, .rx_pool_extra = 2 * 2048, .exact_queues = true},
	// Says that it has two queues; it cannot spread, and the second one of an 82540 sends
	// nothing.
	{.driver = "net_e1000_em", .queues_max = 1},
	// Claims to hash, but its frames carry none.
	{.driver = "net_null", .no_rss = true},
};

static const struct driver_quirk *quirk_of(const char *driver)
{
	static const struct driver_quirk none;

	for (size_t i = 0; i < ARRAY_COUNT(quirks); i++)
		if (strcmp(quirks[i].driver, driver) == 0)
			return &quirks[i];
	return &none;
}

static uint16_t min_u16(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static uint16_t default_descs(uint16_t preferred, const struct rte_eth_desc_lim *lim,
			      uint16_t quirk)
{
	uint16_t descs = quirk ? quirk : preferred > DESCS_DEFAULT ? preferred : DESCS_DEFAULT;

	return lim->nb_max ? min_u16(descs, lim->nb_max) : descs;
}

static uint8_t tx_flags_of(uint64_t offloads)
{
	uint8_t flags = 0;

	if (offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
		flags |= FRAME_TX_IP4_CHECKSUM;
	if (offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
		flags |= FRAME_TX_TCP_CHECKSUM;
	if (offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
		flags |= FRAME_TX_UDP_CHECKSUM;
	return flags;
}

static void probe_tso(const struct rte_eth_dev_info *info, const struct driver_quirk *quirk,
		      struct port_caps *caps)
{
	uint16_t buffers_max = info->tx_desc_lim.nb_seg_max;

	if ((info->tx_offload_capa & TSO_WANTED) != TSO_WANTED ||
	    (buffers_max != 0 && buffers_max < TSO_BUFFERS))
		return;
	caps->tx_offloads |= TSO_WANTED;
	caps->tso = true;
	caps->tso6 = !quirk->no_tso6;
	caps->tso_mtu_l2 = quirk->tso_mtu_l2;
}

void port_caps_probe(const struct rte_eth_dev_info *info, bool no_tso, struct port_caps *caps)
{
	const struct driver_quirk *quirk = quirk_of(info->driver_name);

	memset(caps, 0, sizeof(*caps));
	caps->queues_max =
		min_u16(min_u16(info->max_rx_queues, info->max_tx_queues), PORT_QUEUES_MAX);
	if (quirk->queues_max)
		caps->queues_max = min_u16(caps->queues_max, quirk->queues_max);
	caps->exact_queues = quirk->exact_queues;
	caps->rx_descs =
		default_descs(info->default_rxportconf.ring_size, &info->rx_desc_lim, quirk->descs);
	caps->tx_descs =
		default_descs(info->default_txportconf.ring_size, &info->tx_desc_lim, quirk->descs);
	caps->rx_pool_extra = quirk->rx_pool_extra;
	caps->rx_offloads = RX_WANTED & info->rx_offload_capa & ~quirk->rx_offloads_not;
	caps->tx_offloads = TX_WANTED & info->tx_offload_capa;
	caps->tx_flags = tx_flags_of(caps->tx_offloads);
	if (!no_tso)
		probe_tso(info, quirk, caps);
	if (quirk->no_rss || !(info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP))
		return;
	caps->rss_types = RSS_WANTED & info->flow_type_rss_offloads;
	caps->rss_key_len = info->hash_key_size;
	caps->reta_size = info->reta_size;
}
