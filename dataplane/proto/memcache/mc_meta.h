/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "dataplane/proto/memcache/mc_line.h"

/*
 * A line of a meta command (mg ms md ma me), whose options are words of a letter and, some of them,
 * a token. Numbers as they were sent; see mc_meta_run.c for what they do.
 */
struct mc_meta {
	uint8_t verb;     // g s d a e
	uint8_t mode;     // of M, 0: not given
	bool base64;      // b: the key is sent, and answered, in base64
	bool wants_value; // v
	bool quiet;       // q: the expected answer is not sent
	bool no_update;   // u: not an access
	bool invalidates; // I
	bool has_cas;     // C
	bool new_ttl;     // T
	bool vivifies;    // N
	bool vivify_last; // N stands behind T
	bool recaches;    // R
	bool answers;     // some option is to be answered
	bool plain;       // neither T N R u nor what was before (h l) is asked for
	bool opaque_long; // O: longer than it may be
	int32_t ttl, vivify_ttl, recache_ttl; // s, of T, N and R
	uint32_t client_flags;                // F
	uint64_t cas_unique, delta, initial;  // C, D (1), J
	struct slice key;                     // decoded
	struct slice options;                 // the words themselves
};

/*
 * Decodes the words behind the verb. `line` comes with op MC_META and leaves as one that can be
 * run, or as an MC_REPLY that says what is wrong. Slices point into the text, but for the key where
 * meta->base64 is set: that lies in `decoded`, which has room for MC_KEY_MAX bytes.
 */
void mc_meta_parse(struct slice text, uint8_t verb, struct mc_line *line, struct mc_meta *meta,
		   uint8_t *decoded);
