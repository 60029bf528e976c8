/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_sendq.h"

/*
 * The send queue's extents. Written to by the owner of the connection through struct out
 * (tcp_conn.c has the out_ops), read by tcp_output.c for each segment, trimmed by tcp_ack.c. A
 * chunk goes back to its pool when its last extent is acknowledged and nobody writes into it.
 */

// Extents per chunk of the pool: replies of blobs need up to two of them without filling a chunk.
#define EXTENTS_PER_CHUNK 4

bool tcp_sendq_pool_init(struct tcp_sendq_pool *pool, uint32_t bytes)
{
	uint32_t chunks = bytes / TCP_CHUNK_BYTES;

	*pool = (struct tcp_sendq_pool){0};
	if (!tcp_slab_init(&pool->chunks, TCP_CHUNK_BYTES, chunks) ||
	    !tcp_slab_init(&pool->extents, sizeof(struct tcp_extent), chunks * EXTENTS_PER_CHUNK) ||
	    !tcp_slab_init(&pool->refs_memory, sizeof(uint64_t), chunks / 4 + 1)) {
		tcp_sendq_pool_fini(pool);
		return false;
	}
	TCP_SLAB_SHOW(pool->refs_memory.base, (size_t)(chunks / 4 + 1) * sizeof(uint64_t));
	pool->refs = (uint16_t *)(void *)pool->refs_memory.base;
	return true;
}

void tcp_sendq_pool_fini(struct tcp_sendq_pool *pool)
{
	tcp_slab_fini(&pool->chunks);
	tcp_slab_fini(&pool->extents);
	tcp_slab_fini(&pool->refs_memory);
}

void tcp_sendq_init(struct tcp_sendq *q, tcp_seq seq)
{
	*q = (struct tcp_sendq){.end = seq};
}

/* A shift: the slab's own division by its stride would cost more than the rest of a reply. */
static uint32_t chunk_index(const struct tcp_sendq_pool *pool, const uint8_t *inside)
{
	return (uint32_t)((size_t)(inside - pool->chunks.base) / TCP_CHUNK_BYTES);
}

static void chunk_ref(struct tcp_sendq_pool *pool, const uint8_t *inside)
{
	pool->refs[chunk_index(pool, inside)]++;
}

static void chunk_unref(struct tcp_sendq_pool *pool, const uint8_t *inside)
{
	uint32_t index = chunk_index(pool, inside);

	HOT_ASSERT(pool->refs[index] > 0);
	if (--pool->refs[index] == 0)
		tcp_slab_free(&pool->chunks, tcp_slab_at(&pool->chunks, index));
}

static void append(struct tcp_sendq *q, struct tcp_extent *extent)
{
	if (q->tail)
		q->tail->next = extent;
	else
		q->head = extent;
	q->tail = extent;
	q->extents++;
}

/*
 * The connection stops writing into its chunk; the extents in it keep it alive as long as they
 * need.
 */
static void leave_chunk(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out)
{
	if (q->chunk)
		chunk_unref(pool, q->chunk);
	q->chunk = NULL;
	q->mark = out->pos = out->end = NULL;
}

bool tcp_sendq_grow(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out, size_t min)
{
	struct tcp_extent *extent;

	tcp_sendq_sync(q, out);
	extent = tcp_slab_alloc(&pool->extents);
	if (!extent)
		return false;
	// After a blob the rest of the chunk serves on; otherwise what is left of it is too small.
	if (!q->chunk || (size_t)(q->chunk + TCP_CHUNK_BYTES - out->pos) < min) {
		uint8_t *chunk = tcp_slab_alloc(&pool->chunks);

		if (!chunk) {
			tcp_slab_free(&pool->extents, extent);
			return false;
		}
		leave_chunk(pool, q, out);
		chunk_ref(pool, chunk);
		q->chunk = chunk;
		q->mark = out->pos = chunk;
	}
	out->end = q->chunk + TCP_CHUNK_BYTES;
	chunk_ref(pool, out->pos);
	*extent = (struct tcp_extent){.bytes = out->pos, .seq = q->end};
	append(q, extent);
	return true;
}

bool tcp_sendq_append_blob(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out,
			   struct blob *blob, struct slice bytes)
{
	struct tcp_extent *extent;

	tcp_sendq_sync(q, out);
	extent = tcp_slab_alloc(&pool->extents);
	if (!extent)
		return false;
	*extent = (struct tcp_extent){.bytes = bytes.ptr,
				      .blob = blob_ref(blob),
				      .seq = q->end,
				      .len = (uint32_t)bytes.len};
	append(q, extent);
	q->end += (uint32_t)bytes.len;
	q->referenced_bytes += (uint32_t)bytes.len;
	// The next copied byte needs an extent of its own: let grow() see to it.
	out->end = out->pos;
	return true;
}

static void free_head(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out)
{
	struct tcp_extent *extent = q->head;

	if (q->cursor == extent)
		q->cursor = NULL;
	q->head = extent->next;
	if (!q->head)
		q->tail = NULL;
	q->extents--;
	if (extent->blob) {
		q->referenced_bytes -= extent->len;
		blob_unref(extent->blob);
	} else {
		q->copied_bytes -= extent->len;
		chunk_unref(pool, extent->bytes);
	}
	tcp_slab_free(&pool->extents, extent);
	if (!q->head)
		leave_chunk(pool, q, out);
}

void tcp_sendq_trim(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out, tcp_seq una)
{
	while (q->head && tcp_seq_le(q->head->seq + q->head->len, una))
		free_head(pool, q, out);
}

uint32_t tcp_sendq_gather(struct tcp_sendq *q, tcp_seq seq, uint32_t len, bool advance,
			  struct slice *slices, uint32_t *count)
{
	struct tcp_extent *e = q->cursor && tcp_seq_ge(seq, q->cursor->seq) ? q->cursor : q->head;
	uint32_t total = 0;

	*count = 0;
	while (e && seq - e->seq >= e->len)
		e = e->next;
	while (e && total < len && *count < TCP_SEGMENT_SLICES_MAX) {
		uint32_t offset = seq + total - e->seq;
		uint32_t part = e->len - offset < len - total ? e->len - offset : len - total;

		HOT_ASSERT(offset <= e->len);
		if (advance)
			q->cursor = e;
		if (part > 0)
			slices[(*count)++] = slice_of(e->bytes + offset, part);
		total += part;
		e = e->next;
	}
	return total;
}

void tcp_sendq_clear(struct tcp_sendq_pool *pool, struct tcp_sendq *q, struct out *out)
{
	while (q->head)
		free_head(pool, q, out);
	leave_chunk(pool, q, out);
}
