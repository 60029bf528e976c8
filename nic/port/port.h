/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "nic/drop_reason.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Ethernet ports as bursts of frames. This is the only door to DPDK: nothing outside nic/port sees
 * an rte_ type. What a port lacks (checksums, gathering, several queues) is made up for behind this
 * door, so callers ask for everything and never look at capabilities.
 *
 * Life: port_system_start() -> port_open() -> port_start() -> workers poll their queue ->
 * port_stop() -> port_close() -> port_system_stop(). All of it but the queue calls on the main
 * thread.
 */

/* What is known of the checksums of a received frame. Only UNKNOWN asks for work. */
enum frame_checksum {
	FRAME_CHECKSUM_UNKNOWN, // nobody looked: verify in software
	FRAME_CHECKSUM_GOOD,    // the port verified it
	FRAME_CHECKSUM_BAD,     // the port found it wrong
	FRAME_CHECKSUM_PARTIAL, // not filled in, but the data never left trusted memory: accept
};

/* What the port is to fill in before the frame leaves. */
#define FRAME_TX_IP4_CHECKSUM 0x01
#define FRAME_TX_TCP_CHECKSUM 0x02
#define FRAME_TX_UDP_CHECKSUM 0x04

/*
 * One Ethernet frame in one contiguous buffer. Received: `data` may be read and written until the
 * frame is given to port_free() or port_tx(). To send: `data` has `room` bytes, and what
 * port_frame_append() adds lies in further buffers.
 */
struct frame {
	uint8_t *data;
	void *buffer;           // the port's own handle
	uint32_t len;           // bytes, without the frame check sequence
	uint32_t room;          // bytes that fit at data
	uint32_t hash;          // flow hash of the NIC, valid if has_hash
	bool has_hash;
	bool has_vlan;
	uint16_t vlan;          // control field of a tag the port took off, valid if has_vlan
	uint8_t ip_checksum;    // enum frame_checksum, received
	uint8_t l4_checksum;    // enum frame_checksum, received
	uint8_t tx_flags;       // FRAME_TX_*, to send
	uint8_t l2_len;         // bytes of Ethernet header and tag, to send with tx_flags
	uint8_t l3_len;         // bytes of IP header, to send with tx_flags
	uint8_t l4_len;         // bytes of TCP header, to send with tso_mss
	uint16_t tso_mss;       // payload bytes of each segment the device is to make of it; 0: one
};

#define PORT_BURST_MAX    32
#define PORT_FRAME_ROOM   2048 // bytes of a TX frame; a port's MTU is at most this less the headers
#define PORT_CONTROL_ROOM 256  // bytes of a frame without payload
#define PORT_TSO_BYTES    (32 << 10) // payload of a frame that the device cuts, at most

/* Settings of the packet system (DPDK's EAL) as a whole. */
struct port_system_config {
	const char *program;        // argv[0] for messages
	char *const *eal_args;      // further EAL arguments, as after "--" on the command line
	int eal_args_count;
	const char *const *devices; // "net_af_packet0,iface=veth0", "0000:3b:00.0": one per port
	int devices_count;
	bool huge_pages;            // false: ordinary pages (--no-huge)
	uint32_t memory_mib;        // for packet buffers and rings
	const int *worker_cores;    // CPU of each worker
	int workers_count;
};

struct port_config {
	uint16_t queues_wanted; // queue pairs; the port may have fewer: see port_queues()
	uint16_t rx_descs;      // 0: a good default for the port
	uint16_t tx_descs;
	uint16_t mtu;           // bytes of IP packet; 0: the port's own
	uint32_t buffers;       // packet buffers; 0: computed from queues and descriptors
	uint32_t extra_buffers; // held elsewhere at most: steering rings, out-of-order queues
	bool multicast;         // take frames to groups, too (IPv6)
	bool no_tso;            // cut no segments, even if the port could
};

/* What one can tell a user about an open port. */
struct port_info {
	char name[64];
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t queues;
	uint16_t rx_descs;
	uint16_t tx_descs;
	bool rx_checksum; // verified by the port
	bool tx_checksum; // filled in by the port
	// Payload of a TCP segment that the port cuts (TSO), over IPv4 and IPv6; 0: it cannot. Not
	// before faults have been set: damaged frames are single ones.
	uint32_t tso_bytes, tso6_bytes;
	bool hash_proven; // frame.hash equals port_flow_hash() for every frame
	bool virtual_device;
	int numa_node;    // -1: unknown
};

/* Counters of a port as a whole, as the driver counts them. */
struct port_counters {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint64_t rx_missed, rx_errors, rx_no_buffer, tx_errors;
	uint32_t buffers_total, buffers_free;
};

/*
 * Seeded faults for tests, applied to received and sent frames alike. Rates are per 10,000 frames.
 */
struct port_fault_config {
	uint64_t seed;
	uint16_t drop, duplicate, reorder, corrupt, delay;
	uint32_t delay_us; // for `delay`; reordering holds a frame back for up to 8 frames
};

struct port;       // an Ethernet port
struct port_queue; // one queue pair of it; owned by one worker

/*
 * Functions that return int return 0 or a negative errno and say why in `why` (a buffer of
 * PORT_WHY_MAX bytes), in words that tell a user what to do.
 */
#define PORT_WHY_MAX 256

int port_system_start(const struct port_system_config *config, char *why);
void port_system_stop(void);

/* One more virtual device, which becomes the last port. After the start. */
int port_system_add(const char *device, char *why);
unsigned port_count(void);

int port_open(unsigned index, const struct port_config *config, struct port **port, char *why);
int port_start(struct port *port, char *why);
void port_stop(struct port *port);
void port_close(struct port *port);

void port_info(const struct port *port, struct port_info *info);
void port_counters(const struct port *port, struct port_counters *counters); // control thread
bool port_link_up(const struct port *port);                                  // control thread

/*
 * Any thread that is not an EAL thread and touches queues or frames, at its start and end. 0 or
 * -errno.
 */
int port_thread_attach(void);
void port_thread_detach(void);

/* NULL when the port has no such queue. Main thread, after port_open(). */
struct port_queue *port_queue(struct port *port, uint16_t index);
uint16_t port_queues(const struct port *port);

/* Switches the fault layer of a queue on (or off with NULL). Main thread before the workers run. */
int port_queue_set_faults(struct port_queue *queue, const struct port_fault_config *config);

/* Worker that owns the queue. Returns the number of frames, at most `max` (<= PORT_BURST_MAX). */
uint16_t port_rx(struct port_queue *queue, struct frame *frames, uint16_t max, uint64_t now_ns,
		 struct drop_counters *drops);

/*
 * A TX frame of PORT_FRAME_ROOM bytes, len 0. False, counted, when there is none. `port` may be
 * shared: buffers come from the calling thread's cache. Any attached thread.
 */
bool port_frame_alloc(struct port *port, struct frame *frame, struct drop_counters *drops);

/*
 * The same for a frame without payload, of PORT_CONTROL_ROOM bytes: when data has taken all buffers
 * there is a reserve, so that the ACKs leave that set some free.
 */
bool port_frame_alloc_control(struct port *port, struct frame *frame, struct drop_counters *drops);

/*
 * Adds payload to a frame with tso_mss: what does not fit into its buffer goes into further ones.
 * False, counted, when there are not enough; the frame is good for port_free() then. The thread
 * that allocated it.
 */
bool port_frame_append(struct port *port, struct frame *frame, const struct slice *parts,
		       uint32_t count, struct drop_counters *drops);

/* Gives back a frame that is not sent. Any attached thread. */
void port_free(struct frame *frames, uint16_t count);

/*
 * Hands over all frames; what the device does not take at once waits in a bounded software queue
 * and goes first in the next call. What does not fit there is dropped and counted. count may be 0,
 * to push the software queue. Worker that owns the queue.
 */
void port_tx(struct port_queue *queue, struct frame *frames, uint16_t count, uint64_t now_ns,
	     struct drop_counters *drops);

/*
 * The hash that decides which worker owns a flow: Toeplitz (Microsoft RSS) over source address,
 * destination address, source port, destination port as received, with a key drawn at start that is
 * also given to ports that can hash. `tuple` is 12 bytes in wire order for IPv4. Any thread.
 */
uint32_t port_flow_hash(const uint8_t *tuple, uint32_t len);

/*
 * Which of `queues` queues (or workers) a hash belongs to. Ports that can are told to spread the
 * same way, so that frames arrive where they belong and steering has nothing to do.
 */
static inline uint16_t port_hash_owner(uint32_t hash, uint16_t queues)
{
	return (uint16_t)((hash & 127) % queues);
}
