/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/admin/admin_out.h"

#include "base/contract.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

/*
 * Replies of the admin listener between the protocol encoder and writev(). Small bytes are copied
 * into chunks, long values are referred to, so that GET of a 512 MB value copies nothing. Called by
 * ctrl/admin/admin.c.
 */

#define CHUNK_BYTES        (16u << 10)
#define BLOB_REFERENCE_MIN 4096 // bytes; a shorter piece is cheaper to copy
#define WRITE_PIECES_MAX   16

struct admin_chunk {
	struct admin_chunk *next;
	struct blob *blob;    // NULL: the bytes are in here
	const uint8_t *bytes; // not yet written from here
	size_t len;           // of bytes; for the last chunk, if it owns them, out->pos tells
	size_t room;          // of own bytes
	uint8_t own[];
};

/* Makes the last chunk's length true. */
static void sync_last(struct admin_out *a)
{
	if (a->last && !a->last->blob)
		a->last->len = (size_t)(a->out.pos - a->last->bytes);
}

static void append_chunk(struct admin_out *a, struct admin_chunk *chunk)
{
	sync_last(a);
	if (a->last)
		a->last->next = chunk;
	else
		a->first = chunk;
	a->last = chunk;
}

static bool grow(struct out *out, size_t min)
{
	struct admin_out *a = CONTAINER_OF(out, struct admin_out, out);
	size_t room = min > CHUNK_BYTES ? min : CHUNK_BYTES;
	struct admin_chunk *chunk;

	if (a->copied_bytes + room > ADMIN_OUT_COPIED_MAX)
		return false;
	chunk = malloc(sizeof(*chunk) + room);
	if (!chunk)
		return false;
	*chunk = (struct admin_chunk){.bytes = chunk->own, .room = room};
	append_chunk(a, chunk);
	a->copied_bytes += room;
	out->pos = chunk->own;
	out->end = chunk->own + room;
	return true;
}

static bool append_blob(struct out *out, struct blob *blob, size_t offset, size_t len)
{
	struct admin_out *a = CONTAINER_OF(out, struct admin_out, out);
	struct admin_chunk *chunk;

	if (len < BLOB_REFERENCE_MIN) {
		out_append(out, slice_of(blob->bytes + offset, len));
		return !out->failed;
	}
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return false;
	*chunk = (struct admin_chunk){
		.blob = blob_ref(blob), .bytes = blob->bytes + offset, .len = len};
	append_chunk(a, chunk);
	a->referred_bytes += len;
	// What follows needs a chunk of its own.
	out->pos = out->end = NULL;
	return true;
}

static const struct out_ops ops = {.grow = grow, .append_blob = append_blob};

void admin_out_init(struct admin_out *a)
{
	*a = (struct admin_out){.out.ops = &ops};
}

static void drop_first(struct admin_out *a)
{
	struct admin_chunk *chunk = a->first;

	a->first = chunk->next;
	if (!a->first) {
		a->last = NULL;
		a->out.pos = a->out.end = NULL;
	}
	a->copied_bytes -= chunk->room;
	blob_unref(chunk->blob);
	free(chunk);
}

void admin_out_fini(struct admin_out *a)
{
	while (a->first)
		drop_first(a);
}

size_t admin_out_queued(const struct admin_out *a)
{
	size_t sum = 0;

	for (const struct admin_chunk *chunk = a->first; chunk; chunk = chunk->next) {
		bool open = chunk == a->last && !chunk->blob;

		sum += open ? (size_t)(a->out.pos - chunk->bytes) : chunk->len;
	}
	return sum;
}

/* Takes `written` bytes off the front, and every chunk that is empty then. */
static void advance(struct admin_out *a, size_t written)
{
	while (a->first) {
		struct admin_chunk *chunk = a->first;
		size_t part = written < chunk->len ? written : chunk->len;

		chunk->bytes += part;
		chunk->len -= part;
		written -= part;
		if (chunk->blob)
			a->referred_bytes -= part;
		if (chunk->len > 0)
			break;
		drop_first(a);
	}
	INVARIANT(written == 0);
}

int admin_out_flush(struct admin_out *a, int fd)
{
	sync_last(a);
	while (a->first) {
		struct iovec pieces[WRITE_PIECES_MAX];
		int count = 0;
		ssize_t written;

		for (struct admin_chunk *chunk = a->first; chunk && count < WRITE_PIECES_MAX;
		     chunk = chunk->next)
			pieces[count++] = (struct iovec){
				.iov_base = (void *)(uintptr_t)chunk->bytes, .iov_len = chunk->len};
		written = writev(fd, pieces, count);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		advance(a, (size_t)written);
	}
	return 0;
}
