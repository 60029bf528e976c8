/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_timewait.h"

#include "nic/tcp/tcp_stack.h"

/*
 * TIME-WAIT (RFC 9293 3.10.7.4, RFC 1337, RFC 6191) without a connection: a compact entry answers
 * the peer's repeated FIN and lets a new SYN take the flow over. The delay is the same for all, so
 * a FIFO is their timer.
 */

static uint32_t entry_ref(const struct tcp_stack *stack, const struct tcp_time_wait *tw)
{
	return tcp_ref_make(TCP_REF_TIME_WAIT, tcp_slab_index(&stack->time_waits.entries, tw));
}

void tcp__time_wait_remove(struct tcp_stack *stack, struct tcp_time_wait *tw)
{
	tcp_table_remove(&stack->table, tw->hash, entry_ref(stack, tw));
	tcp_link_remove(&tw->link);
	tcp_slab_free(&stack->time_waits.entries, tw);
}

static void restart(struct tcp_stack *stack, struct tcp_time_wait *tw)
{
	tcp_link_remove(&tw->link);
	tw->deadline_ns = stack->now_ns + stack->config.time_wait_ns;
	tcp_list_append(&stack->time_waits.fifo, &tw->link);
}

/* Takes the connection's place in the flow table. False when there is to be no TIME-WAIT. */
bool tcp__time_wait_enter(const struct tcp_conn *conn, uint32_t ref)
{
	struct tcp_stack *stack = conn->stack;
	// Rounded up, as in every segment before: the right edge must not seem to move left.
	uint32_t wnd = conn->rcv_adv - conn->rcv_nxt + (1u << conn->rcv_scale) - 1;
	struct tcp_time_wait *tw;

	if (stack->config.time_wait_max == 0)
		return false;
	if (stack->time_waits.entries.used == stack->config.time_wait_max)
		tcp__time_wait_remove(stack, CONTAINER_OF(stack->time_waits.fifo.next,
							  struct tcp_time_wait, link));
	tw = tcp_slab_alloc(&stack->time_waits.entries);
	*tw = (struct tcp_time_wait){
		.flow = conn->flow,
		.hash = conn->hash,
		.peer = conn->peer,
		.snd_nxt = conn->snd_max,
		.rcv_nxt = conn->rcv_nxt,
		.ts_recent = conn->ts_recent,
		.ts_offset = conn->ts_offset,
		.wnd = (uint16_t)(wnd >> conn->rcv_scale),
		.timestamps = tcp__has(conn, TCP_F_TIMESTAMPS),
	};
	tcp_table_replace(&stack->table, conn->hash, ref, entry_ref(stack, tw));
	restart(stack, tw);
	return true;
}

static void send_ack(struct tcp_stack *stack, const struct tcp_time_wait *tw)
{
	struct tcp_header header = {
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.flags = TCP_ACK,
		.wnd = tw->wnd,
		.options =
			{
				.has_timestamp = tw->timestamps,
				.tsval = stack->now_ms + tw->ts_offset,
				.tsecr = tw->ts_recent,
			},
	};

	if (tcp__reply_allowed(stack))
		(void)tcp__emit_header(stack, (struct tcp_endpoint){&tw->flow, tw->peer}, &header);
}

/* RFC 6191: a SYN that cannot be an old one opens the flow anew. */
static bool opens_anew(const struct tcp_stack *stack, const struct tcp_time_wait *tw,
		       const struct tcp_seg *seg)
{
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN ||
	    !tcp__listening(stack, tw->flow.local_port))
		return false;
	if (tw->timestamps && seg->options.has_timestamp && seg->options.tsval != tw->ts_recent)
		return tcp_seq_gt(seg->options.tsval, tw->ts_recent);
	return tcp_seq_gt(seg->seq, tw->rcv_nxt);
}

void tcp__time_wait_input(struct tcp_stack *stack, struct tcp_time_wait *tw, struct tcp_seg *seg)
{
	// RFC 1337: a RST does not end TIME-WAIT.
	if (seg->flags & TCP_RST) {
		tcp__drop(stack, DROP_TCP_SEQUENCE);
		return;
	}
	if (opens_anew(stack, tw, seg)) {
		tcp_seq isn_after = tw->snd_nxt + UINT16_MAX;

		tcp__time_wait_remove(stack, tw);
		tcp__syn_listen(stack, seg, isn_after, true);
		return;
	}
	// An ACK in place is the end of the conversation; to answer it could be an ACK of an ACK.
	if (tcp__seg_len(seg) == 0 && seg->seq == tw->rcv_nxt)
		return;
	if (seg->flags & TCP_FIN && seg->seq + tcp__seg_len(seg) == tw->rcv_nxt)
		restart(stack, tw);
	else
		tcp__drop(stack, DROP_TCP_SEQUENCE);
	if (tcp__seg_len(seg) > 0)
		send_ack(stack, tw);
}

uint32_t tcp__time_wait_tick(struct tcp_stack *stack, uint32_t budget)
{
	struct tcp_link *fifo = &stack->time_waits.fifo;
	uint32_t ran = 0;

	for (; ran < budget && !tcp_list_empty(fifo); ran++) {
		struct tcp_time_wait *tw = CONTAINER_OF(fifo->next, struct tcp_time_wait, link);

		if (tw->deadline_ns > stack->now_ns)
			break;
		tcp__time_wait_remove(stack, tw);
	}
	return ran;
}
