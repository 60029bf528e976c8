/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp_list.h"

#include <stdint.h>

/*
 * Timers with a resolution of one millisecond: two levels of hashed slots. Arming and disarming are
 * a few stores. What is due beyond the far level waits in its last slot and is filed again.
 */
#define TCP_WHEEL_NEAR_SLOTS 1024 // 1 ms each
#define TCP_WHEEL_FAR_SLOTS  512  // 1024 ms each
#define TCP_WHEEL_TICK_NS    1000000ull

struct tcp_wheel_node {
	struct tcp_link link;
	uint64_t tick; // when it is due, in ms
};

struct tcp_wheel {
	uint64_t tick; // everything due before or at it has been moved to `due`
	struct tcp_link due;
	uint64_t near_used[TCP_WHEEL_NEAR_SLOTS / 64]; // bit set: the slot may have members
	uint64_t far_used[TCP_WHEEL_FAR_SLOTS / 64];
	struct tcp_link near[TCP_WHEEL_NEAR_SLOTS];
	struct tcp_link far[TCP_WHEEL_FAR_SLOTS];
};

void tcp_wheel_init(struct tcp_wheel *wheel, uint64_t now_ns);

/* Rounded up: a timer may be late by a tick, never early. */
static inline uint64_t tcp_wheel_tick(uint64_t at_ns)
{
	return at_ns / TCP_WHEEL_TICK_NS + (at_ns % TCP_WHEEL_TICK_NS != 0);
}

/* Arms, or moves, a timer. It never fires before at_ns. */
void tcp_wheel_arm(struct tcp_wheel *wheel, struct tcp_wheel_node *node, uint64_t at_ns);

static inline void tcp_wheel_disarm(struct tcp_wheel_node *node)
{
	tcp_link_remove(&node->link);
}

/* Takes the next timer that is due at now_ns out of the wheel; NULL when there is none. */
struct tcp_wheel_node *tcp_wheel_pop(struct tcp_wheel *wheel, uint64_t now_ns);

/* A time at or before the next expiry; UINT64_MAX when nothing is armed. */
uint64_t tcp_wheel_next_ns(const struct tcp_wheel *wheel);
