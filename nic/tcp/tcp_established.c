/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Header prediction: the segment that nearly always comes next on an established connection is in
 * order, inside the window, with plain flags and the options of its predecessor. It is recognised
 * by comparisons whose results are collected before the one branch on them; all else takes
 * tcp_segment_arrives.c. First called by tcp_input().
 */

bool tcp__input_fast(struct tcp_conn *conn, const struct tcp_packet *packet)
{
	struct tcp_stack *stack = conn->stack;
	const uint8_t *h = packet->segment;
	uint32_t predict = conn->predict;
	uint32_t header_len = (predict >> 12 & 0xf) * 4;
	uint32_t word = be16_load(h + 12) & ~(uint32_t)TCP_PSH;

	if (unlikely(word != predict || packet->len < header_len))
		return false;

	uint32_t len = packet->len - header_len;
	tcp_seq seq = be32_load(h + 4);
	tcp_seq ack = be32_load(h + 8);
	uint32_t wnd = (uint32_t)be16_load(h + 14) << conn->snd_scale;
	uint32_t acked = ack - conn->snd_una;
	uint32_t tsval = 0, tsecr = 0;
	// A sum of conditions, not a chain of them: there is one branch to predict.
	uint32_t odd = (uint32_t)(seq != conn->rcv_nxt) +
		       (uint32_t)(len > conn->rcv_adv - conn->rcv_nxt) +
		       (uint32_t)(acked > conn->snd_max - conn->snd_una) + (uint32_t)(wnd == 0) +
		       (uint32_t)(conn->snd_wnd == 0) + (uint32_t)((len | acked) == 0);

	if (header_len > TCP_HEADER_MIN) {
		tsval = be32_load(h + 24);
		tsecr = be32_load(h + 28);
		odd += (uint32_t)(be32_load(h + 20) != TCP_TIMESTAMP_WORD) +
		       (uint32_t)tcp_seq_lt(tsval, conn->ts_recent);
	}
	if (unlikely(odd > 0))
		return false;

	tcp__count(stack, TCP_COUNT_FAST_PATH);
	conn->last_rx_ns = stack->now_ns;
	// RFC 7323 4.3 (2)
	if (header_len > TCP_HEADER_MIN && tcp_seq_le(seq, conn->rcv_acked))
		conn->ts_recent = tsval;
	if (acked > 0)
		tcp__ack_advance(conn, ack, tsecr);
	if (wnd != conn->snd_wnd && conn->work && conn->work->sendq.head)
		tcp__touch(conn);
	conn->snd_wnd = wnd;
	conn->snd_wl1 = seq;
	conn->snd_wl2 = ack;
	if (len > 0)
		tcp__deliver(conn, slice_of(h + header_len, len));
	else
		tcp__conn_settle(conn);
	return true;
}
