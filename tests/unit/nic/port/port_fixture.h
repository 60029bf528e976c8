/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "nic/port/port_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * Boots the packet system on ordinary pages with these devices, as a program without privileges
 * would. Ends the test as skipped (77) when a driver is not installed.
 */
void fixture_boot(const char *const *devices, int count);

/* Opens and starts a port; fails the test with the reason when that does not work. */
struct port *fixture_port(unsigned index, uint16_t queues);

/*
 * A frame of `len` bytes that begins with a broadcast Ethernet header of this type and carries `id`
 * behind it.
 */
struct frame fixture_frame(struct port *port, uint32_t len, uint16_t ether_type, uint32_t id);
uint32_t fixture_frame_id(const struct frame *frame);

/* Buffers of the port that somebody holds. */
uint32_t fixture_buffers_out(const struct port *port);

uint64_t fixture_drops(const struct drop_counters *drops, enum drop_reason reason);

/* Whether the TCP or UDP checksum of an IP packet is right, as DPDK computes it. */
bool fixture_l4_checksum_right(const uint8_t *ip, uint8_t l3_len);
