/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_plan.h"

/*
 * Called by snap_saver.c about once a second. Rules and pauses after a failure as redis has them
 * (server.c, serverCron()).
 */

#define DAY_S          86400
#define MAIN_PAUSE_MS  5000 // after a failure
#define DATED_PAUSE_MS 60000

static bool pauses(const struct snap_file_status *file, uint64_t pause_ms, uint64_t now_ms)
{
	return file->failed && now_ms < file->tried_ms + pause_ms;
}

static bool main_is_due(const struct config *config, const struct snap_file_status *file,
			uint64_t changes, uint64_t now_ms)
{
	struct config_save saves[CONFIG_SAVES_MAX];
	int count = config_parse_saves(config->save, saves);

	if (pauses(file, MAIN_PAUSE_MS, now_ms))
		return false;
	for (int i = 0; i < count; i++)
		if (changes >= saves[i].changes && now_ms > file->last_ms + saves[i].seconds * 1000)
			return true;
	return false;
}

/* Once in each occurrence of the window, whatever has been written before it began. */
static bool dated_is_due(const struct config *config, const struct snap_file_status *file,
			 uint64_t now_ms)
{
	struct config_window window;

	if (!config_parse_window(config->snapshot_window, &window) ||
	    pauses(file, DATED_PAUSE_MS, now_ms))
		return false;
	uint64_t since_s = (now_ms / 1000 + DAY_S - window.start_s) % DAY_S;
	uint64_t length_s = (DAY_S + window.end_s - window.start_s) % DAY_S;

	return since_s < length_s && file->last_ms < (now_ms / 1000 - since_s) * 1000;
}

bool snap_plan(const struct config *config, const struct snap_saver_status *status,
	       uint64_t changes, uint64_t now_ms, enum snap_kind *due)
{
	if (status->saving)
		return false;
	// First, as a rule that is always due would keep it from ever coming.
	if (dated_is_due(config, &status->file[SNAP_DATED], now_ms))
		*due = SNAP_DATED;
	else if (main_is_due(config, &status->file[SNAP_MAIN], changes, now_ms))
		*due = SNAP_MAIN;
	else
		return false;
	return true;
}
