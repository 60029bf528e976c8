/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/info/info.h"

#include "ctrl/info/info_internal.h"

/*
 * MEMORY STATS: the memory section of INFO as the map that redis 7.0 answers, in its order. What
 * belongs to features that are not there is 0, as with redis while they are not in use. Control
 * thread.
 */

#define FIELDS 27 // and one more for the database, unless it is empty

static void field_integer(struct reply *r, const char *name, uint64_t value)
{
	reply_bulk_text(r, name);
	reply_integer(r, (int64_t)value);
}

static void field_real(struct reply *r, const char *name, double value)
{
	reply_bulk_text(r, name);
	r->ops->real(r, value);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void write_parts(struct reply *r, const struct table_stats *table)
{
	static const char *const nothing[] = {
		"startup.allocated", "replication.backlog", "clients.slaves", "clients.normal",
		"cluster.links",     "aof.buffer",          "lua.caches",     "functions.caches",
	};

	field_integer(r, "peak.allocated", table->memory_peak_bytes);
	field_integer(r, "total.allocated", table->memory_bytes);
	for (size_t i = 0; i < ARRAY_COUNT(nothing); i++)
		field_integer(r, nothing[i], 0);
	if (table->items > 0) {
		reply_bulk_text(r, "db.0");
		reply_map(r, 3);
		field_integer(r, "overhead.hashtable.main", table->index_bytes);
		field_integer(r, "overhead.hashtable.expires", 0);
		field_integer(r, "overhead.hashtable.slot-to-keys", 0);
	}
}

static void write_sums(struct reply *r, const struct table_stats *table)
{
	uint64_t overhead = info__overhead_bytes(table);
	uint64_t dataset = table->memory_bytes > overhead ? table->memory_bytes - overhead : 0;

	field_integer(r, "overhead.total", overhead);
	field_integer(r, "keys.count", table->items);
	field_integer(r, "keys.bytes-per-key",
		      table->items > 0 ? table->memory_bytes / table->items : 0);
	field_integer(r, "dataset.bytes", dataset);
	field_real(r, "dataset.percentage", percent(dataset, table->memory_bytes));
	field_real(r, "peak.percentage", percent(table->memory_bytes, table->memory_peak_bytes));
}

/* As INFO has them: the region is reserved at start, so that nothing there can be a surplus. */
static void write_allocator(struct reply *r, const struct table_stats *table)
{
	field_integer(r, "allocator.allocated", table->memory_bytes);
	field_integer(r, "allocator.active", table->memory_bytes);
	field_integer(r, "allocator.resident", table->region_bytes);
	field_real(r, "allocator-fragmentation.ratio", 1);
	field_integer(r, "allocator-fragmentation.bytes", 0);
	field_real(r, "allocator-rss.ratio", 1);
	field_integer(r, "allocator-rss.bytes", 0);
	field_real(r, "rss-overhead.ratio", 1);
	field_integer(r, "rss-overhead.bytes", 0);
	field_real(r, "fragmentation", 1);
	field_integer(r, "fragmentation.bytes", 0);
}

void info_memory_stats(struct reply *r, const struct table_stats *table)
{
	reply_map(r, FIELDS + (table->items > 0));
	write_parts(r, table);
	write_sums(r, table);
	write_allocator(r, table);
}
