/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/tcp/tcp.h"

/*
 * What a device with TSO makes of a segment: the part with this index, which points into `header`
 * (TCP_HEADER_MAX bytes) and into the whole. False when there are no more. A segment that is not to
 * be cut is its own only part.
 */
bool fake_tso_part(const struct tcp_segment *whole, uint32_t index, struct tcp_segment *part,
		   uint8_t *header);
