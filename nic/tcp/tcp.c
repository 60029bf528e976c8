/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/tcp/tcp.h"

#include "nic/tcp/tcp_stack.h"

#include <stdlib.h>

/*
 * A stack as a whole: all its memory is taken here, before the worker's loop begins, and none
 * later. The life of a connection is in tcp_conn.c, the way of a segment starts in tcp_input.c.
 */

static const struct {
	const char *label;
	const char *help;
} counter_texts[] = {

#define TCP_COUNTER(symbol, label, help) {label, help},
#include "nic/tcp/tcp_counter.def"
#undef TCP_COUNTER
};

_Static_assert(ARRAY_COUNT(counter_texts) == TCP_COUNTERS, "one row per counter");

const char *tcp_counter_label(enum tcp_counter_id id)
{
	REQUIRE(id < TCP_COUNTERS);
	return counter_texts[id].label;
}

const char *tcp_counter_help(enum tcp_counter_id id)
{
	REQUIRE(id < TCP_COUNTERS);
	return counter_texts[id].help;
}

/* The smallest scale with which the window fits its field (RFC 7323 2.3). */
static uint8_t window_scale(uint32_t wnd)
{
	uint8_t scale = 0;

	while (scale < TCP_WSCALE_MAX && wnd >> scale > UINT16_MAX)
		scale++;
	return scale;
}

static bool init_memory(struct tcp_stack *stack)
{
	const struct tcp_config *c = &stack->config;
	uint64_t table_secret[2] = {rng_next(&stack->rng), rng_next(&stack->rng)};
	bool ok = tcp_table_init(&stack->table, c->conns_max + c->syn_max + c->time_wait_max,
				 table_secret);

	ok = ok && tcp_slab_init(&stack->conns, sizeof(struct tcp_conn), c->conns_max);
	ok = ok && tcp_slab_init(&stack->works, sizeof(struct tcp_work), c->conns_max);
	ok = ok && tcp_slab_init(&stack->syns.entries, sizeof(struct tcp_syn), c->syn_max);
	ok = ok && tcp_slab_init(&stack->time_waits.entries, sizeof(struct tcp_time_wait),
				 c->time_wait_max);
	ok = ok && tcp_sendq_pool_init(&stack->sendq_pool, c->snd_pool_bytes);
	ok = ok &&
	     tcp_ooo_pool_init(&stack->ooo_pool, c->ooo_pool_bytes, c->ooo_conn_bytes, c->mtu);
	// Few connections lack something at a time; who finds none left waits for its timer.
	ok = ok && tcp_slab_init(&stack->boards, sizeof(struct tcp_scoreboard),
				 c->conns_max / 8 + TCP_BOARDS_MIN);
	if (!ok)
		return false;
	tcp_slab_set_walked(&stack->conns);
	return true;
}

struct tcp_stack *tcp_new(const struct tcp_config *config, const struct tcp_ops *ops, void *env,
			  struct tcp_counters *counters, struct drop_counters *drops)
{
	struct tcp_stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		return NULL;
	REQUIRE(config->mtu >= 576 && config->rcv_wnd_bytes > 0 &&
		config->rcv_wnd_bytes <= 1u << 30);
	stack->config = *config;
	stack->ops = *ops;
	stack->env = env;
	stack->counters = counters;
	stack->drops = drops;
	stack->rcv_wnd = config->rcv_wnd_bytes;
	stack->rcv_scale = window_scale(config->rcv_wnd_bytes);
	memcpy(&stack->isn_key, config->secret, sizeof(stack->isn_key));
	// The table's multipliers must not follow from the seed alone: it may be a known one.
	stack->rng = rng_seeded(config->rng_seed ^
				hash_siphash13(&stack->isn_key, SLICE_LITERAL("rng")));
	stack->reply_budget = TCP_REPLY_BUDGET;
	tcp_list_init(&stack->delacks);
	tcp_list_init(&stack->blocked);
	tcp_list_init(&stack->time_waits.fifo);
	for (uint32_t i = 0; i < TCP_SYN_LEVELS; i++)
		tcp_list_init(&stack->syns.levels[i]);
	tcp_wheel_init(&stack->wheel, 0);
	if (!init_memory(stack)) {
		tcp_free(stack);
		return NULL;
	}
	return stack;
}

void tcp_free(struct tcp_stack *stack)
{
	if (!stack)
		return;
	// Blobs belong to others too, so their references are given back one by one.
	for (uint32_t i = 0; i < stack->conns.fresh; i++) {
		struct tcp_conn *conn = tcp_slab_at(&stack->conns, i);

		if (conn->state != TCP_STATE_CLOSED && conn->work)
			tcp_sendq_clear(&stack->sendq_pool, &conn->work->sendq, &conn->work->out);
	}
	tcp_table_fini(&stack->table);
	tcp_slab_fini(&stack->conns);
	tcp_slab_fini(&stack->works);
	tcp_slab_fini(&stack->syns.entries);
	tcp_slab_fini(&stack->time_waits.entries);
	tcp_sendq_pool_fini(&stack->sendq_pool);
	tcp_ooo_pool_fini(&stack->ooo_pool);
	tcp_slab_fini(&stack->boards);
	free(stack);
}

bool tcp_listen(struct tcp_stack *stack, uint16_t local_port)
{
	if (stack->listeners_count == TCP_LISTENERS_MAX)
		return false;
	stack->listeners[stack->listeners_count++] = local_port;
	return true;
}

uint32_t tcp_conn_count(const struct tcp_stack *stack)
{
	return stack->conns.used;
}

void tcp_walk(struct tcp_stack *stack, uint32_t *cursor, uint32_t max,
	      void (*visit)(void *arg, struct tcp_conn *conn), void *arg)
{
	uint32_t i = *cursor;

	for (; i < stack->conns.fresh && max > 0; i++) {
		struct tcp_conn *conn = tcp_slab_at(&stack->conns, i);

		if (conn->state == TCP_STATE_CLOSED)
			continue;
		visit(arg, conn);
		max--;
	}
	*cursor = i < stack->conns.fresh ? i : 0;
}
