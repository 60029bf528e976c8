/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replication/repl_encode.h"

#include "base/number.h"

#include <string.h>

/*
 * Called by repl_stream.c for each effect. Formats as redis' replicationFeedSlaves()
 * (replication.c), and what it makes of SET (t_string.c).
 */

#define HEAD_MAX (1 + NUMBER_TEXT_MAX + 2) // "$123\r\n"

static size_t put_head(uint8_t *to, char kind, uint64_t number)
{
	size_t len = 1 + number_encode_u64(number, to + 1);

	to[0] = (uint8_t)kind;
	memcpy(to + len, "\r\n", 2);
	return len + 2;
}

static void write_head(struct feed *feed, char kind, uint64_t number)
{
	uint8_t text[HEAD_MAX];

	feed_write(feed, slice_of(text, put_head(text, kind, number)));
}

/* A short word in one piece, a long one without a copy. */
static void write_word(struct feed *feed, struct slice word)
{
	uint8_t text[HEAD_MAX + 128 + 2];

	if (word.len <= 128) {
		size_t len = put_head(text, '$', word.len);

		if (word.len > 0)
			memcpy(text + len, word.ptr, word.len);
		memcpy(text + len + word.len, "\r\n", 2);
		feed_write(feed, slice_of(text, len + word.len + 2));
		return;
	}
	write_head(feed, '$', word.len);
	feed_write(feed, word);
	feed_write(feed, SLICE_LITERAL("\r\n"));
}

void repl_encode_words(struct feed *feed, const struct slice *words, uint32_t count)
{
	write_head(feed, '*', count);
	for (uint32_t i = 0; i < count; i++)
		write_word(feed, words[i]);
}

static void encode_flags(struct feed *feed, uint32_t flags)
{
	uint8_t text[sizeof(CMD_FLAGS_MARK) + NUMBER_TEXT_MAX];
	size_t len = sizeof(CMD_FLAGS_MARK) - 1;

	memcpy(text, CMD_FLAGS_MARK, len);
	len += number_encode_u64(flags, text + len);
	const struct slice words[] = {SLICE_LITERAL("PING"), slice_of(text, len)};

	repl_encode_words(feed, words, ARRAY_COUNT(words));
}

static void encode_set(struct feed *feed, const struct table_effect *effect)
{
	uint8_t deadline[NUMBER_TEXT_MAX];

	if (effect->mc_flags)
		encode_flags(feed, effect->mc_flags);
	if (effect->expire_ms)
		feed_write(feed, SLICE_LITERAL("*5\r\n$3\r\nSET\r\n"));
	else
		feed_write(feed, SLICE_LITERAL("*3\r\n$3\r\nSET\r\n"));
	write_word(feed, effect->key);
	write_word(feed, effect->value);
	if (!effect->expire_ms)
		return;
	feed_write(feed, SLICE_LITERAL("$4\r\nPXAT\r\n"));
	write_word(feed, slice_of(deadline, number_encode_u64(effect->expire_ms, deadline)));
}

void repl_encode(struct repl_encoder *encoder, struct feed *feed, const struct table_effect *effect)
{
	if (effect->more && !encoder->in_transaction) {
		feed_write(feed, SLICE_LITERAL("*1\r\n$5\r\nMULTI\r\n"));
		encoder->in_transaction = true;
	}
	switch (effect->kind) {
	case TABLE_EFFECT_SET:
		encode_set(feed, effect);
		break;
	case TABLE_EFFECT_DELETE:
		feed_write(feed, SLICE_LITERAL("*2\r\n$3\r\nDEL\r\n"));
		write_word(feed, effect->key);
		break;
	case TABLE_EFFECT_FLUSH:
		feed_write(feed, SLICE_LITERAL("*1\r\n$8\r\nFLUSHALL\r\n"));
		break;
	}
	if (!effect->more && encoder->in_transaction) {
		feed_write(feed, SLICE_LITERAL("*1\r\n$4\r\nEXEC\r\n"));
		encoder->in_transaction = false;
	}
}
