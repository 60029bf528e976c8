/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_channel.h"

#include "nic/tcp/tcp_options.h"

#include <stdlib.h>

/* The seeded network between the two stacks of the simulation. */

void sim_channel_init(struct sim_channel *c, const struct sim_channel_config *config, uint64_t seed)
{
	*c = (struct sim_channel){.config = *config, .rng = rng_seeded(seed)};
}

void sim_channel_fini(struct sim_channel *c)
{
	while (c->frames) {
		struct sim_frame *frame = c->frames;

		c->frames = frame->next;
		free(frame);
	}
}

#define IP4_HEADER 20 // bytes

static bool chance(struct sim_channel *c, uint32_t permille)
{
	return rng_below(&c->rng, 1000) < permille;
}

/* RFC 1071, without the pseudo header: the addresses are not on this wire. */
static uint16_t checksum(const uint8_t *bytes, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void insert(struct sim_channel *c, struct sim_frame *frame)
{
	struct sim_frame **at = &c->frames;

	while (*at && ((*at)->at_ns < frame->at_ns ||
		       ((*at)->at_ns == frame->at_ns && (*at)->order < frame->order)))
		at = &(*at)->next;
	frame->next = *at;
	*at = frame;
}

static bool is_lost(struct sim_channel *c, int from)
{
	if (c->run_left[from] > 0) {
		c->run_left[from]--;
		return true;
	}
	if (chance(c, c->config.run_permille))
		c->run_left[from] = 1 + rng_below(&c->rng, c->config.run_len_max);
	return chance(c, c->config.loss_permille);
}

static bool is_lost_by_kind(struct sim_channel *c, const struct tcp_segment *segment)
{
	uint8_t flags = ((const uint8_t *)segment->header.ptr)[13];

	if (segment->payload_len == 0)
		return flags == TCP_ACK && chance(c, c->config.ack_loss_permille);
	return flags & TCP_PSH && chance(c, c->config.tail_loss_permille);
}

static void deliver_later(struct sim_channel *c, const struct sim_frame *original, uint64_t now_ns)
{
	const struct sim_channel_config *config = &c->config;
	struct sim_frame *frame = malloc(sizeof(*frame));

	if (!frame)
		abort();
	*frame = *original;
	frame->order = c->order++;
	frame->at_ns = now_ns + config->delay_ns;
	if (config->jitter_ns > 0)
		frame->at_ns += rng_next(&c->rng) % config->jitter_ns;
	if (chance(c, config->reorder_permille))
		frame->at_ns += config->delay_ns * (1 + rng_below(&c->rng, 3));
	if (chance(c, config->corrupt_permille)) {
		uint32_t bit = rng_below(&c->rng, frame->len * 8);

		frame->bytes[bit / 8] ^= (uint8_t)(1 << (bit % 8));
	}
	insert(c, frame);
}

bool sim_channel_send(struct sim_channel *c, int from, const struct tcp_segment *segment,
		      uint64_t now_ns)
{
	struct sim_frame frame = {
		.to = 1 - from,
		.flow =
			{
				.local = segment->flow->remote,
				.remote = segment->flow->local,
				.local_port = segment->flow->remote_port,
				.remote_port = segment->flow->local_port,
			},
		.len = (uint32_t)segment->header.len,
	};

	c->sent++;
	if (c->config.path_mtu != 0 &&
	    IP4_HEADER + segment->header.len + segment->payload_len > c->config.path_mtu) {
		c->too_big++;
		return false;
	}
	if (is_lost(c, from) || is_lost_by_kind(c, segment)) {
		c->lost++;
		return true;
	}
	memcpy(frame.bytes, segment->header.ptr, segment->header.len);
	for (uint32_t i = 0; i < segment->payload_count; i++) {
		memcpy(frame.bytes + frame.len, segment->payload[i].ptr, segment->payload[i].len);
		frame.len += (uint32_t)segment->payload[i].len;
	}
	be16_store(frame.bytes + 16, checksum(frame.bytes, frame.len));
	deliver_later(c, &frame, now_ns);
	if (chance(c, c->config.duplicate_permille))
		deliver_later(c, &frame, now_ns);
	return true;
}

struct sim_frame *sim_channel_receive(struct sim_channel *c, uint64_t now_ns)
{
	while (c->frames && c->frames->at_ns <= now_ns) {
		struct sim_frame *frame = c->frames;

		c->frames = frame->next;
		if (checksum(frame->bytes, frame->len) == 0)
			return frame;
		c->corrupted++;
		free(frame);
	}
	return NULL;
}

uint64_t sim_channel_next_ns(const struct sim_channel *c)
{
	return c->frames ? c->frames->at_ns : UINT64_MAX;
}
