/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/nic/port/port_fixture.h"

/* Which offloads and queues are asked for, given what a driver claims. */

#define ALL_RX                                                                                     \
	(RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH | RTE_ETH_RX_OFFLOAD_SCATTER)
#define ALL_TX                                                                                     \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                            \
	 RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define RSS (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_IPV6)

struct caps_case {
	const char *name;
	struct rte_eth_dev_info info;
	uint16_t queues_max, rx_descs;
	bool rx_tcp, rx_hash, exact;
	uint8_t tx_flags;
	uint64_t rss_types;
};

static const struct caps_case cases[] = {
	{"a NIC that can do all",
	 {.driver_name = "net_ice",
	  .max_rx_queues = 256,
	  .max_tx_queues = 128,
	  .rx_offload_capa = ALL_RX,
	  .tx_offload_capa = ALL_TX,
	  .flow_type_rss_offloads = RSS,
	  .hash_key_size = 52,
	  .reta_size = 512,
	  .rx_desc_lim = {.nb_max = 4096},
	  .tx_desc_lim = {.nb_max = 4096}},
	 PORT_QUEUES_MAX,
	 1024,
	 true,
	 true,
	 false,
	 FRAME_TX_IP4_CHECKSUM | FRAME_TX_TCP_CHECKSUM | FRAME_TX_UDP_CHECKSUM,
	 RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP},
	{"virtio: no IPv4 header checksum, few descriptors",
	 {.driver_name = "net_virtio",
	  .max_rx_queues = 4,
	  .max_tx_queues = 4,
	  .rx_offload_capa = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
	  .tx_offload_capa = RTE_ETH_TX_OFFLOAD_TCP_CKSUM,
	  .flow_type_rss_offloads = RSS,
	  .rx_desc_lim = {.nb_max = 256},
	  .tx_desc_lim = {.nb_max = 256}},
	 4,
	 256,
	 true,
	 false,
	 false,
	 FRAME_TX_TCP_CHECKSUM,
	 RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP},
	{"tap: checksums of received frames are ours",
	 {.driver_name = "net_tap",
	  .max_rx_queues = 16,
	  .max_tx_queues = 16,
	  .rx_offload_capa = ALL_RX,
	  .tx_offload_capa = ALL_TX},
	 16,
	 1024,
	 false,
	 true,
	 false,
	 FRAME_TX_IP4_CHECKSUM | FRAME_TX_TCP_CHECKSUM | FRAME_TX_UDP_CHECKSUM,
	 0},
	{"af_packet: nothing but queues",
	 {.driver_name = "net_af_packet", .max_rx_queues = 4, .max_tx_queues = 4},
	 4,
	 1024,
	 false,
	 false,
	 true,
	 0,
	 0},
	{"af_xdp: a fill ring of its own",
	 {.driver_name = "net_af_xdp", .max_rx_queues = 1, .max_tx_queues = 1},
	 1,
	 2048,
	 false,
	 false,
	 true,
	 0,
	 0},
	{"e1000: its second queue is a fiction",
	 {.driver_name = "net_e1000_em",
	  .max_rx_queues = 2,
	  .max_tx_queues = 2,
	  .rx_offload_capa = RTE_ETH_RX_OFFLOAD_CHECKSUM},
	 1,
	 1024,
	 true,
	 false,
	 false,
	 0,
	 0},
	{"fewer TX than RX queues",
	 {.driver_name = "net_vmxnet3", .max_rx_queues = 16, .max_tx_queues = 8},
	 8,
	 1024,
	 false,
	 false,
	 false,
	 0,
	 0},
	{"null: claims to hash",
	 {.driver_name = "net_null",
	  .max_rx_queues = 8,
	  .max_tx_queues = 8,
	  .flow_type_rss_offloads = RSS},
	 8,
	 1024,
	 false,
	 false,
	 false,
	 0,
	 0},
};

static void test_caps_are_claims_less_quirks(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct caps_case *c = &cases[i];
		struct port_caps caps;

		print_message("%s\n", c->name);
		port_caps_probe(&c->info, false, &caps);
		assert_int_equal(caps.queues_max, c->queues_max);
		assert_int_equal(caps.rx_descs, c->rx_descs);
		assert_int_equal((caps.rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0, c->rx_tcp);
		assert_int_equal((caps.rx_offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0, c->rx_hash);
		assert_int_equal(caps.exact_queues, c->exact);
		assert_int_equal(caps.tx_flags, c->tx_flags);
		assert_int_equal(caps.rss_types, c->rss_types);
		// Never more than the driver offers: rte_eth_dev_configure() would refuse.
		assert_int_equal(caps.rx_offloads & ~c->info.rx_offload_capa, 0);
		assert_int_equal(caps.tx_offloads & ~c->info.tx_offload_capa, 0);
	}
}

/* Cutting segments takes three offloads together, and enough descriptors for one frame. */
static void test_caps_of_cutting_segments(void **state)
{
#define CUTS (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

	static const struct {
		const char *driver;
		uint64_t offloads;
		uint16_t buffers_max;
		bool no_tso, tso, tso6, mtu_l2;
	} tso_cases[] = {
		{"net_ice", ALL_TX | CUTS, 0, false, true, true, false},
		{"net_ice", ALL_TX | CUTS, 40, false, true, true, false},
		{"net_ice", ALL_TX | CUTS, 40, true, false, false, false},
		{"net_ice", ALL_TX | CUTS, 16, false, false, false, false},
		{"net_ice", ALL_TX, 0, false, false, false, false},
		{"net_ice", CUTS, 0, false, false, false, false},
		{"net_tap", ALL_TX | CUTS, 0, false, true, false, true},
	};

	for (size_t i = 0; i < ARRAY_COUNT(tso_cases); i++) {
		struct rte_eth_dev_info info = {
			.driver_name = tso_cases[i].driver,
			.tx_offload_capa = tso_cases[i].offloads,
			.tx_desc_lim.nb_seg_max = tso_cases[i].buffers_max,
		};
		struct port_caps caps;

		port_caps_probe(&info, tso_cases[i].no_tso, &caps);
		assert_int_equal(caps.tso, tso_cases[i].tso);
		assert_int_equal(caps.tso6, tso_cases[i].tso6);
		assert_int_equal(caps.tso_mtu_l2, tso_cases[i].mtu_l2);
		assert_int_equal((caps.tx_offloads & CUTS) == CUTS, caps.tso);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps_are_claims_less_quirks),
		cmocka_unit_test(test_caps_of_cutting_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
