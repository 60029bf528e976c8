/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/command/reply.h"
#include "dataplane/proto/session.h"

/*
 * The Redis protocol, versions 2 and 3. Requests are arrays of bulk strings or inline lines, in the
 * same form in both versions; replies differ. What is accepted, what is refused and with which
 * words is redis 7.0's.
 */
extern const struct proto resp_proto;

/* A reply sink in the client's protocol version. */
struct reply resp_reply(struct out *out, uint8_t version);

/* Forgets what MULTI has gathered. */
void resp_multi_drop(struct session *session);
