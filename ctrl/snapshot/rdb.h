/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * The words of redis' RDB files: "REDIS", four digits of a version, then opcodes and pairs of key
 * and value, RDB_EOF, and a CRC-64 of all before it (8 bytes, little-endian; 0: none was computed).
 *
 * A pair is a byte for the value's type, the key, the value; what is said before it (expiry, idle
 * time, frequency) is the next pair's. Lengths have 6, 14, 32 or 64 bits by the first byte's upper
 * two; where these are RDB_LEN_SPECIAL the lower six say how a string is encoded.
 */
#define RDB_MAGIC        "REDIS"
#define RDB_HEADER_BYTES 9  // with the version
#define RDB_VERSION_READ 12 // at most: redis 7.4
#define RDB_VERSION_CRC  5  // has a checksum

enum rdb_opcode {
	RDB_SLOT_INFO = 244,
	RDB_FUNCTION2 = 245,
	RDB_FUNCTION_PRE_GA = 246,
	RDB_MODULE_AUX = 247,
	RDB_IDLE = 248,
	RDB_FREQ = 249,
	RDB_AUX = 250,
	RDB_RESIZEDB = 251,
	RDB_EXPIRETIME_MS = 252,
	RDB_EXPIRETIME_S = 253,
	RDB_SELECTDB = 254,
	RDB_EOF = 255,
};

#define RDB_TYPE_STRING 0

/*
 * What memcached's clients know of the next pair, as an RDB_AUX that redis passes over: the unique
 * (7 bytes, little-endian), then flags unless they are 0 (4 bytes).
 */
#define RDB_AUX_MEMCACHED  "mc"
#define RDB_UNIQUE_BYTES   7
#define RDB_MC_FLAGS_BYTES 4

enum rdb_length {
	RDB_LEN_6BIT,
	RDB_LEN_14BIT,
	RDB_LEN_LONG,
	RDB_LEN_SPECIAL,
};

#define RDB_LEN_32BIT 0x80 // the whole byte
#define RDB_LEN_64BIT 0x81

enum rdb_encoding {
	RDB_ENC_INT8,
	RDB_ENC_INT16,
	RDB_ENC_INT32,
	RDB_ENC_LZF,
};
