/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_oracle.h"

#include "base/endian.h"

/*
 * The wire oracle of the simulation: the rules of RFC 9293, 7323 and 5681 that a trace can show to
 * be broken.
 */

#define OWED_MAX      512 // a window's worth: a capture shows them before their answers
#define PURE_ACKS_MAX 64 // without anything to acknowledge: window updates, and nothing like a loop

struct view {
	tcp_seq seq, ack;
	uint32_t wnd, len;
	uint8_t flags;
	struct tcp_options options;
};

static bool view_of(const uint8_t *h, uint32_t header_len, uint32_t payload_len, struct view *v)
{
	v->seq = be32_load(h + 4);
	v->ack = be32_load(h + 8);
	v->flags = h[13];
	v->wnd = be16_load(h + 14);
	v->len = payload_len;
	return tcp_options_parse(h + TCP_HEADER_MIN, header_len - TCP_HEADER_MIN, &v->options);
}

/* Both sides announced a scale, so it counts in segments other than SYNs. */
static uint32_t scale_of(const struct oracle *o, int side)
{
	bool both = o->side[0].scale_offered && o->side[1].scale_offered;

	return both ? o->side[side].scale : 0;
}

static const char *check_ack(struct oracle *o, int from, const struct view *v)
{
	struct oracle_side *me = &o->side[from];
	uint32_t scale = v->flags & TCP_SYN ? 0 : scale_of(o, from);
	tcp_seq edge = v->ack + (v->wnd << scale);

	if (!(v->flags & TCP_ACK) || v->flags & TCP_RST)
		return NULL;
	if (me->acked && tcp_seq_lt(v->ack, me->ack))
		return "acknowledgment went back";
	if (me->acked && tcp_seq_lt(edge, me->edge))
		return "right edge of the window moved left";
	me->acked = true;
	me->ack = v->ack;
	me->edge = edge;
	return NULL;
}

static const char *check_payload(struct oracle *o, int from, const struct tcp_segment *segment,
				 const struct view *v)
{
	struct oracle_side *me = &o->side[from];
	uint32_t at = v->seq - me->isn - 1;

	// A probe: one byte that the peer has already, of no importance.
	if (v->len == 1 && v->seq + 1 == me->peer_ack)
		return NULL;
	if (v->len > 0 && !me->syn_received)
		return "data before the handshake";
	if (v->len > 0 && tcp_seq_gt(v->seq + v->len, me->allowed))
		return "data beyond the peer's window";
	if (me->fin_sent && v->len > 0 && tcp_seq_gt(v->seq + v->len, me->fin_seq))
		return "data beyond our FIN";
	for (uint32_t i = 0; i < segment->payload_count && !o->any_bytes; i++)
		for (uint32_t j = 0; j < segment->payload[i].len; j++, at++)
			if (segment->payload[i].ptr[j] != sim_stream_byte(o->id, from, at))
				return "another byte under the same number";
	if (v->flags & TCP_FIN) {
		if (me->fin_sent && v->seq + v->len != me->fin_seq)
			return "FIN moved";
		if (tcp_seq_ge(v->seq + v->len, me->allowed))
			return "FIN beyond the peer's window";
		me->fin_sent = true;
		me->fin_seq = v->seq + v->len;
	}
	return NULL;
}

static const char *check_rates(struct oracle_side *me, const struct view *v,
			       const struct tcp_conn *conn)
{
	if (v->options.has_timestamp && !(v->flags & TCP_RST)) {
		if (me->has_tsval && tcp_seq_lt(v->options.tsval, me->tsval))
			return "timestamp went back";
		me->has_tsval = true;
		me->tsval = v->options.tsval;
	}
	if (v->len == 0 && v->flags == TCP_ACK) {
		if (me->owed > 0)
			me->owed--;
		else if (++me->pure_acks > PURE_ACKS_MAX)
			return "ACKs without end";
	}
	// RFC 5681 3.1 with RFC 3042's two segments, RFC 6675: what was sent before the last that
	// has arrived may have left the network. The stack has not counted the segment as sent yet.
	if (conn && conn->work && !conn->work->probed && v->len > 0 &&
	    conn->state > TCP_STATE_SYN_RECEIVED && v->seq == conn->snd_nxt &&
	    tcp_seq_gt(v->seq, me->sacked) &&
	    v->seq + v->len - tcp_seq_max(conn->snd_una, me->sacked) >
		    conn->cwnd + 2u * conn->segment_max)
		return "more in flight than cwnd";
	return NULL;
}

/*
 * RFC 9293 3.4.1, RFC 4987 3.6: a listener that keeps nothing, or no longer, answers each SYN as
 * the first, until it has been seen to go on from one of its numbers.
 */
static bool may_change_isn(struct oracle_side *me, const struct view *v)
{
	if (me->reset)
		return true;
	return v->flags & TCP_ACK && !me->spoke && me->answers_count < ORACLE_ANSWERS_MAX;
}

static void note_answer(struct oracle_side *me, const struct view *v)
{
	me->isn = v->seq;
	me->scale = v->options.wscale;
	me->scale_offered = v->options.has_wscale;
	if (me->answers_count < ORACLE_ANSWERS_MAX)
		me->answers[me->answers_count++] =
			(struct oracle_answer){me->isn, me->scale, me->scale_offered};
}

/* Which of the answers the connection is of. */
static void note_speech(struct oracle_side *me, const struct view *v)
{
	for (uint32_t i = 0; i < me->answers_count && !me->spoke; i++) {
		if (v->seq != me->answers[i].isn + 1)
			continue;
		me->isn = me->answers[i].isn;
		me->scale = me->answers[i].scale;
		me->scale_offered = me->answers[i].scale_offered;
	}
	me->spoke = true;
}

const char *oracle_sent(struct oracle *o, int from, const struct tcp_segment *segment,
			const struct tcp_conn *conn)
{
	struct oracle_side *me = &o->side[from];
	const char *wrong;
	struct view v;

	if (!view_of(segment->header.ptr, (uint32_t)segment->header.len, segment->payload_len, &v))
		return "malformed options";
	if (v.flags & TCP_SYN) {
		if (me->syn_sent && v.seq != me->isn) {
			struct oracle_side before = *me;

			if (!may_change_isn(me, &v))
				return "initial sequence number changed";
			*me = (struct oracle_side){.syn_received = true, .syn_wnd = before.syn_wnd};
			memcpy(me->answers, before.answers, sizeof(me->answers));
			me->answers_count = before.reset ? 0 : before.answers_count;
		}
		if (!me->syn_sent && me->syn_received) {
			me->allowed = v.seq + 1 + me->syn_wnd;
			me->peer_ack = me->sacked = v.seq;
			me->offered = true;
		}
		me->syn_sent = true;
		note_answer(me, &v);
	}
	if (!(v.flags & (TCP_SYN | TCP_RST)))
		note_speech(me, &v);
	me->reset = me->reset || v.flags & TCP_RST;
	wrong = check_ack(o, from, &v);
	if (!wrong && !(v.flags & (TCP_SYN | TCP_RST)))
		wrong = check_payload(o, from, segment, &v);
	return wrong ? wrong : check_rates(me, &v, conn);
}

void oracle_received(struct oracle *o, int to, const uint8_t *bytes, uint32_t len)
{
	struct oracle_side *me = &o->side[to];
	uint32_t header_len = (uint32_t)(bytes[12] >> 4) * 4;
	tcp_seq edge;
	struct view v;

	if (!view_of(bytes, header_len, len - header_len, &v))
		return;
	me->reset = me->reset || v.flags & TCP_RST;
	if (v.flags & TCP_RST)
		return;
	if (v.len > 0 || v.flags & (TCP_SYN | TCP_FIN)) {
		me->pure_acks = 0;
		me->owed += me->owed < OWED_MAX;
	}
	if (v.flags & TCP_SYN) {
		me->syn_received = true;
		me->peer_isn = v.seq;
		me->syn_wnd = v.wnd;
	}
	// The SYN of an active open offers a window to whatever will answer it.
	if (!(v.flags & TCP_ACK))
		return;
	edge = v.ack + (v.wnd << (v.flags & TCP_SYN ? 0 : scale_of(o, 1 - to)));
	// Until we speak the peer's last word tells which of our answers it goes by.
	for (uint32_t i = 0; i < me->answers_count && !me->spoke; i++)
		me->offered = me->offered && v.ack != me->answers[i].isn + 1;
	if (!me->offered || tcp_seq_gt(v.ack, me->peer_ack))
		me->peer_ack = v.ack;
	if (!me->offered || tcp_seq_gt(v.ack, me->sacked))
		me->sacked = v.ack;
	for (uint32_t i = 0; i < v.options.sack_count; i++)
		me->sacked = tcp_seq_max(me->sacked, v.options.sack[i].end);
	if (!me->offered || tcp_seq_gt(edge, me->allowed))
		me->allowed = edge;
	me->offered = true;
}
