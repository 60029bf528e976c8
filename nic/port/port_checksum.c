/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "base/endian.h"
#include "nic/port/port_internal.h"

#include <netinet/in.h>
#include <string.h>

/*
 * Internet checksums (RFC 1071) of frames to send, for ports that cannot, and the translation of
 * DPDK's per-packet flags both ways. Called by port_queue.c on the worker that owns the queue.
 * Offsets come from our own stack; lengths out of the packet are bounded by the frame nevertheless.
 */

#define IP4_HEADER_MIN      20
#define IP4_CHECKSUM_OFFSET 10
#define IP6_HEADER          40
#define TCP_CHECKSUM_OFFSET 16
#define UDP_CHECKSUM_OFFSET 6

/*
 * Adds up 32-bit words, which RFC 1071 (2) allows as well as 16-bit ones; a 64-bit sum has room for
 * 2^32 of them.
 */
static uint64_t sum_bytes(const uint8_t *at, size_t len, uint64_t sum)
{
	uint64_t other = 0;
	uint64_t both;
	uint32_t word;
	uint16_t half;

	for (; len >= 8; len -= 8, at += 8) {
		memcpy(&both, at, 8);
		sum += (uint32_t)both;
		other += both >> 32;
	}
	sum += other;
	if (len & 4) {
		memcpy(&word, at, 4);
		sum += word;
		at += 4;
	}
	if (len & 2) {
		memcpy(&half, at, 2);
		sum += half;
		at += 2;
	}
	if (len & 1)
		sum += *at;
	return sum;
}

static uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static bool is_ip6(const uint8_t *ip)
{
	return ip[0] >> 4 == 6;
}

/*
 * Bytes behind the IP header as the header says, which is less than the frame has when that is
 * padded.
 */
static uint32_t l4_len_of(const uint8_t *ip, uint8_t l3_len, uint32_t room)
{
	uint32_t len = is_ip6(ip) ? be16_load(ip + 4) + IP6_HEADER : be16_load(ip + 2);

	len = len > l3_len ? len - l3_len : 0;
	return len < room ? len : room;
}

static uint64_t sum_pseudo_header(const uint8_t *ip, uint8_t protocol, uint32_t l4_len)
{
	uint64_t sum = is_ip6(ip) ? sum_bytes(ip + 8, 32, 0) : sum_bytes(ip + 12, 8, 0);

	return sum + be16_from_host(protocol).raw + be16_from_host((uint16_t)l4_len).raw;
}

static void put_raw(uint8_t *at, uint16_t raw)
{
	memcpy(at, &raw, sizeof(raw));
}

static void fill_l4(const uint8_t *ip, uint8_t l3_len, uint32_t room, bool tcp)
{
	uint8_t *l4 = (uint8_t *)(uintptr_t)ip + l3_len;
	uint8_t *field = l4 + (tcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET);
	uint32_t l4_len = l4_len_of(ip, l3_len, room);
	uint16_t checksum;

	put_raw(field, 0);
	checksum = (uint16_t)~sum_fold(sum_bytes(
		l4, l4_len, sum_pseudo_header(ip, tcp ? IPPROTO_TCP : IPPROTO_UDP, l4_len)));
	// A UDP checksum of 0 would mean that there is none (RFC 768).
	put_raw(field, checksum == 0 && !tcp ? 0xffff : checksum);
}

static void fill_ip4(uint8_t *ip, uint8_t l3_len)
{
	put_raw(ip + IP4_CHECKSUM_OFFSET, 0);
	put_raw(ip + IP4_CHECKSUM_OFFSET, (uint16_t)~sum_fold(sum_bytes(ip, l3_len, 0)));
}

void port_checksum_fill(uint8_t *data, uint32_t len, uint8_t l2_len, uint8_t l3_len, uint8_t flags)
{
	uint8_t *ip = data + l2_len;
	uint32_t headers = (uint32_t)l2_len + l3_len;

	HOT_ASSERT(l3_len >= IP4_HEADER_MIN);
	HOT_ASSERT(len >= headers);
	if (flags & FRAME_TX_IP4_CHECKSUM)
		fill_ip4(ip, l3_len);
	if (flags & (FRAME_TX_TCP_CHECKSUM | FRAME_TX_UDP_CHECKSUM))
		fill_l4(ip, l3_len, len - headers, (flags & FRAME_TX_TCP_CHECKSUM) != 0);
}

void port_checksum_request(struct rte_mbuf *mbuf, uint8_t l2_len, uint8_t l3_len, uint8_t flags)
{
	uint8_t *ip = rte_pktmbuf_mtod(mbuf, uint8_t *) + l2_len;
	uint64_t request = is_ip6(ip) ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;

	mbuf->l2_len = l2_len;
	mbuf->l3_len = l3_len;
	if (flags & FRAME_TX_IP4_CHECKSUM) {
		put_raw(ip + IP4_CHECKSUM_OFFSET, 0);
		request |= RTE_MBUF_F_TX_IP_CKSUM;
	}
	if (flags & (FRAME_TX_TCP_CHECKSUM | FRAME_TX_UDP_CHECKSUM)) {
		bool tcp = (flags & FRAME_TX_TCP_CHECKSUM) != 0;
		uint32_t l4_len = l4_len_of(ip, l3_len, mbuf->data_len - l2_len - l3_len);
		uint64_t sum = sum_pseudo_header(ip, tcp ? IPPROTO_TCP : IPPROTO_UDP, l4_len);

		// A NIC sums up to the end of the frame. Padding, as of a received frame that is
		// sent back, is not part of the packet; the NIC adds its own.
		mbuf->data_len = (uint16_t)(l2_len + l3_len + l4_len);
		mbuf->pkt_len = mbuf->data_len;
		// Most NICs add the payload to what they find here; it is done for all.
		put_raw(ip + l3_len + (tcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET),
			sum_fold(sum));
		request |= tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	}
	mbuf->ol_flags |= request;
}

/*
 * Headers of segments that the device makes: it fills in lengths and checksums, and starts from a
 * pseudo-header without length. One that fills in no IPv4 checksums may hand the frame on whole.
 */
void port_tso_request(struct rte_mbuf *mbuf, const struct frame *frame, bool fills_ip4)
{
	uint8_t *ip = frame->data + frame->l2_len;
	uint8_t *tcp = ip + frame->l3_len;

	mbuf->l2_len = frame->l2_len;
	mbuf->l3_len = frame->l3_len;
	mbuf->l4_len = frame->l4_len;
	mbuf->tso_segsz = frame->tso_mss;
	put_raw(tcp + TCP_CHECKSUM_OFFSET, sum_fold(sum_pseudo_header(ip, IPPROTO_TCP, 0)));
	mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	if (is_ip6(ip)) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_IPV6;
		return;
	}
	mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (fills_ip4) {
		put_raw(ip + IP4_CHECKSUM_OFFSET, 0);
		mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	} else {
		fill_ip4(ip, frame->l3_len);
	}
}

/*
 * By value, never by bit: NONE has both the bit of BAD and that of GOOD set.
 */
uint8_t port_checksum_ip(uint64_t rx_flags)
{
	switch (rx_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
	case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
		return FRAME_CHECKSUM_GOOD;
	case RTE_MBUF_F_RX_IP_CKSUM_BAD:
		return FRAME_CHECKSUM_BAD;
	case RTE_MBUF_F_RX_IP_CKSUM_NONE:
		return FRAME_CHECKSUM_PARTIAL;
	default:
		return FRAME_CHECKSUM_UNKNOWN;
	}
}

uint8_t port_checksum_l4(uint64_t rx_flags)
{
	switch (rx_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
		return FRAME_CHECKSUM_GOOD;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD:
		return FRAME_CHECKSUM_BAD;
	case RTE_MBUF_F_RX_L4_CKSUM_NONE:
		return FRAME_CHECKSUM_PARTIAL;
	default:
		return FRAME_CHECKSUM_UNKNOWN;
	}
}
