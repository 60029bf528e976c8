/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_cluster.h"

#include "dataplane/command/kv.h"
#include "dataplane/command/kv_number.h"

/*
 * The commands of Auto Discovery, decoded for mc_line.c. The binary protocol has opcodes of its own
 * for them (mc_binary.c); mc_cluster_run.c answers.
 */

#define WORDS_GET 3
#define WORDS_SET 5

static void answer(struct mc_line *out, struct slice text)
{
	out->op = MC_REPLY;
	out->text = text;
}

static void take_key(struct mc_line *out)
{
	out->keys = SLICE_LITERAL(MC_CLUSTER_KEY);
	out->key_count = 1;
}

static void parse_set(const struct slice *word, uint32_t count, struct mc_line *out)
{
	int32_t value_len;

	out->noreply = count > WORDS_SET && slice_equal(word[5], SLICE_LITERAL("noreply"));
	if (!kv_number_u32(word[3], &out->flags) || !kv_number_i32(word[4], &value_len) ||
	    value_len < 0 || value_len > INT32_MAX - 2) {
		answer(out, SLICE_LITERAL("CLIENT_ERROR bad command line format"));
		return;
	}
	out->op = MC_STORE;
	out->mode = KV_SET;
	out->configures = true;
	out->value_len = (uint32_t)value_len;
	take_key(out);
}

void mc_cluster_parse(const struct slice *word, uint32_t count, struct mc_line *out)
{
	bool gets = count == WORDS_GET && slice_equal(word[1], SLICE_LITERAL("get"));
	bool deletes = count == WORDS_GET && slice_equal(word[1], SLICE_LITERAL("delete"));
	bool sets = count >= WORDS_SET && slice_equal(word[1], SLICE_LITERAL("set"));

	if (!gets && !deletes && !sets) {
		answer(out, SLICE_LITERAL("ERROR"));
	} else if (!slice_equal(word[2], SLICE_LITERAL(MC_CLUSTER_NAME))) {
		answer(out, sets   ? SLICE_LITERAL("CLIENT_ERROR bad command line format")
			    : gets ? SLICE_LITERAL("END")
				   : SLICE_LITERAL("NOT_FOUND"));
	} else if (sets) {
		parse_set(word, count, out);
	} else {
		out->op = gets ? MC_CLUSTER : MC_DELETE;
		take_key(out);
	}
}
