/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/secret.h"

#include "base/contract.h"

#include <sys/random.h>
#include <sys/types.h>

/* Keys of hashes and sequence numbers, drawn once at start by the composition root. */

void secret_fill(void *to, size_t len)
{
	REQUIRE(len <= 256); // getrandom() gives that much whole
	INVARIANT(getrandom(to, len, 0) == (ssize_t)len);
}
