/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_flow_hash.h"

#include "base/contract.h"
#include "nic/port/port.h"

#include <string.h>

/*
 * Toeplitz, the hash of Microsoft's Receive Side Scaling, in software. The workers call it for each
 * frame that brings no proven hash from its NIC; whoever opens a connection calls it to learn which
 * worker will get the answer.
 *
 * The hash is linear over XOR: the hash of a tuple is the XOR of the hashes of its bytes, each in
 * its place. One table of 256 words per place makes that one load and one XOR per byte. A table is
 * 1 KiB, but of the places that carry our own address and port always the same word is read, so
 * what is hot is far less than 12 KiB.
 */

#define OWNER_BITS              7  // of the hash that choose a worker
#define SOURCE_ADDRESS_LAST_BIT 31 // the lowest one of the IPv4 source address in the tuple
#define SOURCE_PORT_LAST_BIT    79

static uint8_t hash_key[PORT_FLOW_HASH_KEY_BYTES];
static uint32_t tables[PORT_FLOW_HASH_TUPLE_BYTES][256];

static uint32_t key_window(const uint8_t *key, uint32_t bit);

void port_flow_hash_init(const uint8_t key[PORT_FLOW_HASH_KEY_BYTES])
{
	memcpy(hash_key, key, sizeof(hash_key));
	for (uint32_t place = 0; place < PORT_FLOW_HASH_TUPLE_BYTES; place++) {
		uint32_t *table = tables[place];

		table[0] = 0;
		for (uint32_t bit = 0; bit < 8; bit++) {
			uint32_t half = 1u << bit;
			uint32_t word = key_window(key, place * 8 + 7 - bit);

			for (uint32_t low = 0; low < half; low++)
				table[half + low] = table[low] ^ word;
		}
	}
}

const uint8_t *port_flow_hash_key(void)
{
	return hash_key;
}

/*
 * Rank over GF(2) of the low bits that the seven input bits ending at `last_bit` contribute: seven
 * means that all 128 of their values lead to different low bits.
 */
static bool full_rank(const uint8_t *key, uint32_t last_bit)
{
	uint32_t pivots[OWNER_BITS] = {0}; // by leading bit

	for (uint32_t i = 0; i < OWNER_BITS; i++) {
		uint32_t row = key_window(key, last_bit - i) & ((1u << OWNER_BITS) - 1);

		for (uint32_t bit = OWNER_BITS; bit-- > 0 && row != 0;) {
			if (!(row >> bit & 1))
				continue;
			if (pivots[bit] == 0) {
				pivots[bit] = row;
				break;
			}
			row ^= pivots[bit];
		}
		if (row == 0)
			return false;
	}
	return true;
}

bool port_flow_hash_key_spreads(const uint8_t key[PORT_FLOW_HASH_KEY_BYTES])
{
	return full_rank(key, SOURCE_PORT_LAST_BIT) && full_rank(key, SOURCE_PORT_LAST_BIT - 1) &&
	       full_rank(key, SOURCE_ADDRESS_LAST_BIT);
}

uint32_t port_flow_hash(const uint8_t *tuple, uint32_t len)
{
	uint32_t hash = 0;

	HOT_ASSERT(len <= PORT_FLOW_HASH_TUPLE_BYTES);
	// The usual tuple gets a loop of constant length, which the compiler unrolls.
	if (likely(len == 12)) {
#pragma GCC unroll 12
		for (uint32_t i = 0; i < 12; i++)
			hash ^= tables[i][tuple[i]];
		return hash;
	}
	for (uint32_t i = 0; i < len; i++)
		hash ^= tables[i][tuple[i]];
	return hash;
}

/*
 * The 32 bits of the key that begin at a bit; the most significant bit of the first byte is bit 0.
 */
static uint32_t key_window(const uint8_t *key, uint32_t bit)
{
	const uint8_t *at = key + bit / 8;
	uint64_t five = (uint64_t)at[0] << 32 | (uint64_t)at[1] << 24 | (uint64_t)at[2] << 16 |
			(uint64_t)at[3] << 8 | at[4];

	return (uint32_t)(five >> (8 - bit % 8));
}

_Static_assert(PORT_FLOW_HASH_TUPLE_BYTES + 4 == PORT_FLOW_HASH_KEY_BYTES,
	       "the window of the last byte ends with the key");
