/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/session.h"

/* Between the files of this folder: bytes to request, request to reply. */
enum parse_status resp_parse(struct session *session, struct slice bytes, struct request *request,
			     size_t *consumed);
enum parse_status resp_parse_inline(struct session *session, struct slice bytes,
				    struct request *request, size_t *consumed);
void resp_run(struct session_host *host, struct request *request);

/* Of a session in MULTI, or a word about that. */
void resp_multi_run(struct session_host *host, struct request *request, struct reply *reply);

/* What a client may get wrong beyond repair. */
enum resp_fault {
	RESP_NO_MEMORY,
	RESP_BIG_INLINE,
	RESP_BIG_COUNT,
	RESP_BIG_LENGTH,
	RESP_BAD_COUNT,
	RESP_BAD_LENGTH,
	RESP_UNBALANCED,
};

/* Makes it a request that answers an error and closes; its detail is the text. Always PARSE_BAD. */
enum parse_status resp_refuse(struct request *request, enum resp_fault fault);

/* Finds the command of a request whose arguments are set, and its keys. PARSE_OK or PARSE_BAD. */
enum parse_status resp_resolve(struct request *request);
