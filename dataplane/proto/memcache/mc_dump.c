/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "dataplane/proto/memcache/mc_admin.h"
#include "dataplane/proto/memcache/mc_log.h"

/*
 * lru_crawler metadump and mgdump: a line per key, for tools that move or count them. Run by the
 * background thread, which walks the table bucket by bucket and holds no worker up. A key that is
 * there all the time is listed at least once; one that moves meanwhile may be listed twice.
 */

#define KEYS_PER_STEP 1000

struct dump {
	struct out *out;
	uint64_t now_ms;
	bool as_mg; // lines that a client can send
};

static void put_text(struct out *out, const char *name, uint64_t number)
{
	uint8_t text[NUMBER_TEXT_MAX];

	out_append(out, slice_of_text(name));
	out_append(out, slice_of(text, number_encode_u64(number, text)));
}

static bool is_word(struct slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (key.ptr[i] <= ' ' || key.ptr[i] == 0x7f)
			return false;
	return key.len > 0;
}

static void dump_meta(struct dump *d, const struct item *item)
{
	uint64_t expire_ms = item_expire_ms(item);

	OUT_LITERAL(d->out, "key=");
	mc_put_uri_encoded(d->out, item_key(item));
	if (expire_ms == 0)
		OUT_LITERAL(d->out, " exp=-1");
	else
		put_text(d->out, " exp=", expire_ms / 1000);
	put_text(d->out, " la=", d->now_ms / 1000 - item_idle_s(item, d->now_ms));
	put_text(d->out, " cas=", item_version(item));
	if (item_marks(item) & ITEM_FETCHED)
		OUT_LITERAL(d->out, " fetch=yes");
	else
		OUT_LITERAL(d->out, " fetch=no");
	put_text(d->out, " cls=1 size=", item_memory_bytes(item));
	OUT_LITERAL(d->out, "\n");
}

/* Only keys that memcached's clients can ask for: RESP's may be longer, and hold blanks. */
static void dump_item(void *arg, struct item *item)
{
	struct slice key = item_key(item);
	struct dump *d = arg;

	if (key.len > MC_KEY_MAX)
		return;
	if (!d->as_mg) {
		dump_meta(d, item);
	} else if (is_word(key)) {
		OUT_LITERAL(d->out, "mg ");
		out_append(d->out, key);
		OUT_LITERAL(d->out, "\r\n");
	}
}

static void run_dump(struct cmd_call *call)
{
	struct dump d = {
		.out = call->reply->out,
		.now_ms = call->thread->now_ms,
		.as_mg = slice_equal(call->argv[1], SLICE_LITERAL("mgdump")),
	};
	uint64_t cursor = 0;

	do
		cursor = table_scan(call->thread->tt, cursor, KEYS_PER_STEP, dump_item, &d);
	while (cursor != 0 && !d.out->failed);
	if (d.as_mg)
		OUT_LITERAL(d.out, "EN\r\n");
	else
		OUT_LITERAL(d.out, "END\r\n");
}

const struct cmd mc_dump_command = {
	.name = "lru_crawler",
	.run = run_dump,
	.arity = 3,
	.flags = CMD_READONLY | CMD_BACKGROUND,
	.group = "memcached",
	.summary = "Lists all keys that memcached's clients can have.",
	.id = CMD_UNLISTED,
};
