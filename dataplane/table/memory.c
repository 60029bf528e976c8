/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include "base/contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

/*
 * Where items, nodes and blobs live, and how many bytes they take. Each thread counts what it
 * allocates and what it frees by the allocator's own size classes; a thread's number alone means
 * nothing, the sum over all of them is exact.
 *
 * With a region, each writer has a jemalloc arena of its own over it and is bound to it, so that
 * the automatic thread cache serves the common case (23 cycles, against 45 to 60 for an explicit
 * one). Memory that another thread frees returns to the arena it came from; when our own arena is
 * out of room we therefore ask the others'.
 */

static __thread struct table_thread *own_thread; // the last one opened here

/*
 * Freed memory in debug builds. To whoever still looks at it an item of these bytes has no option
 * and is not about to change, so it shows a wrong key and value, and no pointer into nowhere.
 */
#define POISON 0x10

_Static_assert((POISON & (ITEM_OPTIONS | ITEM_REWRITTEN | ITEM_CHANGES)) == 0,
	       "nobody follows or waits for what is in it");

static void poison(void *ptr, size_t size_bytes)
{
#ifdef HOT_ASSERTS
	memset(ptr, POISON, size_bytes);
#endif
}

/* A blob carries its table in front, for whoever drops the last reference. */
struct table_blob {
	struct table *table;
	uint64_t size_bytes;
	struct blob blob;
};

#ifdef HAVE_JEMALLOC

/*
 * Pages of a slab, by size class. jemalloc keeps 128 bytes of books for each, which is two bytes an
 * item where a slab has 64: it is to have 256 or more.
 */
const char *malloc_conf =
	"slab_sizes:32-32:4|48-48:6|64-64:8|80-80:10|96-96:12|112-112:14|128-128:8";

/*
 * Extent hooks: carve from the region, keep for ever, split and merge freely. They may not
 * allocate.
 */
struct region_hooks {
	extent_hooks_t hooks; // first: jemalloc hands us its address
	struct region *region;
};

static void *hook_alloc(extent_hooks_t *hooks, void *wanted, size_t size, size_t alignment,
			bool *zero, bool *commit, unsigned arena)
{
	struct region *region = CONTAINER_OF(hooks, struct region_hooks, hooks)->region;

	if (wanted)
		return NULL;
	void *ptr = table__region_take(region, size, alignment);

	if (ptr) {
		*zero = true; // carved once, straight from the kernel
		*commit = true;
	}
	return ptr;
}

static bool hook_dalloc(extent_hooks_t *hooks, void *ptr, size_t size, bool committed,
			unsigned arena)
{
	return true; // refused: the arena retains it
}

static bool hook_split(extent_hooks_t *hooks, void *ptr, size_t size, size_t size_a, size_t size_b,
		       bool committed, unsigned arena)
{
	return false;
}

static bool hook_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b,
		       bool committed, unsigned arena)
{
	return false;
}

/* One per process would not do: tests open several tables. Never freed, as arenas are not. */
static extent_hooks_t *hooks_new(struct region *region)
{
	struct region_hooks *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->hooks = (extent_hooks_t){
		.alloc = hook_alloc,
		.dalloc = hook_dalloc,
		.split = hook_split,
		.merge = hook_merge,
	};
	h->region = region;
	return &h->hooks;
}

static int arena_set(unsigned arena, const char *name, void *value, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "arena.%u.%s", arena, name);
	return mallctl(path, NULL, NULL, value, size);
}

/* As jemalloc 5.3 reads it; its header does not show it. */
struct arena_config {
	extent_hooks_t *hooks;
	bool metadata_use_hooks; // no: the allocator's own books stay out of the region
};

static int arena_new(struct table_thread *t)
{
	struct arena_config config = {.hooks = hooks_new(&t->table->region)};
	size_t len = sizeof(t->arena);
	size_t grow_limit = 2 << 20;
	ssize_t at_once = 0; // retained pieces are merged eagerly, dirty ones hardly ever

	if (!config.hooks ||
	    mallctl("experimental.arenas_create_ext", &t->arena, &len, &config, sizeof(config)))
		return -ENOMEM;
	t->arena_made = true;
	arena_set(t->arena, "dirty_decay_ms", &at_once, sizeof(at_once));
	arena_set(t->arena, "muzzy_decay_ms", &at_once, sizeof(at_once));
	arena_set(t->arena, "retain_grow_limit", &grow_limit, sizeof(grow_limit));
	return 0;
}

int table__arena_bind(struct table_thread *t)
{
	size_t len = sizeof(t->arena_before);

	if (t->table->region.size_bytes == 0 || !t->may_write)
		return 0;
	if (!t->arena_made && arena_new(t))
		return -ENOMEM;
	if (mallctl("thread.arena", &t->arena_before, &len, &t->arena, sizeof(t->arena)))
		return -ENOMEM;
	mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	return 0;
}

void table__arena_unbind(struct table_thread *t)
{
	if (t->table->region.size_bytes == 0 || !t->may_write)
		return;
	mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	mallctl("thread.arena", NULL, NULL, &t->arena_before, sizeof(t->arena_before));
}

/* Our arena is out of room: another may have what was freed elsewhere. */
static COLD void *alloc_from_others(struct table_thread *t, size_t size_bytes)
{
	struct table *table = t->table;
	uint32_t count = atomic_load_explicit(&table->thread_count, memory_order_acquire);
	void *ptr = NULL;

	for (uint32_t i = 0; i < count && !ptr && table->region.size_bytes; i++) {
		struct table_thread *other = atomic_load(&table->threads[i]);

		if (other && other != t && other->arena_made)
			ptr = mallocx(size_bytes,
				      MALLOCX_ARENA(other->arena) | MALLOCX_TCACHE_NONE);
	}
	return ptr;
}

static void *allocate(struct table_thread *t, size_t size_bytes)
{
	void *ptr = mallocx(size_bytes, 0);

	return likely(ptr) ? ptr : alloc_from_others(t, size_bytes);
}

static void release(void *ptr, size_t size_bytes)
{
	poison(ptr, size_bytes);
	sdallocx(ptr, size_bytes, 0);
}

#else

int table__arena_bind(struct table_thread *t)
{
	return 0;
}

void table__arena_unbind(struct table_thread *t)
{
}

static void *allocate(struct table_thread *t, size_t size_bytes)
{
	return malloc(size_bytes);
}

static void release(void *ptr, size_t size_bytes)
{
	poison(ptr, size_bytes);
	free(ptr);
}

#endif

/*
 * The sums said that there is room, and there is none in one piece: free memory is torn between
 * sizes and arenas. The target that eviction works towards is lowered a little each time, and
 * rises again when it has been quiet.
 */
static COLD void note_torn(struct table_thread *t)
{
	struct table *table = t->table;
	uint64_t torn = atomic_load_explicit(&table->torn_bytes, memory_order_relaxed);

	t->memory_short = true;
	if (torn < table->region.size_bytes / 2)
		atomic_fetch_add_explicit(&table->torn_bytes, table->region.size_bytes / 128,
					  memory_order_relaxed);
}

/* About once a second. */
void table__torn_decay(struct table *table)
{
	uint64_t torn = atomic_load_explicit(&table->torn_bytes, memory_order_relaxed);

	atomic_fetch_sub_explicit(&table->torn_bytes, torn / 32, memory_order_relaxed);
}

void *table__alloc(struct table_thread *t, size_t size_bytes)
{
	void *ptr = allocate(t, size_bytes);

	if (unlikely(!ptr)) {
		note_torn(t);
		return NULL;
	}
	counter_add(&t->memory_bytes, table__usable_bytes(size_bytes));
	return ptr;
}

void table__dealloc(struct table_thread *t, void *ptr, size_t size_bytes)
{
	counter_sub(&t->memory_bytes, table__usable_bytes(size_bytes));
	release(ptr, size_bytes);
}

void table__own_thread_set(struct table_thread *t)
{
	own_thread = t;
}

static void blob_release(struct blob *blob)
{
	struct table_blob *own = CONTAINER_OF(blob, struct table_blob, blob);
	struct table *table = own->table;

	if (own_thread && own_thread->table == table) {
		table__dealloc(own_thread, own, own->size_bytes);
		return;
	}
	atomic_fetch_sub_explicit(&table->foreign_memory_bytes,
				  table__usable_bytes(own->size_bytes), memory_order_relaxed);
	release(own, own->size_bytes);
}

struct blob *table_blob_new(struct table_thread *t, uint64_t capacity)
{
	REQUIRE(t->may_write);
	if (capacity > ITEM_VALUE_MAX)
		return NULL;
	uint64_t size_bytes = sizeof(struct table_blob) + capacity;
	struct table_blob *own = table__alloc(t, size_bytes);

	if (!own)
		return NULL;
	own->table = t->table;
	own->size_bytes = size_bytes;
	atomic_init(&own->blob.refs, 1);
	own->blob.reserved = 0;
	own->blob.release = blob_release;
	own->blob.len = 0;
	own->blob.capacity = capacity;
	return &own->blob;
}

/* The parts change while we add them up; a sum that is momentarily below zero is shown as zero. */
static uint64_t not_negative(uint64_t sum)
{
	return (int64_t)sum < 0 ? 0 : sum;
}

uint64_t table__memory_sum(const struct table *table)
{
	uint32_t count = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&table->thread_count,
					      memory_order_acquire);
	uint64_t sum = atomic_load_explicit(
		(_Atomic uint64_t *)(uintptr_t)&table->foreign_memory_bytes, memory_order_relaxed);

	for (uint32_t i = 0; i < count; i++)
		sum += counter_read(&table->threads[i]->memory_bytes);
	return not_negative(sum) + counter_read(&table->index_bytes) +
	       counter_read(&table->ghost_bytes);
}

uint64_t table__limbo_sum(const struct table *table)
{
	uint32_t count = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&table->thread_count,
					      memory_order_acquire);
	uint64_t sum = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&table->orphan_bytes,
					    memory_order_relaxed);

	for (uint32_t i = 0; i < count; i++)
		sum += counter_read(&table->threads[i]->limbo_bytes);
	return not_negative(sum);
}
