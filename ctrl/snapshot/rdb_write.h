/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "ctrl/snapshot/rdb.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Writes an RDB file pair by pair, of a version that redis 7.0 loads. The first error is kept and
 * ends all further writing; rdb_write_end() returns it. One thread.
 */

/* All of the bytes. 0 or a negative errno. */
typedef int rdb_sink_fn(void *arg, const void *bytes, size_t len);

#define RDB_VERSION_WRITTEN 10 // redis 7.0
#define RDB_WRITE_BYTES     (256U << 10)

struct rdb_writer {
	rdb_sink_fn *sink;
	void *arg;
	bool compress; // strings of more than 20 bytes that become shorter
	int error;
	uint64_t bytes; // of the file so far
	uint64_t crc;
	size_t have;     // in the buffer
	uint8_t *buffer; // RDB_WRITE_BYTES
	uint8_t *packed; // of a long string
	size_t packed_room;
};

/* 0 or -ENOMEM. */
int rdb_writer_init(struct rdb_writer *w, rdb_sink_fn *sink, void *arg, bool compress);
void rdb_writer_fini(struct rdb_writer *w);

/* What is said of the whole file: its time, and about how many keys come. First of all. */
void rdb_write_header(struct rdb_writer *w, uint64_t now_s, uint64_t keys, uint64_t keys_expiring);

/* What the next pair is to memcached's clients. unique: 56 bits. */
void rdb_write_memcached(struct rdb_writer *w, uint64_t unique, uint32_t flags);

/* expire_ms: Unix time, 0: never. */
void rdb_write_pair(struct rdb_writer *w, struct slice key, struct slice value, uint64_t expire_ms);

/* The end and the checksum. 0, or the first error there was. */
MUST_USE int rdb_write_end(struct rdb_writer *w);
