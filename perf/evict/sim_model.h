/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/evict/sim_trace.h"

/* Hits of ideal caches with room for `items`, all keys alike. -1: no memory. */
double sim_model_lru(const struct sim_trace *trace, uint32_t items);
double sim_model_belady(const struct sim_trace *trace, uint32_t items);
