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

/* A first buffer, behind `before` (NULL: as the first run). NULL when a budget stops it. */
static struct tcp_ooo_node *begin_run(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo,
				      struct tcp_ooo_node *before, tcp_seq seq)
{
	struct tcp_ooo_node *run =
		ooo->count < pool->conn_max ? tcp_slab_alloc(&pool->nodes) : NULL;
	struct tcp_ooo_node **link = before ? &before->next_run : &ooo->head;

	if (!run)
		return NULL;
	run->next = NULL;
	run->next_run = *link;
	run->last = run;
	run->seq = run->run_end = seq;
	run->len = 0;
	*link = run;
	ooo->count++;
	return run;
}

static struct tcp_ooo_node *extend_run(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo,
				       struct tcp_ooo_node *run)
{
	struct tcp_ooo_node *node =
		ooo->count < pool->conn_max ? tcp_slab_alloc(&pool->nodes) : NULL;

	if (!node)
		return NULL;
	node->next = NULL;
	node->seq = run->run_end;
	node->len = 0;
	run->last->next = node;
	run->last = node;
	ooo->count++;
	return node;
}

/* At the end of a run: into its last buffer first, so that single bytes do not take one each. */
static bool append(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, struct tcp_ooo_node *run,
		   struct slice piece)
{
	struct tcp_ooo_node *node = run->last;

	while (piece.len > 0) {
		uint32_t room = pool->node_bytes - node->len;
		uint32_t part = piece.len < room ? (uint32_t)piece.len : room;

		memcpy(node->bytes + node->len, piece.ptr, part);
		node->len += part;
		run->run_end += part;
		piece = slice_of(piece.ptr + part, piece.len - part);
		if (piece.len > 0) {
			node = extend_run(pool, ooo, run);
			if (!node)
				return false;
		}
	}
	return true;
}

/* With no gap between a run and the next one they are one. */
static void join(struct tcp_ooo_node *run)
{
	struct tcp_ooo_node *next = run->next_run;

	if (!next || next->seq != run->run_end)
		return;
	run->last->next = next;
	run->last = next->last;
	run->run_end = next->run_end;
	run->next_run = next->next_run;
}

bool tcp_ooo_insert(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq seq,
		    struct slice payload)
{
	struct tcp_ooo_node *before = NULL, *run = ooo->head;

	while (payload.len > 0) {
		// 1. Pass by runs that end before the first byte that is still to be placed.
		while (run && tcp_seq_lt(run->run_end, seq)) {
			before = run;
			run = run->next_run;
		}
		// 2. Skip what that run already has.
		uint32_t part = (uint32_t)payload.len;

		if (run && tcp_seq_le(run->seq, seq) && seq != run->run_end) {
			if (part > run->run_end - seq)
				part = run->run_end - seq;
			seq += part;
			payload = slice_of(payload.ptr + part, payload.len - part);
			continue;
		}
		// 3. Place what lies before the next run: at the end of this one, or as a new one.
		bool extends = run && seq == run->run_end;
		const struct tcp_ooo_node *after = extends ? run->next_run : run;

		if (after && part > after->seq - seq)
			part = after->seq - seq;
		if (!extends)
			run = begin_run(pool, ooo, before, seq);
		if (!run)
			return false;
		ooo->latest = seq;
		if (!append(pool, ooo, run, slice_of(payload.ptr, part)))
			return false;
		join(run);
		seq += part;
		payload = slice_of(payload.ptr + part, payload.len - part);
	}
	return true;
}

/* The first buffer of all leaves; what it knew of its run goes to the next. */
static struct tcp_ooo_node *take_first(struct tcp_ooo *ooo)
{
	struct tcp_ooo_node *node = ooo->head, *next = node->next;

	if (next) {
		next->next_run = node->next_run;
		next->last = node->last;
		next->run_end = node->run_end;
	}
	ooo->head = next ? next : node->next_run;
	ooo->count--;
	return node;
}

bool tcp_ooo_take(struct tcp_ooo_pool *pool, struct tcp_ooo *ooo, tcp_seq rcv_nxt,
		  struct slice *bytes)
{
	while (ooo->head && tcp_seq_le(ooo->head->seq, rcv_nxt)) {
		struct tcp_ooo_node *node = take_first(ooo);
		uint32_t passed = rcv_nxt - node->seq;

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
	while (ooo->head)
		tcp_slab_free(&pool->nodes, take_first(ooo));
	*ooo = (struct tcp_ooo){0};
}

uint32_t tcp_ooo_sack(const struct tcp_ooo *ooo, struct tcp_sack_block *blocks, uint32_t max)
{
	const struct tcp_ooo_node *latest = ooo->head;
	uint32_t count = 0;

	while (latest && !tcp_seq_within(ooo->latest, latest->seq, latest->run_end - latest->seq))
		latest = latest->next_run;
	if (latest && max > 0)
		blocks[count++] = (struct tcp_sack_block){latest->seq, latest->run_end};
	for (const struct tcp_ooo_node *run = ooo->head; run && count < max; run = run->next_run)
		if (run != latest)
			blocks[count++] = (struct tcp_sack_block){run->seq, run->run_end};
	return count;
}
