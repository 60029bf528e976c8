/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 5.4, 7.1). Once per
 * connection, from tcp_syn.c and tcp_connect().
 */

/* A clock of 4 us plus what only we can compute from the flow. */
tcp_seq tcp__isn(const struct tcp_stack *stack, const struct flow *flow)
{
	uint64_t hash = hash_siphash13(&stack->isn_key, slice_of(flow, sizeof(*flow)));

	return (tcp_seq)hash + (tcp_seq)(stack->now_ns / 4000);
}

/*
 * The same for all connections between two hosts, so that the timestamps of a new one are above
 * those of one that the peer remembers in TIME-WAIT.
 */
uint32_t tcp__ts_offset(const struct tcp_stack *stack, const struct flow *flow)
{
	struct hash_key key = {stack->isn_key.k1, stack->isn_key.k0};

	return (uint32_t)hash_siphash13(&key, slice_of(flow, offsetof(struct flow, local_port)));
}

_Static_assert(sizeof(struct flow) == 36, "no padding may get into the hash");
