/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/contract.h"
#include "ctrl/snapshot/rdb_read.h"

#include <string.h>

/*
 * RDB files from strangers. The first byte says how many bytes a read gives, so that all lengths of
 * a piece are met; a file that does not begin like one is given a header.
 *
 * Oracles: the sanitizers; the same file gives the same pairs in pieces and whole; no string is
 * longer than allowed; an error has words.
 */

#define KEY_MAX   200
#define VALUE_MAX 100000

struct input {
	const uint8_t *bytes;
	size_t len, at, piece;
};

struct digest {
	uint64_t pairs, sum;
	enum rdb_result result;
};

static ssize_t read_piece(void *arg, void *to, size_t len)
{
	struct input *input = arg;

	if (len > input->piece)
		len = input->piece;
	if (len > input->len - input->at)
		len = input->len - input->at;
	memcpy(to, input->bytes + input->at, len);
	input->at += len;
	return (ssize_t)len;
}

static void add(struct digest *digest, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		digest->sum = digest->sum * 31 + bytes.ptr[i];
	digest->sum = digest->sum * 31 + bytes.len;
}

static struct digest read_all(const uint8_t *bytes, size_t len, size_t piece)
{
	struct input input = {bytes, len, 0, piece};
	struct digest digest = {0};
	struct rdb_reader reader;
	struct rdb_pair pair;

	REQUIRE(rdb_reader_init(&reader, read_piece, &input, KEY_MAX, VALUE_MAX) == 0);
	while ((digest.result = rdb_next(&reader, &pair)) == RDB_PAIR) {
		REQUIRE(pair.key.len <= KEY_MAX && pair.value.len <= VALUE_MAX);
		digest.pairs++;
		add(&digest, pair.key);
		add(&digest, pair.value);
		digest.sum += pair.expires ? (uint64_t)pair.expire_ms : 0;
	}
	REQUIRE((digest.result == RDB_BAD) == (reader.why[0] != '\0'));
	rdb_reader_fini(&reader);
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[1 << 16];
	size_t len = 0;

	if (size < 1 || size > sizeof(file) - RDB_HEADER_BYTES)
		return 0;
	if (size < 2 || data[1] != RDB_MAGIC[0]) {
		memcpy(file, RDB_MAGIC "0011", RDB_HEADER_BYTES);
		len = RDB_HEADER_BYTES;
	}
	memcpy(file + len, data + 1, size - 1);
	len += size - 1;
	struct digest whole = read_all(file, len, len);
	struct digest pieces = read_all(file, len, data[0] ? data[0] : 1);

	REQUIRE(whole.result == pieces.result && whole.pairs == pieces.pairs);
	REQUIRE(whole.sum == pieces.sum);
	return 0;
}
