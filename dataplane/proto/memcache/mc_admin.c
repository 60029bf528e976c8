/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_admin.h"

#include "dataplane/command/kv_number.h"

/*
 * lru_crawler, slabs and lru (doc/protocol.txt of memcached): scripts and tools send them at start
 * and want an OK. Answers of memcached 1.6.18. Called by mc_line.c.
 */

#define SLEEP_US_MAX 1000000

static void answer(struct mc_line *out, struct slice text)
{
	out->op = MC_REPLY;
	out->text = text;
}

#define ANSWER(out, literal) answer((out), SLICE_LITERAL(literal))
#define IS(word, literal)    slice_equal((word), SLICE_LITERAL(literal))

/* "all", "hash" or numbers of slab classes, of which here every one holds everything. */
static bool names_classes(struct slice text)
{
	if (IS(text, "all") || IS(text, "hash"))
		return true;
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] != ',' && (text.ptr[i] < '0' || text.ptr[i] > '9'))
			return false;
	return text.len > 0;
}

static void parse_number(struct slice text, uint32_t max, struct mc_line *out)
{
	uint32_t number;

	if (!kv_number_u32(text, &number))
		ANSWER(out, "CLIENT_ERROR bad command line format");
	else if (number > max)
		ANSWER(out, "CLIENT_ERROR sleep must be one second or less");
	else
		ANSWER(out, "OK");
}

static void parse_crawler(const struct slice *word, uint32_t count, struct mc_line *out)
{
	bool lists = count == 3 && (IS(word[1], "metadump") || IS(word[1], "mgdump"));

	if (count == 2 && (IS(word[1], "enable") || IS(word[1], "disable")))
		ANSWER(out, "OK");
	else if (count == 3 && (lists || IS(word[1], "crawl")) && !names_classes(word[2]))
		ANSWER(out, "BADCLASS invalid class id");
	else if (lists)
		out->op = MC_DUMP;
	else if (count == 3 && IS(word[1], "crawl"))
		ANSWER(out, "OK");
	else if (count == 3 && IS(word[1], "tocrawl"))
		parse_number(word[2], UINT32_MAX, out);
	else if (count == 3 && IS(word[1], "sleep"))
		parse_number(word[2], SLEEP_US_MAX, out);
	else
		ANSWER(out, "ERROR");
}

static void parse_slabs(const struct slice *word, uint32_t count, struct mc_line *out)
{
	int32_t a, b;

	if (count == 4 && IS(word[1], "reassign")) {
		if (kv_number_i32(word[2], &a) && kv_number_i32(word[3], &b))
			ANSWER(out, "OK");
		else
			ANSWER(out, "CLIENT_ERROR bad command line format");
	} else if (count >= 3 && IS(word[1], "automove") && kv_number_i32(word[2], &a) && a >= 0 &&
		   a <= 2) {
		ANSWER(out, "OK");
	} else {
		ANSWER(out, "ERROR");
	}
}

static void parse_lru(const struct slice *word, uint32_t count, struct mc_line *out)
{
	uint32_t hot, warm;
	int32_t ttl;

	if (count >= 6 && IS(word[1], "tune") && kv_number_u32(word[2], &hot) &&
	    kv_number_u32(word[3], &warm)) {
		if ((uint64_t)hot + warm > 80)
			ANSWER(out, "ERROR hot and warm pcts must not exceed 80");
		else
			ANSWER(out, "OK");
	} else if (count >= 3 && IS(word[1], "mode") &&
		   (IS(word[2], "flat") || IS(word[2], "segmented"))) {
		ANSWER(out, "OK");
	} else if (count >= 3 && IS(word[1], "temp_ttl") && kv_number_i32(word[2], &ttl)) {
		ANSWER(out, "OK");
	} else {
		ANSWER(out, "ERROR");
	}
}

void mc_admin_parse(const struct slice *word, uint32_t count, struct mc_line *out)
{
	if (IS(word[0], "lru_crawler"))
		parse_crawler(word, count, out);
	else if (IS(word[0], "slabs"))
		parse_slabs(word, count, out);
	else
		parse_lru(word, count, out);
}
