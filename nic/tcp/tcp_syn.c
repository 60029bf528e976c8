/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_syn.h"

#include "nic/tcp/tcp_stack.h"

/*
 * Passive open (RFC 9293 3.10.7.2 and SYN-RECEIVED of 3.10.7.4): a SYN makes a small entry from a
 * fixed pool, the ACK of our SYN-ACK makes a connection of it. A flood of SYNs thus costs entries,
 * never connections, and when they are used up there are cookies (tcp_cookie.c). tcp_input.c calls
 * here for SYNs to a listener and for segments of half-open flows.
 */

static uint64_t level_delay_ns(uint32_t level)
{
	return 250 * TCP_MS_NS << level;
}

static void enter_level(struct tcp_stack *stack, struct tcp_syn *syn, uint32_t level)
{
	tcp_link_remove(&syn->link);
	syn->deadline_ns = stack->now_ns + level_delay_ns(level);
	tcp_list_append(&stack->syns.levels[level], &syn->link);
}

static uint32_t syn_ref(const struct tcp_stack *stack, const struct tcp_syn *syn)
{
	return tcp_ref_make(TCP_REF_SYN, tcp_slab_index(&stack->syns.entries, syn));
}

static void remove_syn(struct tcp_stack *stack, struct tcp_syn *syn)
{
	tcp_table_remove(&stack->table, syn->hash, syn_ref(stack, syn));
	tcp_link_remove(&syn->link);
	tcp_slab_free(&stack->syns.entries, syn);
}

/*
 * A failed emit is made good by the retry. ECN is not offered: we answer a plain SYN-ACK (RFC 3168
 * 6.1.1).
 */
static void send_syn_ack(struct tcp_stack *stack, struct tcp_syn *syn)
{
	struct tcp_header header = {
		.seq = syn->iss,
		.ack = syn->irs + 1,
		.flags = TCP_SYN | TCP_ACK,
		// RFC 7323 2.2: the window of a SYN is never scaled.
		.wnd = (uint16_t)(stack->rcv_wnd < UINT16_MAX ? stack->rcv_wnd : UINT16_MAX),
		.options =
			{
				.has_mss = true,
				.mss = tcp__our_mss(stack, &syn->flow),
				.has_wscale = syn->scaled,
				.wscale = stack->rcv_scale,
				.sack_permitted = syn->sack,
				.has_timestamp = syn->timestamps,
				.tsval = stack->now_ms + syn->ts_offset,
				.tsecr = syn->ts_recent,
			},
	};

	(void)tcp__emit_header(stack, (struct tcp_endpoint){&syn->flow, syn->peer}, &header);
}

/* RFC 5961: proves or refutes a segment that does not fit a half-open flow. */
static void challenge(struct tcp_stack *stack, const struct tcp_syn *syn)
{
	struct tcp_header header = {
		.seq = syn->iss + 1,
		.ack = syn->irs + 1,
		.flags = TCP_ACK,
		.wnd = (uint16_t)(stack->rcv_wnd < UINT16_MAX ? stack->rcv_wnd : UINT16_MAX),
		.options =
			{
				.has_timestamp = syn->timestamps,
				.tsval = stack->now_ms + syn->ts_offset,
				.tsecr = syn->ts_recent,
			},
	};

	if (!tcp__reply_allowed(stack))
		return;
	if (syn->scaled)
		// Rounded up: less than the SYN-ACK offered would take something back.
		header.wnd =
			(uint16_t)((header.wnd + (1u << stack->rcv_scale) - 1) >> stack->rcv_scale);
	tcp__count(stack, TCP_COUNT_CHALLENGE_ACK);
	(void)tcp__emit_header(stack, (struct tcp_endpoint){&syn->flow, syn->peer}, &header);
}

/* An entry for it, which sends the SYN-ACK again. */
static bool keep(struct tcp_stack *stack, const struct tcp_syn *half_open)
{
	struct tcp_syn *syn = tcp_slab_alloc(&stack->syns.entries);

	if (!syn)
		return false;
	*syn = *half_open;
	if (!tcp_table_insert(&stack->table, syn->hash, syn_ref(stack, syn))) {
		tcp_slab_free(&stack->syns.entries, syn);
		return false;
	}
	enter_level(stack, syn, 0);
	return true;
}

/*
 * A SYN to a listener. `reuse`: the flow was in TIME-WAIT, and our numbers must go on above
 * isn_after.
 */
void tcp__syn_listen(struct tcp_stack *stack, const struct tcp_seg *seg, tcp_seq isn_after,
		     bool reuse)
{
	const struct tcp_packet *packet = seg->packet;
	const struct tcp_config *config = &stack->config;

	if (stack->conns.used == stack->conns.count) {
		tcp__drop(stack, DROP_TCP_CONN_FULL);
		return;
	}
	struct tcp_syn half_open = {
		.flow = packet->flow,
		.hash = packet->hash,
		.peer = packet->peer,
		.irs = seg->seq,
		.iss = tcp__isn(stack, &packet->flow),
		.ts_recent = seg->options.tsval,
		.ts_offset = tcp__ts_offset(stack, &packet->flow),
		.wnd = seg->wnd,
		.mss = seg->options.has_mss && seg->options.mss == 0 ? 1 : seg->options.mss,
		.snd_scale = seg->options.wscale,
		.scaled = seg->options.has_wscale && config->window_scale,
		.timestamps = seg->options.has_timestamp && config->timestamps,
		.sack = seg->options.sack_permitted && config->sack,
		.sent_ns = stack->now_ns,
	};
	if (reuse && tcp_seq_lt(half_open.iss, isn_after))
		half_open.iss = isn_after;
	// No room for an entry, or in its bucket: the answer itself has to remember.
	if (!keep(stack, &half_open))
		tcp__cookie_fill(stack, &half_open);
	send_syn_ack(stack, &half_open);
}

static uint32_t offered_window(const struct tcp_stack *stack)
{
	return stack->rcv_wnd < UINT16_MAX ? stack->rcv_wnd : UINT16_MAX;
}

/* Whether the segment completes the handshake; what does not is answered here. */
static bool completes(struct tcp_stack *stack, struct tcp_syn *syn, const struct tcp_seg *seg)
{
	// RFC 7323 5.3 R1.
	if (syn->timestamps &&
	    (!seg->options.has_timestamp || tcp_seq_lt(seg->options.tsval, syn->ts_recent))) {
		tcp__drop(stack, DROP_TCP_PAWS);
		challenge(stack, syn);
		return false;
	}
	if (!tcp_seq_within(seg->seq, syn->irs + 1, offered_window(stack))) {
		tcp__drop(stack, DROP_TCP_SEQUENCE);
		challenge(stack, syn);
		return false;
	}
	if (!(seg->flags & TCP_ACK)) {
		tcp__drop(stack, DROP_TCP_FLAGS);
		return false;
	}
	if (seg->ack != syn->iss + 1) {
		tcp__drop(stack, DROP_TCP_ACK);
		tcp__reject(stack, seg);
		return false;
	}
	return true;
}

static void promote(struct tcp_stack *stack, struct tcp_syn *syn, struct tcp_seg *seg)
{
	struct tcp_conn_params params = {
		.flow = &syn->flow,
		.hash = syn->hash,
		.peer = syn->peer,
		.iss = syn->iss,
		.ts_offset = syn->ts_offset,
		.state = TCP_STATE_SYN_RECEIVED,
		.replaces = syn_ref(stack, syn),
	};
	struct tcp_options offered = {
		.has_mss = syn->mss != 0,
		.mss = syn->mss,
		.has_wscale = syn->scaled,
		.wscale = syn->snd_scale,
		.has_timestamp = syn->timestamps,
		.tsval = syn->ts_recent,
		.sack_permitted = syn->sack,
	};
	struct tcp_conn *conn = tcp__conn_new(stack, &params);

	// No room: the entry stays, and the client's data or our SYN-ACK will bring us here again.
	if (!conn)
		return;
	tcp__conn_negotiate(conn, &offered, syn->irs);
	conn->work->syn_retries = syn->retries;
	if (syn->retries == 0)
		tcp__rtt_sample(conn, stack->now_ns - syn->sent_ns);
	tcp_link_remove(&syn->link);
	tcp_slab_free(&stack->syns.entries, syn);
	tcp__conn_accept(conn, seg);
}

void tcp__syn_input(struct tcp_stack *stack, struct tcp_syn *syn, struct tcp_seg *seg)
{
	// RFC 5961 3.2: only the exact number resets, what is near is challenged.
	if (seg->flags & TCP_RST) {
		if (seg->seq == syn->irs + 1) {
			tcp__count(stack, TCP_COUNT_RESET_IN);
			remove_syn(stack, syn);
			return;
		}
		tcp__drop(stack, DROP_TCP_SEQUENCE);
		if (tcp_seq_within(seg->seq, syn->irs + 1, offered_window(stack)))
			challenge(stack, syn);
		return;
	}
	if (seg->flags & TCP_SYN) {
		if (seg->seq == syn->irs && !(seg->flags & TCP_ACK))
			send_syn_ack(stack, syn);
		else
			challenge(stack, syn);
		return;
	}
	// The first SYN was answered by a cookie that came late, and this entry is of a second one.
	if (seg->ack != syn->iss + 1 && tcp__cookie_is_ours(stack, seg)) {
		remove_syn(stack, syn);
		tcp__cookie_input(stack, seg);
		return;
	}
	if (completes(stack, syn, seg))
		promote(stack, syn, seg);
}

uint32_t tcp__syn_tick(struct tcp_stack *stack, uint32_t budget)
{
	uint32_t ran = 0;

	for (uint32_t level = 0; level < TCP_SYN_LEVELS; level++) {
		struct tcp_link *fifo = &stack->syns.levels[level];

		for (; ran < budget && !tcp_list_empty(fifo); ran++) {
			struct tcp_syn *syn = CONTAINER_OF(fifo->next, struct tcp_syn, link);

			if (syn->deadline_ns > stack->now_ns)
				break;
			if (level + 1 == TCP_SYN_LEVELS) {
				remove_syn(stack, syn);
				continue;
			}
			syn->retries++;
			enter_level(stack, syn, level + 1);
			send_syn_ack(stack, syn);
		}
	}
	return ran;
}
