/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_stack.h"

/*
 * Round-trip times and the retransmission time-out (RFC 6298). tcp_ack.c gives the samples;
 * tcp_timer.c and tcp_output.c ask for the time-out. The clock is that of the burst.
 */

#define RTO_INITIAL_US 1000000u // RFC 6298 2.1
// a Linux client with nothing to say delays its ACK by 40 ms and more
#define RTO_FLOOR_MS     50
#define RTO_FLOOR_MS_MAX 250
#define RTO_MAX_US       60000000u
#define RTT_MAX_NS       (60 * TCP_SECOND_NS)
#define CLOCK_US         1000u // G of RFC 6298: the timer wheel's tick
#define BACKOFF_MAX      12

void tcp__rtt_init(struct tcp_conn *conn)
{
	conn->srtt_us = 0;
	conn->rttvar_us = 0;
	conn->rto_floor_ms = RTO_FLOOR_MS;
}

static uint32_t floor_us(const struct tcp_conn *conn)
{
	return conn->rto_floor_ms * 1000u;
}

/* The time-out that the samples so far make for. */
void tcp__rtt_wake(struct tcp_conn *conn)
{
	uint32_t spread = 4 * conn->rttvar_us;
	uint32_t rto_us = conn->srtt_us + (spread > CLOCK_US ? spread : CLOCK_US);

	if (conn->srtt_us == 0)
		rto_us = RTO_INITIAL_US;
	// (2.4), (2.5)
	if (rto_us < floor_us(conn))
		rto_us = floor_us(conn);
	conn->work->rto_us = rto_us < RTO_MAX_US ? rto_us : RTO_MAX_US;
}

void tcp__rtt_sample(struct tcp_conn *conn, uint64_t rtt_ns)
{
	uint32_t rtt_us = (uint32_t)(rtt_ns < RTT_MAX_NS ? rtt_ns / 1000 : RTT_MAX_NS / 1000);

	if (rtt_us == 0)
		rtt_us = 1;
	if (conn->srtt_us == 0) {
		// (2.2) The first sample.
		conn->srtt_us = rtt_us;
		conn->rttvar_us = rtt_us / 2;
	} else {
		// (2.3) alpha = 1/8, beta = 1/4, the variance before the mean.
		uint32_t error =
			rtt_us > conn->srtt_us ? rtt_us - conn->srtt_us : conn->srtt_us - rtt_us;

		conn->rttvar_us = conn->rttvar_us - conn->rttvar_us / 4 + error / 4;
		conn->srtt_us = conn->srtt_us - conn->srtt_us / 8 + rtt_us / 8;
		if (conn->srtt_us == 0)
			conn->srtt_us = 1;
	}
	tcp__rtt_wake(conn);
}

/* New data has been acknowledged: is there a sample in it? */
void tcp__rtt_acked(struct tcp_conn *conn, tcp_seq ack, uint32_t tsecr)
{
	struct tcp_stack *stack = conn->stack;

	if (tcp__has(conn, TCP_F_RTT_TIMING) && tcp_seq_ge(ack, conn->work->rtt_seq)) {
		tcp__clear(conn, TCP_F_RTT_TIMING);
		tcp__rtt_sample(conn, stack->now_ns - conn->work->rtt_start_ns);
	} else if (tcp__has(conn, TCP_F_RESENT) && tsecr != 0 && conn->work->backoff <= 1) {
		// (3) Karn's rule forbids timing what was sent twice, but an echoed timestamp tells
		// which was answered. After a series of time-outs it may be one whose ACK was lost:
		// that would take our own waiting for the network's.
		uint32_t ms = stack->now_ms + conn->ts_offset - tsecr;

		if (ms < RTT_MAX_NS / TCP_MS_NS)
			tcp__rtt_sample(conn, (uint64_t)(ms ? ms : 1) * TCP_MS_NS);
	}
	tcp__clear(conn, TCP_F_RESENT);
}

uint64_t tcp__rto_ns(const struct tcp_conn *conn)
{
	uint32_t backoff = conn->work->backoff < BACKOFF_MAX ? conn->work->backoff : BACKOFF_MAX;
	uint64_t rto_us = (uint64_t)conn->work->rto_us << backoff;

	return (rto_us < RTO_MAX_US ? rto_us : RTO_MAX_US) * 1000;
}

/* A time-out came too early by this much: a floor that would have been right, within reason. */
void tcp__rtt_raise_floor(struct tcp_conn *conn, uint64_t observed_ns)
{
	uint64_t floor_ms = (observed_ns + observed_ns / 4) / TCP_MS_NS + 1;

	if (floor_ms > RTO_FLOOR_MS_MAX)
		floor_ms = RTO_FLOOR_MS_MAX;
	if (floor_ms > conn->rto_floor_ms)
		conn->rto_floor_ms = (uint16_t)floor_ms;
	if (conn->work->rto_us < floor_us(conn))
		conn->work->rto_us = floor_us(conn);
}
