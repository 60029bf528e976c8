/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker/worker_internal.h"

#include <stdlib.h>

/*
 * Frames between workers. Which worker owns a flow follows from its hash alone; a port that spreads
 * flows otherwise, or has fewer queues than there are workers, is made up for here. Each pair of
 * workers has a ring for received frames; a worker without a queue has one more, through which its
 * frames reach the worker that sends for it.
 *
 * Handshake of a ring: the producer stores `tail` with release after the entries are filled, the
 * consumer loads it with acquire; `head` the other way round. A full ring drops the newest frame
 * and counts it: TCP sends it again.
 *
 * Handshake of the end: a worker subtracts itself from `serving` with release after its last frame
 * is in its ring. Whoever then reads 0 with acquire sends what it finds there, and nothing follows.
 */

#define FRAME_RING_ENTRIES 1024 // a power of two

struct frame_ring {
	CACHE_ALIGNED _Atomic uint32_t tail; // [producer w, consumer r]
	CACHE_ALIGNED _Atomic uint32_t head; // [consumer w, producer r]
	CACHE_ALIGNED struct frame frames[FRAME_RING_ENTRIES];
};

struct worker_fabric {
	uint32_t count;           // [const] workers
	uint32_t queues;          // [const] workers 0 .. queues - 1 have a queue
	_Atomic uint32_t serving; // workers that still have, or may get, a connection
	struct frame_ring *rx;    // [to * count + from]
	struct frame_ring *tx;    // [from]
};

static bool ring_push(struct frame_ring *ring, const struct frame *frame)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

	if (tail - head == FRAME_RING_ENTRIES)
		return false;
	ring->frames[tail % FRAME_RING_ENTRIES] = *frame;
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return true;
}

static uint16_t ring_pop(struct frame_ring *ring, struct frame *frames, uint16_t max)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t count = atomic_load_explicit(&ring->tail, memory_order_acquire) - head;

	if (count > max)
		count = max;
	for (uint32_t i = 0; i < count; i++)
		frames[i] = ring->frames[(head + i) % FRAME_RING_ENTRIES];
	if (count > 0)
		atomic_store_explicit(&ring->head, head + count, memory_order_release);
	return (uint16_t)count;
}

struct worker_fabric *worker_fabric_new(uint32_t count, uint32_t queues)
{
	struct worker_fabric *fabric = calloc(1, sizeof(*fabric));

	REQUIRE(count > 0 && count <= WORKERS_MAX && queues > 0 && queues <= count);
	if (!fabric)
		return NULL;
	*fabric = (struct worker_fabric){.count = count, .queues = queues};
	size_t rings = (size_t)count * count;

	fabric->rx = aligned_alloc(CACHE_LINE_BYTES, rings * sizeof(fabric->rx[0]));
	fabric->tx = aligned_alloc(CACHE_LINE_BYTES, count * sizeof(fabric->tx[0]));
	if (!fabric->rx || !fabric->tx) {
		worker_fabric_free(fabric);
		return NULL;
	}
	memset(fabric->rx, 0, rings * sizeof(fabric->rx[0]));
	memset(fabric->tx, 0, count * sizeof(fabric->tx[0]));
	return fabric;
}

static void ring_drain(struct frame_ring *ring)
{
	struct frame frames[PORT_BURST_MAX];
	uint16_t count;

	while ((count = ring_pop(ring, frames, PORT_BURST_MAX)) > 0)
		port_free(frames, count);
}

void worker_fabric_free(struct worker_fabric *fabric)
{
	if (!fabric)
		return;
	for (uint32_t i = 0; fabric->rx && i < fabric->count * fabric->count; i++)
		ring_drain(&fabric->rx[i]);
	for (uint32_t i = 0; fabric->tx && i < fabric->count; i++)
		ring_drain(&fabric->tx[i]);
	free(fabric->rx);
	free(fabric->tx);
	free(fabric);
}

void worker_steer_out(struct worker *w, uint32_t owner, struct frame *frame)
{
	struct worker_fabric *fabric = w->config.fabric;

	if (ring_push(&fabric->rx[owner * fabric->count + w->config.id], frame)) {
		counter_add(&w->stats.count[WORKER_COUNT_STEERED_OUT], 1);
		return;
	}
	drop_count(&w->stats.drops, DROP_STEER_RING_FULL);
	port_free(frame, 1);
}

uint16_t worker_steer_in(struct worker *w, struct frame *frames, uint16_t max)
{
	struct worker_fabric *fabric = w->config.fabric;
	uint16_t count = 0;

	for (uint32_t i = 1; i < fabric->count; i++) {
		uint32_t from = (w->config.id + i) % fabric->count;
		struct frame_ring *ring = &fabric->rx[w->config.id * fabric->count + from];

		count += ring_pop(ring, &frames[count], (uint16_t)(max - count));
	}
	if (count > 0)
		counter_add(&w->stats.count[WORKER_COUNT_STEERED_IN], count);
	return count;
}

void worker_steer_tx(struct worker *w)
{
	struct frame_ring *ring = &w->config.fabric->tx[w->config.id];

	for (uint32_t i = 0; i < w->tx_count; i++) {
		if (!ring_push(ring, &w->tx[i])) {
			drop_count(&w->stats.drops, DROP_STEER_RING_FULL);
			port_free(&w->tx[i], 1);
		}
	}
}

/*
 * Sends for the workers without a queue that are this one's to serve. Returns the number of frames.
 */
uint32_t worker_steer_tx_for_others(struct worker *w)
{
	struct worker_fabric *fabric = w->config.fabric;
	uint32_t sent = 0;

	if (likely(fabric->queues == fabric->count) || !w->config.queue)
		return 0;
	for (uint32_t from = w->config.id + fabric->queues; from < fabric->count;
	     from += fabric->queues) {
		struct frame frames[PORT_BURST_MAX];
		uint16_t count = ring_pop(&fabric->tx[from], frames, PORT_BURST_MAX);

		if (count > 0)
			port_tx(w->config.queue, frames, count, w->now_ns, &w->stats.drops);
		sent += count;
	}
	return sent;
}

void worker_steer_join(struct worker *w)
{
	atomic_fetch_add_explicit(&w->config.fabric->serving, 1, memory_order_relaxed);
}

void worker_steer_leave(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->config.fabric->serving, 1, memory_order_release);
}

bool worker_steer_all_left(const struct worker *w)
{
	return atomic_load_explicit(&w->config.fabric->serving, memory_order_acquire) == 0;
}
