/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The one door to RCU (quiescent-state based). A pointer read from the table stays valid until the
 * reading thread next calls rcu_quiescent() or rcu_offline(); nothing marks the start of a read.
 *
 * Reclaiming without waiting: after unlinking a batch, take rcu_tag(); the batch may be freed once
 * rcu_done(tag). One housekeeping thread runs the grace periods that tags ask for. Workers never
 * wait for one.
 *
 * Handshake of a tag: rcu_tag() is a full fence and then a load of `started`. The unlinking stores
 * are visible before the load, so grace period started + 1 begins after them, and every thread that
 * could still hold an old pointer is waited for by it. The housekeeping thread stores `started`
 * before and `completed` after each grace period, both sequentially consistent.
 *
 * Two back ends, chosen at build time (-Drcu_flavor): liburcu's QSBR, and one of C11 atomics that
 * ThreadSanitizer can follow.
 */

/*
 * Starts and stops the housekeeping thread. Main thread. rcu_start() returns 0 or a negative errno.
 */
int rcu_start(void);
void rcu_stop(void);

/* Each thread that reads or unlinks, at its start and end. A registered thread is online. */
void rcu_register_thread(void);
void rcu_unregister_thread(void);

/* The calling thread holds no pointer from before this call. */
void rcu_quiescent(void);

/* Around anything that may sleep. While offline the thread may not read. */
void rcu_offline(void);
void rcu_online(void);

uint64_t rcu_tag(void);
bool rcu_done(uint64_t tag);

/*
 * Runs one whole grace period on the calling thread, which is online afterwards if it is
 * registered. Not on a worker.
 */
void rcu_wait(void);
