/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stddef.h>

/*
 * Fills `to` from the kernel's random generator. Aborts when there is none. At start, never on a
 * worker.
 */
void secret_fill(void *to, size_t len);
