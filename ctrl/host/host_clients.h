/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/host/host.h"

/* CLIENT LIST and CLIENT KILL; inside ctrl/host only. */
void host_client_list(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self);
void host_client_kill(void *arg, struct reply *r, const struct slice *args, uint32_t count,
		      struct client *self);
