/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The files of snapshot-dir: wirecache-20261129T030000Z.rdb, under the time in UTC at which each
 * was begun. Others in that folder are left alone. Any thread.
 */

#define SNAP_DATED_NAME_MAX 40 // bytes, with the terminator

void snap_dated_name(uint64_t begun_ms, char name[SNAP_DATED_NAME_MAX]);

/* Unix time of such a name, to the second; 0: it is none. */
uint64_t snap_dated_parse(const char *name);

/* Unix time of the newest one; 0: there is none. */
uint64_t snap_dated_newest(const char *folder);

/*
 * Removes the oldest until `keep` are left, and what an interrupted one has left behind. 0 or a
 * negative errno.
 */
int snap_dated_prune(const char *folder, uint32_t keep);
