/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"
#include "nic/tcp/tcp_seq.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_HEADER_MIN      20
#define TCP_OPTIONS_MAX     40 // bytes
#define TCP_SACK_BLOCKS_MAX 4
#define TCP_TIMESTAMP_BYTES 12 // with its two NOPs
#define TCP_WSCALE_MAX      14 // RFC 7323 2.3

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

/* The aligned form that all senders use after the handshake: NOP, NOP, kind 8, length 10. */
#define TCP_TIMESTAMP_WORD 0x0101080au

struct tcp_sack_block {
	tcp_seq start;
	tcp_seq end;
};

/* What the options of one segment say. */
struct tcp_options {
	bool has_mss, has_wscale, has_timestamp, sack_permitted;
	uint8_t wscale;
	uint8_t sack_count;
	uint16_t mss;
	uint32_t tsval, tsecr;
	struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX];
};

/*
 * False when they are malformed (RFC 9293 3.1, 3.2): a length of 0 or 1, or one that leads past the
 * end.
 */
MUST_USE bool tcp_options_parse(const uint8_t *bytes, uint32_t len, struct tcp_options *options);

/*
 * Those of a SYN or SYN-ACK, padded to a multiple of 4. Returns their length, at most
 * TCP_OPTIONS_MAX.
 */
uint32_t tcp_options_encode_syn(const struct tcp_options *options, uint8_t *to);

/* Timestamps and SACK blocks of any other segment. */
uint32_t tcp_options_encode(const struct tcp_options *options, uint8_t *to);
