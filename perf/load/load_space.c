/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/load/load_space.h"

#include "base/number.h"

#include <stdlib.h>

/*
 * Texts of keys and values. Called by the protocols' encoders for what they send, and by the
 * reader for what must come back.
 */

#define PLACES     65536 // where in the text a value may begin
#define COPIED_MAX 4096  // bytes; longer values are sent by reference

static void release_text(struct blob *blob)
{
	free(blob);
}

/* Spreads neighbouring keys over places and sizes. */
static uint64_t mix(uint64_t key)
{
	struct rng rng = rng_seeded(key);

	return rng_next(&rng);
}

bool load_space_init(struct load_space *space, const struct load_options *o)
{
	size_t longest = o->data_max;
	struct rng rng = rng_seeded(0x6361636865ULL);
	struct blob *text;

	if (o->big_clients && o->big_bytes > longest)
		longest = o->big_bytes;
	text = malloc(sizeof(*text) + PLACES + longest);
	if (!text)
		return false;
	text->refs = 1;
	text->release = release_text;
	text->len = text->capacity = PLACES + longest;
	for (size_t i = 0; i < text->len; i++)
		text->bytes[i] = (uint8_t)('a' + rng_below(&rng, 26));
	*space = (struct load_space){
		.options = o,
		.count = o->key_max - o->key_min + 1,
		.prefix_len = (uint32_t)strlen(o->key_prefix),
		.text = text,
	};
	return true;
}

void load_space_fini(struct load_space *space)
{
	blob_unref(space->text);
	space->text = NULL;
}

uint32_t load_space_key(const struct load_space *space, uint64_t key, uint8_t *to)
{
	const struct load_options *o = space->options;
	uint8_t digits[NUMBER_TEXT_MAX];
	uint32_t len = space->prefix_len;
	size_t count;

	memcpy(to, o->key_prefix, len);
	if (key == LOAD_KEY_BIG) {
		memcpy(to + len, "big", 3);
		return len + 3;
	}
	count = number_encode_u64(key, digits);
	if (o->key_bytes) {
		memset(to + len, '0', o->key_bytes - len);
		len = o->key_bytes - (uint32_t)count;
	}
	memcpy(to + len, digits, count);
	return len + (uint32_t)count;
}

uint32_t load_space_value_len(const struct load_space *space, uint64_t key)
{
	const struct load_options *o = space->options;
	uint32_t range = o->data_max - o->data_min;

	if (key == LOAD_KEY_BIG)
		return o->big_bytes;
	return range == 0 ? o->data_min : o->data_min + (uint32_t)(mix(key) >> 32) % (range + 1);
}

static size_t place(uint64_t key)
{
	return mix(key) % PLACES;
}

struct slice load_space_value(const struct load_space *space, uint64_t key)
{
	return slice_of(space->text->bytes + place(key), load_space_value_len(space, key));
}

void load_space_append_value(const struct load_space *space, uint64_t key, struct out *out)
{
	struct slice value = load_space_value(space, key);

	if (value.len <= COPIED_MAX)
		out_append(out, value);
	else
		out_append_blob(out, space->text, place(key), value.len);
}
