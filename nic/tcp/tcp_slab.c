/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_slab.h"

#include <sys/mman.h>

/*
 * The memory of a stack's tables and pools. Called from tcp_new() and tcp_free() only; the path
 * itself uses the inline halves in the header.
 */

#define HUGE_PAGE_BYTES (2u << 20)

bool tcp_slab_init(struct tcp_slab *slab, size_t stride, uint32_t count)
{
	stride = (stride + 7) & ~(size_t)7;

	size_t bytes = stride * (count ? count : 1);
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return false;
	// A million connections on 4 KiB pages would add a TLB miss to each packet.
	if (bytes >= HUGE_PAGE_BYTES)
		(void)madvise(base, bytes, MADV_HUGEPAGE);
	*slab = (struct tcp_slab){.base = base, .stride = stride, .count = count};
	TCP_SLAB_HIDE(base, bytes);
	return true;
}

void tcp_slab_fini(struct tcp_slab *slab)
{
	size_t bytes = slab->stride * (slab->count ? slab->count : 1);

	if (!slab->base)
		return;
	TCP_SLAB_SHOW(slab->base, bytes);
	munmap(slab->base, bytes);
	*slab = (struct tcp_slab){0};
}

void tcp_slab_set_walked(struct tcp_slab *slab)
{
	TCP_SLAB_SHOW(slab->base, slab->stride * slab->count);
	slab->walked = true;
}
