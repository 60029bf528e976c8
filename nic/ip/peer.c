/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"

#include "base/clock.h"
#include "base/contract.h"
#include "base/secret.h"
#include "nic/ip/checksum.h"

#include <stdlib.h>

/*
 * Remote hosts as one worker knows them: where the next frame to each goes, and its header ready to
 * copy. An entry learns the MAC address from the frames of its host, so a server never waits for
 * an answer; the neighbour table is consulted when nothing has been heard for a while, when a known
 * neighbour has moved, and for hosts that have not spoken yet. ip4.c and ip6.c call in for what
 * arrives, output.c for what leaves.
 *
 * The table is bounded: an entry may be given to another host when it has not been used for
 * longest. Whoever keeps an index therefore sends with ip_output_flow(), which checks it.
 */

#define PEER_NONE   UINT32_MAX
#define PEERS_MIN   (4 * PORT_BURST_MAX) // no burst may use up the whole table
#define PEERS_MAX   (1U << 24)
#define EVICT_LOOKS 16       // entries among which the least used one goes
#define CONFIRM_NS  NS_PER_S // between two looks into the neighbour table

_Static_assert(PEERS_MIN >= EVICT_LOOKS, "a look takes each entry once");

bool ip_peers_init(struct ip_peers *peers, uint32_t max)
{
	uint32_t bits;

	max = max < PEERS_MIN ? PEERS_MIN : max > PEERS_MAX ? PEERS_MAX : max;
	bits = 32 - (uint32_t)__builtin_clz(max - 1); // at least one bucket per entry
	*peers = (struct ip_peers){.max = max, .bucket_shift = 64 - bits};
	secret_fill(peers->multiplier, sizeof(peers->multiplier));
	peers->multiplier[0] |= 1;
	peers->multiplier[1] |= 1;
	peers->entries = aligned_alloc(CACHE_LINE_BYTES, max * sizeof(*peers->entries));
	peers->buckets = malloc(sizeof(*peers->buckets) << bits);
	if (!peers->entries || !peers->buckets) {
		ip_peers_fini(peers);
		return false;
	}
	memset(peers->entries, 0, max * sizeof(*peers->entries));
	memset(peers->buckets, 0xff, sizeof(*peers->buckets) << bits);
	return true;
}

void ip_peers_fini(struct ip_peers *peers)
{
	free(peers->entries);
	free(peers->buckets);
	*peers = (struct ip_peers){0};
}

static uint32_t *bucket_of(struct ip_peers *peers, const struct ip_addr *remote)
{
	uint64_t half[2];

	memcpy(half, remote, sizeof(half));
	return &peers->buckets[((half[0] + 1) * peers->multiplier[0] +
				(half[1] + 1) * peers->multiplier[1]) >>
			       peers->bucket_shift];
}

static uint32_t find(struct ip_peers *peers, const struct ip_addr *remote)
{
	uint32_t at = peers->last;

	if (likely(at < peers->count && ip_addr_equal(&peers->entries[at].remote, remote)))
		return at;
	for (at = *bucket_of(peers, remote); at != PEER_NONE; at = peers->entries[at].next) {
		if (ip_addr_equal(&peers->entries[at].remote, remote)) {
			peers->last = at;
			return at;
		}
	}
	return PEER_NONE;
}

static void unlink_entry(struct ip_peers *peers, uint32_t index)
{
	uint32_t *link = bucket_of(peers, &peers->entries[index].remote);

	while (*link != index) {
		INVARIANT(*link != PEER_NONE);
		link = &peers->entries[*link].next;
	}
	*link = peers->entries[index].next;
}

/*
 * The least lately used of some entries, and never one that this burst has used: its index may be
 * in a packet that has not been looked at yet.
 */
static uint32_t evict(struct ip_peers *peers, uint64_t now_ns)
{
	uint32_t oldest = PEER_NONE;

	for (uint32_t looks = 0; looks < peers->max; looks++) {
		uint32_t at = peers->hand;
		const struct peer_entry *e = &peers->entries[at];

		peers->hand = at + 1 < peers->max ? at + 1 : 0;
		if (e->used_ns != now_ns &&
		    (oldest == PEER_NONE || e->used_ns < peers->entries[oldest].used_ns))
			oldest = at;
		if (oldest != PEER_NONE && looks + 1 >= EVICT_LOOKS)
			break;
	}
	if (oldest != PEER_NONE)
		unlink_entry(peers, oldest);
	return oldest;
}

/* Everything of the IP header that does not change from packet to packet. */
static void fill_ip4(const struct ip_stack *ip, struct peer_entry *e, struct ip4_header *header)
{
	header->version_ihl = IP4_VERSION_IHL;
	header->fragment = be16_from_host(IP4_DONT_FRAGMENT); // so the id may be 0 (RFC 6864)
	header->ttl = IP4_TTL;
	header->src = ip->address;
	header->dst = ip_addr_v4(&e->remote);
	header->checksum = ip_checksum_fold(ip_checksum_add(0, slice_of(header, sizeof(*header))));
}

static void fill_ip6(const struct ip_stack *ip, struct peer_entry *e, struct ip6_header *header)
{
	header->flow = be32_from_host(IP6_VERSION);
	header->hop_limit = IP6_HOP_LIMIT;
	header->src = ip_addr_is_link_local(&e->remote) ? ip->link_local : ip->local6;
	header->dst = e->remote;
}

static void fill_template(const struct ip_stack *ip, struct peer_entry *e)
{
	static const uint8_t unknown[ETH_MAC_BYTES];
	uint8_t *l3;

	memset(e->header, 0, sizeof(e->header));
	e->v4 = ip_addr_is_v4(&e->remote);
	l3 = eth_start(ip, e->header, unknown, e->v4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
	e->l2_len = ip->l2_len;
	e->l3_len = e->v4 ? sizeof(struct ip4_header) : sizeof(struct ip6_header);
	if (e->v4)
		fill_ip4(ip, e, (struct ip4_header *)l3);
	else
		fill_ip6(ip, e, (struct ip6_header *)l3);
}

static uint32_t create(struct ip_stack *ip, const struct ip_addr *remote)
{
	struct ip_peers *peers = &ip->peers;
	uint32_t index = peers->count < peers->max ? peers->count++ : evict(peers, ip->now_ns);
	struct peer_entry *e;
	uint32_t *bucket;

	if (index == PEER_NONE)
		return PEER_NONE;
	e = &peers->entries[index];
	bucket = bucket_of(peers, remote);
	*e = (struct peer_entry){.remote = *remote, .next = *bucket, .used_ns = ip->now_ns};
	fill_template(ip, e);
	*bucket = index;
	peers->last = index;
	return index;
}

static uint32_t find_or_create(struct ip_stack *ip, const struct ip_addr *remote)
{
	uint32_t index = find(&ip->peers, remote);

	return likely(index != PEER_NONE) ? index : create(ip, remote);
}

static void set_mac(struct peer_entry *e, const uint8_t *mac)
{
	memcpy(((struct eth_header *)e->header)->dst, mac, ETH_MAC_BYTES);
	e->resolved = true;
}

uint32_t ip_peer_heard(struct ip_stack *ip, const struct ip_addr *remote, const uint8_t *mac)
{
	uint32_t index = find_or_create(ip, remote);
	struct peer_entry *e;

	if (unlikely(index == PEER_NONE))
		return PEER_NONE;
	e = &ip->peers.entries[index];
	if (unlikely(!e->resolved || memcmp(e->header, mac, ETH_MAC_BYTES) != 0))
		set_mac(e, mac);
	e->used_ns = ip->now_ns;
	e->fresh_until_ns = ip->now_ns + ip->reachable_ns;
	e->generation = ip->neigh_generation;
	return index;
}

/* Looks into the neighbour table, and has it asked when that may tell more than we know. */
static void confirm(struct ip_stack *ip, struct peer_entry *e)
{
	struct ip_addr hop = ip_next_hop(ip, &e->remote);
	bool reachable = !ip_addr_is_none(&hop);
	uint64_t confirmed_ns = ip->now_ns + CONFIRM_NS;
	bool fresh = e->resolved && e->fresh_until_ns > ip->now_ns;
	struct neigh_answer answer;

	e->generation = ip->neigh_generation;
	if (reachable && neigh_find(ip->neighbours, &hop, &answer)) {
		// What the host itself showed us counts unless the answer is newer.
		if (!e->resolved || answer.learnt_ns + ip->reachable_ns > e->fresh_until_ns)
			set_mac(e, answer.mac);
	}
	if (!fresh && reachable && neigh_want(ip->neighbours, &hop, ip->now_ns))
		ip_ask(ip, &hop);
	if (e->resolved && e->fresh_until_ns < confirmed_ns)
		e->fresh_until_ns = confirmed_ns;
}

const struct peer_entry *ip_peer_route(struct ip_stack *ip, uint32_t peer)
{
	struct peer_entry *e;

	if (unlikely(peer >= ip->peers.count))
		return NULL;
	e = &ip->peers.entries[peer];
	e->used_ns = ip->now_ns;
	if (unlikely(e->fresh_until_ns <= ip->now_ns || e->generation != ip->neigh_generation))
		confirm(ip, e);
	return e->resolved ? e : NULL;
}

uint32_t ip_peer_check(struct ip_stack *ip, uint32_t peer, const struct ip_addr *remote)
{
	const struct ip_peers *peers = &ip->peers;

	if (likely(peer < peers->count && ip_addr_equal(&peers->entries[peer].remote, remote)))
		return peer;
	return ip_host_valid(ip, remote) ? find_or_create(ip, remote) : PEER_NONE;
}

uint32_t ip_peer(struct ip_stack *ip, const struct ip_addr *remote, uint64_t now_ns, bool *resolved)
{
	uint32_t index;

	ip->now_ns = now_ns;
	*resolved = false;
	index = ip_peer_check(ip, PEER_NONE, remote);
	if (index != PEER_NONE)
		*resolved = ip_peer_route(ip, index) != NULL;
	return index;
}
