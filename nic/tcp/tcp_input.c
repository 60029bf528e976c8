/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Where segments come in: find what the flow is, then the file that handles it. The worker calls
 * the two prefetches for all packets of a burst, then tcp_input() for each. A look-up is never kept
 * for the next packet, because this one may have changed what the flow is.
 */

bool tcp__listening(const struct tcp_stack *stack, uint16_t port)
{
	for (uint32_t i = 0; i < stack->listeners_count; i++)
		if (stack->listeners[i] == port)
			return true;
	return false;
}

static void *ref_entry(const struct tcp_stack *stack, uint32_t ref)
{
	uint32_t index = tcp_ref_index(ref);

	switch (tcp_ref_kind(ref)) {
	case TCP_REF_CONN:
		return tcp_slab_at(&stack->conns, index);
	case TCP_REF_SYN:
		return tcp_slab_at(&stack->syns.entries, index);
	case TCP_REF_TIME_WAIT:
	default:
		return tcp_slab_at(&stack->time_waits.entries, index);
	}
}

static const struct flow *ref_flow(const struct tcp_stack *stack, uint32_t ref)
{
	switch (tcp_ref_kind(ref)) {
	case TCP_REF_CONN:
		return &((const struct tcp_conn *)ref_entry(stack, ref))->flow;
	case TCP_REF_SYN:
		return &((const struct tcp_syn *)ref_entry(stack, ref))->flow;
	case TCP_REF_TIME_WAIT:
	default:
		return &((const struct tcp_time_wait *)ref_entry(stack, ref))->flow;
	}
}

uint32_t tcp__lookup(const struct tcp_stack *stack, const struct flow *flow, uint32_t hash)
{
	uint32_t at = 0;
	uint32_t ref;

	do {
		ref = tcp_table_next(&stack->table, hash, &at);
	} while (ref != TCP_REF_NONE && unlikely(!flow_equal(ref_flow(stack, ref), flow)));
	return ref;
}

void tcp_prefetch(struct tcp_stack *stack, uint32_t hash)
{
	prefetch_read(&stack->table.buckets[tcp_table_home(&stack->table, hash, 0)]);
}

void tcp_prefetch_conn(struct tcp_stack *stack, uint32_t hash)
{
	const struct tcp_bucket *bucket =
		&stack->table.buckets[tcp_table_home(&stack->table, hash, 0)];

	for (uint32_t i = 0; i < TCP_BUCKET_SLOTS; i++) {
		const struct tcp_slot *slot = &bucket->slots[i];

		if (slot->tag == hash && tcp_ref_kind(slot->ref) == TCP_REF_CONN) {
			const struct tcp_conn *conn =
				tcp_slab_at(&stack->conns, tcp_ref_index(slot->ref));

			prefetch_write(conn);
			prefetch_write(&conn->flow);
			prefetch_write(&conn->work);
		}
	}
}

/* RFC 9293 3.10.7.1 and 3.10.7.2: no connection. */
static void input_unknown(struct tcp_stack *stack, struct tcp_seg *seg)
{
	bool opens = (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
	bool listening = tcp__listening(stack, seg->packet->flow.local_port);

	if (opens && listening) {
		tcp__syn_listen(stack, seg, 0, false);
		return;
	}
	// What neither opens nor acknowledges is dropped in LISTEN without a word.
	if (listening && !(seg->flags & (TCP_ACK | TCP_RST))) {
		tcp__drop(stack, DROP_TCP_FLAGS);
		return;
	}
	if (tcp__cookie_is_ours(stack, seg)) {
		tcp__cookie_input(stack, seg);
		return;
	}
	tcp__drop(stack, opens ? DROP_TCP_NO_LISTENER : DROP_TCP_NO_CONN);
	tcp__reject(stack, seg);
}

static void dispatch(struct tcp_stack *stack, uint32_t ref, struct tcp_seg *seg)
{
	struct tcp_conn *conn;

	if (ref == TCP_REF_NONE) {
		input_unknown(stack, seg);
		return;
	}
	switch (tcp_ref_kind(ref)) {
	case TCP_REF_CONN:
		conn = ref_entry(stack, ref);
		if (conn->state == TCP_STATE_SYN_SENT)
			tcp__input_syn_sent(conn, seg);
		else
			tcp__input_conn(conn, seg);
		tcp__conn_settle(conn);
		break;
	case TCP_REF_SYN:
		tcp__syn_input(stack, ref_entry(stack, ref), seg);
		break;
	case TCP_REF_TIME_WAIT:
		tcp__time_wait_input(stack, ref_entry(stack, ref), seg);
		break;
	}
}

void tcp_input(struct tcp_stack *stack, const struct tcp_packet *packet, uint64_t now_ns)
{
	const uint8_t *h = packet->segment;
	struct tcp_seg seg;
	uint32_t ref, header_len;

	tcp__set_now(stack, now_ns);
	tcp__count(stack, TCP_COUNT_SEGMENTS_IN);
	if (unlikely(packet->len < TCP_HEADER_MIN)) {
		tcp__drop(stack, DROP_TCP_SHORT);
		return;
	}
	ref = tcp__lookup(stack, &packet->flow, packet->hash);
	if (likely(tcp_ref_kind(ref) == TCP_REF_CONN) &&
	    likely(tcp__input_fast(ref_entry(stack, ref), packet)))
		return;

	header_len = (uint32_t)(h[12] >> 4) * 4;
	if (header_len < TCP_HEADER_MIN || header_len > packet->len) {
		tcp__drop(stack, DROP_TCP_SHORT);
		return;
	}
	seg = (struct tcp_seg){
		.packet = packet,
		.seq = be32_load(h + 4),
		.ack = be32_load(h + 8),
		.wnd = be16_load(h + 14),
		.flags = h[13],
		.payload = slice_of(h + header_len, packet->len - header_len),
	};
	if (!tcp_options_parse(h + TCP_HEADER_MIN, header_len - TCP_HEADER_MIN, &seg.options)) {
		tcp__drop(stack, DROP_TCP_OPTION);
		return;
	}
	dispatch(stack, ref, &seg);
}
