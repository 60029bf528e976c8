/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/endian.h"
#include "nic/port/port_flow_hash.h"
#include "nic/port/port_internal.h"

#include <rte_ether.h>
#include <rte_ip.h>

#include <string.h>

/*
 * Receive side scaling: asks the NIC to hash with our key and to spread as port_hash_owner() says,
 * and then believes nothing before it has seen it. Each queue compares the NIC's hash of received
 * TCP and UDP packets, apart for IPv4 and IPv6, with port_flow_hash(): all of them at first, one in
 * SAMPLE_EVERY later. One difference, and that queue's hashes of that family are computed in
 * software from then on. Set-up runs on the main thread, the trial on the worker that owns the
 * queue.
 */

#define TRIAL_MATCHES 64
#define SAMPLE_EVERY  256

static uint32_t tuple_of(const struct rte_mbuf *mbuf, uint8_t tuple[PORT_FLOW_HASH_TUPLE_BYTES]);

void port_hash_configure(const struct port_caps *caps, uint8_t *key, struct rte_eth_conf *conf)
{
	if (caps->rss_types == 0)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = caps->rss_types;
	if (caps->rss_key_len < PORT_FLOW_HASH_KEY_BYTES)
		return;
	memset(key, 0, caps->rss_key_len);
	memcpy(key, port_flow_hash_key(), PORT_FLOW_HASH_KEY_BYTES);
	conf->rx_adv_conf.rss_conf.rss_key = key;
	conf->rx_adv_conf.rss_conf.rss_key_len = caps->rss_key_len;
}

void port_hash_spread(const struct port *port)
{
	struct rte_eth_rss_reta_entry64 reta[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	uint16_t size = port->caps.reta_size;

	if (port->caps.rss_types == 0 || size == 0 || size > RTE_ETH_RSS_RETA_SIZE_512)
		return;
	memset(reta, 0, sizeof(reta));
	for (uint16_t i = 0; i < size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &reta[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= 1ULL << (i % RTE_ETH_RETA_GROUP_SIZE);
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = port_hash_owner(i, port->queues_count);
	}
	// Where it is refused, frames arrive at other queues than their owner's and are steered in
	// software.
	rte_eth_dev_rss_reta_update(port->id, reta, size);
}

bool port_hash_believed(struct port_hash_trial *trial, const struct rte_mbuf *mbuf)
{
	uint32_t trust = atomic_load_explicit(&trial->trust, memory_order_relaxed);
	uint8_t tuple[PORT_FLOW_HASH_TUPLE_BYTES];
	uint32_t len;

	if (trust == PORT_HASH_ABSENT || trust == PORT_HASH_REFUTED)
		return false;
	if (trust == PORT_HASH_PROVEN && --trial->until_next > 0)
		return true;
	trial->until_next = SAMPLE_EVERY;
	len = tuple_of(mbuf, tuple);
	if (len == 0)
		return trust == PORT_HASH_PROVEN;
	if (port_flow_hash(tuple, len) != mbuf->hash.rss) {
		atomic_store_explicit(&trial->trust, PORT_HASH_REFUTED, memory_order_relaxed);
		return false;
	}
	if (trust == PORT_HASH_ON_TRIAL && ++trial->matches >= TRIAL_MATCHES)
		atomic_store_explicit(&trial->trust, PORT_HASH_PROVEN, memory_order_relaxed);
	return trust == PORT_HASH_PROVEN;
}

/* Where the IP header begins, and its EtherType. 0: too short to have one. */
static uint32_t l3_of(const struct rte_mbuf *mbuf, uint16_t *type)
{
	const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t l2_len = RTE_ETHER_HDR_LEN;

	if (mbuf->data_len < l2_len + RTE_VLAN_HLEN)
		return 0;
	if (be16_load(data + 12) == RTE_ETHER_TYPE_VLAN)
		l2_len += RTE_VLAN_HLEN;
	*type = be16_load(data + l2_len - 2);
	return l2_len;
}

bool port_hash_is_ip6(const struct rte_mbuf *mbuf)
{
	uint16_t type;

	return l3_of(mbuf, &type) != 0 && type == RTE_ETHER_TYPE_IPV6;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static uint32_t ip4_tuple(const uint8_t *ip, uint32_t len, uint8_t *tuple)
{
	uint32_t ip_len = (ip[0] & 0x0fu) * 4u;

	if (ip_len < sizeof(struct rte_ipv4_hdr) || len < ip_len + 4 || !has_ports(ip[9]) ||
	    (be16_load(ip + 6) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return 0;
	memcpy(tuple, ip + 12, 8);
	memcpy(tuple + 8, ip + ip_len, 4);
	return 12;
}

/* Without extension headers, about which NICs differ. */
static uint32_t ip6_tuple(const uint8_t *ip, uint32_t len, uint8_t *tuple)
{
	if (len < sizeof(struct rte_ipv6_hdr) + 4 || !has_ports(ip[6]))
		return 0;
	memcpy(tuple, ip + 8, 32);
	memcpy(tuple + 32, ip + sizeof(struct rte_ipv6_hdr), 4);
	return 36;
}

/*
 * The 4-tuple of an unfragmented TCP or UDP packet, as RSS defines it: its length, 0 for anything
 * else.
 */
static uint32_t tuple_of(const struct rte_mbuf *mbuf, uint8_t tuple[PORT_FLOW_HASH_TUPLE_BYTES])
{
	uint16_t type;
	uint32_t l2_len = l3_of(mbuf, &type);
	const uint8_t *ip = rte_pktmbuf_mtod(mbuf, const uint8_t *) + l2_len;
	uint32_t len = mbuf->data_len - l2_len;

	if (l2_len == 0 || len < sizeof(struct rte_ipv4_hdr))
		return 0;
	if (type == RTE_ETHER_TYPE_IPV4)
		return ip4_tuple(ip, len, tuple);
	return type == RTE_ETHER_TYPE_IPV6 ? ip6_tuple(ip, len, tuple) : 0;
}
