/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/endian.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* memcached's binary protocol (its protocol_binary.h and doc/protocol-binary.xml). */

#define MC_BINARY_REQUEST  0x80
#define MC_BINARY_RESPONSE 0x81

enum mc_binary_opcode {
	MC_BINARY_GET = 0x00,
	MC_BINARY_SET = 0x01,
	MC_BINARY_ADD = 0x02,
	MC_BINARY_REPLACE = 0x03,
	MC_BINARY_DELETE = 0x04,
	MC_BINARY_INCREMENT = 0x05,
	MC_BINARY_DECREMENT = 0x06,
	MC_BINARY_QUIT = 0x07,
	MC_BINARY_FLUSH = 0x08,
	MC_BINARY_GETQ = 0x09,
	MC_BINARY_NOOP = 0x0a,
	MC_BINARY_VERSION = 0x0b,
	MC_BINARY_GETK = 0x0c,
	MC_BINARY_GETKQ = 0x0d,
	MC_BINARY_APPEND = 0x0e,
	MC_BINARY_PREPEND = 0x0f,
	MC_BINARY_STAT = 0x10,
	MC_BINARY_SETQ = 0x11,
	MC_BINARY_ADDQ = 0x12,
	MC_BINARY_REPLACEQ = 0x13,
	MC_BINARY_DELETEQ = 0x14,
	MC_BINARY_INCREMENTQ = 0x15,
	MC_BINARY_DECREMENTQ = 0x16,
	MC_BINARY_QUITQ = 0x17,
	MC_BINARY_FLUSHQ = 0x18,
	MC_BINARY_APPENDQ = 0x19,
	MC_BINARY_PREPENDQ = 0x1a,
	MC_BINARY_TOUCH = 0x1c,
	MC_BINARY_GAT = 0x1d,
	MC_BINARY_GATQ = 0x1e,
	MC_BINARY_SASL_LIST = 0x20,
	MC_BINARY_SASL_AUTH = 0x21,
	MC_BINARY_SASL_STEP = 0x22,
	MC_BINARY_GATK = 0x23,
	MC_BINARY_GATKQ = 0x24,
	MC_BINARY_CONFIG_GET = 0x60, // ElastiCache's, as its client for Java sends them
	MC_BINARY_CONFIG_SET = 0x64,
	MC_BINARY_CONFIG_DELETE = 0x66,
	MC_BINARY_OPCODES = 0x67,
};

enum mc_binary_status {
	MC_BINARY_OK = 0x00,
	MC_BINARY_KEY_ENOENT = 0x01,
	MC_BINARY_KEY_EEXISTS = 0x02,
	MC_BINARY_E2BIG = 0x03,
	MC_BINARY_EINVAL = 0x04,
	MC_BINARY_NOT_STORED = 0x05,
	MC_BINARY_DELTA_BADVAL = 0x06,
	MC_BINARY_AUTH_ERROR = 0x20,
	MC_BINARY_AUTH_CONTINUE = 0x21,
	MC_BINARY_UNKNOWN_COMMAND = 0x81,
	MC_BINARY_ENOMEM = 0x82,
	MC_BINARY_ETMPFAIL = 0x86,
};

/* What a packet begins with; a response has a status where a request has reserved bytes. */
struct mc_binary_header {
	uint8_t magic;
	uint8_t opcode;
	struct be16 key_len;
	uint8_t extras_len;
	uint8_t data_type;
	struct be16 status;
	struct be32 body_len; // extras, key and value
	uint32_t opaque;      // as it came
	struct be32 cas_high, cas_low;
} __attribute__((packed));

_Static_assert(sizeof(struct mc_binary_header) == 24, "protocol_binary.h");

/* A request, decoded. */
struct mc_binary {
	uint8_t opcode;  // as it came
	uint8_t command; // the same without "quiet"
	bool quiet;      // only what went wrong is answered, of reads only what was found
	bool closes;     // the connection ends with the answer
	bool too_large;  // of a value that is being dropped
	bool malformed;  // no packet at all: the connection ends without a word
	uint8_t status;  // enum mc_binary_status: not MC_BINARY_OK is all there is to answer
	uint8_t mode;    // enum kv_mode, of what stores
	uint32_t opaque;
	uint32_t flags, exptime;
	uint64_t cas_unique, delta, initial;
	struct slice key;
};

#define MC_BINARY_NO_INITIAL UINT32_MAX // exptime of a counter that is not to be made
