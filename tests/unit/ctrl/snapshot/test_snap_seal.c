/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_seal.h"

#include "ctrl/snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Sealed bytes come out as they went in, and nothing does of bytes that somebody has changed. */

#define HEADER 47
#define CHUNK  65536
#define TAG    16
#define ROOM   (3 * (CHUNK + TAG) + HEADER)

struct bytes {
	uint8_t *at;
	size_t len, taken;
	size_t piece; // most that a read gives; 0: all
};

static uint8_t plain[2 * CHUNK + 1000];
static const struct snap_key key = {{1, 2, 3}};

static int put(void *arg, const void *from, size_t len)
{
	struct bytes *bytes = arg;

	assert_true(bytes->len + len <= ROOM);
	memcpy(bytes->at + bytes->len, from, len);
	bytes->len += len;
	return 0;
}

static ssize_t get(void *arg, void *to, size_t len)
{
	struct bytes *bytes = arg;
	size_t some = bytes->len - bytes->taken;

	if (some > len)
		some = len;
	if (bytes->piece && some > bytes->piece)
		some = bytes->piece;
	memcpy(to, bytes->at + bytes->taken, some);
	bytes->taken += some;
	return (ssize_t)some;
}

static struct bytes sealed(size_t len, size_t piece)
{
	struct bytes bytes = {.at = malloc(ROOM)};
	struct snap_seal *seal = snap_seal_new(&key, put, &bytes);

	assert_non_null(bytes.at);
	assert_non_null(seal);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(
			snap_seal_write(seal, plain + at, len - at < piece ? len - at : piece), 0);
	assert_int_equal(snap_seal_end(seal), 0);
	snap_seal_free(seal);
	return bytes;
}

/* How many bytes come out, or the error. They must be the right ones. */
static ssize_t unsealed(struct bytes *bytes, const struct snap_key *with)
{
	struct snap_unseal *unseal = snap_unseal_new(with, get, bytes);
	static uint8_t out[sizeof(plain) + 1];
	ssize_t total = 0, got;

	assert_non_null(unseal);
	bytes->taken = 0;
	while ((got = snap_unseal_read(unseal, out + total, 1000)) > 0) {
		total += got;
		assert_true((size_t)total <= sizeof(plain));
	}
	assert_memory_equal(out, plain, (size_t)total);
	snap_unseal_free(unseal);
	return got < 0 ? got : total;
}

static void test_round_trips(void **state)
{
	static const size_t lengths[] = {0,         1,         CHUNK - 1,    CHUNK,
					 CHUNK + 1, 2 * CHUNK, sizeof(plain)};
	static const size_t pieces[] = {999, CHUNK, 1 << 20};

	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		for (size_t k = 0; k < ARRAY_COUNT(pieces); k++) {
			struct bytes bytes = sealed(lengths[i], pieces[k]);
			size_t chunks = lengths[i] ? (lengths[i] + CHUNK - 1) / CHUNK : 1;

			assert_int_equal(bytes.len, HEADER + lengths[i] + chunks * TAG);
			assert_true(snap_is_sealed(bytes.at, bytes.len));
			bytes.piece = k == 0 ? 777 : 0;
			assert_int_equal(unsealed(&bytes, &key), lengths[i]);
			free(bytes.at);
		}
	}
}

/* Two of the same are not alike, and nothing of the content shows. */
static void test_nothing_shows(void **state)
{
	struct bytes one = sealed(sizeof(plain), CHUNK), two = sealed(sizeof(plain), CHUNK);

	assert_memory_not_equal(one.at + 8, two.at + 8, 39);
	assert_memory_not_equal(one.at + HEADER, two.at + HEADER, 64);
	assert_null(memmem(one.at, one.len, plain + 100, 16));
	free(one.at);
	free(two.at);
}

static void test_another_key(void **state)
{
	struct snap_key other = key;
	struct bytes bytes = sealed(100, 100);

	other.bytes[31] ^= 1;
	assert_int_equal(unsealed(&bytes, &other), -EBADMSG);
	free(bytes.at);
}

/* A bit anywhere, and a cut anywhere, between chunks too. */
static void test_damage(void **state)
{
	struct bytes bytes = sealed(sizeof(plain), CHUNK);
	size_t whole = bytes.len;

	for (size_t at = 0; at < whole; at += at < HEADER + 100 ? 1 : 9973) {
		bytes.at[at] ^= 0x40;
		assert_int_equal(unsealed(&bytes, &key), -EBADMSG);
		bytes.at[at] ^= 0x40;
	}
	for (size_t len = 0; len < whole; len += len < HEADER + 100 ? 1 : 9973) {
		bytes.len = len;
		assert_int_equal(unsealed(&bytes, &key), -EBADMSG);
	}
	for (size_t chunks = 0; chunks < 3; chunks++) {
		bytes.len = HEADER + chunks * (CHUNK + TAG);
		assert_int_equal(unsealed(&bytes, &key), -EBADMSG);
	}
	bytes.len = whole;
	assert_int_equal(unsealed(&bytes, &key), sizeof(plain));
	free(bytes.at);
}

static void test_chunks_in_another_order(void **state)
{
	struct bytes bytes = sealed(sizeof(plain), CHUNK);
	uint8_t *first = bytes.at + HEADER, *second = first + CHUNK + TAG;

	for (size_t i = 0; i < CHUNK + TAG; i++) {
		uint8_t byte = first[i];

		first[i] = second[i];
		second[i] = byte;
	}
	assert_int_equal(unsealed(&bytes, &key), -EBADMSG);
	free(bytes.at);
}

static void test_key_files(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		uint8_t first; // 0: refused
	} cases[] = {
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", 32, 'A'},
		{"a1b2c3d4e5f60718293a4b5c6d7e8f90A1B2C3D4E5F60718293A4B5C6D7E8F90", 64, 0xa1},
		{"a1b2c3d4e5f60718293a4b5c6d7e8f90A1B2C3D4E5F60718293A4B5C6D7E8F90\n", 65, 0xa1},
		{"a1b2c3d4e5f60718293a4b5c6d7e8f90A1B2C3D4E5F60718293A4B5C6D7E8F9g", 64, 0},
		{"a1b2c3d4e5f60718293a4b5c6d7e8f90A1B2C3D4E5F60718293A4B5C6D7E8F9000", 66, 0},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcde", 31, 0},
		{"", 0, 0},
	};

	char path[] = "/tmp/test_snap_seal.XXXXXX", why[SNAP_WHY_MAX];
	int fd = mkstemp(path);
	struct snap_key read;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, cases[i].text, cases[i].len, 0), cases[i].len);
		int error = snap_key_read(path, &read, why);

		assert_int_equal(error, cases[i].first ? 0 : -EINVAL);
		if (error == 0)
			assert_int_equal(read.bytes[0], cases[i].first);
	}
	close(fd);
	unlink(path);
	assert_int_equal(snap_key_read(path, &read, why), -ENOENT);
	assert_non_null(strstr(why, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_nothing_shows),
		cmocka_unit_test(test_another_key),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_chunks_in_another_order),
		cmocka_unit_test(test_key_files),
	};

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 2654435761U >> 13);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
