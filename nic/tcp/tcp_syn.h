/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/flow.h"
#include "nic/tcp/tcp_list.h"
#include "nic/tcp/tcp_seq.h"
#include "nic/tcp/tcp_slab.h"

/* SYN-RECEIVED of a passive open: what is needed to answer, and to make a connection of it. */
struct tcp_syn {
	struct tcp_link link; // FIFO of its number of retries
	struct flow flow;
	uint32_t hash;
	uint32_t peer;
	tcp_seq irs;
	tcp_seq iss;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint32_t wnd;
	uint16_t mss; // the peer's option, 0: none
	uint8_t snd_scale;
	bool scaled, timestamps, sack;
	uint8_t retries;
	uint64_t sent_ns;
	uint64_t deadline_ns;
};

/* SYN-ACKs are sent again after 250 ms, 500 ms, 1 s, 2 s; then the entry goes. */
#define TCP_SYN_LEVELS 5

struct tcp_syn_pool {
	struct tcp_slab entries;
	struct tcp_link levels[TCP_SYN_LEVELS]; // one delay each
};
