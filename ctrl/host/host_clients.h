/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/host/host.h"

/* CLIENT LIST and CLIENT KILL; inside ctrl/host only. */
void host_client_list(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self);
/* `stats conns` of memcached: its own protocols' connections. */
void host_mc_conns(const struct host *host, struct out *out);
void host_client_kill(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self);
