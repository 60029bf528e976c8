/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/rdb_crc.h"

#include <pthread.h>
#include <string.h>

/*
 * The checksum of RDB files, eight bytes at a time: table k says what a byte does to the remainder
 * when k more bytes follow it.
 */

#define POLYNOMIAL 0x95ac9329ac4bc9b5ULL // 0xad93d23594c935a9, its bits reversed
#define TABLES     8

static uint64_t tables[TABLES][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint64_t crc = byte;

		for (uint32_t bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		tables[0][byte] = crc;
	}
	for (uint32_t k = 1; k < TABLES; k++)
		for (uint32_t byte = 0; byte < 256; byte++)
			tables[k][byte] =
				tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 0xff];
}

void rdb_crc_init(void)
{
	pthread_once(&once, fill_tables);
}

uint64_t rdb_crc(uint64_t crc, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (; len >= TABLES; at += TABLES, len -= TABLES) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		word ^= crc;
		crc = 0;
		for (uint32_t k = 0; k < TABLES; k++)
			crc ^= tables[TABLES - 1 - k][word >> (8 * k) & 0xff];
	}
	for (; len > 0; at++, len--)
		crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
	return crc;
}
