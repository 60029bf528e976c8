/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/flow.h"
#include "nic/tcp/tcp_list.h"
#include "nic/tcp/tcp_seq.h"
#include "nic/tcp/tcp_slab.h"

/* TIME-WAIT: enough to acknowledge a FIN again and to judge a new SYN (RFC 6191). */
struct tcp_time_wait {
	struct tcp_link link;
	struct flow flow;
	uint32_t hash;
	uint32_t peer;
	tcp_seq snd_nxt;
	tcp_seq rcv_nxt;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint16_t wnd;
	bool timestamps;
	uint64_t deadline_ns;
};

struct tcp_time_wait_pool {
	struct tcp_slab entries;
	struct tcp_link fifo; // by deadline: the delay is one for all
};
