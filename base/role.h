/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Thread roles that clang checks at compile time (-Wthread-safety) and gcc ignores. A function
 * marked ON_WORKER may be called only from another ON_WORKER function, or after
 * role_become_worker() at the top of the thread. The check does not see through function pointers.
 * Put the macro before the return type.
 */
#if defined(__clang__)
#define ROLE_ATTRIBUTE(x) __attribute__((x))
#else
#define ROLE_ATTRIBUTE(x)
#endif

struct ROLE_ATTRIBUTE(capability("role")) role {
	int unused;
};

extern struct role worker_role;
extern struct role ctrl_role;

#define ON_WORKER    ROLE_ATTRIBUTE(requires_capability(worker_role))
#define ON_CTRL      ROLE_ATTRIBUTE(requires_capability(ctrl_role))
#define WORKER_OWNED ROLE_ATTRIBUTE(guarded_by(worker_role))
#define CTRL_OWNED   ROLE_ATTRIBUTE(guarded_by(ctrl_role))

/* Called once, by the first function of a thread. They do nothing at run time. */
ROLE_ATTRIBUTE(assert_capability(worker_role)) static inline void role_become_worker(void)
{
}

ROLE_ATTRIBUTE(assert_capability(ctrl_role)) static inline void role_become_ctrl(void)
{
}
