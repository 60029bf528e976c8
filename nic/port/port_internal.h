/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/port/port.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <stdatomic.h>

/* What the files of nic/port share with each other and nobody else. */

#define PORT_QUEUES_MAX 64
#define PORT_TX_BACKLOG                                                                            \
	1024 // frames that wait in software when the device takes no more; a power of two
#define PORT_POOL_CACHE 256 // buffers that each thread keeps to itself per pool
#define PORT_L2_ROOM    18  // Ethernet header and one VLAN tag
#define PORT_MTU_MAX    (PORT_FRAME_ROOM - PORT_L2_ROOM)

/* What a device can do, after asking it and after what we know better about its driver. */
struct port_caps {
	uint16_t queues_max;
	uint16_t rx_descs, tx_descs; // defaults, within the device's limits
	uint32_t rx_pool_extra; // buffers that the driver keeps per queue beyond its descriptors
	uint64_t rx_offloads;   // RTE_ETH_RX_OFFLOAD_*, to ask for
	uint64_t tx_offloads;   // RTE_ETH_TX_OFFLOAD_*, to ask for
	uint64_t rss_types;     // RTE_ETH_RSS_*, to ask for; 0: the device cannot hash TCP flows
	uint8_t rss_key_len;    // bytes; 0: its key cannot be set
	uint16_t reta_size;     // entries; 0: its redirection table cannot be set
	uint8_t tx_flags;       // FRAME_TX_* that the device fills in
	uint64_t tx_marks;      // RTE_MBUF_F_RX_* that the other end of a pair is to see
	bool tso, tso6;         // cuts TCP segments over IPv4, IPv6
	bool tso_mtu_l2;        // into frames of the MTU with their Ethernet headers, not without
	bool exact_queues;      // spreads over all queues it has, so each must be polled
};

/* How far a NIC's hash can be believed. Every queue judges by what it receives. */
enum port_hash_trust {
	PORT_HASH_ABSENT, // the device computes none
	PORT_HASH_ON_TRIAL,
	PORT_HASH_PROVEN,  // equal to ours on all trial frames; samples go on
	PORT_HASH_REFUTED, // differed once: never believed again
};

struct port_hash_trial {
	_Atomic uint32_t trust; // enum port_hash_trust [worker w, ctrl r]
	uint32_t matches;       // [worker]
	uint32_t until_next;    // frames until the next sample [worker]
};

struct port_backlog {
	uint32_t head, tail; // [worker] they only grow; masked on use
	uint32_t waiting;    // [worker] what was head at moved_ns
	uint64_t moved_ns;   // [worker]
	struct rte_mbuf *frames[PORT_TX_BACKLOG];
};

struct port_fault;

struct port_queue {
	uint16_t port_id;            // [const]
	uint16_t index;              // [const]
	uint16_t frame_max;          // [const] bytes of the longest frame on the wire
	uint16_t tso_frame_max;      // [const] of one that the device makes
	uint8_t tx_flags;            // [const] FRAME_TX_* that the device fills in
	uint64_t tx_marks;           // [const] mbuf flags of every frame sent
	struct rte_mempool *rx_pool; // [const]
	struct port_fault *fault;    // [const] once workers run; NULL: none
	struct port_hash_trial hash, hash6; // of IPv4, of IPv6
	struct port_backlog backlog; // [worker]
};

/* What a kernel interface under a port was like before we touched it. */
struct port_kernel_link {
	char name[16]; // "" when the port is not on a kernel interface
	bool brought_up;
	uint16_t mtu;
	uint16_t mtu_before; // 0: not changed
};

struct port {
	uint16_t id;
	uint16_t queues_count;
	uint16_t rx_descs, tx_descs;
	uint16_t mtu;
	int numa_node;
	bool started;
	bool virtual_device;
	bool multicast;
	uint8_t mac[6];
	uint8_t rss_key[UINT8_MAX]; // DPDK keeps the pointer and reads the key at each start
	char name[64];
	char driver[32];
	struct port_caps caps;
	struct port_kernel_link link;
	struct rte_mempool *rx_pool;
	struct rte_mempool *tx_pool;
	struct rte_mempool *control_pool; // reserve for frames without payload
	struct port_queue *queues[PORT_QUEUES_MAX];
};

/* port_log.c: what DPDK says goes to our log; the last complaint explains a failure. */
void port_log_start(void);
void port_log_stop(void);
void port_log_forget(void);
const char *port_log_last(void);

/* Writes why, with the last complaint of DPDK behind it when there is one; returns error. */
int port_fail(int error, char *why, const char *format, ...) PRINTF(3, 4);

/* port_device.c: from a device string to an ethdev and back. */
bool port_device_is_virtual(const char *device);
int port_device_attach(const char *device, uint16_t *id, char *why);
void port_device_detach(uint16_t id);
const char *port_system_device(unsigned index);

/* port_pair.c: two ports of this process back to back. */
bool port_pair_is(const char *device);
int port_pair_attach(const char *device, uint16_t *id, char *why);
void port_pair_describe(const char *device, struct port *port); // what the driver does not know
void port_pair_detach(const char *name);                        // after its device has gone

/* port_kernel.c: the kernel interface that some virtual devices sit on. */
int port_kernel_prepare(const char *device, struct port_kernel_link *link, char *why);
int port_kernel_up(struct port_kernel_link *link, char *why);
void port_kernel_restore(struct port_kernel_link *link);

/* port_caps.c */
void port_caps_probe(const struct rte_eth_dev_info *info, bool no_tso, struct port_caps *caps);

/* port_pool.c */
int port_pools_new(struct port *port, const struct port_config *config, char *why);
void port_pools_free(struct port *port);

/* port_hash.c: receive side scaling, and whether its hash is ours. */
void port_hash_configure(const struct port_caps *caps, uint8_t *key, struct rte_eth_conf *conf);
void port_hash_spread(const struct port *port);
bool port_hash_believed(struct port_hash_trial *trial, const struct rte_mbuf *mbuf);
bool port_hash_is_ip6(const struct rte_mbuf *mbuf);

/* port_checksum.c */
void port_checksum_fill(uint8_t *data, uint32_t len, uint8_t l2_len, uint8_t l3_len, uint8_t flags);
void port_checksum_request(struct rte_mbuf *mbuf, uint8_t l2_len, uint8_t l3_len, uint8_t flags);
void port_tso_request(struct rte_mbuf *mbuf, const struct frame *frame, bool fills_ip4);
uint8_t port_checksum_ip(uint64_t rx_flags);
uint8_t port_checksum_l4(uint64_t rx_flags);

/* port_fault.c: both give back how many mbufs are in `out`. */
struct port_fault_burst {
	struct rte_mbuf **in;
	uint16_t in_count;
	uint16_t out_max;
	struct rte_mbuf **out;
};

#define PORT_FAULT_OUT_MAX (4 * PORT_BURST_MAX) // a sent burst, its duplicates, and what comes due

struct port_fault *port_fault_new(const struct port_fault_config *config);
void port_fault_free(struct port_fault *fault);
uint16_t port_fault_rx(struct port_fault *fault, const struct port_fault_burst *burst,
		       uint64_t now_ns, struct drop_counters *drops);
uint16_t port_fault_tx(struct port_fault *fault, const struct port_fault_burst *burst,
		       uint64_t now_ns, struct drop_counters *drops);
