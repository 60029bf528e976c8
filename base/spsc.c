/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/spsc.h"

#include "base/contract.h"

#include <stdlib.h>

/*
 * The ring between two threads: worker to worker for steered frames, control to worker and back for
 * mail. Indices run free and wrap at 2^32; their difference is the fill.
 */

bool spsc_init(struct spsc *ring, uint32_t capacity)
{
	REQUIRE(capacity > 0 && (capacity & (capacity - 1)) == 0);
	*ring = (struct spsc){.mask = capacity - 1};
	ring->entries = calloc(capacity, sizeof(ring->entries[0]));
	return ring->entries != NULL;
}

void spsc_fini(struct spsc *ring)
{
	free(ring->entries);
	ring->entries = NULL;
}

uint32_t spsc_push(struct spsc *ring, void *const *items, uint32_t count)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t room = ring->mask + 1 - (tail - ring->head_seen);

	if (room < count) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		room = ring->mask + 1 - (tail - ring->head_seen);
		if (count > room)
			count = room;
	}
	for (uint32_t i = 0; i < count; i++)
		ring->entries[(tail + i) & ring->mask] = items[i];
	atomic_store_explicit(&ring->tail, tail + count, memory_order_release);
	return count;
}

uint32_t spsc_pop(struct spsc *ring, void **items, uint32_t max)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t count = ring->tail_seen - head;

	if (count == 0) {
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		count = ring->tail_seen - head;
		if (count == 0)
			return 0;
	}
	if (count > max)
		count = max;
	for (uint32_t i = 0; i < count; i++)
		items[i] = ring->entries[(head + i) & ring->mask];
	atomic_store_explicit(&ring->head, head + count, memory_order_release);
	return count;
}

uint32_t spsc_count(const struct spsc *ring)
{
	struct spsc *r = (struct spsc *)(uintptr_t)ring;
	// The head first: read the other way round, a pop in between would make it negative.
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	return atomic_load_explicit(&r->tail, memory_order_acquire) - head;
}
