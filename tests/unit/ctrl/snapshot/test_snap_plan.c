/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* Which snapshot is due, by the rules, the window, the changes and what has been before. */

#define DAY   1764374400000ULL // 2025-11-29 00:00 UTC
#define HOUR  3600000ULL
#define AT(h) (DAY + (h)*HOUR)

struct plan_case {
	const char *what;
	const char *save, *window;
	uint64_t changes;
	uint64_t now_ms;
	uint64_t main_last_ms, main_failed_ms; // failed: when it was tried, 0: it did not
	uint64_t dated_last_ms, dated_failed_ms;
	bool saving;
	int due; // enum snap_kind, -1: none
};

static const struct plan_case cases[] = {
	{"no rule", "", "", 1000, AT(5), 1, 0, 1, 0, false, -1},
	{"enough of both", "60 10", "", 10, AT(5), AT(5) - 60001, 0, 0, 0, false, SNAP_MAIN},
	{"too early", "60 10", "", 10, AT(5), AT(5) - 60000, 0, 0, 0, false, -1},
	{"too few changes", "60 10", "", 9, AT(5), AT(5) - 90000, 0, 0, 0, false, -1},
	{"the second rule", "60 10 3600 1", "", 1, AT(5), AT(1), 0, 0, 0, false, SNAP_MAIN},
	{"none of two rules", "60 10 3600 1", "", 1, AT(5), AT(5) - 70000, 0, 0, 0, false, -1},
	{"one goes on", "60 10", "04:00-06:00", 10, AT(5), 1, 0, 0, 0, true, -1},
	{"just after a failure", "60 1", "", 1, AT(5), 1, AT(5) - 4999, 0, 0, false, -1},
	{"a while after a failure", "60 1", "", 1, AT(5), 1, AT(5) - 5000, 0, 0, false, SNAP_MAIN},
	{"the clock was set back", "60 1", "", 1, AT(5), AT(6), 0, 0, 0, false, -1},
	{"in the window", "", "04:00-06:00", 0, AT(5), 1, 0, 0, 0, false, SNAP_DATED},
	{"as the window begins", "", "05:00-06:00", 0, AT(5), 1, 0, 0, 0, false, SNAP_DATED},
	{"as the window ends", "", "04:00-05:00", 0, AT(5), 1, 0, 0, 0, false, -1},
	{"before the window", "", "05:01-06:00", 0, AT(5), 1, 0, 0, 0, false, -1},
	{"had in this window", "", "04:00-06:00", 0, AT(5), 1, 0, AT(4), 0, false, -1},
	{"had yesterday", "", "04:00-06:00", 0, AT(5), 1, 0, AT(4) - 24 * HOUR, 0, false,
	 SNAP_DATED},
	{"had before the window", "", "04:00-06:00", 0, AT(5), 1, 0, AT(4) - 1, 0, false,
	 SNAP_DATED},
	{"over midnight, late", "", "23:00-02:00", 0, AT(23), 1, 0, AT(22), 0, false, SNAP_DATED},
	{"over midnight, early", "", "23:00-02:00", 0, AT(1), 1, 0, AT(0) - 2 * HOUR, 0, false,
	 SNAP_DATED},
	{"over midnight, had", "", "23:00-02:00", 0, AT(1), 1, 0, AT(0) - HOUR, 0, false, -1},
	{"over midnight, at noon", "", "23:00-02:00", 0, AT(12), 1, 0, 0, 0, false, -1},
	{"it failed just now", "", "04:00-06:00", 0, AT(5), 1, 0, 0, AT(5) - 59999, false, -1},
	{"it failed a minute ago", "", "04:00-06:00", 0, AT(5), 1, 0, 0, AT(5) - 60000, false,
	 SNAP_DATED},
	{"both", "1 1", "04:00-06:00", 5, AT(5), 1, 0, 0, 0, false, SNAP_DATED},
};

static void test_plan(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct plan_case *c = &cases[i];
		struct snap_saver_status status = {.saving = c->saving};
		struct config config = {0};
		enum snap_kind due = SNAP_KINDS;

		snprintf(config.save, sizeof(config.save), "%s", c->save);
		snprintf(config.snapshot_window, sizeof(config.snapshot_window), "%s", c->window);
		status.file[SNAP_MAIN] = (struct snap_file_status){
			.last_ms = c->main_last_ms,
			.failed = c->main_failed_ms != 0,
			.tried_ms = c->main_failed_ms,
		};
		status.file[SNAP_DATED] = (struct snap_file_status){
			.last_ms = c->dated_last_ms,
			.failed = c->dated_failed_ms != 0,
			.tried_ms = c->dated_failed_ms,
		};
		bool found = snap_plan(&config, &status, c->changes, c->now_ms, &due);

		if (found != (c->due >= 0) || (found && (int)due != c->due))
			fail_msg("%s: %s %d", c->what, found ? "due" : "nothing", (int)due);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
