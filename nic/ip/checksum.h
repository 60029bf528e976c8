/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"
#include "nic/ip/wire.h"

#include <stdint.h>

/*
 * The Internet checksum (RFC 1071). Sums are kept in the order in which the bytes lie in memory, so
 * nothing is swapped: the sum of big-endian words has the same carries, and the result is stored as
 * it is.
 *
 * A running sum is 64 bits wide; ip_checksum_fold() brings it down to 16. A part other than the
 * last must have an even number of bytes.
 */

/* Adds the bytes of `data` to a running sum. Any length up to 2^31. Pure. */
uint64_t ip_checksum_add(uint64_t sum, struct slice data);

/* The same with nothing but 16-bit words: the twin that the fast one is tested against. */
uint64_t ip_checksum_add_plain(uint64_t sum, struct slice data);

static inline uint16_t ip_checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What goes into a checksum field, for the sum of everything it covers. */
static inline uint16_t ip_checksum_finish(uint64_t sum)
{
	return (uint16_t)~ip_checksum_fold(sum);
}

/* The same for UDP, where an all-zero field means "no checksum" (RFC 768). */
static inline uint16_t ip_checksum_finish_udp(uint64_t sum)
{
	uint16_t field = ip_checksum_finish(sum);

	return field ? field : 0xffff;
}

/* Whether a sum over data that includes its checksum field is right. */
static inline bool ip_checksum_valid(uint64_t sum)
{
	return ip_checksum_fold(sum) == 0xffff;
}

/* The pseudo header over IPv6 (RFC 8200 8.1). l4_len in bytes, below 2^16. */
static inline uint64_t ip_checksum_pseudo6(const struct ip6_header *header, uint8_t protocol,
					   uint32_t l4_len)
{
	struct slice addresses = slice_of(&header->src, 2 * sizeof(header->src));

	return ip_checksum_add(be16_from_host(protocol).raw +
				       (uint64_t)be16_from_host((uint16_t)l4_len).raw,
			       addresses);
}

/* The pseudo header of TCP and UDP over IPv4. l4_len in bytes. */
static inline uint64_t ip_checksum_pseudo(struct be32 src, struct be32 dst, uint8_t protocol,
					  uint32_t l4_len)
{
	return (uint64_t)src.raw + dst.raw + be16_from_host(protocol).raw +
	       be16_from_host((uint16_t)l4_len).raw;
}
