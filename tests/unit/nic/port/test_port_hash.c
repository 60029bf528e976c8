/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/endian.h"
#include "base/rng.h"
#include "nic/port/port_flow_hash.h"
#include "tests/unit/nic/port/port_fixture.h"

#include <rte_ether.h>
#include <rte_ip.h>

#include <string.h>

/* When the hash of a NIC is believed. The NIC is played by mbufs on the stack. */

struct received {
	struct rte_mbuf mbuf;
	uint8_t bytes[128];
};

struct shape {
	const char *name;
	uint16_t ether_type;
	bool vlan;
	uint16_t fragment;
	uint8_t protocol;
	uint8_t header_words;
	uint16_t len;
	bool judged; // compared with our hash at all
};

static const struct shape tcp4 = {"tcp", 0x0800, false, 0, IPPROTO_TCP, 5, 64, true};

static const struct shape shapes[] = {
	{"tcp", 0x0800, false, 0, IPPROTO_TCP, 5, 64, true},
	{"udp", 0x0800, false, 0x4000, IPPROTO_UDP, 5, 64, true},
	{"tcp in a VLAN", 0x0800, true, 0, IPPROTO_TCP, 5, 64, true},
	{"tcp with IP options", 0x0800, false, 0, IPPROTO_TCP, 15, 100, true},
	{"first fragment", 0x0800, false, 0x2000, IPPROTO_TCP, 5, 64, false},
	{"last fragment", 0x0800, false, 0x0010, IPPROTO_TCP, 5, 64, false},
	{"icmp", 0x0800, false, 0, IPPROTO_ICMP, 5, 64, false},
	{"arp", 0x0806, false, 0, IPPROTO_TCP, 5, 64, false},
	{"tcp over ipv6", 0x86dd, false, 0, IPPROTO_TCP, 0, 64, true},
	{"udp over ipv6 in a VLAN", 0x86dd, true, 0, IPPROTO_UDP, 0, 64, true},
	{"icmp over ipv6", 0x86dd, false, 0, IPPROTO_ICMPV6, 0, 64, false},
	{"ipv6 with a header between", 0x86dd, false, 0, IPPROTO_DSTOPTS, 0, 80, false},
	{"ipv6 cut before the ports", 0x86dd, false, 0, IPPROTO_TCP, 0, 57, false},
	{"header length below the least", 0x0800, false, 0, IPPROTO_TCP, 4, 64, false},
	{"header longer than the frame", 0x0800, false, 0, IPPROTO_TCP, 15, 60, false},
	{"runt", 0x0800, false, 0, IPPROTO_TCP, 5, 30, false},
};

static struct rng rng;

/* A frame of that shape from a random peer; `right` says whether the NIC hashes as we do. */
static void receive(struct received *r, const struct shape *shape, bool right)
{
	uint32_t l2 = shape->vlan ? 18 : 14;
	uint8_t *ip = r->bytes + l2;
	bool v6 = shape->ether_type == RTE_ETHER_TYPE_IPV6;
	uint8_t tuple[36];
	uint32_t len = v6 ? 36 : 12;

	memset(r, 0, sizeof(*r));
	be16_store(r->bytes + 12, RTE_ETHER_TYPE_VLAN);
	be16_store(r->bytes + l2 - 2, shape->ether_type);
	ip[0] = (uint8_t)(0x40 | shape->header_words);
	be16_store(ip + 6, shape->fragment);
	ip[9] = shape->protocol;
	for (uint32_t i = 0; i < len; i++)
		tuple[i] = (uint8_t)rng_next(&rng);
	if (v6) {
		ip[6] = shape->protocol;
		memcpy(ip + 8, tuple, 36); // the ports follow the addresses
	} else {
		memcpy(ip + 12, tuple, 8);
		memcpy(ip + shape->header_words * 4, tuple + 8, 4);
	}
	r->mbuf.buf_addr = r->bytes;
	r->mbuf.data_len = shape->len;
	r->mbuf.ol_flags = RTE_MBUF_F_RX_RSS_HASH;
	r->mbuf.hash.rss = port_flow_hash(tuple, len) ^ (right ? 0 : 1);
}

static bool believed(struct port_hash_trial *trial, const struct shape *shape, bool right)
{
	struct received r;

	receive(&r, shape, right);
	return port_hash_believed(trial, &r.mbuf);
}

static void test_hash_equal_for_a_while_is_believed(void **state)
{
	struct port_hash_trial trial = {.trust = PORT_HASH_ON_TRIAL};

	for (int i = 0; i < 64; i++)
		assert_false(believed(&trial, &tcp4, true));
	assert_int_equal(trial.trust, PORT_HASH_PROVEN);
	for (int i = 0; i < 1000; i++)
		assert_true(believed(&trial, &tcp4, true));
}

static void test_hash_wrong_during_trial_is_refuted_for_good(void **state)
{
	struct port_hash_trial trial = {.trust = PORT_HASH_ON_TRIAL};

	for (int i = 0; i < 63; i++)
		believed(&trial, &tcp4, true);
	assert_false(believed(&trial, &tcp4, false));
	for (int i = 0; i < 1000; i++)
		assert_false(believed(&trial, &tcp4, true));
	assert_int_equal(trial.trust, PORT_HASH_REFUTED);
}

static void test_hash_wrong_later_is_found_by_sampling(void **state)
{
	struct port_hash_trial trial = {.trust = PORT_HASH_ON_TRIAL};
	int wrong = 0;

	for (int i = 0; i < 5000; i++)
		believed(&trial, &tcp4, true);
	while (believed(&trial, &tcp4, false))
		assert_in_range(++wrong, 1, 256);
	assert_false(believed(&trial, &tcp4, true));
}

static void test_hash_of_device_without_is_never_believed(void **state)
{
	struct port_hash_trial trial = {.trust = PORT_HASH_ABSENT};

	for (int i = 0; i < 1000; i++)
		assert_false(believed(&trial, &tcp4, true));
}

/* Only what RSS defines a 4-tuple for can speak for or against a NIC. */
static void test_hash_trial_judges_only_tuples(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
		struct port_hash_trial trial = {.trust = PORT_HASH_ON_TRIAL};

		print_message("%s\n", shapes[i].name);
		for (int n = 0; n < 64; n++)
			believed(&trial, &shapes[i], true);
		assert_int_equal(trial.trust,
				 shapes[i].judged ? PORT_HASH_PROVEN : PORT_HASH_ON_TRIAL);
		believed(&trial, &shapes[i], false);
		trial.trust = PORT_HASH_ON_TRIAL;
		believed(&trial, &shapes[i], false);
		assert_int_equal(trial.trust,
				 shapes[i].judged ? PORT_HASH_REFUTED : PORT_HASH_ON_TRIAL);
	}
}

static void test_hash_configure_gives_our_key(void **state)
{
	static const struct {
		uint8_t device_len, given_len;
	} cases[] = {{0, 0}, {16, 0}, {40, 40}, {52, 52}};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct port_caps caps = {.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP,
					 .rss_key_len = cases[i].device_len};
		struct rte_eth_conf conf = {0};
		uint8_t key[UINT8_MAX];

		port_hash_configure(&caps, key, &conf);
		assert_int_equal(conf.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
		assert_int_equal(conf.rx_adv_conf.rss_conf.rss_key_len, cases[i].given_len);
		if (cases[i].given_len)
			assert_memory_equal(conf.rx_adv_conf.rss_conf.rss_key, port_flow_hash_key(),
					    40);
		else
			assert_null(conf.rx_adv_conf.rss_conf.rss_key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_equal_for_a_while_is_believed),
		cmocka_unit_test(test_hash_wrong_during_trial_is_refuted_for_good),
		cmocka_unit_test(test_hash_wrong_later_is_found_by_sampling),
		cmocka_unit_test(test_hash_of_device_without_is_never_believed),
		cmocka_unit_test(test_hash_trial_judges_only_tuples),
		cmocka_unit_test(test_hash_configure_gives_our_key),
	};
	uint8_t key[PORT_FLOW_HASH_KEY_BYTES];

	rng = rng_seeded(5);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)rng_next(&rng);
	port_flow_hash_init(key);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
