/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-64 with the polynomial of Jones, as redis' crc64.c: begins with 0, and may be continued. Any
 * thread, after rdb_crc_init().
 */
void rdb_crc_init(void);
uint64_t rdb_crc(uint64_t crc, const void *bytes, size_t len);
