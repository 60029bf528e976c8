/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/table_internal.h"

#include <errno.h>
#include <time.h>

/*
 * The thread that maps the index ahead of its growth and, without reserved huge pages, touches the
 * region ahead of its use. Mapping and clearing a huge page takes some hundred microseconds, which
 * no worker has; a split only looks whether it has been done. Should this thread be late, growth
 * waits, and buckets get longer chains meanwhile.
 */

#define AHEAD_BYTES    (4ULL << 20) // at least; growth by a million items a second takes 11 MB/s
#define AHEAD_SHIFT    5            // or 1/32 of the index, if that is more
#define REGION_BYTES   (32ULL << 20)
#define AHEAD_SLEEP_NS 2000000

static void map_ahead(struct table *table)
{
	uint64_t bytes_max = table->buckets_max * sizeof(struct bucket);
	uint64_t want =
		atomic_load_explicit(&table->buckets, memory_order_relaxed) * sizeof(struct bucket);

	want += want >> AHEAD_SHIFT > AHEAD_BYTES ? want >> AHEAD_SHIFT : AHEAD_BYTES;
	// No memory now may be memory later.
	(void)table__index_map(table, want < bytes_max ? want : bytes_max, true);
	table__region_touch(&table->region, REGION_BYTES);
}

static void *ahead_main(void *arg)
{
	const struct timespec pause = {.tv_nsec = AHEAD_SLEEP_NS};
	struct table *table = arg;

	while (!atomic_load_explicit(&table->ahead_stops, memory_order_acquire)) {
		map_ahead(table);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Returns 0 or -EAGAIN. Before threads start. */
int table__ahead_start(struct table *table)
{
	map_ahead(table);
	if (pthread_create(&table->ahead_thread, NULL, ahead_main, table) != 0)
		return -EAGAIN;
	pthread_setname_np(table->ahead_thread, "ahead");
	table->ahead_runs = true;
	return 0;
}

void table__ahead_stop(struct table *table)
{
	if (!table->ahead_runs)
		return;
	atomic_store_explicit(&table->ahead_stops, true, memory_order_release);
	pthread_join(table->ahead_thread, NULL);
	table->ahead_runs = false;
}
