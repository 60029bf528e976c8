/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Segments without payload: headers of every kind but the data path's, resets and challenge ACKs.
 * Called from the input side; what it sends leaves at once, because it acknowledges nothing that a
 * reply could carry.
 */

uint32_t tcp__header_encode(const struct flow *flow, const struct tcp_header *header, uint8_t *to)
{
	uint32_t options = header->flags & TCP_SYN
				   ? tcp_options_encode_syn(&header->options, to + TCP_HEADER_MIN)
				   : tcp_options_encode(&header->options, to + TCP_HEADER_MIN);
	uint32_t len = TCP_HEADER_MIN + options;

	HOT_ASSERT(options <= TCP_OPTIONS_MAX && options % 4 == 0);
	be16_store(to, flow->local_port);
	be16_store(to + 2, flow->remote_port);
	be32_store(to + 4, header->seq);
	be32_store(to + 8, header->ack);
	to[12] = (uint8_t)(len / 4 << 4);
	to[13] = header->flags;
	be16_store(to + 14, header->wnd);
	be32_store(to + 16, 0);
	return len;
}

bool tcp__emit_header(struct tcp_stack *stack, struct tcp_endpoint to,
		      const struct tcp_header *header)
{
	uint8_t bytes[TCP_HEADER_MAX];
	struct tcp_segment segment = {
		.flow = to.flow,
		.peer = to.peer,
		.header = slice_of(bytes, tcp__header_encode(to.flow, header, bytes)),
	};

	if (!stack->ops.emit(stack->env, &segment)) {
		tcp__count(stack, TCP_COUNT_EMIT_FAILED);
		return false;
	}
	tcp__count(stack, TCP_COUNT_SEGMENTS_OUT);
	return true;
}

/*
 * A token bucket for what others can make us say. Its refill is blurred, because an exact one tells
 * an attacker whether his guesses drew on it (CVE-2016-5696).
 */
bool tcp__reply_allowed(struct tcp_stack *stack)
{
	const uint64_t step_ns = TCP_SECOND_NS / TCP_REPLY_PER_SECOND;
	uint64_t elapsed_ns = stack->now_ns - stack->reply_refill_ns;

	if (elapsed_ns >= step_ns * TCP_REPLY_BUDGET) {
		stack->reply_budget =
			TCP_REPLY_BUDGET / 2 + rng_below(&stack->rng, TCP_REPLY_BUDGET / 2);
		stack->reply_refill_ns = stack->now_ns;
	} else {
		uint32_t steps = (uint32_t)(elapsed_ns / step_ns);

		stack->reply_budget += steps;
		stack->reply_refill_ns += steps * step_ns;
		if (stack->reply_budget > TCP_REPLY_BUDGET)
			stack->reply_budget = TCP_REPLY_BUDGET;
	}
	if (stack->reply_budget == 0) {
		tcp__drop(stack, DROP_TCP_RST_RATE);
		return false;
	}
	stack->reply_budget--;
	return true;
}

/* RFC 9293 3.10.7.1: the answer to a segment that belongs nowhere. Never to a RST. */
void tcp__reject(struct tcp_stack *stack, const struct tcp_seg *seg)
{
	const struct tcp_packet *packet = seg->packet;
	struct tcp_header header = {.flags = TCP_RST};

	if (seg->flags & TCP_RST || !tcp__reply_allowed(stack))
		return;
	if (seg->flags & TCP_ACK) {
		header.seq = seg->ack;
	} else {
		header.flags |= TCP_ACK;
		header.ack = seg->seq + tcp__seg_len(seg);
	}
	if (tcp__emit_header(stack, (struct tcp_endpoint){&packet->flow, packet->peer}, &header))
		tcp__count(stack, TCP_COUNT_RST_OUT);
}

/* RFC 5961: an ACK that makes an honest peer prove itself and tells an attacker nothing. */
void tcp__challenge(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (stack->now_ns < conn->work->challenge_ns) {
		tcp__drop(stack, DROP_TCP_RST_RATE);
		return;
	}
	if (!tcp__reply_allowed(stack))
		return;
	conn->work->challenge_ns = stack->now_ns + TCP_CHALLENGE_NS;
	tcp__count(stack, TCP_COUNT_CHALLENGE_ACK);
	tcp__send_ack(conn);
}
