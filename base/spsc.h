/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A bounded ring of pointers from one producer thread to one consumer thread: no lock, no
 * allocation after spsc_init(). Each side keeps a copy of the other's index and looks at the shared
 * one only when the copy says full or empty.
 *
 * Handshake: the producer stores `tail` with release after it has filled the entries; the consumer
 * loads it with acquire before it reads them. `head` the other way round for reuse.
 */
struct spsc {
	CACHE_ALIGNED _Atomic uint32_t tail; // [producer w, consumer r]
	uint32_t head_seen;                  // [producer]
	CACHE_ALIGNED _Atomic uint32_t head; // [consumer w, producer r]
	uint32_t tail_seen;                  // [consumer]
	CACHE_ALIGNED void **entries;        // [const]
	uint32_t mask;                       // [const] capacity - 1
};

/*
 * capacity: entries, a power of two. Returns false when there is no memory. Any thread, before use.
 */
bool spsc_init(struct spsc *ring, uint32_t capacity);
void spsc_fini(struct spsc *ring);

/* Producer. Returns how many of `count` went in, in order; the rest did not fit. */
uint32_t spsc_push(struct spsc *ring, void *const *items, uint32_t count);

/* Consumer. Returns how many came out, at most `max`. */
uint32_t spsc_pop(struct spsc *ring, void **items, uint32_t max);

/* Either side: a recent number of waiting entries. */
uint32_t spsc_count(const struct spsc *ring);
