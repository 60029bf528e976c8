/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/command.h"

/*
 * memcached's commands that concern the whole process, for the control thread. argv: the words of
 * the line. The answers are raw text: only memcached's clients can ask.
 */
extern const struct cmd mc_watch_command;    // watch [fetchers] [mutations] [evictions]
extern const struct cmd mc_memlimit_command; // cache_memlimit MEGABYTES
extern const struct cmd mc_shutdown_command; // shutdown [graceful], found enabled
