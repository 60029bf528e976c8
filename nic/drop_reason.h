/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/counter.h"

/* Why a frame or segment went no further. One worker writes its counters, anyone reads. */
enum drop_reason {
#define DROP_REASON(symbol, label, help) DROP_##symbol,
#include "nic/drop_reason.def"
#undef DROP_REASON
	DROP_REASON_COUNT
};

struct drop_counters {
	counter count[DROP_REASON_COUNT];
};

static inline void drop_count(struct drop_counters *drops, enum drop_reason reason)
{
	counter_add(&drops->count[reason], 1);
}

/* Label and one-line help for metrics. Any thread. */
const char *drop_reason_label(enum drop_reason reason);
const char *drop_reason_help(enum drop_reason reason);
