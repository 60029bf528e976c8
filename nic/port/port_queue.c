/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "nic/port/port_internal.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <string.h>

#define BLOCKED_NS_MAX 1000000000u // that one frame may hold up all others

#define RX_FLAGS_KEPT                                                                              \
	(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_RSS_HASH |      \
	 RTE_MBUF_F_RX_VLAN_STRIPPED)

/*
 * The hot half of a port: bursts of frames in and out of one queue pair. Called by the worker that
 * owns the queue, once or twice per loop; it calls the driver. Frames come up linear, with what is
 * known of their checksums; they go down with checksums asked for or filled in, and wait in a
 * bounded backlog while the device takes no more.
 */

static uint16_t receive(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t max,
			uint64_t now_ns, struct drop_counters *drops);
static struct rte_mbuf *linearise(struct port_queue *queue, struct rte_mbuf *chain,
				  struct drop_counters *drops);
static void frame_of_mbuf(struct port_queue *queue, struct rte_mbuf *mbuf, struct frame *frame);
static void send_burst(struct port_queue *queue, struct frame *frames, uint16_t count,
		       uint64_t now_ns, struct drop_counters *drops);
static uint16_t mbufs_of_frames(struct port_queue *queue, struct frame *frames, uint16_t count,
				struct rte_mbuf **mbufs, struct drop_counters *drops);
static uint16_t transmit(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t count,
			 struct drop_counters *drops);
static void backlog_flush(struct port_queue *queue, struct drop_counters *drops);
static void backlog_unblock(struct port_queue *queue, uint64_t now_ns, struct drop_counters *drops);
static void backlog_add(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t count,
			struct drop_counters *drops);

uint16_t port_rx(struct port_queue *queue, struct frame *frames, uint16_t max, uint64_t now_ns,
		 struct drop_counters *drops)
{
	struct rte_mbuf *mbufs[PORT_BURST_MAX];
	uint16_t received;
	uint16_t count = 0;

	HOT_ASSERT(max <= PORT_BURST_MAX);
	received = receive(queue, mbufs, max, now_ns, drops);
	for (uint16_t i = 0; i < received; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (unlikely(mbuf->nb_segs > 1)) {
			mbuf = linearise(queue, mbuf, drops);
			if (!mbuf)
				continue;
		}
		frame_of_mbuf(queue, mbuf, &frames[count++]);
	}
	return count;
}

static bool frame_of_pool(struct rte_mempool *pool, uint32_t room, struct frame *frame)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	if (unlikely(!mbuf))
		return false;
	*frame = (struct frame){
		.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.buffer = mbuf,
		.room = room,
	};
	return true;
}

static bool count_drop(struct drop_counters *drops, enum drop_reason reason)
{
	drop_count(drops, reason);
	return false;
}

bool port_frame_alloc(struct port *port, struct frame *frame, struct drop_counters *drops)
{
	return frame_of_pool(port->tx_pool, PORT_FRAME_ROOM, frame) ||
	       count_drop(drops, DROP_PORT_NO_BUFFER);
}

bool port_frame_alloc_control(struct port *port, struct frame *frame, struct drop_counters *drops)
{
	return frame_of_pool(port->tx_pool, PORT_CONTROL_ROOM, frame) ||
	       frame_of_pool(port->control_pool, PORT_CONTROL_ROOM, frame) ||
	       count_drop(drops, DROP_PORT_NO_BUFFER);
}

bool port_frame_append(struct port *port, struct frame *frame, const struct slice *parts,
		       uint32_t count, struct drop_counters *drops)
{
	struct rte_mbuf *head = frame->buffer, *last = head;
	uint32_t at = frame->len; // in the last buffer

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *from = parts[i].ptr;
		size_t left = parts[i].len;

		while (left > 0) {
			uint32_t n;

			if (at == PORT_FRAME_ROOM) {
				last->next = rte_pktmbuf_alloc(port->tx_pool);
				if (unlikely(!last->next))
					return count_drop(drops, DROP_PORT_NO_BUFFER);
				last = last->next;
				head->nb_segs++;
				at = 0;
			}
			n = PORT_FRAME_ROOM - at < left ? PORT_FRAME_ROOM - at : (uint32_t)left;
			memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, at), from, n);
			at += n;
			last->data_len = (uint16_t)at;
			from += n;
			left -= n;
			frame->len += n;
		}
	}
	return true;
}

void port_free(struct frame *frames, uint16_t count)
{
	struct rte_mbuf *mbufs[PORT_BURST_MAX];

	while (count > 0) {
		uint16_t n = count < PORT_BURST_MAX ? count : PORT_BURST_MAX;

		for (uint16_t i = 0; i < n; i++)
			mbufs[i] = frames[i].buffer;
		rte_pktmbuf_free_bulk(mbufs, n);
		frames += n;
		count = (uint16_t)(count - n);
	}
}

void port_tx(struct port_queue *queue, struct frame *frames, uint16_t count, uint64_t now_ns,
	     struct drop_counters *drops)
{
	while (unlikely(count > PORT_BURST_MAX)) {
		send_burst(queue, frames, PORT_BURST_MAX, now_ns, drops);
		frames += PORT_BURST_MAX;
		count = (uint16_t)(count - PORT_BURST_MAX);
	}
	send_burst(queue, frames, count, now_ns, drops);
}

static void send_burst(struct port_queue *queue, struct frame *frames, uint16_t count,
		       uint64_t now_ns, struct drop_counters *drops)
{
	struct rte_mbuf *mbufs[PORT_FAULT_OUT_MAX];
	uint16_t ready = mbufs_of_frames(queue, frames, count, mbufs, drops);
	uint16_t taken = 0;

	if (unlikely(queue->fault != NULL)) {
		struct rte_mbuf *whole[PORT_BURST_MAX];
		struct port_fault_burst burst = {whole, ready, PORT_FAULT_OUT_MAX, mbufs};

		memcpy(whole, mbufs, ready * sizeof(whole[0]));
		ready = port_fault_tx(queue->fault, &burst, now_ns, drops);
	}
	backlog_flush(queue, drops);
	backlog_unblock(queue, now_ns, drops);
	// What waits goes first, or TCP sees its own segments reordered.
	if (likely(queue->backlog.head == queue->backlog.tail))
		taken = transmit(queue, mbufs, ready, drops);
	backlog_add(queue, mbufs + taken, (uint16_t)(ready - taken), drops);
}

static uint16_t receive(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t max,
			uint64_t now_ns, struct drop_counters *drops)
{
	struct rte_mbuf *whole[PORT_BURST_MAX];
	struct port_fault_burst burst = {.in = whole, .out = mbufs, .out_max = max};
	uint16_t count;

	if (likely(queue->fault == NULL)) {
		count = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, max);
		for (uint16_t i = 0; i < count; i++)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
		return count;
	}
	// Room is kept for duplicates and for frames whose delay is over.
	burst.in_count =
		rte_eth_rx_burst(queue->port_id, queue->index, whole, (uint16_t)(max / 4 + 1));
	return port_fault_rx(queue->fault, &burst, now_ns, drops);
}

/* Copies a chain into one buffer and frees it. NULL, counted, when that does not work out. */
static struct rte_mbuf *linearise(struct port_queue *queue, struct rte_mbuf *chain,
				  struct drop_counters *drops)
{
	enum drop_reason reason = DROP_PORT_RX_OVERSIZE;
	struct rte_mbuf *mbuf = NULL;
	uint32_t at = 0;

	if (chain->pkt_len > PORT_FRAME_ROOM)
		goto drop;
	reason = DROP_PORT_NO_BUFFER;
	mbuf = rte_pktmbuf_alloc(queue->rx_pool);
	if (!mbuf)
		goto drop;
	for (const struct rte_mbuf *seg = chain; seg; seg = seg->next) {
		// Drivers have been seen to disagree with themselves about pkt_len.
		if (seg->data_len > PORT_FRAME_ROOM - at) {
			reason = DROP_PORT_RX_OVERSIZE;
			goto drop;
		}
		memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, at),
		       rte_pktmbuf_mtod(seg, const uint8_t *), seg->data_len);
		at += seg->data_len;
	}
	mbuf->data_len = (uint16_t)at;
	mbuf->pkt_len = at;
	mbuf->ol_flags = chain->ol_flags & RX_FLAGS_KEPT;
	mbuf->hash.rss = chain->hash.rss;
	mbuf->vlan_tci = chain->vlan_tci;
	rte_pktmbuf_free(chain);
	return mbuf;

drop:
	drop_count(drops, reason);
	rte_pktmbuf_free(mbuf);
	rte_pktmbuf_free(chain);
	return NULL;
}

static void frame_of_mbuf(struct port_queue *queue, struct rte_mbuf *mbuf, struct frame *frame)
{
	uint64_t flags = mbuf->ol_flags;

	*frame = (struct frame){
		.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.buffer = mbuf,
		.len = mbuf->data_len,
		.room = (uint32_t)mbuf->buf_len - mbuf->data_off,
		.ip_checksum = port_checksum_ip(flags),
		.l4_checksum = port_checksum_l4(flags),
	};
	// A kernel under us takes tags off before we see the frame.
	if (unlikely(flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) {
		frame->has_vlan = true;
		frame->vlan = mbuf->vlan_tci;
	}
	if (flags & RTE_MBUF_F_RX_RSS_HASH) {
		struct port_hash_trial *trial =
			port_hash_is_ip6(mbuf) ? &queue->hash6 : &queue->hash;

		frame->has_hash = port_hash_believed(trial, mbuf);
		frame->hash = mbuf->hash.rss;
	}
}

/* A frame that the device cuts. */
static void mbuf_of_tso(struct port_queue *queue, struct frame *frame)
{
	uint32_t headers = (uint32_t)frame->l2_len + frame->l3_len + frame->l4_len;
	struct rte_mbuf *mbuf = frame->buffer;

	HOT_ASSERT(!queue->fault);
	mbuf->pkt_len = frame->len;
	if (mbuf->nb_segs == 1)
		mbuf->data_len = (uint16_t)frame->len;
	mbuf->ol_flags = queue->tx_marks;
	port_tso_request(mbuf, frame, queue->tx_flags & FRAME_TX_IP4_CHECKSUM);
	// Where segments begin means nothing to TCP, so shorter ones are as good.
	if (headers + mbuf->tso_segsz > queue->tso_frame_max)
		mbuf->tso_segsz = (uint16_t)(queue->tso_frame_max - headers);
}

static uint16_t mbufs_of_frames(struct port_queue *queue, struct frame *frames, uint16_t count,
				struct rte_mbuf **mbufs, struct drop_counters *drops)
{
	// The fault layer damages frames as a wire would, after the checksums are in.
	uint8_t device_flags = queue->fault ? 0 : queue->tx_flags;
	uint64_t marks = queue->fault ? 0 : queue->tx_marks;
	uint16_t ready = 0;

	for (uint16_t i = 0; i < count; i++) {
		struct frame *frame = &frames[i];
		struct rte_mbuf *mbuf = frame->buffer;
		uint8_t by_device = frame->tx_flags & device_flags;
		uint8_t by_us = frame->tx_flags & (uint8_t)~device_flags;

		if (unlikely(frame->tso_mss != 0)) {
			mbuf_of_tso(queue, frame);
			mbufs[ready++] = mbuf;
			continue;
		}
		if (unlikely(frame->len > queue->frame_max || frame->len == 0)) {
			// A driver would drop it in silence, or stop at it for ever.
			drop_count(drops, DROP_PORT_TX_REFUSED);
			rte_pktmbuf_free(mbuf);
			continue;
		}
		mbuf->data_off = (uint16_t)(frame->data - (uint8_t *)mbuf->buf_addr);
		mbuf->data_len = (uint16_t)frame->len;
		mbuf->pkt_len = frame->len;
		mbuf->ol_flags = marks; // a received frame that is sent on brings flags of its own
		if (by_us)
			port_checksum_fill(frame->data, frame->len, frame->l2_len, frame->l3_len,
					   by_us);
		if (by_device)
			port_checksum_request(mbuf, frame->l2_len, frame->l3_len, by_device);
		mbufs[ready++] = mbuf;
	}
	return ready;
}

/* Returns how many frames are off our hands: taken by the device, or refused by it and dropped. */
static uint16_t transmit(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t count,
			 struct drop_counters *drops)
{
	uint16_t done = 0;

	while (done < count) {
		uint16_t want = (uint16_t)(count - done);
		uint16_t fit = want;
		uint16_t sent;

		if (queue->tx_flags != 0)
			fit = rte_eth_tx_prepare(queue->port_id, queue->index, mbufs + done, want);
		sent = rte_eth_tx_burst(queue->port_id, queue->index, mbufs + done, fit);
		done = (uint16_t)(done + sent);
		if (sent < fit || done == count)
			break;
		// The driver will never send this one, and all the others stand behind it.
		drop_count(drops, DROP_PORT_TX_REFUSED);
		rte_pktmbuf_free(mbufs[done++]);
	}
	return done;
}

static void backlog_flush(struct port_queue *queue, struct drop_counters *drops)
{
	struct port_backlog *backlog = &queue->backlog;

	while (backlog->head != backlog->tail) {
		uint32_t at = backlog->head & (PORT_TX_BACKLOG - 1);
		uint32_t run = backlog->tail - backlog->head;
		uint16_t n, done;

		// Up to the end of the array in one go, and in bursts, which is what drivers
		// expect.
		if (run > PORT_TX_BACKLOG - at)
			run = PORT_TX_BACKLOG - at;
		n = (uint16_t)(run < PORT_BURST_MAX ? run : PORT_BURST_MAX);
		done = transmit(queue, &backlog->frames[at], n, drops);
		backlog->head += done;
		if (done < n)
			return;
	}
}

/*
 * A frame that the device has not taken for so long it may never take, and all others stand behind
 * it: it goes. Of a device that is merely held up, one a second is lost.
 */
static void backlog_unblock(struct port_queue *queue, uint64_t now_ns, struct drop_counters *drops)
{
	struct port_backlog *backlog = &queue->backlog;

	if (likely(backlog->head == backlog->tail) || backlog->waiting != backlog->head) {
		backlog->waiting = backlog->head;
		backlog->moved_ns = now_ns;
		return;
	}
	if (now_ns < backlog->moved_ns + BLOCKED_NS_MAX)
		return;
	drop_count(drops, DROP_PORT_TX_REFUSED);
	rte_pktmbuf_free(backlog->frames[backlog->head++ & (PORT_TX_BACKLOG - 1)]);
}

static void backlog_add(struct port_queue *queue, struct rte_mbuf **mbufs, uint16_t count,
			struct drop_counters *drops)
{
	struct port_backlog *backlog = &queue->backlog;

	for (uint16_t i = 0; i < count; i++) {
		if (unlikely(backlog->tail - backlog->head == PORT_TX_BACKLOG)) {
			drop_count(drops, DROP_PORT_TX_FULL);
			rte_pktmbuf_free(mbufs[i]);
			continue;
		}
		backlog->frames[backlog->tail++ & (PORT_TX_BACKLOG - 1)] = mbufs[i];
	}
}
