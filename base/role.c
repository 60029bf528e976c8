/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/role.h"

/* The names that clang's thread role check hangs on. Never read. */

struct role worker_role;
struct role ctrl_role;
