/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What base/rcu.c asks of a back end, beside the calls of base/rcu.h that it implements itself. */

/* Waits until every registered thread has been quiescent or offline since the call. */
void rcu_backend_synchronize(void);
