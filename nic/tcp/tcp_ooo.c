/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp_ooo.h"

/*
 * The out-of-order queue of a connection. tcp_receive.c puts segments in that are ahead of rcv_nxt
 * and takes them out when the gap has closed; tcp_segment.c asks for the ranges of a SACK option
 * (RFC 2018).
 */

bool tcp_ooo_pool_init(struct tcp_ooo_pool *pool, uint32_t pool_bytes, uint32_t conn_bytes,
		       uint32_t node_bytes)
{
	size_t stride = sizeof(struct tcp_ooo_node) + node_bytes;

	*pool = (struct tcp_ooo_pool){.node_bytes = node_bytes,
				      .conn_max = (uint32_t)(conn_bytes / stride)};
	return tcp_slab_init(&pool->nodes, stride, (uint32_t)(pool_bytes / stride));
}

void tcp_ooo_pool_fini(struct tcp_ooo_pool *pool)
{
	tcp_slab_fini(&pool->nodes);
}

/*
 * Appends to a node that ends where the piece begins, so that single bytes do not take a buffer
 * each.
 */
static uint32_t extend(const struct tcp_ooo_pool *pool, struct tcp_ooo_node *node, tcp_seq seq,
		       struct slice piece)
{
	uint32_t room = node ? pool->node_bytes - node->len : 0;
	uint32_t part = piece.len < room ? (uint32_t)piece.len : room;

	if (!node || node->seq + node->len != seq)
		return 0;
	memcpy(node->bytes + node->len, piece.ptr, part);
	node->len += part;
	return part;
}

/*
 * Puts a piece that overlaps nothing behind `before` (NULL: first). Moves *before to the node that
 * ends it.
 */
static bool insert_piece(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo,
			 struct tcp_ooo_node **before, tcp_seq seq, struct slice piece)
{
	uint32_t done = extend(pool, *before, seq, piece);

	while (done < piece.len) {
		uint32_t part = (uint32_t)piece.len - done;
		struct tcp_ooo_node *node;

		if (part > pool->node_bytes)
			part = pool->node_bytes;
		node = ooo->count < pool->conn_max ? tcp_slab_alloc(&pool->nodes) : NULL;
		if (!node)
			return false;
		node->seq = seq + done;
		node->len = part;
		memcpy(node->bytes, piece.ptr + done, part);
		node->next = *before ? (*before)->next : ooo->head;
		if (*before)
			(*before)->next = node;
		else
			ooo->head = node;
		*before = node;
		ooo->count++;
		done += part;
	}
	return true;
}

bool tcp_ooo_insert(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq seq,
		    struct slice payload)
{
	struct tcp_ooo_node *before = NULL;
	struct tcp_ooo_node *after = ooo->head;
	tcp_seq end = seq + (uint32_t)payload.len;

	while (tcp_seq_lt(seq, end)) {
		// 1. Skip what ends at or before the first byte that is still to be placed.
		while (after && tcp_seq_le(after->seq + after->len, seq)) {
			before = after;
			after = after->next;
		}
		// 2. Place what lies before the next node.
		uint32_t part = end - seq;

		if (after && tcp_seq_le(after->seq, seq)) {
			part = 0;
		} else if (after && tcp_seq_lt(after->seq, end)) {
			part = after->seq - seq;
		}
		if (part > 0 && !insert_piece(pool, ooo, &before, seq, slice_of(payload.ptr, part)))
			return false;
		if (part > 0)
			ooo->latest = seq;
		// 3. Skip what that node already has.
		if (part == 0)
			part = after->seq + after->len - seq;
		if (part > end - seq)
			part = end - seq;
		seq += part;
		payload.ptr += part;
	}
	return true;
}

bool tcp_ooo_take(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq rcv_nxt,
		  struct slice *bytes)
{
	while (ooo->head && tcp_seq_le(ooo->head->seq, rcv_nxt)) {
		struct tcp_ooo_node *node = ooo->head;
		uint32_t passed = rcv_nxt - node->seq;

		ooo->head = node->next;
		ooo->count--;
		if (passed >= node->len) {
			tcp_slab_free(&pool->nodes, node);
			continue;
		}
		node->next = pool->handed;
		pool->handed = node;
		*bytes = slice_of(node->bytes + passed, node->len - passed);
		return true;
	}
	return false;
}

static void free_list(struct tcp_ooo_pool *pool, struct tcp_ooo_node *node)
{
	while (node) {
		struct tcp_ooo_node *next = node->next;

		tcp_slab_free(&pool->nodes, node);
		node = next;
	}
}

void tcp_ooo_release(struct tcp_ooo_pool *pool)
{
	free_list(pool, pool->handed);
	pool->handed = NULL;
}

void tcp_ooo_clear(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo)
{
	free_list(pool, ooo->head);
	*ooo = (struct tcp_ooo){0};
}

/* The run of adjacent nodes that begins at `node`; *next is the node after it. */
static struct tcp_sack_block run_of(const struct tcp_ooo_node *node,
				    const struct tcp_ooo_node **next)
{
	struct tcp_sack_block block = {node->seq, node->seq + node->len};

	for (node = node->next; node && node->seq == block.end; node = node->next)
		block.end += node->len;
	*next = node;
	return block;
}

uint32_t tcp_ooo_sack(const struct tcp_ooo *ooo, struct tcp_sack_block *blocks, uint32_t max)
{
	const struct tcp_ooo_node *node = ooo->head;
	uint32_t count = 0;

	// Two passes over at most conn_max nodes: the run that changed last, then the others in
	// order.
	while (node && count == 0) {
		struct tcp_sack_block run = run_of(node, &node);

		if (tcp_seq_within(ooo->latest, run.start, run.end - run.start) && max > 0)
			blocks[count++] = run;
	}
	for (node = ooo->head; node && count < max;) {
		struct tcp_sack_block run = run_of(node, &node);

		if (count == 0 || run.start != blocks[0].start)
			blocks[count++] = run;
	}
	return count;
}
