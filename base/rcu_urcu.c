/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rcu.h"

#include "base/rcu_backend.h"

#include <urcu/urcu-qsbr.h>

/*
 * RCU by liburcu's QSBR flavour. The only file that includes urcu. The library's functions are
 * called, not inlined: once per burst a call costs nothing. An unregistered thread passes through
 * the online and offline calls untouched, so that the housekeeping thread needs no registration.
 */

static __thread bool registered;

void rcu_register_thread(void)
{
	urcu_qsbr_register_thread();
	registered = true;
}

void rcu_unregister_thread(void)
{
	urcu_qsbr_unregister_thread();
	registered = false;
}

void rcu_quiescent(void)
{
	urcu_qsbr_quiescent_state();
}

void rcu_offline(void)
{
	if (registered)
		urcu_qsbr_thread_offline();
}

void rcu_online(void)
{
	if (registered)
		urcu_qsbr_thread_online();
}

void rcu_backend_synchronize(void)
{
	urcu_qsbr_synchronize_rcu();
}
