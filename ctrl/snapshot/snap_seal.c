/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/snapshot/snap_seal.h"

#include "base/endian.h"
#include "base/log.h"
#include "base/secret.h"
#include "ctrl/snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Between rdb_write.c and the file (snap_save.c), and between the file and rdb_read.c
 * (snap_load.c). Cipher and key derivation are OpenSSL's.
 */

#define MAGIC        "WCSEAL01"
#define SALT_BYTES   32
#define PREFIX_BYTES 7
#define HEADER_BYTES (SNAP_SEAL_MAGIC_BYTES + SALT_BYTES + PREFIX_BYTES)
#define NONCE_BYTES  12
#define TAG_BYTES    16
#define CHUNK_BYTES  65536
#define CHUNKS_MAX   UINT32_MAX // 256 TiB

/* --- the key --- */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool key_of_text(const uint8_t *text, size_t len, struct snap_key *key)
{
	if (len == SNAP_KEY_BYTES) {
		memcpy(key->bytes, text, SNAP_KEY_BYTES);
		return true;
	}
	while (len > 2 * SNAP_KEY_BYTES && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (len != 2 * SNAP_KEY_BYTES)
		return false;
	for (size_t i = 0; i < SNAP_KEY_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int snap_key_read(const char *path, struct snap_key *key, char *why)
{
	uint8_t text[2 * SNAP_KEY_BYTES + 8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
	int error = len < 0 ? -errno : 0;
	struct stat stat;

	if (error)
		snprintf(why, SNAP_WHY_MAX, "key file %s: %s", path, strerror(-error));
	if (error == 0 && fstat(fd, &stat) == 0 && (stat.st_mode & 077) != 0)
		log_warning("key file %s: others than its owner may read it", path);
	if (error == 0 && !key_of_text(text, (size_t)len, key)) {
		error = -EINVAL;
		snprintf(why, SNAP_WHY_MAX,
			 "key file %s: is not 32 bytes, nor 64 hexadecimal digits", path);
	}
	OPENSSL_cleanse(text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return error;
}

void snap_key_forget(struct snap_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

static bool derive(const struct snap_key *key, const uint8_t *salt,
		   uint8_t file_key[SNAP_KEY_BYTES])
{
	static const unsigned char info[] = "wirecache snapshot";
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t len = SNAP_KEY_BYTES;
	bool good = ctx && EVP_PKEY_derive_init(ctx) > 0 &&
		    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) > 0 &&
		    EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, SALT_BYTES) > 0 &&
		    EVP_PKEY_CTX_set1_hkdf_key(ctx, key->bytes, SNAP_KEY_BYTES) > 0 &&
		    EVP_PKEY_CTX_add1_hkdf_info(ctx, info, sizeof(info) - 1) > 0 &&
		    EVP_PKEY_derive(ctx, file_key, &len) > 0 && len == SNAP_KEY_BYTES;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

/* --- chunks, both ways --- */

struct chunks {
	EVP_CIPHER_CTX *cipher;
	uint8_t header[HEADER_BYTES];
	uint64_t number; // of the next one
	bool encrypts;
};

static bool chunks_init(struct chunks *c, const struct snap_key *key, bool encrypts)
{
	uint8_t file_key[SNAP_KEY_BYTES];
	bool good = derive(key, c->header + SNAP_SEAL_MAGIC_BYTES, file_key);

	c->encrypts = encrypts;
	c->cipher = EVP_CIPHER_CTX_new();
	good = good && c->cipher &&
	       EVP_CipherInit_ex(c->cipher, EVP_aes_256_gcm(), NULL, file_key, NULL, encrypts) > 0;
	OPENSSL_cleanse(file_key, sizeof(file_key));
	return good;
}

/* `len` bytes in place; their tag is written behind them, or checked. False: it does not fit. */
static bool chunks_turn(struct chunks *c, uint8_t *bytes, size_t len, bool last)
{
	uint8_t nonce[NONCE_BYTES];
	int done, none;

	if (c->number > CHUNKS_MAX)
		return false;
	memcpy(nonce, c->header + HEADER_BYTES - PREFIX_BYTES, PREFIX_BYTES);
	be32_store(nonce + PREFIX_BYTES, (uint32_t)c->number++);
	nonce[NONCE_BYTES - 1] = last;
	if (EVP_CipherInit_ex(c->cipher, NULL, NULL, NULL, nonce, -1) <= 0 ||
	    EVP_CipherUpdate(c->cipher, NULL, &none, c->header, HEADER_BYTES) <= 0 ||
	    EVP_CipherUpdate(c->cipher, bytes, &done, bytes, (int)len) <= 0)
		return false;
	if (!c->encrypts)
		return EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
					   bytes + len) > 0 &&
		       EVP_CipherFinal_ex(c->cipher, bytes + len, &none) > 0;
	return EVP_CipherFinal_ex(c->cipher, bytes + len, &none) > 0 &&
	       EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, bytes + len) > 0;
}

/* --- sealing --- */

struct snap_seal {
	struct chunks chunks;
	rdb_sink_fn *sink;
	void *arg;
	size_t have; // in `bytes`
	uint8_t bytes[CHUNK_BYTES + TAG_BYTES];
};

struct snap_seal *snap_seal_new(const struct snap_key *key, rdb_sink_fn *sink, void *arg)
{
	struct snap_seal *seal = calloc(1, sizeof(*seal));

	if (!seal)
		return NULL;
	seal->sink = sink;
	seal->arg = arg;
	memcpy(seal->chunks.header, MAGIC, SNAP_SEAL_MAGIC_BYTES);
	secret_fill(seal->chunks.header + SNAP_SEAL_MAGIC_BYTES, SALT_BYTES + PREFIX_BYTES);
	if (chunks_init(&seal->chunks, key, true))
		return seal;
	snap_seal_free(seal);
	return NULL;
}

static int put_chunk(struct snap_seal *seal, bool last)
{
	size_t len = seal->have;
	int error = 0;

	if (seal->chunks.number == 0)
		error = seal->sink(seal->arg, seal->chunks.header, HEADER_BYTES);
	if (error)
		return error;
	seal->have = 0;
	if (!chunks_turn(&seal->chunks, seal->bytes, len, last))
		return -EIO;
	return seal->sink(seal->arg, seal->bytes, len + TAG_BYTES);
}

/* A full chunk waits for the next byte: it may be the last one. */
int snap_seal_write(void *arg, const void *bytes, size_t len)
{
	struct snap_seal *seal = arg;
	const uint8_t *at = bytes;

	while (len > 0) {
		int error = seal->have == CHUNK_BYTES ? put_chunk(seal, false) : 0;
		size_t some = CHUNK_BYTES - seal->have < len ? CHUNK_BYTES - seal->have : len;

		if (error)
			return error;
		memcpy(seal->bytes + seal->have, at, some);
		seal->have += some;
		at += some;
		len -= some;
	}
	return 0;
}

int snap_seal_end(struct snap_seal *seal)
{
	return put_chunk(seal, true);
}

void snap_seal_free(struct snap_seal *seal)
{
	if (!seal)
		return;
	EVP_CIPHER_CTX_free(seal->chunks.cipher);
	OPENSSL_cleanse(seal->bytes, sizeof(seal->bytes));
	free(seal);
}

/* --- unsealing --- */

bool snap_is_sealed(const uint8_t *start, size_t len)
{
	return len >= SNAP_SEAL_MAGIC_BYTES && memcmp(start, MAGIC, SNAP_SEAL_MAGIC_BYTES) == 0;
}

struct snap_unseal {
	struct snap_key key;
	struct chunks chunks;
	rdb_source_fn *source;
	void *arg;
	bool begun, ended;
	size_t at, good; // in `bytes`: what has been checked, from `at` on
	size_t ahead;    // behind a whole chunk, of the next one: 0 or 1
	uint8_t bytes[CHUNK_BYTES + TAG_BYTES + 1];
};

struct snap_unseal *snap_unseal_new(const struct snap_key *key, rdb_source_fn *source, void *arg)
{
	struct snap_unseal *unseal = calloc(1, sizeof(*unseal));

	if (!unseal)
		return NULL;
	unseal->key = *key;
	unseal->source = source;
	unseal->arg = arg;
	return unseal;
}

/* As many bytes as there are, up to `len`. */
static ssize_t read_full(struct snap_unseal *unseal, uint8_t *to, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t got = unseal->source(unseal->arg, to + have, len - have);

		if (got < 0)
			return got;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

static int begin(struct snap_unseal *unseal)
{
	ssize_t got = read_full(unseal, unseal->chunks.header, HEADER_BYTES);

	if (got < 0)
		return (int)got;
	if (got < HEADER_BYTES || !snap_is_sealed(unseal->chunks.header, HEADER_BYTES))
		return -EBADMSG;
	unseal->begun = true;
	return chunks_init(&unseal->chunks, &unseal->key, false) ? 0 : -EIO;
}

/* The next chunk, checked. It is the last one if no byte follows. */
static int next_chunk(struct snap_unseal *unseal)
{
	ssize_t got;

	unseal->bytes[0] = unseal->bytes[CHUNK_BYTES + TAG_BYTES];
	got = read_full(unseal, unseal->bytes + unseal->ahead,
			sizeof(unseal->bytes) - unseal->ahead);
	if (got < 0)
		return (int)got;
	size_t len = unseal->ahead + (size_t)got;

	unseal->ended = len < sizeof(unseal->bytes);
	unseal->ahead = unseal->ended ? 0 : 1;
	len -= unseal->ahead;
	if (len < TAG_BYTES)
		return -EBADMSG;
	if (!chunks_turn(&unseal->chunks, unseal->bytes, len - TAG_BYTES, unseal->ended))
		return -EBADMSG;
	unseal->at = 0;
	unseal->good = len - TAG_BYTES;
	return 0;
}

ssize_t snap_unseal_read(void *arg, void *to, size_t len)
{
	struct snap_unseal *unseal = arg;
	int error = unseal->begun ? 0 : begin(unseal);

	while (error == 0 && unseal->good == 0 && !unseal->ended)
		error = next_chunk(unseal);
	if (error) {
		unseal->good = 0;
		return error;
	}
	size_t some = unseal->good < len ? unseal->good : len;

	memcpy(to, unseal->bytes + unseal->at, some);
	unseal->at += some;
	unseal->good -= some;
	return (ssize_t)some;
}

void snap_unseal_free(struct snap_unseal *unseal)
{
	if (!unseal)
		return;
	EVP_CIPHER_CTX_free(unseal->chunks.cipher);
	OPENSSL_cleanse(unseal, sizeof(*unseal));
	free(unseal);
}
