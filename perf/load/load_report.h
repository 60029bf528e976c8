/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/load/load_engine.h"

/* What a load found, for people and for programs. All on the thread that runs it. */

/* One line on stderr about the time since the last one, if a second has passed. */
struct load_progress {
	uint64_t last_ns, requests;
};

void load_progress_tick(struct load_progress *progress, const struct load *load, uint64_t now_ns);

/* The table on stdout. */
void load_report_text(const struct load_options *options, const struct load_results *results,
		      FILE *to);

/* One JSON object, without a line end behind it. */
void load_report_json(const struct load_options *options, const struct load_results *results,
		      FILE *to);

/* PREFIX_latency.txt and so on. False: errno says why not. */
bool load_report_hdr(const struct load_options *options, const struct load_results *results);
