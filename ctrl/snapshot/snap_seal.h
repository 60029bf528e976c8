/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/snapshot/rdb_read.h"
#include "ctrl/snapshot/rdb_write.h"

/*
 * Snapshots that only the holder of a key can read: AES-256-GCM, in chunks, so that nothing is
 * believed of a file that has not been checked, and neither side holds all of it. The chunks are a
 * STREAM (Hoang, Reyhanitabar, Rogaway, Vizar, 2015): their order and their end are part of what is
 * checked.
 *
 *   "WCSEAL01"  8 bytes
 *   salt       32 bytes, random; the key of the file is HKDF-SHA256(key, salt,
 *              "wirecache snapshot")
 *   prefix      7 bytes, random, of all nonces
 *   chunks      65,536 bytes of the RDB file, the last one fewer, each followed by its tag of 16
 *               bytes. Nonce: prefix, number of the chunk (4 bytes, big endian), 1 for the last
 *               one, else 0. The 47 bytes above are associated data of each.
 *
 * One thread each.
 */

#define SNAP_KEY_BYTES 32

struct snap_key {
	uint8_t bytes[SNAP_KEY_BYTES];
};

/*
 * From a file of 32 bytes, or of 64 hexadecimal digits and a line end. 0 or a negative errno, and
 * why in words (SNAP_WHY_MAX bytes).
 */
int snap_key_read(const char *path, struct snap_key *key, char *why);

/* Overwrites it, in a way that no compiler leaves out. */
void snap_key_forget(struct snap_key *key);

struct snap_seal;

/* To the sink go sealed bytes. NULL: no memory, or OpenSSL refuses. */
struct snap_seal *snap_seal_new(const struct snap_key *key, rdb_sink_fn *sink, void *arg);
int snap_seal_write(void *seal, const void *bytes, size_t len); // an rdb_sink_fn
int snap_seal_end(struct snap_seal *seal);                      // the last chunk
void snap_seal_free(struct snap_seal *seal);                    // accepts NULL

/* Whether a file that begins so is sealed; `len` bytes of it. */
#define SNAP_SEAL_MAGIC_BYTES 8
bool snap_is_sealed(const uint8_t *start, size_t len);

struct snap_unseal;

/* From the source come sealed bytes, from the first one on. NULL as above. */
struct snap_unseal *snap_unseal_new(const struct snap_key *key, rdb_source_fn *source, void *arg);

/* An rdb_source_fn. -EBADMSG: another key, or bytes are missing or not as they were written. */
ssize_t snap_unseal_read(void *unseal, void *to, size_t len);
void snap_unseal_free(struct snap_unseal *unseal); // accepts NULL
