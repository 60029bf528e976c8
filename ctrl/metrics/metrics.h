/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/loop/loop.h"
#include "ctrl/stats/stats.h"
#include "ctrl/text/text.h"

#include <stdint.h>

/*
 * Metrics for Prometheus: text format 0.0.4 over HTTP, at GET /metrics. The listener is a kernel
 * socket that the control loop drives; it never blocks it. Control thread.
 */
struct metrics;

#define METRICS_CONNECTIONS_MAX 32u

struct metrics_config {
	const char *bind; // IPv4 address of this host
	uint16_t port;    // 0: any free one, for tests; see metrics_port()
	struct loop *loop;
	struct stats *stats;
};

/* 0 or a negative errno. */
int metrics_start(const struct metrics_config *config, struct metrics **metrics);
void metrics_stop(struct metrics *metrics);
uint16_t metrics_port(const struct metrics *metrics);

/* All metrics as text. */
void metrics_write(struct text *text, const struct stats *stats);
