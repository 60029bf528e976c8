/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * SYN cookies (RFC 4987 3.6): while the pool of half-open entries is full, a SYN is answered
 * without a trace of it. The number of the SYN-ACK holds what a connection is made of when it comes
 * back, and the timestamp's low bits hold the options; a client without timestamps gets neither
 * window scaling nor SACK then.
 *
 *   number     period 3 | MSS 3 | hash of flow, period, MSS 4 | the same and the SYN's number 22
 *   timestamp  the clock's upper 26 bits | unused 1 | SACK 1 | window scale 4, 15: none
 *
 * The hash is in two parts because data may overtake the ACK that opens, or that be lost: what has
 * the first part right and the second wrong may be ours, too early, and is dropped where a
 * stranger's gets a RST. The second must not be right by chance: bytes would be missing.
 */

#define PERIOD_MIN_NS   TCP_SECOND_NS
#define PERIOD_MAX_NS   (8 * TCP_SECOND_NS)
#define PERIODS_VALID   2
#define PERIOD_SHIFT    29
#define PERIOD_MASK     7u
#define MSS_SHIFT       26
#define MSS_MASK        7u
#define FIRST_MASK      15u
#define SECOND_BITS     22
#define SECOND_MASK     ((1u << SECOND_BITS) - 1)
#define TS_OPTIONS_MASK 63u
#define TS_SACK         16u
#define TS_SCALE_MASK   15u
#define TS_SCALE_NONE   15u

/* The largest that is not above the peer's is kept. */
static const uint16_t mss_kept[8] = {88, 536, 1220, 1360, 1400, 1440, 1460, 8940};

/*
 * A cookie must not come back when the TIME-WAIT of the connection that it has opened is over: a
 * repeated first segment would open another one.
 */
static uint64_t period_ns(const struct tcp_stack *stack)
{
	uint64_t period = stack->config.time_wait_ns / PERIODS_VALID;

	if (period > PERIOD_MAX_NS)
		return PERIOD_MAX_NS;
	return period > PERIOD_MIN_NS ? period : PERIOD_MIN_NS;
}

static uint32_t cookie_of(const struct tcp_stack *stack, const struct flow *flow, uint64_t period,
			  uint32_t mss, tcp_seq irs)
{
	const struct hash_key key = {~stack->isn_key.k0, stack->isn_key.k1};
	uint8_t bytes[sizeof(*flow) + 12];
	const size_t first_bytes = sizeof(*flow) + 8;
	uint32_t first, second;

	memcpy(bytes, flow, sizeof(*flow));
	be32_store(bytes + sizeof(*flow), (uint32_t)period);
	be32_store(bytes + sizeof(*flow) + 4, mss);
	be32_store(bytes + sizeof(*flow) + 8, irs);
	first = (uint32_t)hash_siphash13(&key, slice_of(bytes, first_bytes)) & FIRST_MASK;
	second = (uint32_t)hash_siphash13(&key, slice_of(bytes, sizeof(bytes))) & SECOND_MASK;
	return (uint32_t)(period & PERIOD_MASK) << PERIOD_SHIFT | mss << MSS_SHIFT |
	       first << SECOND_BITS | second;
}

/* What the number that the segment acknowledges would be if we had sent it. */
static uint32_t expected(const struct tcp_stack *stack, const struct tcp_seg *seg)
{
	uint64_t now = stack->now_ns / period_ns(stack);
	uint32_t cookie = seg->ack - 1;
	uint64_t age = (now - (cookie >> PERIOD_SHIFT)) & PERIOD_MASK;

	if (age >= PERIODS_VALID)
		return ~cookie;
	return cookie_of(stack, &seg->packet->flow, now - age, cookie >> MSS_SHIFT & MSS_MASK,
			 seg->seq - 1);
}

static uint32_t mss_index(uint16_t mss)
{
	uint32_t i = ARRAY_COUNT(mss_kept) - 1;

	while (i > 0 && mss_kept[i] > mss)
		i--;
	return i;
}

/* A timestamp with the options in it, never above the clock. */
static uint32_t stamp(uint32_t clock, const struct tcp_syn *syn)
{
	uint32_t bits = (syn->scaled ? syn->snd_scale : TS_SCALE_NONE) | (syn->sack ? TS_SACK : 0);
	uint32_t value = (clock & ~TS_OPTIONS_MASK) | bits;

	return tcp_seq_gt(value, clock) ? value - TS_OPTIONS_MASK - 1 : value;
}

void tcp__cookie_fill(struct tcp_stack *stack, struct tcp_syn *syn)
{
	uint16_t mss = syn->mss ? syn->mss : tcp__default_mss(&syn->flow);
	uint64_t period = stack->now_ns / period_ns(stack);

	syn->iss = cookie_of(stack, &syn->flow, period, mss_index(mss), syn->irs);
	if (syn->timestamps) {
		syn->ts_offset = stamp(stack->now_ms + syn->ts_offset, syn) - stack->now_ms;
	} else {
		syn->scaled = false;
		syn->sack = false;
	}
	stack->cookie_until_ns = stack->now_ns + PERIODS_VALID * period_ns(stack);
	tcp__count(stack, TCP_COUNT_SYN_COOKIES_SENT);
}

static void open_by(struct tcp_stack *stack, struct tcp_seg *seg, uint32_t cookie)
{
	const struct tcp_packet *packet = seg->packet;
	bool timestamps = seg->options.has_timestamp && stack->config.timestamps;
	uint32_t bits = timestamps ? seg->options.tsecr : TS_SCALE_NONE;
	struct tcp_conn_params params = {
		.flow = &packet->flow,
		.hash = packet->hash,
		.peer = packet->peer,
		.iss = cookie,
		.ts_offset = tcp__ts_offset(stack, &packet->flow),
		.state = TCP_STATE_SYN_RECEIVED,
	};
	const struct tcp_options offered = {
		.has_mss = true,
		.mss = mss_kept[cookie >> MSS_SHIFT & MSS_MASK],
		.has_wscale = (bits & TS_SCALE_MASK) != TS_SCALE_NONE,
		.wscale = bits & TS_SCALE_MASK,
		.has_timestamp = timestamps,
		.tsval = seg->options.tsval,
		.sack_permitted = (bits & TS_SACK) != 0,
	};
	struct tcp_conn *conn = tcp__conn_new(stack, &params);

	if (!conn)
		return;
	tcp__count(stack, TCP_COUNT_SYN_COOKIES_ACCEPTED);
	tcp__set(conn, TCP_F_COOKIE);
	tcp__conn_negotiate(conn, &offered, seg->seq - 1);
	tcp__conn_accept(conn, seg);
}

bool tcp__cookie_is_ours(const struct tcp_stack *stack, const struct tcp_seg *seg)
{
	return (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK &&
	       stack->now_ns < stack->cookie_until_ns &&
	       tcp__listening(stack, seg->packet->flow.local_port) &&
	       (seg->ack - 1) >> SECOND_BITS == expected(stack, seg) >> SECOND_BITS;
}

void tcp__cookie_input(struct tcp_stack *stack, struct tcp_seg *seg)
{
	if (seg->ack - 1 == expected(stack, seg))
		open_by(stack, seg, seg->ack - 1);
	else
		tcp__drop(stack, DROP_TCP_SYN_COOKIE);
}
