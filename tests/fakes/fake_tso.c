/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fakes/fake_tso.h"

#include "base/endian.h"
#include "nic/tcp/tcp_options.h"

#include <string.h>

/* TCP segmentation offload as NICs do it: the header is the same but for number and flags. */

bool fake_tso_part(const struct tcp_segment *whole, uint32_t index, struct tcp_segment *part,
		   uint8_t *header)
{
	uint32_t mss = whole->tso_mss ? whole->tso_mss : whole->payload_len;
	uint32_t skip = index * mss, left;

	if (index > 0 && skip >= whole->payload_len)
		return false;
	left = whole->payload_len - skip;
	if (left > mss)
		left = mss;
	*part = *whole;
	part->tso_mss = 0;
	part->payload_count = 0;
	part->payload_len = left;
	memcpy(header, whole->header.ptr, whole->header.len);
	part->header = slice_of(header, whole->header.len);
	be32_store(header + 4, be32_load(header + 4) + skip);
	if (skip + left < whole->payload_len)
		header[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	for (uint32_t i = 0; i < whole->payload_count && left > 0; i++) {
		uint32_t len = (uint32_t)whole->payload[i].len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len = len - skip < left ? len - skip : left;
		part->payload[part->payload_count++] = slice_of(whole->payload[i].ptr + skip, len);
		left -= len;
		skip = 0;
	}
	return true;
}
