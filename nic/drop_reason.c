/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/drop_reason.h"

#include "base/contract.h"

/* The words of drop_reason.def, for metrics and INFO. */

static const struct {
	const char *label;
	const char *help;
} reasons[] = {
#define DROP_REASON(symbol, label, help) {label, help},
#include "nic/drop_reason.def"
#undef DROP_REASON
};

_Static_assert(ARRAY_COUNT(reasons) == DROP_REASON_COUNT, "one row per reason");

const char *drop_reason_label(enum drop_reason reason)
{
	REQUIRE(reason < DROP_REASON_COUNT);
	return reasons[reason].label;
}

const char *drop_reason_help(enum drop_reason reason)
{
	REQUIRE(reason < DROP_REASON_COUNT);
	return reasons[reason].help;
}
