/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config.h"
#include "ctrl/snapshot/snapshot.h"

/*
 * Whether a snapshot is due by the rules of `save` or by snapshot-window, and which. `changes` are
 * those since dbfilename was last written. False while one goes on. Pure; time is passed in.
 */
bool snap_plan(const struct config *config, const struct snap_saver_status *status,
	       uint64_t changes, uint64_t now_ms, enum snap_kind *due);
