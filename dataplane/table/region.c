/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <errno.h>
#include <sys/mman.h>

/*
 * One range of memory, mapped at start, from which the allocator's extent hooks carve pieces that
 * are never given back, nor is the range itself: threads bound to an arena have allocated other
 * things from it, and thread caches hold addresses in it. Called inside the allocator: nothing
 * here may allocate.
 */

#define PAGE_BYTES      4096
#define HUGE_PAGE_BYTES (2ULL << 20)

static uint64_t round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

int table__region_init(struct region *region, uint64_t size_bytes, bool huge_pages)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t size = round_up(size_bytes, HUGE_PAGE_BYTES);
	void *base = MAP_FAILED;

	*region = (struct region){0};
	if (size_bytes == 0)
		return 0;
	if (huge_pages) // filled at once: a page missing later would be a SIGBUS in the fast path
		base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    (flags & ~MAP_NORESERVE) | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	else
		base = mmap(NULL, size + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	region->base = (uint8_t *)round_up((uintptr_t)base, HUGE_PAGE_BYTES);
	region->size_bytes = size;
	region->populated = huge_pages;
	if (!huge_pages)
		madvise(region->base, size, MADV_HUGEPAGE);
	return 0;
}

/*
 * Has the kernel clear the pages that will be handed out next. They may be in use by the time each
 * is reached, so it is written without a change.
 */
void table__region_touch(struct region *region, uint64_t ahead_bytes)
{
	uint64_t at = atomic_load_explicit(&region->used_bytes, memory_order_relaxed);
	uint64_t to = region->size_bytes - at < ahead_bytes ? region->size_bytes : at + ahead_bytes;

	if (region->populated)
		return;
	if (at < region->touched_bytes)
		at = region->touched_bytes;
	for (; at < to; at += PAGE_BYTES)
		atomic_fetch_or_explicit((_Atomic uint8_t *)region->base + at, 0,
					 memory_order_relaxed);
	if (to > region->touched_bytes)
		region->touched_bytes = to;
}

void *table__region_take(struct region *region, uint64_t size_bytes, uint64_t align_bytes)
{
	uint64_t used = atomic_load_explicit(&region->used_bytes, memory_order_relaxed);
	uint64_t from;

	do {
		from = round_up(used, align_bytes); // the base is aligned to a huge page
		if (align_bytes > HUGE_PAGE_BYTES)
			from = round_up((uintptr_t)region->base + used, align_bytes) -
			       (uintptr_t)region->base;
		if (from > region->size_bytes || size_bytes > region->size_bytes - from)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(&region->used_bytes, &used,
							from + size_bytes, memory_order_relaxed,
							memory_order_relaxed));
	return region->base + from;
}
