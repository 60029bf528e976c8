/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_read.h"

#include "base/compiler.h"
#include "base/endian.h"
#include "base/number.h"
#include "ctrl/snapshot/rdb_crc.h"

#include <errno.h>
#include <inttypes.h>
#include <liblzf/lzf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Called by snap_load.c, pair by pair. Follows redis' rdb.c, of which it reads what this server has
 * types for. Functions return false when reader->why has been set.
 */

#define PIECE_BYTES (1U << 20) // a long string grows by as much at a time

static bool bad(struct rdb_reader *r, const char *format, ...) PRINTF(2, 3);

static bool bad(struct rdb_reader *r, const char *format, ...)
{
	va_list args;
	int len = snprintf(r->why, sizeof(r->why), "at byte %" PRIu64 ": ", r->offset);

	va_start(args, format);
	vsnprintf(r->why + len, sizeof(r->why) - (size_t)len, format, args);
	va_end(args);
	return false;
}

int rdb_reader_init(struct rdb_reader *reader, rdb_source_fn *source, void *arg, uint64_t key_max,
		    uint64_t value_max)
{
	*reader = (struct rdb_reader){
		.source = source,
		.arg = arg,
		.key_max = key_max,
		.value_max = value_max,
		.buffer = malloc(RDB_BUFFER_BYTES),
	};
	rdb_crc_init();
	return reader->buffer ? 0 : -ENOMEM;
}

void rdb_reader_fini(struct rdb_reader *reader)
{
	free(reader->key.ptr);
	free(reader->value.ptr);
	free(reader->packed.ptr);
	free(reader->buffer);
}

/* --- bytes --- */

static void add_to_crc(struct rdb_reader *r)
{
	r->crc = rdb_crc(r->crc, r->buffer + r->checked, r->at - r->checked);
	r->checked = r->at;
}

static bool fill(struct rdb_reader *r)
{
	add_to_crc(r);
	ssize_t got = r->source(r->arg, r->buffer, RDB_BUFFER_BYTES);

	if (got == 0)
		return bad(r, "the file ends too early");
	if (got < 0)
		return bad(r, "cannot be read: %s", strerror((int)-got));
	r->at = r->checked = 0;
	r->have = (size_t)got;
	return true;
}

static bool take(struct rdb_reader *r, void *to, size_t len)
{
	uint8_t *at = to;

	while (len > 0) {
		if (r->at == r->have && !fill(r))
			return false;
		size_t part = r->have - r->at < len ? r->have - r->at : len;

		memcpy(at, r->buffer + r->at, part);
		at += part;
		len -= part;
		r->at += part;
		r->offset += part;
	}
	return true;
}

static bool take_byte(struct rdb_reader *r, uint8_t *byte)
{
	return take(r, byte, 1);
}

/* Little-endian. */
static uint64_t load_le(const uint8_t *from, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

/* As many of the lower bytes as `len`. */
static bool take_le(struct rdb_reader *r, uint64_t *value, size_t len)
{
	uint8_t bytes[8];

	if (!take(r, bytes, len))
		return false;
	*value = load_le(bytes, len);
	return true;
}

static bool make_room(struct rdb_reader *r, struct rdb_bytes *bytes, size_t room)
{
	uint8_t *ptr;

	if (room <= bytes->room)
		return true;
	ptr = realloc(bytes->ptr, room);
	if (!ptr)
		return bad(r, "no memory for a string of %zu bytes", room);
	bytes->ptr = ptr;
	bytes->room = room;
	return true;
}

/* Memory follows what has come, not what was announced. */
static bool take_bytes(struct rdb_reader *r, struct rdb_bytes *bytes, uint64_t len)
{
	bytes->len = 0;
	while (bytes->len < len) {
		size_t left = len - bytes->len;
		size_t part = left < PIECE_BYTES ? left : PIECE_BYTES;
		size_t grown = bytes->len > part ? bytes->len : part;

		if (bytes->room < bytes->len + part &&
		    !make_room(r, bytes, bytes->len + (grown < left ? grown : left)))
			return false;
		if (!take(r, bytes->ptr + bytes->len, part))
			return false;
		bytes->len += part;
	}
	return true;
}

/* --- lengths and strings --- */

/* *encoded: not a length, but how the string is encoded (enum rdb_encoding). */
static bool take_length(struct rdb_reader *r, uint64_t *length, bool *encoded)
{
	uint8_t first, bytes[8];

	*encoded = false;
	if (!take_byte(r, &first))
		return false;
	switch ((enum rdb_length)(first >> 6)) {
	case RDB_LEN_6BIT:
		*length = first & 0x3f;
		return true;
	case RDB_LEN_14BIT:
		if (!take_byte(r, bytes))
			return false;
		*length = (uint64_t)(first & 0x3f) << 8 | bytes[0];
		return true;
	case RDB_LEN_SPECIAL:
		*encoded = true;
		*length = first & 0x3f;
		return true;
	case RDB_LEN_LONG:
		break;
	}
	if (first == RDB_LEN_32BIT && take(r, bytes, 4)) {
		*length = be32_load(bytes);
		return true;
	}
	if (first == RDB_LEN_64BIT && take(r, bytes, 8)) {
		*length = (uint64_t)be32_load(bytes) << 32 | be32_load(bytes + 4);
		return true;
	}
	return r->why[0] ? false : bad(r, "0x%02x begins no length", first);
}

static bool take_plain_length(struct rdb_reader *r, uint64_t *length)
{
	bool encoded;

	if (!take_length(r, length, &encoded))
		return false;
	return !encoded || bad(r, "a length was expected, not an encoding");
}

/* A number of so many bytes, as the text that it stands for. */
static bool take_number(struct rdb_reader *r, struct rdb_bytes *bytes, size_t len)
{
	uint64_t raw;

	if (!take_le(r, &raw, len) || !make_room(r, bytes, NUMBER_TEXT_MAX))
		return false;
	uint32_t unused = 64 - 8 * (uint32_t)len;

	bytes->len = number_encode_i64((int64_t)(raw << unused) >> unused, bytes->ptr);
	return true;
}

static bool take_packed(struct rdb_reader *r, struct rdb_bytes *bytes, uint64_t max)
{
	uint64_t packed_len, len;

	if (!take_plain_length(r, &packed_len) || !take_plain_length(r, &len))
		return false;
	if (len == 0 || len > max || packed_len == 0 || packed_len > max)
		return bad(r,
			   "a compressed string of %" PRIu64 " bytes: 1 to %" PRIu64
			   " are possible",
			   len, max);
	if (!take_bytes(r, &r->packed, packed_len))
		return false;
	// LZF makes at most 264 bytes of three.
	if (len > 88 * packed_len + 264)
		return bad(r, "%" PRIu64 " compressed bytes cannot be %" PRIu64, packed_len, len);
	if (!make_room(r, bytes, len))
		return false;
	bytes->len = len;
	if (lzf_decompress(r->packed.ptr, (unsigned)packed_len, bytes->ptr, (unsigned)len) != len)
		return bad(r, "a compressed string is damaged");
	return true;
}

static bool take_string(struct rdb_reader *r, struct rdb_bytes *bytes, uint64_t max)
{
	uint64_t length;
	bool encoded;

	if (!take_length(r, &length, &encoded))
		return false;
	if (!encoded && length > max)
		return bad(r, "a string of %" PRIu64 " bytes, %" PRIu64 " at most", length, max);
	if (!encoded)
		return take_bytes(r, bytes, length);
	switch (length) {
	case RDB_ENC_INT8:
		return take_number(r, bytes, 1);
	case RDB_ENC_INT16:
		return take_number(r, bytes, 2);
	case RDB_ENC_INT32:
		return take_number(r, bytes, 4);
	case RDB_ENC_LZF:
		return take_packed(r, bytes, max);
	default:
		return bad(r, "an unknown encoding of a string: %" PRIu64, length);
	}
}

/* --- the file --- */

static bool take_header(struct rdb_reader *r)
{
	char header[RDB_HEADER_BYTES + 1] = "";
	uint64_t version;

	if (!take(r, header, RDB_HEADER_BYTES))
		return false;
	if (memcmp(header, RDB_MAGIC, strlen(RDB_MAGIC)) != 0 ||
	    !number_parse_u64(slice_of_text(header + strlen(RDB_MAGIC)), &version))
		return bad(r, "this is no RDB file");
	if (version < 1 || version > RDB_VERSION_READ)
		return bad(r, "RDB version %" PRIu64 ": 1 to %d can be read", version,
			   RDB_VERSION_READ);
	r->version = (uint32_t)version;
	return true;
}

static const char *type_word(uint8_t type)
{
	static const char *const words[] = {
		"string",
		"list",
		"set",
		"sorted set",
		"hash",
		"sorted set",
		"module type",
		"module type",
		NULL,
		"hash",
		"list",
		"set",
		"sorted set",
		"hash",
		"list",
		"stream",
		"hash",
		"sorted set",
		"list",
		"stream",
		"set",
		"stream",
		"hash with fields that expire",
		"hash with fields that expire",
		"hash with fields that expire",
		"hash with fields that expire",
	};

	return type < ARRAY_COUNT(words) ? words[type] : NULL;
}

void rdb_key_text(struct slice key, char text[RDB_KEY_SHOWN + 1])
{
	size_t len = key.len < RDB_KEY_SHOWN ? key.len : RDB_KEY_SHOWN;

	for (size_t i = 0; i < len; i++)
		text[i] = key.ptr[i] >= ' ' && key.ptr[i] < 0x7f ? (char)key.ptr[i] : '.';
	text[len] = '\0';
}

static bool take_pair(struct rdb_reader *r, uint8_t type, struct rdb_pair *pair)
{
	const char *word = type_word(type);
	char key[RDB_KEY_SHOWN + 1];

	if (!word)
		return bad(r, "0x%02x is no type of a value", type);
	if (!take_string(r, &r->key, r->key_max))
		return false;
	pair->key = slice_of(r->key.ptr, r->key.len);
	rdb_key_text(pair->key, key);
	if (type != RDB_TYPE_STRING)
		return bad(r, "key \"%s\" is a %s, and only strings can be kept", key, word);
	if (r->database != 0)
		return bad(r, "key \"%s\" is in database %" PRIu64 ", and there is only 0", key,
			   r->database);
	if (!take_string(r, &r->value, r->value_max))
		return false;
	pair->value = slice_of(r->value.ptr, r->value.len);
	return true;
}

static bool take_end(struct rdb_reader *r)
{
	uint64_t expected;

	add_to_crc(r);
	const uint64_t crc = r->crc;

	if (r->version < RDB_VERSION_CRC)
		return true;
	if (!take_le(r, &expected, sizeof(expected)))
		return false;
	if (expected != 0 && expected != crc)
		return bad(r, "the checksum is %016" PRIx64 ", and should be %016" PRIx64, crc,
			   expected);
	return true;
}

static bool skip_lengths(struct rdb_reader *r, uint32_t count, uint64_t *first)
{
	uint64_t length;

	for (uint32_t i = 0; i < count; i++) {
		if (!take_plain_length(r, &length))
			return false;
		if (i == 0 && first)
			*first = length;
	}
	return true;
}

/* Of the next pair; all others say who wrote the file, and with what settings. */
static bool take_aux(struct rdb_reader *r, struct rdb_pair *pair)
{
	if (!take_string(r, &r->key, r->value_max) || !take_string(r, &r->value, r->value_max))
		return false;
	if (!slice_equal(slice_of(r->key.ptr, r->key.len), SLICE_LITERAL(RDB_AUX_MEMCACHED)))
		return true;
	if (r->value.len != RDB_UNIQUE_BYTES &&
	    r->value.len != RDB_UNIQUE_BYTES + RDB_MC_FLAGS_BYTES)
		return bad(r, "%zu bytes of flags and unique: 7 or 11 are possible", r->value.len);
	pair->mc_unique = load_le(r->value.ptr, RDB_UNIQUE_BYTES);
	pair->mc_flags =
		(uint32_t)load_le(r->value.ptr + RDB_UNIQUE_BYTES, r->value.len - RDB_UNIQUE_BYTES);
	return true;
}

static bool skip_library(struct rdb_reader *r)
{
	r->libraries++;
	return take_string(r, &r->value, r->value_max);
}

static bool take_expiry(struct rdb_reader *r, struct rdb_pair *pair, size_t len, int64_t unit_ms)
{
	uint64_t value;

	if (!take_le(r, &value, len))
		return false;
	pair->expires = true;
	pair->expire_ms = (int64_t)value * unit_ms;
	return true;
}

/* Whatever is no pair, and not the end. */
static bool take_opcode(struct rdb_reader *r, uint8_t opcode, struct rdb_pair *pair)
{
	uint64_t value;

	switch (opcode) {
	case RDB_EXPIRETIME_MS:
		return take_expiry(r, pair, 8, 1);
	case RDB_EXPIRETIME_S:
		return take_expiry(r, pair, 4, 1000);
	case RDB_SELECTDB:
		return take_plain_length(r, &r->database);
	case RDB_RESIZEDB:
		return skip_lengths(r, 2, &r->keys_announced);
	case RDB_SLOT_INFO:
		return skip_lengths(r, 3, NULL);
	case RDB_IDLE:
		return skip_lengths(r, 1, NULL);
	case RDB_FREQ:
		return take_le(r, &value, 1);
	case RDB_AUX:
		return take_aux(r, pair);
	case RDB_FUNCTION2:
		return skip_library(r);
	case RDB_MODULE_AUX:
		return bad(r, "data of a module, which cannot be kept");
	default:
		return bad(r, "an unknown opcode: %u", opcode);
	}
}

/* The last opcodes count back from 255; redis adds to them there, and types at the other end. */
static bool is_opcode(uint8_t byte)
{
	return byte >= RDB_SLOT_INFO;
}

enum rdb_result rdb_next(struct rdb_reader *r, struct rdb_pair *pair)
{
	uint8_t byte;

	*pair = (struct rdb_pair){.expires = false};
	if (r->version == 0 && !take_header(r))
		return RDB_BAD;
	for (;;) {
		if (!take_byte(r, &byte))
			return RDB_BAD;
		if (byte == RDB_EOF)
			return take_end(r) ? RDB_DONE : RDB_BAD;
		if (!is_opcode(byte))
			return take_pair(r, byte, pair) ? RDB_PAIR : RDB_BAD;
		if (!take_opcode(r, byte, pair))
			return RDB_BAD;
	}
}
