/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/rng.h"
#include "nic/tcp/tcp.h"

/*
 * A network of two hosts with everything that can go wrong on the way, drawn from a seed: loss,
 * loss in runs, of bare ACKs, of the ends of flights, of what is too long, reordering, duplicates,
 * corruption, delay. Side 0 opens connections, side 1 listens.
 */
#define SIM_SEGMENT_MAX 2048

struct sim_channel_config {
	uint32_t loss_permille;
	uint32_t run_permille; // chance that a run of losses begins
	uint32_t run_len_max;
	uint32_t reorder_permille;
	uint32_t duplicate_permille;
	uint32_t corrupt_permille;
	uint32_t ack_loss_permille;  // of segments that only acknowledge
	uint32_t tail_loss_permille; // of the last segments of what is written
	uint32_t path_mtu;           // bytes of an IPv4 packet, 0: no limit
	uint64_t delay_ns;
	uint64_t jitter_ns;
};

struct sim_frame {
	struct sim_frame *next;
	uint64_t at_ns;
	uint64_t order; // ties keep the order of sending
	int to;
	struct flow flow; // as the receiver sees it
	uint32_t len;
	uint8_t bytes[SIM_SEGMENT_MAX];
};

struct sim_channel {
	struct sim_channel_config config;
	struct rng rng;
	struct sim_frame *frames; // by time
	uint64_t order;
	uint32_t run_left[2];
	uint64_t sent, lost, corrupted, too_big;
};

void sim_channel_init(struct sim_channel *c, const struct sim_channel_config *config,
		      uint64_t seed);
void sim_channel_fini(struct sim_channel *c);

/* Takes a segment from one side and settles its fate. False: it was too long for the path. */
bool sim_channel_send(struct sim_channel *c, int from, const struct tcp_segment *segment,
		      uint64_t now_ns);

/*
 * The next frame that arrives by now_ns; the caller frees it. NULL: none. Damaged ones never get
 * here.
 */
struct sim_frame *sim_channel_receive(struct sim_channel *c, uint64_t now_ns);

uint64_t sim_channel_next_ns(const struct sim_channel *c);
