/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_options.h"

#include "base/endian.h"

#include <string.h>

/*
 * TCP options to a struct and back (RFC 9293 3.2, RFC 7323, RFC 2018). Pure functions, called for
 * every segment that is not on the fast path and for every header that is built.
 */

enum option_kind {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WSCALE = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_SACK = 5,
	OPTION_TIMESTAMP = 8,
};

/*
 * One option whose length has been checked to lie within the header. A wrong length for its kind is
 * ignored.
 */
static void read_option(const uint8_t *at, uint32_t len, struct tcp_options *o)
{
	switch (at[0]) {
	case OPTION_MSS:
		if (len == 4) {
			o->has_mss = true;
			o->mss = be16_load(at + 2);
		}
		break;
	case OPTION_WSCALE:
		if (len == 3) {
			o->has_wscale = true;
			o->wscale = at[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : at[2];
		}
		break;
	case OPTION_SACK_PERMITTED:
		if (len == 2)
			o->sack_permitted = true;
		break;
	case OPTION_SACK:
		if ((len - 2) % 8)
			break;
		for (o->sack_count = 0; o->sack_count < (len - 2) / 8; o->sack_count++) {
			const uint8_t *block = at + 2 + o->sack_count * 8;

			if (o->sack_count == TCP_SACK_BLOCKS_MAX)
				break;
			o->sack[o->sack_count].start = be32_load(block);
			o->sack[o->sack_count].end = be32_load(block + 4);
		}
		break;
	case OPTION_TIMESTAMP:
		if (len == 10) {
			o->has_timestamp = true;
			o->tsval = be32_load(at + 2);
			o->tsecr = be32_load(at + 6);
		}
		break;
	default:
		break;
	}
}

bool tcp_options_parse(const uint8_t *bytes, uint32_t len, struct tcp_options *options)
{
	uint32_t at = 0;

	*options = (struct tcp_options){0};
	if (len == TCP_TIMESTAMP_BYTES && be32_load(bytes) == TCP_TIMESTAMP_WORD) {
		read_option(bytes + 2, 10, options);
		return true;
	}
	while (at < len) {
		if (bytes[at] == OPTION_END)
			return true;
		if (bytes[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (len - at < 2 || bytes[at + 1] < 2 || bytes[at + 1] > len - at)
			return false;
		read_option(bytes + at, bytes[at + 1], options);
		at += bytes[at + 1];
	}
	return true;
}

static uint8_t *put_timestamp(uint8_t *to, const struct tcp_options *o)
{
	*to++ = OPTION_TIMESTAMP;
	*to++ = 10;
	be32_store(to, o->tsval);
	be32_store(to + 4, o->tsecr);
	return to + 8;
}

uint32_t tcp_options_encode_syn(const struct tcp_options *o, uint8_t *start)
{
	uint8_t *to = start;

	*to++ = OPTION_MSS;
	*to++ = 4;
	be16_store(to, o->mss);
	to += 2;
	// SACK-permitted takes the place of the two NOPs that would align the timestamps.
	if (o->sack_permitted) {
		*to++ = OPTION_SACK_PERMITTED;
		*to++ = 2;
	}
	if (o->has_timestamp || o->sack_permitted) {
		if (!o->sack_permitted || !o->has_timestamp) {
			*to++ = OPTION_NOP;
			*to++ = OPTION_NOP;
		}
		if (o->has_timestamp)
			to = put_timestamp(to, o);
	}
	if (o->has_wscale) {
		*to++ = OPTION_NOP;
		*to++ = OPTION_WSCALE;
		*to++ = 3;
		*to++ = o->wscale;
	}
	return (uint32_t)(to - start);
}

uint32_t tcp_options_encode(const struct tcp_options *o, uint8_t *start)
{
	uint8_t *to = start;

	if (o->has_timestamp) {
		be32_store(to, TCP_TIMESTAMP_WORD);
		be32_store(to + 4, o->tsval);
		be32_store(to + 8, o->tsecr);
		to += TCP_TIMESTAMP_BYTES;
	}
	if (o->sack_count > 0) {
		*to++ = OPTION_NOP;
		*to++ = OPTION_NOP;
		*to++ = OPTION_SACK;
		*to++ = (uint8_t)(2 + 8 * o->sack_count);
		for (uint32_t i = 0; i < o->sack_count; i++, to += 8) {
			be32_store(to, o->sack[i].start);
			be32_store(to + 4, o->sack[i].end);
		}
	}
	return (uint32_t)(to - start);
}
