/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * ICMP errors that quote a segment of ours (RFC 792, 4443, as RFC 5927 restricts them): "packet too
 * big" lowers the segment size, everything else is advice that the timers do without. The IP layer
 * has matched the flow.
 */

#define ICMP_HEADER      8
#define ICMP_UNREACHABLE 3
#define ICMP_NEEDS_FRAG  4
#define ICMP6_TOO_BIG    2
#define IP6_HEADER       40
#define PATH_MTU_MIN_V4  552 // what Linux takes as its lowest too; less only helps an attacker
#define PATH_MTU_MIN_V6  1280

struct quote {
	uint32_t mtu;
	tcp_seq seq;
};

/* False when it is no "too big", or too short to quote a sequence number. */
static bool parse(struct slice icmp, bool v4, struct quote *quote)
{
	uint32_t quoted_ip = IP6_HEADER;

	if (icmp.len < ICMP_HEADER + 1)
		return false;
	if (v4) {
		if (icmp.ptr[0] != ICMP_UNREACHABLE || icmp.ptr[1] != ICMP_NEEDS_FRAG)
			return false;
		quoted_ip = (uint32_t)(icmp.ptr[ICMP_HEADER] & 0xf) * 4;
	} else if (icmp.ptr[0] != ICMP6_TOO_BIG) {
		return false;
	}
	if (icmp.len < ICMP_HEADER + quoted_ip + 8)
		return false;
	quote->mtu = v4 ? be16_load(icmp.ptr + 6) : be32_load(icmp.ptr + 4);
	quote->seq = be32_load(icmp.ptr + ICMP_HEADER + quoted_ip + 4);
	return true;
}

void tcp_icmp_error(struct tcp_stack *stack, const struct flow *flow, uint32_t hash,
		    struct slice icmp, uint64_t now_ns)
{
	bool v4 = ip_addr_is_v4(&flow->remote);
	uint32_t mtu_min = v4 ? PATH_MTU_MIN_V4 : PATH_MTU_MIN_V6;
	uint32_t ref = tcp__lookup(stack, flow, hash);
	struct tcp_conn *conn;
	struct quote quote;
	uint32_t mss, options;

	tcp__set_now(stack, now_ns);
	if (tcp_ref_kind(ref) != TCP_REF_CONN || !parse(icmp, v4, &quote))
		return;
	conn = tcp_slab_at(&stack->conns, tcp_ref_index(ref));
	// RFC 5927 4.1: only who sees our segments can quote one that is in flight.
	if (conn->state <= TCP_STATE_SYN_RECEIVED || tcp_seq_lt(quote.seq, conn->snd_una) ||
	    tcp_seq_ge(quote.seq, conn->snd_max))
		return;
	if (quote.mtu < mtu_min)
		quote.mtu = mtu_min;
	mss = quote.mtu - (v4 ? 40 : 60);
	options = tcp__has(conn, TCP_F_TIMESTAMPS) ? TCP_TIMESTAMP_BYTES : 0;
	if (mss >= conn->segment_max + options)
		return;
	tcp__conn_set_mss(conn, mss);
	// What was too big is gone: send it again in smaller pieces, without blaming the network
	// for it.
	conn->snd_nxt = conn->snd_una;
	tcp_sendq_rewind(&conn->work->sendq);
	tcp__clear(conn, TCP_F_RTT_TIMING);
	tcp__touch(conn);
}
