/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include "base/contract.h"
#include "base/endian.h"
#include "base/rng.h"
#include "nic/port/port_internal.h"

#include <rte_ether.h>

#include <stdlib.h>

/*
 * A bad network in front of a good device: drops, doubles, swaps, damages and delays frames as a
 * seed says. port_queue.c passes each burst through it, received ones after the driver and sent
 * ones before it, on the worker that owns the queue. The same seed and the same frames at the same
 * times suffer the same faults.
 */

#define HELD_MAX       64              // frames under way per direction
#define REORDER_FRAMES 8               // that may overtake a held one
#define REORDER_NS_MAX (2 * NS_PER_MS) // so that the last frame of all arrives, too
#define PER            10000

struct held {
	struct rte_mbuf *mbuf;
	uint64_t due_ns;
	uint64_t due_frame;
};

struct direction {
	struct rng rng;
	uint64_t frames_seen;
	uint32_t held_count;
	struct held held[HELD_MAX];
};

struct port_fault {
	struct port_fault_config config;
	struct direction rx;
	struct direction tx;
};

/* One burst on its way through. */
struct passage {
	const struct port_fault_config *config;
	struct direction *direction;
	const struct port_fault_burst *burst;
	struct drop_counters *drops;
	uint64_t now_ns;
	uint16_t out_count;
};

static uint16_t pass(struct passage *p);
static void pass_frame(struct passage *p, struct rte_mbuf *mbuf);
static void release_due(struct passage *p);
static void emit(struct passage *p, struct rte_mbuf *mbuf);
static void hold(struct passage *p, struct rte_mbuf *mbuf, uint64_t due_ns, uint64_t due_frame);
static void corrupt(struct rte_mbuf *mbuf, uint64_t random);
static bool chance(struct rng *rng, uint16_t rate);

struct port_fault *port_fault_new(const struct port_fault_config *config)
{
	struct port_fault *fault = calloc(1, sizeof(*fault));

	if (!fault)
		return NULL;
	fault->config = *config;
	fault->rx.rng = rng_seeded(config->seed);
	fault->tx.rng = rng_seeded(~config->seed);
	return fault;
}

void port_fault_free(struct port_fault *fault)
{
	if (!fault)
		return;
	for (uint32_t i = 0; i < fault->rx.held_count; i++)
		rte_pktmbuf_free(fault->rx.held[i].mbuf);
	for (uint32_t i = 0; i < fault->tx.held_count; i++)
		rte_pktmbuf_free(fault->tx.held[i].mbuf);
	free(fault);
}

uint16_t port_fault_rx(struct port_fault *fault, const struct port_fault_burst *burst,
		       uint64_t now_ns, struct drop_counters *drops)
{
	struct passage p = {&fault->config, &fault->rx, burst, drops, now_ns, 0};

	return pass(&p);
}

uint16_t port_fault_tx(struct port_fault *fault, const struct port_fault_burst *burst,
		       uint64_t now_ns, struct drop_counters *drops)
{
	struct passage p = {&fault->config, &fault->tx, burst, drops, now_ns, 0};

	return pass(&p);
}

static uint16_t pass(struct passage *p)
{
	release_due(p);
	for (uint16_t i = 0; i < p->burst->in_count; i++) {
		p->direction->frames_seen++;
		pass_frame(p, p->burst->in[i]);
		release_due(p);
	}
	return p->out_count;
}

static void pass_frame(struct passage *p, struct rte_mbuf *mbuf)
{
	const struct port_fault_config *config = p->config;
	struct direction *d = p->direction;
	// All dice are thrown for each frame, so that one rate does not change what another one
	// hits.
	bool drops = chance(&d->rng, config->drop);
	bool duplicates = chance(&d->rng, config->duplicate);
	bool reorders = chance(&d->rng, config->reorder);
	bool corrupts = chance(&d->rng, config->corrupt);
	bool delays = chance(&d->rng, config->delay);
	uint64_t random = rng_next(&d->rng);

	if (drops) {
		drop_count(p->drops, DROP_FAULT_INJECTED);
		rte_pktmbuf_free(mbuf);
		return;
	}
	if (duplicates) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(mbuf, mbuf->pool, 0, UINT32_MAX);

		if (copy)
			emit(p, copy);
	}
	if (corrupts)
		corrupt(mbuf, random);
	if (delays)
		hold(p, mbuf, p->now_ns + config->delay_us * NS_PER_US, UINT64_MAX);
	else if (reorders)
		hold(p, mbuf, p->now_ns + REORDER_NS_MAX,
		     d->frames_seen + 1 + (random >> 32) % REORDER_FRAMES);
	else
		emit(p, mbuf);
}

/* Held frames leave in the order in which they came, so far as they are due and there is room. */
static void release_due(struct passage *p)
{
	struct direction *d = p->direction;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < d->held_count; i++) {
		struct held *h = &d->held[i];
		bool due = p->now_ns >= h->due_ns || d->frames_seen >= h->due_frame;

		if (due && p->out_count < p->burst->out_max)
			p->burst->out[p->out_count++] = h->mbuf;
		else
			d->held[kept++] = *h;
	}
	d->held_count = kept;
}

static void emit(struct passage *p, struct rte_mbuf *mbuf)
{
	if (p->out_count < p->burst->out_max)
		p->burst->out[p->out_count++] = mbuf;
	else
		hold(p, mbuf, 0, 0);
}

static void hold(struct passage *p, struct rte_mbuf *mbuf, uint64_t due_ns, uint64_t due_frame)
{
	struct direction *d = p->direction;

	if (d->held_count < HELD_MAX) {
		d->held[d->held_count++] = (struct held){mbuf, due_ns, due_frame};
	} else if (p->out_count < p->burst->out_max) {
		p->burst->out[p->out_count++] = mbuf;
	} else {
		drop_count(p->drops, DROP_FAULT_INJECTED);
		rte_pktmbuf_free(mbuf);
	}
}

/*
 * Flips one bit of what an IP or transport checksum covers. Ethernet headers and ARP are spared: a
 * real wire has a frame check sequence over them, and nothing here could tell the damage.
 */
static void corrupt(struct rte_mbuf *mbuf, uint64_t random)
{
	uint8_t *data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint32_t len = mbuf->data_len;
	uint32_t at;

	if (len <= RTE_ETHER_HDR_LEN || be16_load(data + 12) != RTE_ETHER_TYPE_IPV4)
		return;
	at = RTE_ETHER_HDR_LEN + (uint32_t)(random >> 8) % (len - RTE_ETHER_HDR_LEN);
	data[at] ^= (uint8_t)(1u << (random & 7));
	// What the device has found out is no longer true.
	mbuf->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK |
			    RTE_MBUF_F_RX_RSS_HASH);
}

static bool chance(struct rng *rng, uint16_t rate)
{
	return rng_below(rng, PER) < rate;
}
