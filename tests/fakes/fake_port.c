/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fakes/fake_port.h"

#include "base/contract.h"

#include <stdlib.h>
#include <string.h>

/* A port without a NIC, for the unit tests and fuzzers of what lies above it. */

#define POISON 0xa5 // what a buffer holds before somebody writes to it

static uint32_t live;
static uint32_t allowed = UINT32_MAX;

void fake_port_reset(void)
{
	allowed = UINT32_MAX;
}

uint32_t fake_port_live(void)
{
	return live;
}

void fake_port_fail_after(uint32_t count)
{
	allowed = count;
}

/* Fields that the maker of a frame must set are filled with what would be wrong. */
static void new_frame(struct frame *frame, uint32_t room)
{
	memset(frame, POISON, sizeof(*frame));
	frame->buffer = malloc(room ? room : 1);
	INVARIANT(frame->buffer);
	memset(frame->buffer, POISON, room);
	frame->data = frame->buffer;
	frame->room = room;
	frame->len = 0;
	live++;
}

bool port_frame_alloc(struct port *port, struct frame *frame, struct drop_counters *drops)
{
	if (allowed == 0) {
		drop_count(drops, DROP_PORT_NO_BUFFER);
		return false;
	}
	if (allowed != UINT32_MAX)
		allowed--;
	new_frame(frame, PORT_FRAME_ROOM);
	return true;
}

bool port_frame_alloc_control(struct port *port, struct frame *frame, struct drop_counters *drops)
{
	if (!port_frame_alloc(port, frame, drops))
		return false;
	frame->room = PORT_CONTROL_ROOM;
	return true;
}

/* One buffer that grows, where a port has many. */
bool port_frame_append(struct port *port, struct frame *frame, const struct slice *parts,
		       uint32_t count, struct drop_counters *drops)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t wanted = frame->len + parts[i].len;

		if (allowed == 0 && wanted > frame->room) {
			drop_count(drops, DROP_PORT_NO_BUFFER);
			return false;
		}
		frame->buffer = realloc(frame->buffer, wanted > frame->room ? wanted : frame->room);
		INVARIANT(frame->buffer);
		frame->data = frame->buffer;
		memcpy(frame->data + frame->len, parts[i].ptr, parts[i].len);
		frame->len += (uint32_t)parts[i].len;
	}
	return true;
}

void port_free(struct frame *frames, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		INVARIANT(live > 0);
		live--;
		free(frames[i].buffer);
	}
}

void fake_port_frame(struct frame *frame, const void *bytes, uint32_t len)
{
	new_frame(frame, len);
	if (len > 0)
		memcpy(frame->data, bytes, len);
	frame->len = len;
	frame->has_hash = false;
	frame->has_vlan = false;
	frame->ip_checksum = FRAME_CHECKSUM_UNKNOWN;
	frame->l4_checksum = FRAME_CHECKSUM_UNKNOWN;
}

/* Not Toeplitz, but it tells flows and directions apart. Weak, for tests that link the real one. */
__attribute__((weak)) uint32_t port_flow_hash(const uint8_t *tuple, uint32_t len)
{
	uint32_t hash = 0x811c9dc5;

	for (uint32_t i = 0; i < len; i++)
		hash = (hash ^ tuple[i]) * 0x01000193; // FNV-1a
	return hash;
}
