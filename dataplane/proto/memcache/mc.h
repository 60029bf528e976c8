/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * memcached's protocols over the engine's keyspace. Runs on whichever thread carries the session.
 */
struct proto;
struct item;

/*
 * The protocol of a connection by its first byte, as memcached negotiates it; `text_only`: without
 * the binary one. Never NULL.
 */
const struct proto *mc_detect(uint8_t first_byte, bool text_only);

/* For table_on_evict() of a worker; `arg` is its session_host. Notes it, if somebody watches. */
void mc_log_eviction(void *arg, const struct item *item);
