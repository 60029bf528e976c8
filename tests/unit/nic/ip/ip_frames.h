/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Literal frames in hexadecimal, from a peer at 10.99.0.1 (MAC 02:00:00:00:00:01) to us at
 * 10.99.0.2 (MAC 02:00:00:00:00:02): what the unit tests change and the fuzzer starts from.
 */

#define MAC_OURS      "020000000002"
#define MAC_PEER      "020000000001"
#define MAC_BROADCAST "ffffffffffff"

/* Whole frames from the peer to us, in hexadecimal; blanks do not count. */
#define FRAME_ETH MAC_OURS MAC_PEER "0800 "
#define FRAME_TCP_SYN                                                                              \
	FRAME_ETH "4500002c12344000400613d00a6300010a630002 "                                      \
		  "9c4018eb000003e8000000006002faf0cf590000020405b4"
#define FRAME_UDP_HELLO                                                                            \
	FRAME_ETH "4500002112344000401113d00a6300010a630002 "                                      \
		  "9c412bcb000ddf2c68656c6c6f"
#define FRAME_ECHO                                                                                 \
	FRAME_ETH "4500002c12344000400113d50a6300010a630002 "                                      \
		  "0800c8c00007000130313233343536373839616263646566"
// Fragmentation needed, next-hop MTU 1400, about 10.99.0.2:6379 -> 10.99.0.1:40000.
#define FRAME_TOO_BIG                                                                              \
	FRAME_ETH "4500003812344000400113c90a6300010a630002 "                                      \
		  "0304420b00000578"                                                               \
		  "4500001c12344000400613e00a6300020a630001 18eb9c400000004d"
#define FRAME_ARP_REQUEST                                                                          \
	MAC_BROADCAST MAC_PEER "0806 0001080006040001 " MAC_PEER "0a630001 000000000000 0a630002"

/* Offsets in those frames. */
#define AT_ETH_DST  0
#define AT_ETH_SRC  6
#define AT_ETH_TYPE 12
#define AT_IP       14
#define AT_IP_LEN   16
#define AT_IP_FRAG  20
#define AT_IP_PROTO 23
#define AT_IP_SUM   24
#define AT_IP_SRC   26
#define AT_IP_DST   30
#define AT_L4       34
#define AT_ARP      14
