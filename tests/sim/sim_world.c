/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/sim_world.h"

#include "nic/tcp/tcp_stack.h"
#include "tests/fakes/fake_tso.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The world of a simulated run: clock, hosts, events. Time jumps from event to event; at each, both
 * hosts do what a worker does in a loop: a burst in, the applications, burst end, timers.
 */

#define LIMIT_NS      (2000 * TCP_SECOND_NS) // by then everything must be over
#define SAME_TIME_MAX 10000
#define BURST_MAX     32

void sim_fail(const struct sim_world *w, const char *what, uint32_t conn, int side)
{
	printf("seed %" PRIu64 ": %s (connection %u, side %d, at %.6f s)\n", w->seed, what, conn,
	       side, (double)w->now_ns / 1e9);
	fflush(stdout);
	exit(1);
}

static uint32_t hash_of(const struct flow *flow)
{
	return (uint32_t)(flow->local_port * 31 + flow->remote_port) * 2654435761u;
}

static void print_segment(const struct sim_world *w, const struct sim_app *app,
			  const struct tcp_segment *segment)
{
	const uint8_t *h = segment->header.ptr;
	struct tcp_options o;

	if (!tcp_options_parse(h + TCP_HEADER_MIN, (uint32_t)segment->header.len - TCP_HEADER_MIN,
			       &o))
		return;
	printf("%12.6f conn %u side %d flags %02x seq %u ack %u wnd %u len %u",
	       (double)w->now_ns / 1e9, app->id, app->side, h[13], be32_load(h + 4),
	       be32_load(h + 8), be16_load(h + 14), segment->payload_len);
	for (uint32_t i = 0; i < o.sack_count; i++)
		printf(" sack %u-%u", o.sack[i].start, o.sack[i].end);
	printf("\n");
}

static void send(struct sim_side *side, const struct tcp_segment *segment)
{
	struct sim_world *w = side->world;
	struct sim_app *app = sim_app_of(w, side->index, segment->flow);
	const char *wrong;

	if (w->verbose)
		print_segment(w, app, segment);
	wrong = oracle_sent(&w->oracles[app->id], side->index, segment, app->conn);
	if (wrong)
		sim_fail(w, wrong, app->id, side->index);
	if (!sim_channel_send(&w->channel, side->index, segment, w->now_ns) &&
	    side->icmps_count < SIM_ICMP_MAX)
		side->icmps[side->icmps_count++] = (struct sim_icmp){
			*segment->flow, be32_load((const uint8_t *)segment->header.ptr + 4)};
}

static bool on_emit(void *env, const struct tcp_segment *segment)
{
	struct sim_side *side = env;
	struct sim_world *w = side->world;
	uint8_t header[TCP_HEADER_MAX];
	struct tcp_segment part;

	if (w->now_ns < side->blocked_until_ns)
		return false;
	if (rng_below(&w->rng, 1000) < w->refuse_permille) {
		// A full ring refuses for a while.
		side->blocked_until_ns = w->now_ns + rng_below(&w->rng, 5000000);
		return false;
	}
	for (uint32_t i = 0; fake_tso_part(segment, i, &part, header); i++)
		send(side, &part);
	return true;
}

/* The router says how long a packet may be (RFC 1191). */
static void receive_icmps(struct sim_world *w, struct sim_side *side)
{
	for (uint32_t i = 0; i < side->icmps_count; i++) {
		const struct sim_icmp *icmp = &side->icmps[i];
		uint8_t message[8 + 20 + 8] = {3, 4};

		be16_store(message + 6, (uint16_t)w->channel.config.path_mtu);
		message[8] = 0x45;
		be32_store(message + 32, icmp->seq);
		tcp_icmp_error(side->stack, &icmp->flow, hash_of(&icmp->flow),
			       slice_of(message, sizeof(message)), w->now_ns);
	}
	side->icmps_count = 0;
}

/* Now and then one of a host's pools has nothing to give. */
static void make_scarce(struct sim_world *w, struct sim_side *side)
{
	struct tcp_stack *s = side->stack;
	struct tcp_slab *pools[] = {
		&s->conns,          &s->syns.entries,      &s->boards,
		&s->ooo_pool.nodes, &s->sendq_pool.chunks, &s->sendq_pool.extents};

	if (side->refusing && w->now_ns >= side->refuse_until_ns) {
		side->refusing->refuse = false;
		side->refusing = NULL;
	}
	if (side->refusing || rng_below(&w->rng, 1000) >= w->scarce_permille)
		return;
	side->refusing = pools[rng_below(&w->rng, ARRAY_COUNT(pools))];
	side->refusing->refuse = true;
	side->refuse_until_ns = w->now_ns + rng_below(&w->rng, 50000000);
}

static bool on_open(void *env, struct tcp_conn *conn)
{
	struct sim_side *side = env;
	struct sim_app *app = sim_app_of(side->world, side->index, tcp_flow(conn));

	app->conn = conn;
	app->opened = true;
	tcp_set_user(conn, app);
	return true;
}

static void on_data(void *env, struct tcp_conn *conn, struct slice data)
{
	sim_app_data(tcp_user(conn), data);
}

static void on_fin(void *env, struct tcp_conn *conn)
{
	struct sim_app *app = tcp_user(conn);
	struct sim_world *w = app->world;

	app->fin = true;
	if (app->received != w->apps[app->id][1 - app->side].written)
		sim_fail(w, "FIN before the last byte", app->id, app->side);
}

static void on_drained(void *env, struct tcp_conn *conn)
{
	struct sim_app *app = tcp_user(conn);

	app->paused = false;
}

static void on_close(void *env, struct tcp_conn *conn, enum tcp_close_reason reason)
{
	struct sim_side *side = env;
	struct sim_app *app = sim_app_of(side->world, side->index, tcp_flow(conn));

	if (app->over)
		sim_fail(side->world, "closed twice", app->id, app->side);
	app->over = app->closed = true;
	app->reason = reason;
	app->conn = NULL;
}

static void init_side(struct sim_world *w, int index)
{
	static const struct tcp_ops ops = {
		.emit = on_emit,
		.on_open = on_open,
		.on_data = on_data,
		.on_fin = on_fin,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	static const uint32_t windows[] = {3000, 20000, 65535, 300000, 1 << 20};
	static const uint16_t mtus[] = {576, 1280, 1500, 1500, 2000};
	struct sim_side *side = &w->sides[index];
	struct tcp_config config = {
		.conns_max = SIM_CONNS_MAX,
		.syn_max = rng_below(&w->rng, 4) ? SIM_CONNS_MAX : 1, // or cookies
		.time_wait_max = SIM_CONNS_MAX,
		.mtu = mtus[rng_below(&w->rng, ARRAY_COUNT(mtus))],
		.rcv_wnd_bytes = windows[rng_below(&w->rng, ARRAY_COUNT(windows))],
		.snd_high_bytes = 16384,
		.snd_max_bytes = 65536,
		.snd_pool_bytes = w->small_pools ? 64 << 10 : 4 << 20,
		.ooo_pool_bytes = w->small_pools ? 16 << 10 : 2 << 20,
		.ooo_conn_bytes = rng_below(&w->rng, 2) ? 256 << 10 : 8192,
		.keepalive_idle_ns = 5 * TCP_SECOND_NS,
		.time_wait_ns = 10 * TCP_SECOND_NS,
		.timestamps = rng_below(&w->rng, 4) != 0,
		.sack = rng_below(&w->rng, 2),
		.window_scale = rng_below(&w->rng, 4) != 0,
		.tso_bytes = rng_below(&w->rng, 3) == 0 ? 32 << 10 : 0,
		.rng_seed = rng_next(&w->rng),
	};

	for (uint32_t i = 0; i < sizeof(config.secret); i++)
		config.secret[i] = (uint8_t)rng_next(&w->rng);
	*side = (struct sim_side){.world = w, .index = index};
	side->stack = tcp_new(&config, &ops, side, &side->counters, &side->drops);
	if (!side->stack || !tcp_listen(side->stack, 6379))
		abort();
}

static struct sim_channel_config draw_channel(struct sim_world *w)
{
	static const uint64_t delays_ns[] = {20000, 100000, 1000000, 20000000};
	struct sim_channel_config config = {
		.delay_ns = delays_ns[rng_below(&w->rng, ARRAY_COUNT(delays_ns))],
	};

	// Every fault is absent in half of the runs, so that each is also seen alone.
	if (rng_below(&w->rng, 2))
		config.loss_permille = rng_below(&w->rng, 100);
	if (rng_below(&w->rng, 4) == 0)
		config.run_permille = rng_below(&w->rng, 20);
	config.run_len_max = 12;
	if (rng_below(&w->rng, 2))
		config.reorder_permille = rng_below(&w->rng, 200);
	if (rng_below(&w->rng, 2))
		config.duplicate_permille = rng_below(&w->rng, 100);
	if (rng_below(&w->rng, 2))
		config.corrupt_permille = rng_below(&w->rng, 50);
	if (rng_below(&w->rng, 4) == 0)
		config.ack_loss_permille = rng_below(&w->rng, 300);
	if (rng_below(&w->rng, 4) == 0)
		config.tail_loss_permille = rng_below(&w->rng, 200);
	if (rng_below(&w->rng, 8) == 0)
		config.path_mtu = 576 + rng_below(&w->rng, 1000);
	if (rng_below(&w->rng, 2))
		config.jitter_ns = 1 + rng_below(&w->rng, (uint32_t)config.delay_ns);
	return config;
}

void sim_init(struct sim_world *w, uint64_t seed, bool verbose)
{
	struct sim_channel_config channel;

	*w = (struct sim_world){.seed = seed, .verbose = verbose, .rng = rng_seeded(seed)};
	// Near the wrap of the millisecond clock in some runs.
	w->now_ns = rng_below(&w->rng, 2) ? 1000000000 : ((1ull << 32) - 3000) * TCP_MS_NS;
	w->small_pools = rng_below(&w->rng, 5) == 0;
	w->refuse_permille = rng_below(&w->rng, 3) == 0 ? rng_below(&w->rng, 50) : 0;
	w->scarce_permille = rng_below(&w->rng, 6) == 0 ? rng_below(&w->rng, 20) : 0;
	channel = draw_channel(w);
	// Five losses of one segment, or of answers to probes, in a row outlast the time that a
	// closed connection has.
	w->may_fail =
		channel.run_permille > 0 || channel.ack_loss_permille > 100 ||
		channel.loss_permille + channel.corrupt_permille + channel.tail_loss_permille > 100;
	sim_channel_init(&w->channel, &channel, rng_next(&w->rng));
	init_side(w, 0);
	init_side(w, 1);
	// What is written while a pool refuses is missing, as when it is used up.
	if (w->scarce_permille > 0)
		w->small_pools = true;
	w->conns_count = 1 + rng_below(&w->rng, SIM_CONNS_MAX);
	for (uint32_t i = 0; i < w->conns_count; i++) {
		w->oracles[i].id = i;
		sim_app_init(w, i);
	}
}

static void open_connection(struct sim_world *w, uint32_t id)
{
	struct flow flow = {
		.local = ip_addr_from_v4(be32_from_host(0x0a000001)),
		.remote = ip_addr_from_v4(be32_from_host(0x0a000002)),
		.local_port = (uint16_t)(SIM_PORT_FIRST + id),
		.remote_port = 6379,
	};
	struct sim_app *app = &w->apps[id][0];

	app->conn = tcp_connect(w->sides[0].stack, &flow, hash_of(&flow), 0, w->now_ns);
	if (!app->conn && w->scarce_permille > 0)
		return; // soon again
	if (!app->conn)
		sim_fail(w, "cannot open", id, 0);
	tcp_set_user(app->conn, app);
	app->opened = true;
}

/* Bursts for whom something has arrived; a frame may be for the other side than its predecessor. */
static void receive(struct sim_world *w)
{
	for (;;) {
		struct sim_frame *frames[BURST_MAX];
		uint32_t count = 0;

		while (count < BURST_MAX) {
			frames[count] = sim_channel_receive(&w->channel, w->now_ns);
			if (!frames[count])
				break;
			count++;
		}
		for (uint32_t i = 0; i < count; i++) {
			struct sim_frame *f = frames[i];
			struct sim_side *side = &w->sides[f->to];
			struct sim_app *app = sim_app_of(w, f->to, &f->flow);
			struct tcp_packet packet = {
				.flow = f->flow,
				.hash = hash_of(&f->flow),
				.segment = f->bytes,
				.len = f->len,
			};

			oracle_received(&w->oracles[app->id], f->to, f->bytes, f->len);
			tcp_prefetch(side->stack, packet.hash);
			tcp_prefetch_conn(side->stack, packet.hash);
			tcp_input(side->stack, &packet, w->now_ns);
		}
		tcp_burst_end(w->sides[0].stack, w->now_ns);
		tcp_burst_end(w->sides[1].stack, w->now_ns);
		for (uint32_t i = 0; i < count; i++)
			free(frames[i]);
		if (count == 0)
			return;
	}
}

static void step_apps(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->conns_count; i++)
		for (int side = 0; side < 2; side++) {
			struct sim_app *app = &w->apps[i][side];

			if (app->wake_ns > w->now_ns || app->over)
				continue;
			if (side == 0 && !app->opened)
				open_connection(w, i);
			else if (app->conn && app->conn->state > TCP_STATE_SYN_RECEIVED)
				sim_app_step(app);
			if (app->wake_ns <= w->now_ns)
				app->wake_ns = w->now_ns + 1000000;
		}
	tcp_burst_end(w->sides[0].stack, w->now_ns);
	tcp_burst_end(w->sides[1].stack, w->now_ns);
}

static uint64_t next_event(const struct sim_world *w)
{
	uint64_t next = sim_channel_next_ns(&w->channel);

	for (int i = 0; i < 2; i++) {
		uint64_t deadline = tcp_next_deadline_ns(w->sides[i].stack);

		next = deadline < next ? deadline : next;
	}
	for (uint32_t i = 0; i < w->conns_count; i++)
		for (int side = 0; side < 2; side++) {
			const struct sim_app *app = &w->apps[i][side];
			bool waits = !app->over && (side == 0 || app->conn) && !app->closed;

			if (waits && app->wake_ns < next)
				next = app->wake_ns;
		}
	return next;
}

static bool all_over(const struct sim_world *w)
{
	for (uint32_t i = 0; i < w->conns_count; i++)
		for (int side = 0; side < 2; side++) {
			const struct sim_app *app = &w->apps[i][side];

			// The listening side may never have heard of a connection.
			if (!app->over && (side == 0 || app->opened))
				return false;
		}
	return w->channel.frames == NULL;
}

static void check_baseline(const struct sim_world *w)
{
	for (int i = 0; i < 2; i++) {
		const struct tcp_stack *s = w->sides[i].stack;
		bool base = s->conns.used == 0 && s->works.used == 0 && s->syns.entries.used == 0 &&
			    s->time_waits.entries.used == 0 && s->sendq_pool.chunks.used == 0 &&
			    s->sendq_pool.extents.used == 0 && s->ooo_pool.nodes.used == 0 &&
			    !s->dead && !s->touched_head;

		if (!base)
			sim_fail(w, "pools not back at their baseline", 0, i);
	}
	if (w->blobs_live != 0)
		sim_fail(w, "blob references leaked", 0, 0);
}

void sim_run(struct sim_world *w)
{
	uint64_t start_ns = w->now_ns;
	uint64_t last_ns = 0;
	uint32_t same_time = 0;

	while (w->now_ns - start_ns < LIMIT_NS) {
		uint64_t next = next_event(w);

		if (next == UINT64_MAX)
			break;
		if (next > w->now_ns)
			w->now_ns = next;
		same_time = w->now_ns == last_ns ? same_time + 1 : 0;
		last_ns = w->now_ns;
		if (same_time > SAME_TIME_MAX)
			sim_fail(w, "time stands still", 0, 0);
		for (int i = 0; i < 2; i++) {
			make_scarce(w, &w->sides[i]);
			receive_icmps(w, &w->sides[i]);
		}
		receive(w);
		step_apps(w);
		tcp_tick(w->sides[0].stack, w->now_ns, 64);
		tcp_tick(w->sides[1].stack, w->now_ns, 64);
	}
	for (int i = 0; i < 2; i++)
		if (w->sides[i].refusing)
			w->sides[i].refusing->refuse = false;
	if (!all_over(w))
		sim_fail(w, "not over in time", 0, 0);
	for (uint32_t i = 0; i < w->conns_count; i++)
		if (w->apps[i][1].opened)
			sim_app_check_end(w, i);
	check_baseline(w);
}

void sim_fini(struct sim_world *w)
{
	sim_channel_fini(&w->channel);
	tcp_free(w->sides[0].stack);
	tcp_free(w->sides[1].stack);
}
