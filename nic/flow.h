/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/endian.h"

#include <stdbool.h>
#include <string.h>

/* An IPv6 address, or an IPv4 one in its mapped form ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
struct ip_addr {
	uint8_t bytes[16];
};

/* One direction-free view of a connection: `local` is this host. */
struct flow {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
};

static inline struct ip_addr ip_addr_from_v4(struct be32 v4)
{
	struct ip_addr a = {{[10] = 0xff, [11] = 0xff}};

	memcpy(&a.bytes[12], &v4.raw, 4);
	return a;
}

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->bytes, prefix, sizeof(prefix)) == 0;
}

static inline struct be32 ip_addr_v4(const struct ip_addr *a)
{
	struct be32 v4;

	memcpy(&v4.raw, &a->bytes[12], 4);
	return v4;
}

static inline bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* All zero: the unspecified address, which nobody has. */
static inline bool ip_addr_is_none(const struct ip_addr *a)
{
	static const struct ip_addr none;

	return ip_addr_equal(a, &none);
}

/* ff00::/8 and 224.0.0.0/4. */
static inline bool ip_addr_is_group(const struct ip_addr *a)
{
	return ip_addr_is_v4(a) ? (a->bytes[12] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

/* fe80::/10 (RFC 4291 2.5.6). */
static inline bool ip_addr_is_link_local(const struct ip_addr *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static inline bool flow_equal(const struct flow *a, const struct flow *b)
{
	return a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       ip_addr_equal(&a->remote, &b->remote) && ip_addr_equal(&a->local, &b->local);
}
