/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_binary.h"
#include "dataplane/proto/memcache/mc_line.h"
#include "dataplane/proto/memcache/mc_stats.h"

#include <stdlib.h>

/*
 * `stat` of the binary protocol: what the text protocol answers (mc_stats.c), a packet for each
 * figure and an empty one at the end. Run by the control thread on behalf of a worker's connection.
 */

#define TEXT_ROOM 16384 // bytes that the text grows by

struct text_out {
	struct out out;
	uint8_t *bytes;
	size_t capacity;
};

static bool grow(struct out *out, size_t min)
{
	struct text_out *t = CONTAINER_OF(out, struct text_out, out);
	size_t used = t->bytes ? (size_t)(out->pos - t->bytes) : 0;
	uint8_t *bytes = realloc(t->bytes, t->capacity + TEXT_ROOM);

	if (!bytes)
		return false;
	t->bytes = bytes;
	t->capacity += TEXT_ROOM;
	out->pos = bytes + used;
	out->end = bytes + t->capacity;
	return true;
}

static bool append_no_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	return false; // figures are short
}

static const struct out_ops text_ops = {.grow = grow, .append_blob = append_no_blob};

static void put_packet(struct out *out, uint32_t opaque, enum mc_binary_status status,
		       struct slice key, struct slice value)
{
	const struct mc_binary_header header = {
		.magic = MC_BINARY_RESPONSE,
		.opcode = MC_BINARY_STAT,
		.key_len = be16_from_host((uint16_t)key.len),
		.status = be16_from_host((uint16_t)status),
		.body_len = be32_from_host((uint32_t)(key.len + value.len)),
		.opaque = opaque,
	};

	out_append(out, slice_of(&header, sizeof(header)));
	out_append(out, key);
	out_append(out, value);
}

/* "STAT name value\r\n"...; anything else but the word that ends them is an error in words. */
static void convert(struct out *out, uint32_t opaque, struct slice text)
{
	const struct slice nothing = SLICE_LITERAL("");

	while (text.len > 0) {
		const uint8_t *end = memchr(text.ptr, '\r', text.len);
		struct slice line = slice_of(text.ptr, end ? (size_t)(end - text.ptr) : text.len);
		struct slice word = mc_token(&line);

		if (slice_equal(word, SLICE_LITERAL("ERROR")) ||
		    slice_equal(word, SLICE_LITERAL("CLIENT_ERROR"))) {
			put_packet(out, opaque, MC_BINARY_KEY_ENOENT, nothing,
				   SLICE_LITERAL("Not found"));
			return;
		}
		if (!slice_equal(word, SLICE_LITERAL("STAT")) || !end)
			break;
		word = mc_token(&line);
		put_packet(out, opaque, MC_BINARY_OK, word, slice_of(line.ptr + 1, line.len - 1));
		text.len -= (size_t)(end + 2 - text.ptr);
		text.ptr = end + 2;
	}
	put_packet(out, opaque, MC_BINARY_OK, nothing, nothing);
}

static void run_binary_stats(struct cmd_call *call)
{
	struct text_out text = {.out.ops = &text_ops};
	struct reply reply = {.out = &text.out};
	struct cmd_call as_text = *call;
	struct slice opaque_bytes = call->argv[call->argc - 1];
	uint32_t opaque = 0;

	memcpy(&opaque, opaque_bytes.ptr, sizeof(opaque));
	as_text.reply = &reply;
	as_text.argc = 1;
	while (as_text.argc < call->argc - 1 && call->argv[as_text.argc].len > 0)
		as_text.argc++;
	mc_stats_command.run(&as_text);
	convert(call->reply->out, opaque,
		slice_of(text.bytes, text.bytes ? (size_t)(text.out.pos - text.bytes) : 0));
	free(text.bytes);
}

const struct cmd mc_binary_stats_command = {
	.name = "stats",
	.run = run_binary_stats,
	.arity = 4,
	.flags = CMD_CONTROL | CMD_LOADING | CMD_STALE,
	.group = "memcached",
	.summary = "Returns the figures of the process as packets of memcached's binary protocol.",
	.id = CMD_UNLISTED,
};
