/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_write.h"

#include "base/endian.h"
#include "base/number.h"
#include "ctrl/snapshot/rdb_crc.h"

#include <errno.h>
#include <liblzf/lzf.h>
#include <stdlib.h>
#include <string.h>

/*
 * Called by snap_save.c for each item of a snapshot. Encodes strings as redis' rdb.c does: short
 * numbers as such, what is longer than 20 bytes packed where that makes it shorter.
 */

#define NUMBER_LEN_MAX 11 // digits and sign of a number of 32 bits
#define PACK_LEN_MIN   21
#define PACK_GAIN_MIN  4
#define PACK_LEN_MAX   (512U << 20)

int rdb_writer_init(struct rdb_writer *w, rdb_sink_fn *sink, void *arg, bool compress)
{
	*w = (struct rdb_writer){
		.sink = sink, .arg = arg, .compress = compress, .buffer = malloc(RDB_WRITE_BYTES)};
	rdb_crc_init();
	return w->buffer ? 0 : -ENOMEM;
}

void rdb_writer_fini(struct rdb_writer *w)
{
	free(w->buffer);
	free(w->packed);
}

/* --- bytes --- */

static void send(struct rdb_writer *w, const void *bytes, size_t len)
{
	if (w->error == 0 && len > 0)
		w->error = w->sink(w->arg, bytes, len);
}

static void flush(struct rdb_writer *w)
{
	send(w, w->buffer, w->have);
	w->have = 0;
}

static void put(struct rdb_writer *w, const void *bytes, size_t len)
{
	w->crc = rdb_crc(w->crc, bytes, len);
	w->bytes += len;
	if (len > RDB_WRITE_BYTES - w->have)
		flush(w);
	if (len > RDB_WRITE_BYTES) {
		send(w, bytes, len);
		return;
	}
	memcpy(w->buffer + w->have, bytes, len);
	w->have += len;
}

static void put_byte(struct rdb_writer *w, uint8_t byte)
{
	put(w, &byte, 1);
}

static void put_le(struct rdb_writer *w, uint64_t value, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	put(w, bytes, len);
}

/* --- lengths and strings --- */

static void put_length(struct rdb_writer *w, uint64_t length)
{
	uint8_t bytes[9];

	if (length < 1U << 6) {
		put_byte(w, (uint8_t)length);
	} else if (length < 1U << 14) {
		put_byte(w, (uint8_t)(RDB_LEN_14BIT << 6 | length >> 8));
		put_byte(w, (uint8_t)length);
	} else if (length <= UINT32_MAX) {
		bytes[0] = RDB_LEN_32BIT;
		be32_store(bytes + 1, (uint32_t)length);
		put(w, bytes, 5);
	} else {
		bytes[0] = RDB_LEN_64BIT;
		be32_store(bytes + 1, (uint32_t)(length >> 32));
		be32_store(bytes + 5, (uint32_t)length);
		put(w, bytes, 9);
	}
}

static void put_encoding(struct rdb_writer *w, enum rdb_encoding encoding)
{
	put_byte(w, (uint8_t)(RDB_LEN_SPECIAL << 6 | encoding));
}

static bool put_number(struct rdb_writer *w, struct slice text)
{
	int64_t value;

	if (text.len > NUMBER_LEN_MAX || !number_parse_i64(text, &value) || value < INT32_MIN ||
	    value > INT32_MAX)
		return false;
	if (value >= INT8_MIN && value <= INT8_MAX) {
		put_encoding(w, RDB_ENC_INT8);
		put_le(w, (uint64_t)value, 1);
	} else if (value >= INT16_MIN && value <= INT16_MAX) {
		put_encoding(w, RDB_ENC_INT16);
		put_le(w, (uint64_t)value, 2);
	} else {
		put_encoding(w, RDB_ENC_INT32);
		put_le(w, (uint64_t)value, 4);
	}
	return true;
}

/* False: it does not become shorter, or there is no memory to try. */
static bool put_packed(struct rdb_writer *w, struct slice text)
{
	size_t room = text.len - PACK_GAIN_MIN;

	if (room > w->packed_room) {
		uint8_t *more = realloc(w->packed, room);

		if (!more)
			return false;
		w->packed = more;
		w->packed_room = room;
	}
	unsigned packed_len = lzf_compress(text.ptr, (unsigned)text.len, w->packed, (unsigned)room);

	if (packed_len == 0)
		return false;
	put_encoding(w, RDB_ENC_LZF);
	put_length(w, packed_len);
	put_length(w, text.len);
	put(w, w->packed, packed_len);
	return true;
}

static void put_string(struct rdb_writer *w, struct slice text)
{
	if (put_number(w, text))
		return;
	if (w->compress && text.len >= PACK_LEN_MIN && text.len <= PACK_LEN_MAX &&
	    put_packed(w, text))
		return;
	put_length(w, text.len);
	put(w, text.ptr, text.len);
}

/* --- the file --- */

static void put_aux(struct rdb_writer *w, const char *name, struct slice value)
{
	put_byte(w, RDB_AUX);
	put_string(w, slice_of_text(name));
	put_string(w, value);
}

static void put_aux_number(struct rdb_writer *w, const char *name, uint64_t value)
{
	uint8_t text[NUMBER_TEXT_MAX];

	put_aux(w, name, slice_of(text, number_encode_u64(value, text)));
}

void rdb_write_header(struct rdb_writer *w, uint64_t now_s, uint64_t keys, uint64_t keys_expiring)
{
	put(w, RDB_MAGIC "0010", RDB_HEADER_BYTES);
	put_aux(w, "redis-ver", SLICE_LITERAL("7.0.0")); // whose format it is
	put_aux_number(w, "redis-bits", 64);
	put_aux_number(w, "ctime", now_s);
	put_byte(w, RDB_SELECTDB);
	put_length(w, 0);
	put_byte(w, RDB_RESIZEDB);
	put_length(w, keys);
	put_length(w, keys_expiring);
}

void rdb_write_memcached(struct rdb_writer *w, uint64_t unique, uint32_t flags)
{
	uint8_t bytes[RDB_UNIQUE_BYTES + RDB_MC_FLAGS_BYTES];

	for (uint32_t i = 0; i < RDB_UNIQUE_BYTES; i++)
		bytes[i] = (uint8_t)(unique >> (8 * i));
	for (uint32_t i = 0; i < RDB_MC_FLAGS_BYTES; i++)
		bytes[RDB_UNIQUE_BYTES + i] = (uint8_t)(flags >> (8 * i));
	put_aux(w, RDB_AUX_MEMCACHED,
		slice_of(bytes, RDB_UNIQUE_BYTES + (flags ? RDB_MC_FLAGS_BYTES : 0)));
}

void rdb_write_pair(struct rdb_writer *w, struct slice key, struct slice value, uint64_t expire_ms)
{
	if (expire_ms) {
		put_byte(w, RDB_EXPIRETIME_MS);
		put_le(w, expire_ms, 8);
	}
	put_byte(w, RDB_TYPE_STRING);
	put_string(w, key);
	put_string(w, value);
}

int rdb_write_end(struct rdb_writer *w)
{
	put_byte(w, RDB_EOF);
	put_le(w, w->crc, 8);
	flush(w);
	return w->error;
}
