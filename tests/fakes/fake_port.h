/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/port/port.h"

/*
 * The part of nic/port/port.h that libraries above it call, without DPDK: port_frame_alloc(),
 * port_free() and port_flow_hash(). Every buffer is an allocation of its own of exactly
 * PORT_FRAME_ROOM bytes, so that a sanitizer sees the first byte too many, and all of them are
 * counted, so that a leak shows. One thread.
 */

/* Forgets what the previous test asked for. Frames that are still out stay counted. */
void fake_port_reset(void);

/* Buffers that have been allocated and not yet freed. */
uint32_t fake_port_live(void);

/* The next `count` allocations succeed, those after them fail, until fake_port_reset(). */
void fake_port_fail_after(uint32_t count);

/*
 * A frame as if received: a buffer of exactly `len` bytes with a copy of `bytes`, nothing known of
 * it.
 */
void fake_port_frame(struct frame *frame, const void *bytes, uint32_t len);
