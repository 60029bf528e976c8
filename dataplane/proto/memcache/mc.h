/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * memcached's protocols over the engine's keyspace. Runs on whichever thread carries the session.
 */
struct proto;

/* The protocol of a connection by its first byte, as memcached negotiates it. Never NULL. */
const struct proto *mc_detect(uint8_t first_byte);
