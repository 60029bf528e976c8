/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_wheel.h"

#include "base/compiler.h"

#include <stdbool.h>

/*
 * The timer wheel of a stack (Varghese and Lauck, 1987). tcp_timer.c arms connections here and
 * takes those that are due. Empty stretches are skipped by bitmap, so a worker that slept for a
 * minute does not walk sixty thousand slots.
 */

#define NEAR_MASK (TCP_WHEEL_NEAR_SLOTS - 1)
#define FAR_MASK  (TCP_WHEEL_FAR_SLOTS - 1)
#define NEAR_BITS 10

_Static_assert(1 << NEAR_BITS == TCP_WHEEL_NEAR_SLOTS, "a far slot is one turn of the near level");

void tcp_wheel_init(struct tcp_wheel *wheel, uint64_t now_ns)
{
	*wheel = (struct tcp_wheel){.tick = now_ns / TCP_WHEEL_TICK_NS};
	tcp_list_init(&wheel->due);
	for (uint32_t i = 0; i < TCP_WHEEL_NEAR_SLOTS; i++)
		tcp_list_init(&wheel->near[i]);
	for (uint32_t i = 0; i < TCP_WHEEL_FAR_SLOTS; i++)
		tcp_list_init(&wheel->far[i]);
}

/* Files a node by its tick. A far slot is emptied into the near level when its turn begins. */
static void place(struct tcp_wheel *wheel, struct tcp_wheel_node *node)
{
	uint64_t turn = node->tick >> NEAR_BITS;
	uint64_t turns_ahead = turn - (wheel->tick >> NEAR_BITS);

	if (node->tick <= wheel->tick) {
		tcp_list_append(&wheel->due, &node->link);
	} else if (turns_ahead == 0 || node->tick - wheel->tick < TCP_WHEEL_NEAR_SLOTS) {
		uint32_t slot = node->tick & NEAR_MASK;

		tcp_list_append(&wheel->near[slot], &node->link);
		wheel->near_used[slot / 64] |= 1ull << (slot % 64);
	} else {
		uint32_t slot = turn & FAR_MASK;

		if (turns_ahead >= TCP_WHEEL_FAR_SLOTS)
			slot = ((wheel->tick >> NEAR_BITS) + TCP_WHEEL_FAR_SLOTS - 1) & FAR_MASK;
		tcp_list_append(&wheel->far[slot], &node->link);
		wheel->far_used[slot / 64] |= 1ull << (slot % 64);
	}
}

void tcp_wheel_arm(struct tcp_wheel *wheel, struct tcp_wheel_node *node, uint64_t at_ns)
{
	tcp_link_remove(&node->link);
	node->tick = tcp_wheel_tick(at_ns);
	place(wheel, node);
}

/* The first used slot at or after `from`, within [from, count); count when there is none. */
static uint32_t first_used(const uint64_t *used, uint32_t from, uint32_t count)
{
	for (uint32_t word = from / 64; word < count / 64; word++) {
		uint64_t bits = used[word];

		if (word == from / 64)
			bits &= ~0ull << (from % 64);
		if (bits)
			return word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return count;
}

/* A new turn of the near level begins: what the far slot held comes within reach. */
static void cascade(struct tcp_wheel *wheel)
{
	uint32_t slot = (wheel->tick >> NEAR_BITS) & FAR_MASK;
	struct tcp_link moved;

	tcp_list_init(&moved);
	tcp_list_splice(&moved, &wheel->far[slot]);
	wheel->far_used[slot / 64] &= ~(1ull << (slot % 64));
	while (!tcp_list_empty(&moved)) {
		struct tcp_link *link = moved.next;

		tcp_link_remove(link);
		place(wheel, CONTAINER_OF(link, struct tcp_wheel_node, link));
	}
}

static void collect(struct tcp_wheel *wheel)
{
	uint32_t slot = wheel->tick & NEAR_MASK;

	tcp_list_splice(&wheel->due, &wheel->near[slot]);
	wheel->near_used[slot / 64] &= ~(1ull << (slot % 64));
}

static bool levels_empty(const struct tcp_wheel *wheel)
{
	return first_used(wheel->near_used, 0, TCP_WHEEL_NEAR_SLOTS) == TCP_WHEEL_NEAR_SLOTS &&
	       first_used(wheel->far_used, 0, TCP_WHEEL_FAR_SLOTS) == TCP_WHEEL_FAR_SLOTS;
}

/*
 * Moves on to the next used slot or the end of the turn, whichever is first, but not past `target`.
 */
static void advance(struct tcp_wheel *wheel, uint64_t target)
{
	uint32_t from = (wheel->tick & NEAR_MASK) + 1;
	uint32_t slot = first_used(wheel->near_used, from, TCP_WHEEL_NEAR_SLOTS);
	uint64_t next = (wheel->tick & ~(uint64_t)NEAR_MASK) + slot;

	if (next > target) {
		wheel->tick = target;
		return;
	}
	wheel->tick = next;
	if ((next & NEAR_MASK) == 0)
		cascade(wheel);
	collect(wheel);
}

struct tcp_wheel_node *tcp_wheel_pop(struct tcp_wheel *wheel, uint64_t now_ns)
{
	uint64_t target = now_ns / TCP_WHEEL_TICK_NS;

	while (tcp_list_empty(&wheel->due)) {
		if (wheel->tick >= target)
			return NULL;
		if (levels_empty(wheel)) {
			wheel->tick = target;
			return NULL;
		}
		advance(wheel, target);
	}
	struct tcp_link *link = wheel->due.next;

	tcp_link_remove(link);
	return CONTAINER_OF(link, struct tcp_wheel_node, link);
}

uint64_t tcp_wheel_next_ns(const struct tcp_wheel *wheel)
{
	uint32_t from = (wheel->tick & NEAR_MASK) + 1;
	uint64_t turn_start = wheel->tick & ~(uint64_t)NEAR_MASK;

	if (!tcp_list_empty(&wheel->due))
		return wheel->tick * TCP_WHEEL_TICK_NS;
	if (levels_empty(wheel))
		return UINT64_MAX;
	// The end of the turn counts as an expiry: the far level may bring something earlier than
	// the near one has.
	return (turn_start + first_used(wheel->near_used, from, TCP_WHEEL_NEAR_SLOTS)) *
	       TCP_WHEEL_TICK_NS;
}
