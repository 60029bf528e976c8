/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/contract.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define TCP_SLAB_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TCP_SLAB_POISON 1
#endif
#endif

#ifdef TCP_SLAB_POISON
#include <sanitizer/asan_interface.h>
#define TCP_SLAB_HIDE(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define TCP_SLAB_SHOW(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define TCP_SLAB_HIDE(ptr, len) ((void)0)
#define TCP_SLAB_SHOW(ptr, len) ((void)0)
#endif

/*
 * A fixed number of equal items in one mapping, made at start. Items that were never used cost no
 * memory: they are handed out in order, and only returned ones are on the free list. Last in, first
 * out, so that a small working set stays in the cache. Address Sanitizer sees a free item as out of
 * bounds.
 */
struct tcp_slab {
	uint8_t *base;
	size_t stride; // bytes
	uint32_t count;
	uint32_t fresh;     // items [fresh, count) were never handed out
	uint8_t *free_head; // the last returned one, which leads to the one before it
	uint32_t used;
	bool walked; // somebody looks at free items too, so the sanitizer lets him
	bool refuse; // for tests: as if all were in use
};

/* False when there is no memory; nothing to undo then. stride is rounded up to 8 bytes. */
bool tcp_slab_init(struct tcp_slab *slab, size_t stride, uint32_t count);
void tcp_slab_fini(struct tcp_slab *slab);

/*
 * Free items may be looked at. All bytes but the first eight are what their last user left, at
 * first 0.
 */
void tcp_slab_set_walked(struct tcp_slab *slab);

static inline void *tcp_slab_at(const struct tcp_slab *slab, uint32_t index)
{
	HOT_ASSERT(index < slab->fresh);
	return slab->base + (size_t)index * slab->stride;
}

static inline uint32_t tcp_slab_index(const struct tcp_slab *slab, const void *item)
{
	return (uint32_t)((size_t)((const uint8_t *)item - slab->base) / slab->stride);
}

/* NULL when all are in use. The bytes are what they were. */
static inline void *tcp_slab_alloc(struct tcp_slab *slab)
{
	uint8_t *item;

	if (unlikely(slab->refuse))
		return NULL;
	if (slab->free_head) {
		item = slab->free_head;
		TCP_SLAB_SHOW(item, slab->stride);
		memcpy(&slab->free_head, item, sizeof(slab->free_head));
	} else if (slab->fresh < slab->count) {
		item = slab->base + (size_t)slab->fresh++ * slab->stride;
		TCP_SLAB_SHOW(item, slab->stride);
	} else {
		return NULL;
	}
	slab->used++;
	return item;
}

static inline void tcp_slab_free(struct tcp_slab *slab, void *item)
{
	HOT_ASSERT(tcp_slab_index(slab, item) < slab->fresh && slab->used > 0);
	memcpy(item, &slab->free_head, sizeof(slab->free_head));
	if (!slab->walked)
		TCP_SLAB_HIDE(item, slab->stride);
	slab->free_head = item;
	slab->used--;
}
