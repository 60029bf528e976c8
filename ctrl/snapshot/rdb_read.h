/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "base/slice.h"
#include "ctrl/snapshot/rdb.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads an RDB file pair by pair. Nothing in it is believed: a length is good for as many bytes as
 * come, no more memory is taken than those and the limits below allow, and whatever is wrong is an
 * error in words with the place where it stands. One thread.
 */

/* Up to `len` bytes, at least one; 0: the end; negative: -errno. */
typedef ssize_t rdb_source_fn(void *arg, void *to, size_t len);

#define RDB_WHY_MAX      256
#define RDB_KEY_SHOWN    64 // bytes of a key in an error
#define RDB_BUFFER_BYTES (256U << 10)

/* Bytes of a key or a value, kept until the next pair. */
struct rdb_bytes {
	uint8_t *ptr;
	size_t len, room;
};

struct rdb_reader {
	rdb_source_fn *source;
	void *arg;
	uint64_t key_max, value_max; // bytes
	uint64_t offset;             // of what has been taken from the buffer
	uint64_t crc;                // up to `checked`
	uint32_t version;
	uint64_t database;       // that pairs are in
	uint64_t keys_announced; // by RESIZEDB; 0: not said
	uint32_t libraries;      // of functions, left out
	struct rdb_bytes key, value, packed;
	size_t at, checked, have; // in the buffer
	uint8_t *buffer;          // RDB_BUFFER_BYTES
	char why[RDB_WHY_MAX];
};

struct rdb_pair {
	struct slice key, value; // good until the next call
	bool expires;
	int64_t expire_ms;  // Unix time, if so
	uint64_t mc_unique; // 0: not said
	uint32_t mc_flags;
};

enum rdb_result {
	RDB_PAIR,
	RDB_DONE, // the end, with a right checksum if there is one
	RDB_BAD,  // reader->why says what and where
};

/* 0 or -ENOMEM. Keys and values longer than these (bytes) are errors. */
int rdb_reader_init(struct rdb_reader *reader, rdb_source_fn *source, void *arg, uint64_t key_max,
		    uint64_t value_max);
void rdb_reader_fini(struct rdb_reader *reader);

/* What can be printed of a key, cut short; the rest as dots. */
void rdb_key_text(struct slice key, char text[RDB_KEY_SHOWN + 1]);

/* The header is read by the first call. After RDB_DONE and RDB_BAD there is none. */
MUST_USE enum rdb_result rdb_next(struct rdb_reader *reader, struct rdb_pair *pair);
