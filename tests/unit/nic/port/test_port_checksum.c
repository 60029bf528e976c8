/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/endian.h"
#include "base/rng.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_ip.h>

#include <string.h>

/* Software checksums and the translation of DPDK's flags. No EAL is needed for either. */

#define L2 14

struct packet {
	uint8_t bytes[2048];
	uint32_t len;
	uint8_t l3_len;
};

/*
 * Ethernet, IPv4 with `options` bytes of no-operation options, and a transport header with payload,
 * all random.
 */
static struct packet random_ip4(struct rng *rng, uint8_t protocol, uint32_t options,
				uint32_t l4_len)
{
	struct packet p = {.l3_len = (uint8_t)(20 + options)};
	uint8_t *ip = p.bytes + L2;

	p.len = L2 + p.l3_len + l4_len;
	for (uint32_t i = 0; i < p.len; i++)
		p.bytes[i] = (uint8_t)rng_next(rng);
	ip[0] = (uint8_t)(0x40 | p.l3_len / 4);
	be16_store(ip + 2, (uint16_t)(p.l3_len + l4_len));
	ip[9] = protocol;
	return p;
}

static struct packet random_ip6(struct rng *rng, uint8_t protocol, uint32_t l4_len)
{
	struct packet p = {.l3_len = 40, .len = L2 + 40 + l4_len};
	uint8_t *ip = p.bytes + L2;

	for (uint32_t i = 0; i < p.len; i++)
		p.bytes[i] = (uint8_t)rng_next(rng);
	ip[0] = 0x60;
	be16_store(ip + 4, (uint16_t)l4_len);
	ip[6] = protocol;
	return p;
}

static void test_checksum_ip4_random_packets_verify(void **state)
{
	struct rng rng = rng_seeded(1);

	for (uint32_t i = 0; i < 2000; i++) {
		bool tcp = i % 2;
		uint32_t l4_len = (tcp ? 20 : 8) + rng_below(&rng, 1400);
		struct packet p = random_ip4(&rng, tcp ? IPPROTO_TCP : IPPROTO_UDP,
					     4 * rng_below(&rng, 11), l4_len);
		uint32_t padded = p.len + rng_below(&rng, 40);

		port_checksum_fill(p.bytes, padded, L2, p.l3_len,
				   FRAME_TX_IP4_CHECKSUM |
					   (tcp ? FRAME_TX_TCP_CHECKSUM : FRAME_TX_UDP_CHECKSUM));
		assert_int_equal(rte_raw_cksum(p.bytes + L2, p.l3_len), 0xffff);
		assert_true(fixture_l4_checksum_right(p.bytes + L2, p.l3_len));
	}
}

static void test_checksum_ip6_random_packets_verify(void **state)
{
	struct rng rng = rng_seeded(2);

	for (uint32_t i = 0; i < 500; i++) {
		bool tcp = i % 2;
		struct packet p = random_ip6(&rng, tcp ? IPPROTO_TCP : IPPROTO_UDP,
					     20 + rng_below(&rng, 1400));

		port_checksum_fill(p.bytes, p.len, L2, p.l3_len,
				   tcp ? FRAME_TX_TCP_CHECKSUM : FRAME_TX_UDP_CHECKSUM);
		assert_true(fixture_l4_checksum_right(p.bytes + L2, 40));
	}
}

/*
 * RFC 768: a sum that comes out as 0 is sent as all ones. A random word is corrected until it does.
 */
static void test_checksum_udp_zero_becomes_ones(void **state)
{
	struct rng rng = rng_seeded(3);
	struct packet p = random_ip4(&rng, IPPROTO_UDP, 0, 32);
	uint8_t *l4 = p.bytes + L2 + 20;
	uint16_t checksum, word;

	memset(l4 + 8, 0, 2);
	port_checksum_fill(p.bytes, p.len, L2, 20, FRAME_TX_UDP_CHECKSUM);
	memcpy(&checksum, l4 + 6, 2);
	word = checksum; // adding the checksum makes the sum all ones, and its complement 0
	memcpy(l4 + 8, &word, 2);
	port_checksum_fill(p.bytes, p.len, L2, 20, FRAME_TX_UDP_CHECKSUM);
	assert_int_equal(be16_load(l4 + 6), 0xffff);
}

/*
 * What a NIC adds up from there: the transport bytes as they stand, the pseudo header already in
 * the field.
 */
static void test_checksum_request_leaves_pseudo_header_sum(void **state)
{
	struct rng rng = rng_seeded(4);

	for (uint32_t i = 0; i < 200; i++) {
		struct packet p = random_ip4(&rng, IPPROTO_TCP, 0, 20 + rng_below(&rng, 200));
		uint32_t padded = p.len + rng_below(&rng, 30);
		struct rte_mbuf mbuf = {.buf_addr = p.bytes, .data_len = (uint16_t)padded};
		uint8_t *l4 = p.bytes + L2 + 20;
		uint16_t by_nic;

		port_checksum_request(&mbuf, L2, 20, FRAME_TX_IP4_CHECKSUM | FRAME_TX_TCP_CHECKSUM);
		assert_int_equal(mbuf.ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
							RTE_MBUF_F_TX_TCP_CKSUM);
		assert_int_equal(be16_load(p.bytes + L2 + 10), 0);
		assert_int_equal(mbuf.data_len, p.len);
		assert_int_equal(mbuf.pkt_len, p.len);
		by_nic = (uint16_t)~rte_raw_cksum(l4, mbuf.data_len - L2 - 20);
		memcpy(l4 + 16, &by_nic, 2);
		assert_true(fixture_l4_checksum_right(p.bytes + L2, 20));
	}
}

static const struct {
	const char *name;
	uint64_t flags;
	enum frame_checksum ip, l4;
} flag_cases[] = {
	{"nothing known", 0, FRAME_CHECKSUM_UNKNOWN, FRAME_CHECKSUM_UNKNOWN},
	{"both good", RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
	 FRAME_CHECKSUM_GOOD, FRAME_CHECKSUM_GOOD},
	{"ip bad", RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD, FRAME_CHECKSUM_BAD,
	 FRAME_CHECKSUM_GOOD},
	{"l4 bad", RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD, FRAME_CHECKSUM_GOOD,
	 FRAME_CHECKSUM_BAD},
	{"partial, as between virtual machines",
	 RTE_MBUF_F_RX_IP_CKSUM_NONE | RTE_MBUF_F_RX_L4_CKSUM_NONE, FRAME_CHECKSUM_PARTIAL,
	 FRAME_CHECKSUM_PARTIAL},
	{"other flags do not matter",
	 RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
	 FRAME_CHECKSUM_UNKNOWN, FRAME_CHECKSUM_GOOD},
};

static void test_checksum_flags_are_values_not_bits(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(flag_cases); i++) {
		print_message("%s\n", flag_cases[i].name);
		assert_int_equal(port_checksum_ip(flag_cases[i].flags), flag_cases[i].ip);
		assert_int_equal(port_checksum_l4(flag_cases[i].flags), flag_cases[i].l4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_ip4_random_packets_verify),
		cmocka_unit_test(test_checksum_ip6_random_packets_verify),
		cmocka_unit_test(test_checksum_udp_zero_becomes_ones),
		cmocka_unit_test(test_checksum_request_leaves_pseudo_header_sum),
		cmocka_unit_test(test_checksum_flags_are_values_not_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
